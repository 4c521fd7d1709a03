"""A program of a user passes mypy --strict, and a wrong one does not."""

import inspect
import subprocess
import sys

import pytest
from conftest import ROOT

import g3n

pytest.importorskip("mypy")

GOOD = """
import asyncio

import g3n


def ask(engine: g3n.Engine) -> str:
    reply: g3n.Reply = engine.generate("Hello", max_tokens=5, temperature=0, stop=["a"])
    many: list[g3n.Reply] = engine.generate(["a", "b"], seed=1)
    with engine.chat(system="Be brief.", top_k=3) as session:
        answer: g3n.Reply = session.send("What is this?", images=["bee.jpg"], logprobs=2)
        for piece in session.stream("And?", max_tokens=3):
            ids: list[int] = piece.ids
    return reply.text + many[0].text + answer.finish_reason + str(ids)


async def ask_later(engine: g3n.Engine) -> None:
    async for piece in engine.astream("Hello", max_tokens=5):
        print(piece.upper())


def main() -> None:
    try:
        asyncio.run(ask_later(g3n.Engine("models/demo", dtype="bf16", threads=2)))
    except g3n.NotFound as error:
        print(error.code)
"""
BAD = {
    "unknown option": 'engine.generate("Hello", max_token=5)',
    "wrong type": 'engine.generate("Hello", top_k="many")',
    "no such name": "engine.answer()",
    "wrong result": 'x: int = engine.chat().send("a")',
}


def mypy(code, folder):
    path = folder / "program.py"
    path.write_text(code)
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache"), str(path)],
        capture_output=True, text=True, cwd=folder,
    )  # fmt: skip


def test_examples(tmp_path):
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), "--disable-error-code", "import-untyped", "--disable-error-code",
         "import-not-found", *map(str, sorted((ROOT / "python/examples").glob("*.py")))],
        capture_output=True, text=True,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_options_are_one_table(engine):
    """Signatures, the TypedDict of the stubs, and what the bindings take."""
    for function in (g3n.Engine.generate, g3n.Engine.stream, g3n.Engine.agenerate, g3n.Engine.astream, g3n.Engine.chat,
                     g3n.Session.send, g3n.Session.stream, g3n.Session.asend, g3n.Session.astream):  # fmt: skip
        names = list(inspect.signature(function).parameters)
        assert names[-len(g3n.AnswerOptions.__annotations__) :] == list(g3n.AnswerOptions.__annotations__), function
    for name in g3n.AnswerOptions.__annotations__:
        with pytest.raises((TypeError, g3n.Error)) as caught:  # it is known: the value is wrong
            engine.generate("Hello", **{name: object()})
        assert name.split("_")[0] in str(caught.value) or "iterable" in str(caught.value)


def test_programs(tmp_path):
    good = mypy(GOOD, tmp_path)
    assert good.returncode == 0, good.stdout + good.stderr
    lines = "\n".join(f"def f{at}(engine: g3n.Engine) -> None:\n    {line}" for at, line in enumerate(BAD.values()))
    bad = mypy(f"import g3n\n{lines}\n", tmp_path)
    for at, name in enumerate(BAD):
        assert f"program.py:{3 + 2 * at}: error" in bad.stdout, name
