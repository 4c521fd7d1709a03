"""Streamers: told each id while an answer is made. Text is told per complete character."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Iterator
from typing import Any

from .tensors import to_numpy

END = object()


class BaseStreamer:
    """put(ids) per step, the prompt first; end() once."""

    def put(self, value: Any) -> None:
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError


class TextStreamer(BaseStreamer):
    """Prints the text of an answer while it is made.

    tokenizer: a tokenizer or a processor. skip_prompt: without the prompt. Everything else goes to its decode.
    """

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, **decode_kwargs: Any) -> None:
        self.tokenizer = tokenizer
        self.skip_prompt = skip_prompt
        self.decode_kwargs = decode_kwargs
        self.token_cache: list[int] = []
        self.print_len = 0
        self.next_tokens_are_prompt = True

    def put(self, value: Any) -> None:
        """Takes ids, [n] or [1, n]."""
        ids = to_numpy(value)
        if ids.ndim > 1 and ids.shape[0] > 1:
            raise ValueError("TextStreamer only supports batch size 1")
        if self.skip_prompt and self.next_tokens_are_prompt:
            self.next_tokens_are_prompt = False
            return
        self.next_tokens_are_prompt = False
        self.token_cache.extend(int(id) for id in ids.reshape(-1))
        text = self.tokenizer.decode(self.token_cache, **self.decode_kwargs)
        if text.endswith("\ufffd"):  # a character that is not whole
            return
        new = text[self.print_len :]
        self.print_len = len(text)
        if text.endswith("\n"):
            self.token_cache, self.print_len = [], 0
        self.on_finalized_text(new)

    def end(self) -> None:
        """Tells what is left."""
        new = ""
        if self.token_cache:
            new = self.tokenizer.decode(self.token_cache, **self.decode_kwargs)[self.print_len :]
        self.token_cache, self.print_len = [], 0
        self.next_tokens_are_prompt = True
        self.on_finalized_text(new, stream_end=True)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Prints a stretch of text."""
        print(text, flush=True, end="" if not stream_end else None)


class TextIteratorStreamer(TextStreamer):
    """The stretches of text as an iterator, for a thread beside the one that generates. If that fails, so does this."""

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, timeout: float | None = None, **decode_kwargs: Any) -> None:
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.text_queue: queue.Queue[Any] = queue.Queue()
        self.stop_signal = None
        self.timeout = timeout

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self.text_queue.put(text, timeout=self.timeout)
        if stream_end:
            self.text_queue.put(END, timeout=self.timeout)

    def fail(self, error: BaseException) -> None:
        """The iteration ends with this error."""
        self.text_queue.put(error)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        value = self.text_queue.get(timeout=self.timeout)
        if value is END:
            raise StopIteration
        if isinstance(value, BaseException):
            raise value
        return str(value)


class AsyncTextIteratorStreamer(TextStreamer):
    """The same for coroutines: async for text in streamer. To be made inside a running loop."""

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, timeout: float | None = None, **decode_kwargs: Any) -> None:
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.text_queue: asyncio.Queue[Any] = asyncio.Queue()
        self.timeout = timeout
        self.loop = asyncio.get_running_loop()

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self._put(text)
        if stream_end:
            self._put(END)

    def fail(self, error: BaseException) -> None:
        """The iteration ends with this error."""
        self._put(error)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        value = await asyncio.wait_for(self.text_queue.get(), self.timeout)
        if value is END:
            raise StopAsyncIteration
        if isinstance(value, BaseException):
            raise value
        return str(value)

    def _put(self, value: Any) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.text_queue.put_nowait, value)
