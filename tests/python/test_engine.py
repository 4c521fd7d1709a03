"""An engine's questions and options, sessions, and what is refused."""

import copy
import inspect
import logging
import pickle

import pytest
from conftest import CONVERSATIONS, DEMO, GREEDY, LONG, MEDIA, messages_of

import g3n


def test_info_and_repr(engine):
    info = engine.info
    assert (info.context, info.modalities, info.dtype) == (32768, ("text", "image", "audio"), "f32")
    assert info.version == g3n.__version__ and info.weight_bytes > 0 and info.vocab == len(engine.tokenizer)
    assert repr(engine).startswith("<g3n.Engine demo f32 ") and "\n" not in repr(engine)
    with pytest.raises(AttributeError):
        info.context = 1


def test_tokenizer(engine):
    t = engine.tokenizer
    ids = CONVERSATIONS["hello"]["ids"]
    text = engine.render(messages_of("hello"))
    assert t.encode(text) == ids and t.encode(text, bos=False) == ids
    plain = t.encode("Hello!", bos=False)
    assert t.encode("Hello!") == [t.bos, *plain] and t.decode([t.bos, *plain]) == "Hello!"
    assert t.decode([t.bos], skip_special=False) == t.piece(t.bos) == "<bos>"
    assert len(t.encode("<end_of_turn>", bos=False)) == 1 < len(t.encode("<end_of_turn>", bos=False, special=False))
    assert CONVERSATIONS["hello"]["greedy_ids"][-1] in t.eos_ids
    assert t.id("<bos>") == t.bos and t.id("<end_of_turn>") == t.end_of_turn and t.piece(t.image_soft) == "<image_soft_token>"
    assert b"".join(map(t.token_bytes, plain)) == b"Hello!"
    with pytest.raises(g3n.InvalidArgument, match="no piece 'no such piece'"):
        t.id("no such piece")


def test_one_dtype_by_many_names():
    numpy = pytest.importorskip("numpy")
    for dtype in ("f32", "float32", numpy.float32, numpy.dtype("float32")):
        with g3n.Engine(DEMO, dtype=dtype, threads=1) as engine:
            assert (engine.info.dtype, engine.info.threads) == ("f32", 1)
    with g3n.Engine(DEMO, dtype="bfloat16", kv_cache="q8", context=512) as engine:
        assert (engine.info.dtype, engine.info.kv_cache, engine.info.context) == ("bf16", "q8", 512)
        assert engine.generate(messages_of("capital"), **GREEDY).text == CONVERSATIONS["capital"]["text"]
    with pytest.raises(g3n.InvalidArgument, match="dtype: expected 'f32' or 'bf16'"):
        g3n.Engine(DEMO, dtype="float16")
    with pytest.raises(g3n.InvalidArgument, match="32 to 4096 pixels a side, best a multiple of 256, got 7"):
        g3n.Engine(DEMO, image_size=7)
    with pytest.raises(g3n.InvalidArgument, match="kv_cache"):
        g3n.Engine(DEMO, kv_cache="q4")


def test_a_seed_is_told_and_repeats(engine):
    prompt = "The sky is"
    first = engine.generate(prompt, temperature=2.0, top_k=0, max_tokens=20)
    again = engine.generate(prompt, temperature=2.0, top_k=0, max_tokens=20, seed=first.seed)
    assert first.ids == again.ids
    assert len({engine.generate(prompt, max_tokens=1).seed for _ in range(4)}) == 4
    rows = engine.generate([prompt] * 3, temperature=2.0, top_k=0, max_tokens=20, seed=7)
    assert [row.seed for row in rows] == [7, 8, 9]
    assert rows[1].ids == engine.generate(prompt, temperature=2.0, top_k=0, max_tokens=20, seed=8).ids


def test_options_reach_the_answer(engine):
    capital = messages_of("capital")
    assert engine.generate(capital, temperature=0, max_tokens=3).finish_reason == "length"
    stopped = engine.generate(capital, temperature=0, stop="Norway")
    assert (stopped.text, stopped.stop, stopped.finish_reason) == ("The capital of ", "Norway", "stop")
    assert engine.generate(capital, temperature=0, stop=["Oslo", "of"]).stop == "of"
    long = engine.generate(capital, temperature=0, min_tokens=20, max_tokens=25)
    assert len(long.ids) >= 20
    unwanted = CONVERSATIONS["capital"]["greedy_ids"][0]
    biased = engine.generate(capital, temperature=0, max_tokens=1, logit_bias={unwanted: -100.0})
    assert biased.ids[0] != unwanted
    reply = engine.generate(capital, temperature=0, logprobs=3)
    assert [token.id for token in reply.logprobs] == reply.ids
    for token in reply.logprobs:
        assert len(token.top) == 3 and token.top[0] == (token.id, token.logprob) and token.logprob <= 0
    assert reply.logprobs[0].text == engine.tokenizer.piece(reply.ids[0])
    assert engine.generate(capital, temperature=0).logprobs is None


def test_wrong_options_name_themselves(engine):
    with pytest.raises(TypeError, match="temprature.*did you mean 'temperature'"):
        engine.generate("a", temprature=1)
    with pytest.raises(TypeError, match="did you mean 'max_tokens'"):
        engine.chat(max_token=3)
    with pytest.raises(TypeError, match="top_k: expected an integer, got str"):
        engine.generate("a", top_k="many")
    for bad in ({"temperature": -1}, {"top_p": 0}, {"logprobs": 21}, {"max_tokens": 0}, {"seed": 2**64 - 1, "stop": [""]}):
        with pytest.raises(g3n.InvalidArgument, match=list(bad)[-1].replace("_", ".")):
            engine.generate("a", **bad)
    with pytest.raises(g3n.Unsupported, match="grammar"):
        engine.generate("a", grammar="x")


def test_signatures_have_every_option_written_out(engine):
    names = set(g3n.AnswerOptions.__annotations__)
    session = g3n.Session
    for function in (*(getattr(g3n.Engine, n) for n in ("generate", "stream", "agenerate", "astream", "chat")),
                     *(getattr(session, n) for n in ("send", "stream", "asend", "astream"))):  # fmt: skip
        parameters = inspect.signature(function).parameters
        assert names <= set(parameters)
        assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in names)
        assert not any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        assert function.__doc__
    # The bindings know each of them: none is refused as unknown.
    values = {"stop": "zzz", "logit_bias": {5: 0.0}, "temperature": 0, "seed": 1, "max_tokens": 2,
              "logits_hook": lambda ids, logits: None}  # fmt: skip
    engine.generate("a", **{name: values.get(name, 1) for name in names})


def test_sessions(engine):
    session = engine.chat(system="Be brief.", **GREEDY)
    left = session.context_left
    reply = session.send("Hello!")
    assert reply.message == {"role": "assistant", "content": reply.text}
    assert session.context_left < left <= engine.info.context
    session.send("What is this?", images=[MEDIA / "red-circle.png"])
    messages = session.messages
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user", "assistant"]
    assert messages[3]["content"][0] == {"type": "image", "image": MEDIA / "red-circle.png"}
    assert session.undo() and session.messages == messages[:3]
    assert repr(session).startswith("<g3n.Session 1 turn ")
    again = session.send("What is this?", images=[MEDIA / "red-circle.png"])
    assert again.text == messages[4]["content"]
    session.reset()
    assert session.messages == [] and not session.undo()
    # Options of a turn come before those of the session.
    assert session.send("Hello!", max_tokens=2).completion_tokens == 2
    with pytest.raises(g3n.InvalidArgument, match="got nothing"):
        session.send()


def test_a_failed_turn_leaves_the_session_as_it_was(engine):
    session = engine.chat(**GREEDY)
    session.send("Hello!")
    before = session.messages
    with pytest.raises(g3n.BadFile):
        session.send("What is this?", images=[b"no picture"])
    with pytest.raises(g3n.NotFound):
        session.send("What is this?", images=["nowhere.png"])
    assert session.messages == before
    assert session.send("What is 3 plus 4?").text


def test_a_session_is_one_conversation_at_a_time(engine):
    session = engine.chat(temperature=0)
    stream = session.stream("Hello!", **LONG)
    next(stream)
    for use in (lambda: session.send("And you?"), session.undo, session.reset):
        with pytest.raises(g3n.BusyError):
            use()
    assert session.messages == []
    stream.cancel()
    assert list(stream) is not None and stream.reply.finish_reason == "cancelled"
    # What was said so far stays, and the conversation goes on.
    assert session.messages[-1]["content"] == stream.reply.text != ""
    assert session.send("Thank you!", max_tokens=4).ids
    half = session.stream("Hello!", **LONG)
    next(half)
    del half  # dropped: the next turn does not wait for its end
    assert session.send("Thank you!", max_tokens=4).ids


def test_not_found_and_bad_files(tmp_path):
    with pytest.raises(g3n.NotFound) as caught:
        g3n.Engine(tmp_path / "nothing")
    assert isinstance(caught.value, FileNotFoundError) and caught.value.code == "not found"
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(g3n.Error, match="config.json"):
        g3n.Engine(tmp_path)
    with pytest.raises(g3n.NotFound, match="org/none"):
        g3n.Engine("org/none", cache_dir=tmp_path)
    with pytest.raises(g3n.Unsupported, match="huggingface_hub"):
        g3n.Engine("org/none", download=True)
    with pytest.raises(g3n.InvalidArgument, match="context"):
        g3n.Engine(DEMO, context=10**9)


def test_the_hub_cache_is_read(tmp_path):
    snapshot = tmp_path / "models--org--demo" / "snapshots" / "a"
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(DEMO)
    (tmp_path / "models--org--demo" / "refs").mkdir()
    (tmp_path / "models--org--demo" / "refs" / "main").write_text("a")
    with g3n.Engine("org/demo", cache_dir=tmp_path) as engine:
        assert engine.generate(messages_of("capital"), **GREEDY).text == CONVERSATIONS["capital"]["text"]


def test_every_error_is_ours_and_a_built_in_one():
    from g3n import errors

    kinds = {"InvalidArgument": ValueError, "NotFound": FileNotFoundError, "BadFile": ValueError, "ContextFull": ValueError,
             "Unsupported": NotImplementedError, "OutOfMemory": MemoryError, "Cancelled": RuntimeError,
             "InternalError": RuntimeError, "BusyError": RuntimeError, "ClosedError": RuntimeError, "ForkError": RuntimeError}  # fmt: skip
    for name, kind in kinds.items():
        error = getattr(errors, name)("what is wrong")
        assert isinstance(error, (g3n.Error, kind)) and isinstance(error, kind) and str(error) == "what is wrong"
        assert getattr(g3n, name) is type(error)
        copied = pickle.loads(pickle.dumps(error))
        assert (type(copied), str(copied), copied.code) == (type(error), str(error), error.code)
    codes = {getattr(errors, name).code for name in kinds}
    assert len(codes) == len(kinds)


def test_a_prompt_that_is_too_long_or_no_prompt(engine):
    with pytest.raises(g3n.ContextFull, match="32768"):
        engine.generate([5] * 40000)
    for bad in (None, 5, {"role": "user"}, (), b"bytes"):
        with pytest.raises(TypeError, match="a prompt: expected"):
            engine.generate(bad)
    with pytest.raises(g3n.InvalidArgument, match=r"messages\[0\]"):
        engine.generate([{"role": "user"}])
    with pytest.raises(TypeError, match=r"messages\[0\].content\[1\]"):
        engine.generate([{"role": "user", "content": ["a", ["b"]]}])
    with pytest.raises(g3n.InvalidArgument, match="role"):
        engine.generate([{"role": "nobody", "content": "a"}])


def test_one_bad_row_is_raised_and_the_others_are_cancelled(engine):
    with pytest.raises(g3n.ContextFull):
        engine.generate(["Hello", [5] * 40000, "Hello"], **LONG | {"max_tokens": 50, "min_tokens": 0})


def test_what_is_not_there_says_so(engine):
    session = engine.chat()
    for use in (engine.serve, lambda: engine.load_session("a"), session.fork,
                lambda: session.ids, lambda: session.save("a"), lambda: session.send("a", video=["b.mp4"]),
                lambda: engine.chat(messages=messages_of("two_turns")), lambda: engine.stream("a", grammar="a")):  # fmt: skip
        with pytest.raises(g3n.Unsupported, match="."):
            use()


def test_pickles_and_copies(engine):
    assert copy.copy(engine) is engine and copy.deepcopy(engine) is engine
    with g3n.Engine(DEMO, context=256, dtype="bf16", progress=print) as first:
        pickled = pickle.dumps(first)
    assert len(pickled) < 1000
    with pickle.loads(pickled) as second:
        assert (second.info.context, second.info.dtype, second.info.path) == (256, "bf16", str(DEMO))
        reply = second.generate(messages_of("hello"), temperature=0, logprobs=1)
    assert pickle.loads(pickle.dumps(reply)) == reply
    piece = next(engine.stream("Hello", temperature=0))
    copied = pickle.loads(pickle.dumps(piece))
    assert (copied, copied.ids) == (piece, piece.ids)
    for one in (engine.chat(), engine.stream("Hello", max_tokens=1)):
        with pytest.raises(TypeError, match="cannot be pickled: pickle"):
            pickle.dumps(one)
    with pytest.raises(TypeError):
        pickle.dumps(engine.prepare("Hello"))


def test_progress_is_told_and_nothing_is_printed(capfd, caplog):
    told = []
    with g3n.Engine(DEMO, progress=lambda done, total: told.append((done, total))) as engine, caplog.at_level(logging.WARNING):
        engine.generate(["Hello"] * 25, max_tokens=1)
    assert (0, 25) in told and (24, 25) in told
    with g3n.Engine(DEMO) as engine:
        engine.generate(["Hello"] * 25, max_tokens=1)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_logits_are_those_that_the_answer_was_chosen_from(engine):
    numpy = pytest.importorskip("numpy")
    want = CONVERSATIONS["capital"]
    whole = want["ids"] + want["greedy_ids"][:-1]
    rows = engine.logits(whole, slice(len(want["ids"]) - 1, None))
    assert rows.dtype == numpy.float32 and rows.shape == (len(want["greedy_ids"]), engine.info.vocab)
    assert rows.argmax(axis=1).tolist() == want["greedy_ids"]
    last, first = engine.logits(whole, [-1, len(want["ids"]) - 1])
    assert (last == rows[-1]).all() and (first == rows[0]).all()
    assert (engine.logits(whole)[0] == rows[-1]).all()
    reply = engine.generate(want["ids"], temperature=0, logprobs=0)
    logprobs = rows.astype(numpy.float64) - numpy.log(numpy.exp(rows.astype(numpy.float64)).sum(axis=1, keepdims=True))
    for row, token in zip(logprobs, reply.logprobs):
        assert abs(row[token.id] - token.logprob) < 1e-4
    with pytest.raises(g3n.InvalidArgument, match="rows"):
        engine.logits(whole, len(whole))


def test_taps(engine):
    forward = engine.forward(messages_of("capital"), taps=["text.layer.*.laurel"])
    assert forward.taps and all("laurel" in name for name in forward.taps)
    assert all(value.shape[0] == len(CONVERSATIONS["capital"]["ids"]) for value in forward.taps.values())
    assert forward.logits.argmax() == CONVERSATIONS["capital"]["greedy_ids"][0]
    with pytest.raises(g3n.InvalidArgument, match="no.such"):
        engine.forward("Hello", taps=["no.such"])


def test_close(own_engine):
    session = own_engine.chat()
    stream = own_engine.stream("Hello", **LONG)
    next(stream)
    own_engine.close()
    own_engine.close()
    assert own_engine.closed
    list(stream)
    assert stream.reply.finish_reason == "cancelled"
    for use in (lambda: own_engine.generate("a"), lambda: own_engine.tokenizer.encode("a"), own_engine.chat,
                lambda: session.send("a"), session.undo, lambda: own_engine.prepare("a")):  # fmt: skip
        with pytest.raises(g3n.ClosedError, match="closed"):
            use()
