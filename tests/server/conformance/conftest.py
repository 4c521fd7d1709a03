"""One g3n serve for all tests here, on a free port of this machine."""

import os
import re
import subprocess
import threading

import openai
import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
G3N = os.environ.get("G3N", os.path.join(ROOT, "build/release/g3n"))
DEMO = os.path.join(ROOT, "models/demo")


class Server:
    def __init__(self, *flags):
        command = [G3N, "serve", "-m", DEMO, "--port", "0", *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.log = []
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
                self.url = f"http://127.0.0.1:{found[1]}"
            if line.startswith("ready:"):
                break
        assert self.process.poll() is None, "".join(self.log)
        threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True).start()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(60) == 0, "".join(self.log)

    def client(self, **options):
        return openai.OpenAI(base_url=self.url + "/v1", **{"api_key": "none", "max_retries": 0, **options})


@pytest.fixture(scope="session")
def server():
    running = Server()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def client(server):
    return server.client()
