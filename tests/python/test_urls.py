"""Media behind URLs, from a server of this test's own."""

import base64
import http.server
import threading
import time

import pytest

import g3n
from conftest import CONVERSATIONS, GREEDY, MEDIA, messages_of
from g3n import fetch

PICTURE = (MEDIA / "red-circle.png").read_bytes()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/hop/"):
            left = int(self.path[5:])
            self.send_response(302)
            self.send_header("Location", f"/hop/{left - 1}" if left else "/picture.png")
            self.end_headers()
        elif self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        elif self.path == "/picture.png":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(PICTURE)
        elif self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            time.sleep(2)
        else:
            self.send_error(404)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def online(monkeypatch):
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_picture_is_the_same_by_any_url(engine, site, online):
    data = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
    for url in (f"{site}/picture.png", f"{site}/hop/3", data, (MEDIA / "red-circle.png").as_uri()):
        messages = messages_of("caption")
        (picture,) = [part for part in messages[0]["content"] if part["type"] == "image"]
        picture.pop("image")
        picture["url"] = url
        assert engine.generate(messages, **GREEDY).text == CONVERSATIONS["caption"]["text"]


def test_limits(site, online, monkeypatch):
    with pytest.raises(g3n.NotFound, match="404"):
        fetch.read_url(f"{site}/nothing", "image")
    with pytest.raises(g3n.BadFile, match="redirect"):
        fetch.read_url(f"{site}/hop/9", "image")
    with pytest.raises(g3n.BadFile, match="not allowed"):
        fetch.read_url(f"{site}/elsewhere", "image")
    monkeypatch.setattr(fetch, "MOST_BYTES", 100)
    with pytest.raises(g3n.InvalidArgument, match="larger"):
        fetch.read_url(f"{site}/picture.png", "image")
    monkeypatch.setattr(fetch, "MOST_SECONDS", 0.3)
    with pytest.raises(g3n.BadFile, match="took longer"):
        fetch.read_url(f"{site}/slow", "image")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(g3n.NotFound, match="HF_HUB_OFFLINE"):
        fetch.read_url(f"{site}/picture.png", "image")
