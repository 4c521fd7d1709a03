"""Scores, logits, taps, hooks and soft tokens as arrays."""

import asyncio
import json
import threading
import time

import numpy
import pytest

import g3n
from conftest import CONVERSATIONS, GREEDY, MEDIA, ROOT, messages_of

SCORES = json.loads((ROOT / "tests/golden/data/python/scores.json").read_text())
del SCORES["largest_f32_error"]


def with_paths(messages):
    for message in messages:
        for part in message["content"]:
            if part["type"] != "text":
                part[part["type"]] = str(MEDIA / part[part["type"]])
    return messages


@pytest.mark.parametrize("name", SCORES)
def test_scores_are_those_of_transformers(engine, name):
    entry = SCORES[name]
    prefix = entry["prefix"] if isinstance(entry["prefix"], str) else with_paths(json.loads(json.dumps(entry["prefix"])))
    wanted = entry["continuations"]
    texts = [one["ids"] if one["text"] is None else one["text"] for one in wanted]
    scores = engine.score(prefix, texts, top=5)
    for score, want in zip(scores, wanted, strict=True):
        assert score.ids == want["ids"] and score.greedy.tolist() == want["is_argmax"]
        assert score.logprobs.dtype == numpy.float32
        numpy.testing.assert_allclose(score.logprobs, want["logprobs"], atol=1e-4)
        assert score.total == pytest.approx(sum(want["logprobs"]), abs=1e-3)
        assert [[id for id, _ in row] for row in score.top] == want["top_ids"]
        numpy.testing.assert_allclose([[value for _, value in row] for row in score.top], want["top"], atol=1e-4)


def test_many_prefixes_keep_their_order(engine):
    pairs, want = [], []
    for name in ("text", "bos_only", "text_past_the_window"):
        for one in SCORES[name]["continuations"]:
            pairs.append((SCORES[name]["prefix"], one["ids"]))
            want.append(sum(one["logprobs"]))
    order = [*range(0, len(pairs), 2), *range(1, len(pairs), 2)]
    scores = engine.score_many([pairs[at] for at in order])
    numpy.testing.assert_allclose([score.total for score in scores], [want[at] for at in order], atol=1e-3)
    assert engine.score_many([]) == [] and engine.score("a", []) == []
    assert repr(scores[0]).startswith("<Score ")


def test_scores_that_are_refused(engine):
    for wrong, kind, says in (("text", TypeError, r"write \[text\]"), ([5], TypeError, "list of token ids"), ([[]], g3n.InvalidArgument, "at least one"),
                              ([[1, -1]], g3n.InvalidArgument, "vocabulary")):  # fmt: skip
        with pytest.raises(kind, match=says):
            engine.score("The sky", wrong)
    with pytest.raises(g3n.ContextFull):
        engine.score([5] * 32768, [[5, 5]])


def test_twenty_continuations_cost_at_most_what_their_prefix_does(engine):
    first_ids = iter(range(400, 450))

    def best(texts):
        times = []
        for _ in range(3):
            prefix = [next(first_ids)] + [439] * 1999  # one that was never computed
            start = time.perf_counter()
            engine.score(prefix, texts)
            times.append(time.perf_counter() - start)
        return min(times)

    alone = best([[439]])
    assert best([[439, 673, 427, 448, 500]] * 20) <= 2 * alone + 0.05


def test_rows_of_logits(engine, monkeypatch):
    want = CONVERSATIONS["capital"]["ids"]
    rows = engine.logits(want, [3, 1, -1, 3])
    assert (rows[0] == rows[3]).all() and (rows[2] == engine.logits(want)[0]).all()
    assert (rows[1] == engine.logits(want[:2])[0]).all()
    monkeypatch.setattr("g3n.engine.MOST_BYTES", 4 * engine.info.vocab)
    with pytest.raises(g3n.InvalidArgument, match="Engine.score"):
        engine.logits(want, [0, 1])


def test_one_pass_gives_taps_and_logits(engine):
    forward = engine.forward(messages_of("capital"), taps=["text.layer.?.out", "text.last_*"])
    assert forward.logits.shape == (engine.info.vocab,) and "text.last_logits" in forward.taps
    assert (forward.logits == engine.logits(messages_of("capital"))[0]).all()
    assert engine.forward("Hello").taps == {}


def test_soft_tokens_go_in_and_out(engine):
    messages = messages_of("spoken_question")
    image = engine.encode_image(MEDIA / "star-and-square.png")
    assert image.dtype == numpy.float32 and image.shape[1] == engine.info.hidden
    for part in messages[0]["content"]:
        if part["type"] == "image":
            part["image"] = g3n.SoftTokens("image", engine.encode_image(part["image"]))
        if part["type"] == "audio":
            part["audio"] = g3n.SoftTokens("audio", engine.encode_audio(part["audio"]))
    assert engine.generate(messages, **GREEDY).ids == CONVERSATIONS["spoken_question"]["greedy_ids"]
    assert engine.encode_image(g3n.Image(MEDIA / "star-and-square.png", size=128)).shape == image.shape
    with pytest.raises(g3n.InvalidArgument, match="32 to 4096 pixels a side"):
        engine.encode_image(g3n.Image(MEDIA / "star-and-square.png", size=7))


# ---- hooks


def test_a_hook_sees_and_changes_each_row(engine):
    want = CONVERSATIONS["sum"]
    seen = []

    def look(ids, logits):
        assert ids.dtype == numpy.int32 and logits.dtype == numpy.float32 and logits.shape == (engine.info.vocab,)
        seen.append(len(ids))

    assert engine.generate(want["ids"], logits_hook=look, **GREEDY).ids == want["greedy_ids"]
    assert seen == list(range(len(want["ids"]), len(want["ids"]) + len(want["greedy_ids"])))

    def ban(ids, logits):
        logits[want["greedy_ids"][0]] = -numpy.inf

    banned = engine.generate(want["ids"], logits_hook=ban, **GREEDY)
    assert want["greedy_ids"][0] not in banned.ids
    streamed = engine.stream(want["ids"], logits_hook=ban, **GREEDY)
    assert "".join(streamed) == banned.text and streamed.reply.ids == banned.ids
    assert [reply.ids for reply in engine.generate([want["ids"]] * 3, logits_hook=ban, **GREEDY)] == [banned.ids] * 3
    with engine.chat() as session:
        text = messages_of("sum")[0]["content"][0]["text"]
        assert session.send(text, logits_hook=ban, **GREEDY).ids == banned.ids


def test_a_hook_for_coroutines(engine):
    want = CONVERSATIONS["sum"]

    async def both():
        async def pieces():
            return "".join([piece async for piece in engine.astream(want["ids"], logits_hook=lambda ids, logits: None, **GREEDY)])

        return await asyncio.gather(engine.agenerate(want["ids"], logits_hook=lambda ids, logits: None, **GREEDY), pieces())

    reply, text = asyncio.run(both())
    assert (reply.ids, text) == (want["greedy_ids"], want["text"])


def test_a_hook_that_raises_or_stops(engine):
    class Mine(Exception):
        pass

    def fail(ids, logits):
        raise Mine("from the hook")

    for use in (lambda: engine.generate("Hello", logits_hook=fail), lambda: list(engine.stream("Hello", logits_hook=fail)),
                lambda: engine.chat().send("Hello", logits_hook=fail)):  # fmt: skip
        with pytest.raises(Mine, match="from the hook"):
            use()
    want = CONVERSATIONS["sum"]
    stopped = engine.generate(want["ids"], logits_hook=lambda ids, logits: len(ids) < len(want["ids"]) + 3, **GREEDY)
    assert stopped.ids == want["greedy_ids"][:3] and stopped.finish_reason == "cancelled"
    with pytest.raises(g3n.InvalidArgument, match="nan at id 3"):
        engine.generate("Hello", logits_hook=lambda ids, logits: logits.__setitem__(3, numpy.nan))
    with pytest.raises(TypeError, match="a function"):
        engine.generate("Hello", logits_hook=5)
    assert engine.generate(want["ids"], **GREEDY).ids == want["greedy_ids"]


def test_others_go_on_beside_a_slow_hook(engine):
    came, go_on = threading.Event(), threading.Event()

    def slow(ids, logits):
        came.set()
        go_on.wait(20)

    replies = []
    thread = threading.Thread(target=lambda: replies.append(engine.generate("Hello", logits_hook=slow, max_tokens=2)))
    thread.start()
    assert came.wait(20)
    assert engine.generate(CONVERSATIONS["sum"]["ids"], **GREEDY).ids == CONVERSATIONS["sum"]["greedy_ids"]
    assert not replies
    go_on.set()
    thread.join(20)
    assert len(replies) == 1


def test_a_row_that_is_kept_stays_readable(engine):
    kept = []
    engine.generate("Hello", logits_hook=lambda ids, logits: kept.append(logits), max_tokens=3)
    assert all(numpy.isfinite(row).any() for row in kept)
