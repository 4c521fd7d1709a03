"""Many threads, tasks and signals on one engine: equal answers, no wait for another's end, and a way out of everything."""

import asyncio
import gc
import signal
import threading
import time

import pytest
from conftest import CONVERSATIONS, GREEDY, LONG, ONE_HEAP, messages_of, run_python, start_python

import g3n

NAMES = ["hello", "capital", "caption", "transcribe", "sum_with_system"]
SOON = 0.5  # seconds


def until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def test_eight_threads_are_as_one(engine):
    failures = []

    def work(first):
        for at in range(5):
            name = NAMES[(first + at) % len(NAMES)]
            ids = engine.generate(messages_of(name), **GREEDY).ids
            if ids != CONVERSATIONS[name]["greedy_ids"]:
                failures.append((name, ids))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_others_run_while_the_engine_works(engine):
    count, stop = 0, threading.Event()

    def work():
        nonlocal count
        while not stop.is_set():
            count += 1
            time.sleep(0.001)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        before, begin = count, time.monotonic()
        engine.generate([5] * 4000, **LONG | {"max_tokens": 100, "min_tokens": 100})
        seconds, counted = time.monotonic() - begin, count - before
    finally:
        stop.set()
        thread.join()
    assert seconds > 0.05 and counted > seconds * 50


def test_a_short_request_does_not_wait_for_a_long_prompt(own_engine):
    long = own_engine.stream([5] * 32000, max_tokens=1)
    until(lambda: long._call.progress()[0] > 0)
    reply = own_engine.generate(messages_of("capital"), **GREEDY)
    assert reply.text == CONVERSATIONS["capital"]["text"]
    assert not long._call.ended(), "the long prompt is too short for this test"
    long.cancel()


@pytest.mark.parametrize("request_of", [{"prompt": "Hello", **LONG}, {"prompt": [5] * 32000}], ids=["decode", "prefill"])
def test_cancel_ends_a_stream_soon(engine, request_of):
    stream = engine.stream(**request_of)
    until(lambda: stream._call.progress()[0] > 0)
    begin = time.monotonic()
    stream.cancel()
    pieces = list(stream)
    assert time.monotonic() - begin < SOON
    assert not pieces or stream.reply.finish_reason == "cancelled"
    assert list(stream) == []


def test_cancel_from_another_thread(engine):
    stream = engine.stream("Hello", **LONG)
    threading.Timer(0.1, stream.cancel).start()
    begin = time.monotonic()
    for _ in stream:
        pass
    assert time.monotonic() - begin < SOON + 0.5


@pytest.mark.parametrize("leave", ["drop", "close", "with", "break"])
def test_a_stream_that_is_left_is_cancelled(engine, leave):
    stream = engine.stream("Hello", **LONG)
    next(stream)
    call = stream._call
    if leave == "drop":
        del stream, call
        gc.collect()
    elif leave == "close":
        stream.close()
        until(call.ended, SOON)
    elif leave == "with":
        with stream:
            pass
        until(call.ended, SOON)
    else:
        del call
        for _ in stream:
            break
        del stream
    begin = time.monotonic()
    engine.generate([5] * 100, max_tokens=1)
    assert time.monotonic() - begin < SOON


def test_reply_before_the_end_says_so(engine):
    with engine.stream("Hello", **LONG) as stream, pytest.raises(g3n.InvalidArgument, match="read it to its end"):
        stream.reply


def test_a_cancelled_task_cancels_its_request(engine):
    async def main():
        task = asyncio.create_task(engine.agenerate("Hello", **LONG))
        await asyncio.sleep(0.1)
        task.cancel()
        begin = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(engine.agenerate([5] * 32000, max_tokens=1), 0.1)
        assert time.monotonic() - begin < SOON + 0.1
        pieces = engine.astream("Hello", **LONG)
        async for _ in pieces:
            break
        await pieces.aclose()
        # The loop goes on meanwhile.
        ticks = 0
        task = asyncio.create_task(engine.agenerate([7] * 4000, max_tokens=1))  # computed by nobody before
        while not task.done():
            ticks += 1
            await asyncio.sleep(0.001)
        assert ticks > 20
        return (await task).prompt_tokens

    assert asyncio.run(main()) == 4000


def test_an_error_of_the_engine_comes_out_of_every_surface(engine):
    too_long = [5] * 40000
    with pytest.raises(g3n.ContextFull):
        list(engine.stream(too_long))
    with pytest.raises(g3n.ContextFull):
        asyncio.run(engine.agenerate(too_long))

    async def read():
        async for _ in engine.astream(too_long):
            pass

    with pytest.raises(g3n.ContextFull):
        asyncio.run(read())


INTERRUPTED = """
import time, g3n
engine = g3n.Engine("models/demo")
print("ready", flush=True)
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", time.time(), flush=True)
print(engine.chat().send("What is the capital of Norway?", temperature=0))
"""
CALLS = {
    "decode": 'engine.generate("Hello", max_tokens=30000, min_tokens=30000)',
    "prefill": "engine.generate([5] * 32000, max_tokens=1)",
    "stream": 'for _ in engine.stream("Hello", max_tokens=30000, min_tokens=30000): pass',
    "session": 'engine.chat().send("Hello", max_tokens=30000, min_tokens=30000)',
    "batch": 'engine.generate(["Hello"] * 50, max_tokens=30000, min_tokens=30000)',
    "images": 'engine.prepare([{"role": "user", "content": [{"type": "image", "image": "models/demo/media/red-circle.png"}] * 100}])',
    "score": "engine.score([5] * 32000, [[5, 6]])",
    "hook": 'engine.generate("Hello", max_tokens=30000, min_tokens=30000, logits_hook=lambda ids, logits: None)',
    "async": 'import asyncio; asyncio.run(engine.agenerate("Hello", max_tokens=30000, min_tokens=30000))',
}


@pytest.mark.parametrize("stage", CALLS)
def test_ctrl_c(stage):
    process = start_python(INTERRUPTED.format(call=CALLS[stage]))
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    sent = time.time()
    process.send_signal(signal.SIGINT)
    word, _, when = process.stdout.readline().strip().partition(" ")
    assert word == "interrupted" and float(when) - sent < SOON
    out, err = process.communicate(timeout=20)
    assert (out, err, process.returncode) == ("The capital of Norway is Oslo.\n", "", 0)


def test_loading_and_closing_leaves_nothing_behind():
    code = """
import g3n
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))
sizes = []
for at in range(25):
    with g3n.Engine("models/demo") as engine:
        engine.generate("Hello", max_tokens=4)
        session = engine.chat()
        session.send("Hello", max_tokens=4)
    sizes.append(resident())
print(sizes[4], sizes[-1])
"""
    early, late = map(int, run_python(code, timeout=100, **ONE_HEAP).split())
    assert late <= early * 1.05


def test_requests_leave_nothing_behind():
    code = """
import g3n, os
engine = g3n.Engine("models/demo", cache_ram=0)  # what ended is let go
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))
def work(n):
    for _ in range(n):
        engine.generate([5] * 200, max_tokens=2)
        next(engine.stream([5] * 200, max_tokens=20, min_tokens=20))
work(100); first = resident(), len(os.listdir("/proc/self/fd"))
work(300); last = resident(), len(os.listdir("/proc/self/fd"))
print(*first, *last)
"""
    early, descriptors, late, later_descriptors = map(int, run_python(code, timeout=100, **ONE_HEAP).split())
    assert late <= early * 1.05 and descriptors == later_descriptors
