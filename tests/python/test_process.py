"""The ends of processes, forks, and what an import costs."""

import os
import resource
import subprocess
import sys
import time

import pytest
from conftest import ROOT, run_python

import g3n

LEFT_OVER = """
import asyncio, sys, threading, time, g3n
engine = g3n.Engine("models/demo")
long = dict(max_tokens=30000, min_tokens=30000)
def generate():
    while True:
        engine.generate("Hello", **long)
def encode():
    while True:
        engine.tokenizer.encode("some text " * 50)
def read():
    for piece in engine.stream("Hello", **long):
        pass
def hook():
    engine.generate("Hello", logits_hook=lambda ids, logits: None, **long)
for work in (generate, encode, read, hook):
    threading.Thread(target=work, daemon=True).start()
half_read = engine.stream("Hello", **long)
next(half_read)
session = engine.chat()
half_said = session.stream("Hello", **long)
next(half_said)
loop = asyncio.new_event_loop()
pending = loop.create_task(engine.agenerate("Hello", **long))
loop.run_until_complete(asyncio.sleep(0.05))
prepared = engine.prepare("Hello")
print("end")
"""


def test_twenty_ends_with_everything_left_over():
    for _ in range(20):
        code = LEFT_OVER + "pending._log_destroy_pending = False\n"
        assert run_python(code, timeout=20) == "end\n"


def test_an_end_in_the_middle_of_things():
    begin = time.monotonic()
    process = subprocess.run([sys.executable, "-c", LEFT_OVER + "pending._log_destroy_pending = False\nsys.exit(3)"], cwd=ROOT, capture_output=True, text=True)
    assert (process.returncode, process.stdout, process.stderr) == (3, "end\n", "")
    assert time.monotonic() - begin < 10


def test_no_engine_can_be_used_after_the_end():
    code = """
import atexit
@atexit.register
def late():
    try:
        engine.generate("Hello")
    except g3n.ClosedError:
        print("closed")
import g3n
engine = g3n.Engine("models/demo")
"""
    # Registered before g3n's own: run after it.
    assert run_python(code) == "closed\n"


FORK = """
import os, sys, warnings, time, g3n
warnings.simplefilter("ignore")
engine = g3n.Engine("models/demo")
session = engine.chat()
stream = engine.stream("Hello", max_tokens=30000, min_tokens=30000)
next(stream)
child = os.fork()
if child == 0:
    refused = 0
    for use in (lambda: engine.generate("Hello"), lambda: session.send("Hello"), lambda: next(stream), engine.chat,
                lambda: engine.tokenizer.encode("a"), lambda: engine.prepare("Hello")):
        try:
            use()
        except g3n.ForkError as error:
            refused += "load the model in the child" in str(error)
    {then}
    sys.exit(refused)
begin = time.monotonic()
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), time.monotonic() - begin < 2)
stream.cancel()
print(engine.chat().send("What is the capital of Norway?", temperature=0))
"""


@pytest.mark.parametrize(
    "then",
    [
        "",
        "del stream, session, engine",
        'refused += 10 * (str(g3n.Engine("models/demo").chat().send("What is the capital of Norway?", temperature=0)) == "The capital of Norway is Oslo.")',
        "engine.close(); refused += 0",
    ],
    ids=["end", "drop", "load", "close"],
)
def test_a_forked_child(then):
    out = run_python(FORK.format(then=then), timeout=30).splitlines()
    assert out == [f"{16 if 'Norway' in then else 6} True", "The capital of Norway is Oslo."]


def test_import_brings_nothing_heavy():
    code = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "PIL", "numpy", "transformers", "lm_eval", "huggingface_hub", "tqdm"):
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
import g3n
engine = g3n.Engine("models/demo")
print(engine.chat().send("What is the capital of Norway?", temperature=0))
print(engine.chat().send("Describe the image.", images=["models/demo/media/red-circle.png"], temperature=0).text != "")
print(sorted({"numpy", "torch", "PIL"} & set(sys.modules)))
"""
    assert run_python(code) == "The capital of Norway is Oslo.\nTrue\n[]\n"


def test_import_is_fast():
    """By the processor's time, which others on the machine do not lengthen much."""

    def seconds(code):
        def once():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-c", code], check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        return min(once() for _ in range(5))

    assert seconds("import g3n") - seconds("pass") < 0.15


def test_public_names_are_documented():
    for name in g3n.__all__:
        value = getattr(g3n, name)
        assert isinstance(value, str) or value.__doc__, name
    for cls in (g3n.Engine, g3n.Session, g3n.Stream):
        for name, member in vars(cls).items():
            if not name.startswith("_") and callable(member) and "NoReturn" not in str(getattr(member, "__annotations__", {}).get("return")):
                assert member.__doc__, f"{cls.__name__}.{name}"


def test_only_the_modules_own_symbol_is_exported():
    module = g3n._g3n.__file__
    out = subprocess.run(["nm", "-D", "--defined-only", module], capture_output=True, text=True, check=True).stdout
    assert "PyInit__g3n" in out
    ours = [line for line in out.splitlines() if "g3n" in line and " T " in line and "PyInit" not in line]
    assert not ours, ours[:5]
    assert os.path.getsize(module) < 6_000_000


@pytest.mark.parametrize("program", [[sys.executable, "-m", "g3n"], [os.path.join(os.path.dirname(sys.executable), "g3n")]])
def test_the_program_comes_with_the_package(program):
    version = subprocess.run([*program, "--version"], capture_output=True, text=True, timeout=20)
    assert (version.returncode, version.stdout, version.stderr) == (0, f"g3n {g3n.__version__}\n", "")
    wrong = subprocess.run([*program, "run", "-m", "nowhere", "hi"], capture_output=True, text=True, timeout=20)
    assert wrong.returncode == 1 and "nowhere" in wrong.stderr
    ids = subprocess.run([*program, "tokenize", "-m", str(ROOT / "models/demo"), "-"], input="star", capture_output=True, text=True)
    assert (ids.returncode, len(ids.stdout.split())) == (0, 1)
