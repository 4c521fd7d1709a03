"""What all tests share: the demo checkpoint, the recorded conversations, and Python programs of their own process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import g3n

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "models" / "demo"
MEDIA = DEMO / "media"
CONVERSATIONS = json.loads((ROOT / "tests/golden/data/demo/conversations.json").read_text())
MOST_TOKENS = 48  # of the recording
# One heap for all threads of a program: what it holds is then what is used, and not how threads came to share heaps.
ONE_HEAP = {"MALLOC_ARENA_MAX": "1"}
GREEDY = {"temperature": 0, "max_tokens": MOST_TOKENS}
# A request that takes many seconds however fast the machine is.
LONG = {"max_tokens": 30000, "min_tokens": 30000, "seed": 1}


def messages_of(name: str) -> list[dict]:
    """The messages of a recording, media as paths."""
    messages = json.loads(json.dumps(CONVERSATIONS[name]["messages"]))
    for message in messages:
        for part in message["content"]:
            if part["type"] != "text":
                part[part["type"]] = str(MEDIA / part[part["type"]])
    return messages


@pytest.fixture(scope="session")
def engine():
    with g3n.Engine(DEMO) as engine:
        yield engine


@pytest.fixture
def own_engine():
    """For tests that close it."""
    with g3n.Engine(DEMO) as engine:
        yield engine


def heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in a shell's background is started without


def start_python(code: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts, **options
    )


def run_python(code: str, timeout: float = 60, **environment: str) -> str:
    """Runs a program of its own: status 0, and nothing on stderr. Gives its stdout."""
    process = start_python(code, env={**os.environ, **environment})
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"it did not end within {timeout} s; it wrote {out!r} and {err!r}")
    assert (process.returncode, err) == (0, ""), out
    return out
