"""The recorded conversations are the same through every surface: ids and text as transformers has them."""

import asyncio

import pytest
from conftest import CONVERSATIONS, GREEDY, messages_of

NAMES = list(CONVERSATIONS)


def test_there_are_conversations_of_every_kind():
    kinds = {part["type"] for name in NAMES for m in CONVERSATIONS[name]["messages"] for part in m["content"]}
    assert len(NAMES) >= 15 and kinds == {"text", "image", "audio"}


@pytest.mark.parametrize("name", NAMES)
def test_generate(engine, name):
    want = CONVERSATIONS[name]
    reply = engine.generate(messages_of(name), **GREEDY)
    assert (reply.ids, reply.text, str(reply)) == (want["greedy_ids"], want["text"], want["text"])
    assert reply.prompt_tokens == len(want["ids"])
    assert reply.completion_tokens == len(want["greedy_ids"])


@pytest.mark.parametrize("name", NAMES)
def test_tokenize(engine, name):
    assert engine.tokenize(messages_of(name)) == CONVERSATIONS[name]["ids"]


@pytest.mark.parametrize("name", NAMES)
def test_prepare_then_generate_twice(engine, name):
    prompt = engine.prepare(messages_of(name))
    assert prompt.ids.tolist() == CONVERSATIONS[name]["ids"] and len(prompt) == len(CONVERSATIONS[name]["ids"])
    for _ in range(2):
        assert engine.generate(prompt, **GREEDY).ids == CONVERSATIONS[name]["greedy_ids"]


@pytest.mark.parametrize("name", NAMES)
def test_stream(engine, name):
    stream = engine.stream(messages_of(name), **GREEDY)
    pieces = list(stream)
    assert "".join(pieces) == CONVERSATIONS[name]["text"] == stream.reply.text
    assert stream.reply.ids == CONVERSATIONS[name]["greedy_ids"]
    ids = [id for piece in pieces for id in piece.ids]
    assert ids == CONVERSATIONS[name]["greedy_ids"][: len(ids)] and len(ids) >= len(stream.reply.ids) - 1


def test_a_batch_is_one_by_one(engine):
    replies = engine.generate([messages_of(name) for name in NAMES], **GREEDY)
    assert [reply.ids for reply in replies] == [CONVERSATIONS[name]["greedy_ids"] for name in NAMES]
    assert engine.generate([]) == []


def test_async_all_at_once(engine):
    async def one(name):
        return [piece async for piece in engine.astream(messages_of(name), **GREEDY)]

    async def everything():
        whole = await asyncio.gather(*(engine.agenerate(messages_of(name), **GREEDY) for name in NAMES))
        streamed = await asyncio.gather(*map(one, NAMES))
        batch = await engine.agenerate([messages_of(name) for name in NAMES[:3]], **GREEDY)
        return whole, streamed, batch

    whole, streamed, batch = asyncio.run(everything())
    assert [reply.ids for reply in whole] == [CONVERSATIONS[name]["greedy_ids"] for name in NAMES]
    assert ["".join(pieces) for pieces in streamed] == [CONVERSATIONS[name]["text"] for name in NAMES]
    assert [reply.text for reply in batch] == [CONVERSATIONS[name]["text"] for name in NAMES[:3]]


@pytest.mark.parametrize("surface", ["send", "stream", "asend", "astream"])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("two_turns", "image_then_question")])
def test_session(engine, name, surface):
    messages = CONVERSATIONS[name]["messages"]
    system = messages[0]["content"][0]["text"] if messages[0]["role"] == "system" else None
    with engine.chat(system, **GREEDY) as session:
        content = messages_of(name)[-1]["content"]
        if surface == "send":
            text = session.send(content).text
        elif surface == "stream":
            text = "".join(session.stream(content))
        elif surface == "asend":
            text = asyncio.run(session.asend(content)).text
        else:

            async def joined():
                return "".join([piece async for piece in session.astream(content)])

            text = asyncio.run(joined())
        assert text == CONVERSATIONS[name]["text"]
        # What the session says of itself is a prompt that goes on from there.
        assert [m["role"] for m in session.messages] == ["system"] * (system is not None) + ["user", "assistant"]
        assert session.messages[-1]["content"] == text


@pytest.mark.parametrize("name", ["two_turns", "image_then_question"])
def test_a_session_goes_on_as_the_whole_prompt_would(engine, name):
    first, _, last = messages_of(name)
    session = engine.chat(temperature=0)
    session.send(first["content"])
    history = session.messages
    reply = session.send(last["content"])
    want = engine.generate([*history, last], temperature=0)
    assert (reply.ids, reply.prompt_tokens) == (want.ids, want.prompt_tokens)
    assert reply.cached_tokens > 0 and reply.prompt_tokens - reply.cached_tokens < 30


def test_ids_and_text_prompts_are_as_they_are(engine):
    want = CONVERSATIONS["capital"]
    assert engine.generate(want["ids"], **GREEDY).ids == want["greedy_ids"]
    rendered = engine.render(messages_of("capital"))
    assert engine.generate(rendered, **GREEDY).ids == want["greedy_ids"]
    assert engine.generate(rendered.removeprefix("<bos>"), **GREEDY).ids == want["greedy_ids"]


def test_media_of_a_text_prompt(engine):
    messages = messages_of("caption")
    text = engine.render(messages)
    prompt = engine.prepare(text, images=[messages[0]["content"][0]["image"]])
    assert prompt.ids.tolist() == CONVERSATIONS["caption"]["ids"]
    assert engine.generate(prompt, **GREEDY).ids == CONVERSATIONS["caption"]["greedy_ids"]
