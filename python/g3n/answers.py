"""Answers, whole and in pieces, and how a Python thread waits for them: without the GIL, and awake for Ctrl-C."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, NoReturn

from . import _g3n
from .errors import Cancelled, InvalidArgument

WAKE_SECONDS = 0.05  # between two looks at signals


Hook = Callable[[Any, Any], Any]


class TokenLogprob(NamedTuple):
    """A chosen token, its log-probability, and the likeliest tokens as (id, log-probability)."""

    id: int
    logprob: float
    top: list[tuple[int, float]]
    text: str = ""


@dataclass(frozen=True)
class Reply:
    """A whole answer; str() is its text."""

    text: str
    ids: list[int]
    finish_reason: str
    stop: str | None
    seed: int
    prompt_tokens: int
    cached_tokens: int
    timings: dict[str, float]
    logprobs: list[TokenLogprob] | None = field(default=None)
    prompt_logprobs: list[TokenLogprob] | None = field(default=None)

    @property
    def completion_tokens(self) -> int:
        """How many tokens were made, the stop token included."""
        return len(self.ids)

    @property
    def message(self) -> dict[str, str]:
        """The answer as a message, to be appended to a list of messages."""
        return {"role": "assistant", "content": self.text}

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 60 else self.text[:59] + "\u2026"
        seconds = self.timings["decode_seconds"]
        speed = f" {(len(self.ids) - 1) / seconds:.1f} tok/s" if len(self.ids) > 1 and seconds > 0 else ""
        return f"<Reply {text!r} {len(self.ids)} tokens {self.finish_reason}{speed}>"


class Piece(str):
    """A stretch of an answer: whole characters, with the ids that came since the stretch before."""

    ids: list[int]
    logprobs: list[TokenLogprob] | None

    def __new__(cls, text: str, ids: list[int] | None = None, logprobs: list[TokenLogprob] | None = None) -> Piece:
        piece = super().__new__(cls, text)
        piece.ids = ids or []
        piece.logprobs = logprobs
        return piece

    def __getnewargs__(self) -> tuple[str, list[int], list[TokenLogprob] | None]:  # type: ignore[override]
        return str(self), self.ids, self.logprobs


Describe = Callable[[int], str]


def to_logprobs(tokens: list[Any], piece: Describe) -> list[TokenLogprob] | None:
    return [TokenLogprob(id, logprob, top, piece(id)) for id, logprob, top in tokens] or None


def to_reply(answer: dict[str, Any], piece: Describe) -> Reply:
    lists = {name: to_logprobs(answer[name], piece) for name in ("logprobs", "prompt_logprobs")}
    return Reply(**(answer | lists))


# ---- waiting --------------------------------------------------------------------------------------------------------


def run_hook(call: _g3n.Call, hook: Hook | None) -> bool:
    """Gives a row of logits that waits to its hook; False if none does. A hook that gives False ends the answer."""
    if hook is None or (asked := call.take_row()) is None:
        return False
    if hook(*asked) is False:
        call.cancel()
    else:
        call.give_row()
    return True


def wait(call: _g3n.Call, on_wake: Callable[[], object] | None = None, hook: Hook | None = None) -> Any:
    """The result of a call. Whatever is raised here meanwhile, KeyboardInterrupt above all, cancels it and comes at once."""
    try:
        while not call.wait_for_end(WAKE_SECONDS):
            if not run_hook(call, hook) and on_wake:
                on_wake()
        return call.result()
    except BaseException:
        call.cancel()
        raise


async def until_ready(call: _g3n.Call) -> None:
    """Until there is something to take, or the end. The engine wakes the loop through a file descriptor."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    descriptor = call.event_fd()

    def set_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, set_ready)
    try:
        await ready
    finally:
        if not loop.is_closed():
            loop.remove_reader(descriptor)


async def wait_async(call: _g3n.Call, hook: Hook | None = None) -> Any:
    """As wait, for a coroutine; cancelling its task cancels the call."""
    try:
        while not call.ended():
            await until_ready(call)
            run_hook(call, hook)
            while call.take():
                pass
        return call.result()
    except BaseException:
        call.cancel()
        raise


class Stream:
    """An answer while it is made: an iterator of Piece. Dropping, closing or leaving it cancels the answer."""

    def __init__(self, call: _g3n.Call, piece: Describe, hook: Hook | None = None) -> None:
        self._call: _g3n.Call | None = call
        self._hook = hook
        self._describe = piece
        self._reply: Reply | None = None
        self._is_cancelled = False

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        call = self._call
        if call is None:
            raise StopIteration
        try:
            while True:
                if fragment := call.take():
                    return self._piece(fragment)
                if call.ended():
                    break
                if not run_hook(call, self._hook):
                    call.wait(WAKE_SECONDS)
            if fragment := call.take():  # it came between the two looks
                return self._piece(fragment)
            self._finish(call)
        except BaseException:
            self.cancel()
            raise
        raise StopIteration

    def cancel(self) -> None:
        """Ends the answer within a step; the loop over the stream then ends without an error. Any thread."""
        self._is_cancelled = True
        if (call := self._call) is not None:
            call.cancel()

    close = cancel

    @property
    def reply(self) -> Reply:
        """The whole answer, after the end of the stream."""
        if self._reply is None:
            raise InvalidArgument("Stream.reply: the stream has not ended: read it to its end first")
        return self._reply

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"<g3n.Stream {'ended' if self._call is None else 'running'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Stream cannot be pickled: pickle its .reply")

    def _piece(self, fragment: tuple[str, list[int], list[Any]]) -> Piece:
        text, ids, logprobs = fragment
        return Piece(text, ids, to_logprobs(logprobs, self._describe))

    def _finish(self, call: _g3n.Call) -> None:
        try:
            self._reply = to_reply(call.result(), self._describe)
        except Cancelled:
            if not self._is_cancelled:
                raise
        finally:
            self._call = None


async def iterate_async(stream: Stream) -> AsyncIterator[Piece]:
    """The pieces of a stream without blocking the loop; leaving it cancels the answer."""
    try:
        while (call := stream._call) is not None:
            if not call.ended() and not call.wait(0):
                await until_ready(call)
                continue
            if run_hook(call, stream._hook):
                continue
            try:
                piece = next(stream)
            except StopIteration:
                return
            yield piece
    finally:
        stream.cancel()
