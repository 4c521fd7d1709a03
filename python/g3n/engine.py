"""Engine: one loaded model, for any number of sessions and threads. Session: one conversation."""

from __future__ import annotations

import atexit
import difflib
import functools
import inspect
import logging
import operator
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, overload

from . import _g3n
from .answers import Hook, Piece, Reply, Stream, iterate_async, to_reply, wait, wait_async
from .errors import InvalidArgument, Unsupported
from .hub import cache_folders, ollama_folders
from .options import AnswerOptions, check_options, with_options, with_seed
from .progress import Bar, Progress
from .media import Audio, Image, to_part
from .prompts import Messages, is_batch, to_chat, to_message, to_parts, to_prompt, turn_content

if TYPE_CHECKING:
    import numpy
    from typing_extensions import Unpack

Prompt = _g3n.Prompt
logger = logging.getLogger("g3n")
atexit.register(_g3n.end)

MANY_PROMPTS = 20  # lists from here on get a bar
WAKE_SECONDS = 0.05
MOST_BYTES = 2 << 30
LAST_LOGITS = "text.last_logits"


@dataclass(frozen=True)
class Info:
    """What an engine is."""

    path: str
    hidden: int
    vocab: int
    context: int
    dtype: str
    quantize: str | None
    kv_cache: str
    modalities: tuple[str, ...]
    image_size: int
    weight_bytes: int
    load_seconds: float
    kernels: str
    threads: int
    version: str


class Tokenizer:
    """Text to ids and back, as the model's own."""

    def __init__(self, engine: _g3n.Engine, vocab: int) -> None:
        self._engine = engine
        self._vocab = vocab

    def encode(self, text: str, bos: bool = True, special: bool = True) -> list[int]:
        """Ids of the text. bos: with <bos> in front, unless it is there; special: literals of control tokens are tokens."""
        ids = self._engine.encode(text, special)
        if bos and ids[:1] != [self.bos]:
            ids.insert(0, self.bos)
        return ids

    def decode(self, ids: Iterable[int], skip_special: bool = True) -> str:
        """Text of the ids; control tokens are left out unless skip_special is False."""
        return self._engine.decode([operator.index(id) for id in ids], skip_special)

    def piece(self, id: int) -> str:
        """The entry of the vocabulary."""
        return self._engine.piece(operator.index(id))

    @property
    def eos_ids(self) -> list[int]:
        """The tokens that end an answer, from the checkpoint."""
        return self._engine.stop_ids()

    @functools.cached_property
    def bos(self) -> int:
        """The id of <bos>."""
        return self.id("<bos>")

    @functools.cached_property
    def eos(self) -> int:
        """The id of <eos>."""
        return self.id("<eos>")

    @functools.cached_property
    def pad(self) -> int:
        """The id of <pad>."""
        return self.id("<pad>")

    @functools.cached_property
    def end_of_turn(self) -> int:
        """The id of <end_of_turn>."""
        return self.id("<end_of_turn>")

    @functools.cached_property
    def image_soft(self) -> int:
        """The id that stands once per soft token of a picture."""
        return self.id("<image_soft_token>")

    @functools.cached_property
    def audio_soft(self) -> int:
        """The id that stands once per soft token of a clip."""
        return self.id("<audio_soft_token>")

    def __len__(self) -> int:
        return self._vocab

    def id(self, piece: str) -> int:
        """The id of an entry of the vocabulary."""
        if (id := self._engine.id_of(piece)) < 0:
            raise InvalidArgument(f"tokenizer.id: the vocabulary has no piece {piece!r}: tokenizer.encode cuts a text into pieces")
        return id

    def token_bytes(self, id: int) -> bytes:
        """What a token adds to a text; not always whole characters."""
        return self._engine.bytes_of(operator.index(id))

    def __repr__(self) -> str:
        return f"<g3n.Tokenizer {self._vocab} tokens>"


class Engine:
    """A loaded model: a Hugging Face folder, a .g3n bundle, a .gguf file, "org/name" found in the hub's cache, or
    "name:tag" of ollama.

    Any number of threads may use one engine at once; answers are those of one after the other.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        mmproj: str | os.PathLike[str] | None = None,
        dtype: Any = None,
        quantize: str | None = None,
        kv_cache: str | None = None,
        threads: int | None = None,
        context: int | None = None,
        chunk: int | None = None,
        image_size: int | None = None,
        release_encoders: bool | None = None,
        kv_ram: int | None = None,
        cache_ram: int | None = None,
        load_weights: bool | None = None,
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        download: bool = False,
        progress: Progress = "auto",
    ) -> None:
        """Loads the model. What is not given is the engine's default.

        mmproj: where vision and audio are, for a GGUF file: its mmproj file, a folder or a bundle; "auto": the one
            mmproj file beside it
        dtype: how activations are computed, "f32" (the default) or "bf16", also as a dtype of numpy or torch
        quantize: weights packed while loading: "q4", "q8" or a recipe file
        kv_cache: "auto", "f32", "bf16" or "q8"
        threads: of the model; 0: one per core
        context: positions per conversation; 0: the checkpoint's
        chunk: prompt positions per step; bounds memory, changes no result
        image_size: pixels a side of images for the encoder, 32 to 4096, best a multiple of 256; 0: the checkpoint's
        release_encoders: give vision and audio weights back after each prompt with media
        kv_ram: bytes of all K and V; 0: half of what is free after loading
        cache_ram: of that, at most so many bytes stay with what ended, so that a prompt that begins alike computes
            only what is new; 0: none, -1: all that nobody runs in; 1 GiB if not given
        load_weights: False: tokens, templates and preprocessing only, ready at once
        cache_dir: the hub's cache, else found as huggingface_hub does
        progress: "auto", True, False, or a function of (done, total)
        """
        if download:
            raise Unsupported("download: this version downloads nothing: fetch the model with huggingface_hub, then give its id")
        if revision is not None:
            raise Unsupported("revision: this version takes the cached main revision: give the snapshot's folder as the path")
        given: dict[str, Any] = {
            "model": os.fspath(path),
            "mmproj": None if mmproj is None else os.fspath(mmproj),
            "hub_caches": cache_folders(cache_dir),
            "ollama_folders": ollama_folders(),
            "compute": _dtype_name(dtype),
            "quantize": quantize,
            "kv_cache": _one_of("kv_cache", kv_cache, ("auto", "f32", "bf16", "q8")),
            "threads": threads,
            "context": context,
            "chunk": chunk,
            "image_size": image_size,
            "release_encoders": release_encoders,
            "kv_ram": kv_ram,
            "cache_ram": cache_ram,
            "load_weights": load_weights,
        }
        if not isinstance(given["model"], str):
            raise TypeError(f"path: expected a str or a Path, got {type(path).__name__}")
        self._given = (os.path.abspath(path) if os.path.exists(path) else os.fspath(path), _reloadable(locals()))
        self._progress: Progress = progress
        bar = Bar("loading", progress)
        call = _g3n.load({name: value for name, value in given.items() if value is not None})
        try:
            self._core: _g3n.Engine = wait(call, lambda: bar.update(*call.progress()))
        finally:
            bar.close()
        pass_warnings_on()
        facts = self._core.info()
        has = facts.pop("modalities")
        self._info = Info(
            **facts,
            dtype=given["compute"] or "f32",
            quantize=quantize,
            kv_cache=kv_cache or "auto",
            modalities=tuple(name for name, there in zip(("text", "image", "audio"), has) if there),
            version=_g3n.VERSION,
        )
        self._tokenizer = Tokenizer(self._core, self._info.vocab)

    # ---- what it is ----

    @property
    def info(self) -> Info:
        """What was loaded, and how."""
        return self._info

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to ids and back."""
        return self._tokenizer

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._core.closed()

    def __repr__(self) -> str:
        i = self._info
        kind = i.quantize or i.dtype
        return (
            f"<g3n.Engine {Path(i.path).name} {kind} \u00b7 context {i.context} \u00b7 {' '.join(i.modalities)} "
            f"\u00b7 {i.threads} thread{'s' if i.threads != 1 else ''} {i.kernels}>"
        )

    # ---- its life ----

    def close(self) -> None:
        """Cancels what runs, waits for its end, and frees caches and weights. Later calls raise ClosedError."""
        self._core.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., Engine], tuple[str, dict[str, Any]]]:
        """A pickle is the path and the options; it loads the model again."""
        return _load, self._given

    def __copy__(self) -> Engine:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Engine:
        return self

    # ---- answers ----

    @overload
    def generate(self, prompt: str | Prompt, **options: Unpack[AnswerOptions]) -> Reply: ...
    @overload
    def generate(self, prompt: list[str], **options: Unpack[AnswerOptions]) -> list[Reply]: ...
    @overload
    def generate(self, prompt: Any, **options: Unpack[AnswerOptions]) -> Any: ...
    @with_options
    def generate(self, prompt: Any, **options: Any) -> Any:
        """The answer to a prompt, or those to a list of prompts.

        A prompt is a str (<bos> in front unless there, control tokens parsed, no template), a list of ids, a list of
        messages, or a Prompt. Any other list is a batch, and gives a list.
        """
        if not is_batch(prompt):
            call, hook = self._submit(prompt, options)
            return to_reply(wait(call, hook=hook), self._core.piece)
        calls, hook = self._submit_all(prompt, options)
        bar = Bar("generating", self._progress if len(calls) > MANY_PROMPTS or callable(self._progress) else False, 0.0)
        replies = []
        try:
            for at, call in enumerate(calls):
                bar.update(at, len(calls))
                replies.append(to_reply(wait(call, hook=hook), self._core.piece))
        except BaseException:
            for call in calls:
                call.cancel()
            raise
        finally:
            bar.close()
        return replies

    @with_options
    def stream(self, prompt: Any, **options: Unpack[AnswerOptions]) -> Stream:
        """The answer to one prompt while it is made."""
        call, hook = self._submit(prompt, options)
        return Stream(call, self._core.piece, hook)

    @with_options
    async def agenerate(self, prompt: Any, **options: Unpack[AnswerOptions]) -> Any:
        """As generate, for coroutines; cancelling the task cancels the request."""
        if not is_batch(prompt):
            call, hook = self._submit(prompt, options)
            return to_reply(await wait_async(call, hook), self._core.piece)
        calls, hook = self._submit_all(prompt, options)
        try:
            return [to_reply(await wait_async(call, hook), self._core.piece) for call in calls]
        except BaseException:
            for call in calls:
                call.cancel()
            raise

    @with_options
    def astream(self, prompt: Any, **options: Unpack[AnswerOptions]) -> AsyncIterator[Piece]:
        """As stream, for coroutines: async for piece in engine.astream(...)."""
        return iterate_async(self.stream(prompt, **options))

    @with_options
    def chat(self, system: str | None = None, messages: Messages | None = None, **options: Unpack[AnswerOptions]) -> Session:
        """A conversation. Options become the defaults of its turns."""
        return Session(self, system, messages, dict(options))

    # ---- prompts ----

    def prepare(
        self,
        prompt: str | Messages | Sequence[int],
        *,
        images: Iterable[Any] = (),
        audio: Iterable[Any] = (),
        video: Iterable[Any] = (),
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        image_size: int | None = None,
    ) -> Prompt:
        """The prompt as the model is fed it, its media encoded; may be used any number of times.

        images and audio fill the <image_soft_token> and <audio_soft_token> of a str, or the soft tokens of ids, in order;
        messages hold theirs themselves.
        """
        _no_video(video)
        media = to_parts(turn_content("", images, audio), self._info.hidden, "media")
        if isinstance(prompt, Prompt):
            return prompt
        form = to_prompt(prompt, self._info.hidden)
        if form[0] == "chat":
            if media:
                raise InvalidArgument("images, audio: messages hold their media in their parts")
            form = (*form[:2], add_generation_prompt and not continue_final_message, continue_final_message)
        else:
            form = (form[0], form[1], media)
        return wait(self._core.prepare(_resized(form, image_size)))  # type: ignore[no-any-return]

    def render(self, messages: Messages, *, add_generation_prompt: bool = True, continue_final_message: bool = False) -> str:
        """The template's text, with one placeholder per medium."""
        return self._core.render(to_chat(messages, self._info.hidden, add_generation_prompt, continue_final_message))

    def tokenize(self, prompt: Any) -> list[int]:
        """The ids of a prompt; media are counted, not decoded."""
        return self._core.tokenize(to_prompt(prompt, self._info.hidden))

    # ---- for researchers ----

    def logits(self, prompt: Any, rows: int | slice | Sequence[int] = -1) -> numpy.ndarray[Any, Any]:
        """Logits that follow the positions `rows` of the prompt: float32 [rows, vocab]. Other positions cost what a prompt does."""
        prepared = self.prepare(prompt)
        positions = _positions(rows, len(prepared))
        if not positions:
            raise InvalidArgument(f"rows: expected positions of the prompt (0 to {len(prepared) - 1}), got none")
        wanted = sorted(set(positions))
        size = len(wanted) * self._info.vocab * 4
        if size > MOST_BYTES:
            raise InvalidArgument(f"logits: {len(wanted)} rows take {size} bytes, expected at most {MOST_BYTES}: Engine.score needs none of them")
        values = wait(self._core.logits(prepared, wanted))
        if wanted == positions:
            return values  # type: ignore[no-any-return]
        place = {position: at for at, position in enumerate(wanted)}
        return values[[place[position] for position in positions]]  # type: ignore[no-any-return]

    def forward(self, prompt: Any, taps: Sequence[str] = ()) -> Forward:
        """One pass over the prompt, every row through every layer: the last row of logits, and the intermediate values whose
        names match `taps` (globs; the names of `g3n trace`)."""
        if isinstance(taps, str):
            raise TypeError("taps: expected a list of names or globs, got a str")
        form = to_prompt(prompt, self._info.hidden)
        names = list(taps)
        values = wait(self._core.trace(form, [*names, LAST_LOGITS] if names else [LAST_LOGITS]))
        asked = {name: values[name] for name in values if name != LAST_LOGITS or any(fnmatchcase(name, glob) for glob in names)}
        return Forward(values[LAST_LOGITS].reshape(-1), asked)

    def score(self, prefix: Any, continuations: Sequence[str | Sequence[int]], *, top: int = 0) -> list[Score]:
        """How likely each of the continuations is behind the prefix (a prompt, or ids), which is computed once.

        A continuation is a str (its tokens alone, control tokens parsed) or a list of ids. top: 0 to 20, the likeliest
        tokens beside each. log-softmax over the whole vocabulary, in double.
        """
        if isinstance(continuations, (str, bytes)):
            raise TypeError("continuations: expected a list of texts, got one: write [text]")
        texts = [self._ids_of(text, f"continuations[{at}]") for at, text in enumerate(continuations)]
        if not texts:
            return []
        return _to_scores(wait(self._core.score(self.prepare(prefix), texts, operator.index(top))), texts)

    def score_many(self, pairs: Iterable[tuple[Any, str | Sequence[int]]], *, top: int = 0, progress: Progress | None = None) -> list[Score]:
        """The scores of (prefix, continuation) pairs, in their order. Each prefix is computed once, wherever its pairs stand."""
        groups: dict[Any, tuple[Any, list[int], list[list[int]]]] = {}
        count = 0
        for at, (prefix, text) in enumerate(pairs):
            group = groups.setdefault(self._key_of(prefix), (prefix, [], []))
            group[1].append(at)
            group[2].append(self._ids_of(text, f"pairs[{at}]"))
            count += 1
        out: list[Any] = [None] * count
        bar = Bar("scoring", self._progress if progress is None else progress, 0.0 if count > MANY_PROMPTS else 3600.0)
        done = 0
        try:
            for prefix, places, texts in groups.values():
                bar.update(done, count)
                scores = _to_scores(wait(self._core.score(self.prepare(prefix), texts, operator.index(top))), texts)
                for place, score in zip(places, scores):
                    out[place] = score
                done += len(places)
            bar.update(done, count)
        finally:
            bar.close()
        return out

    def encode_image(self, image: Any, image_size: int | None = None) -> numpy.ndarray[Any, Any]:
        """What the vision encoder makes of a picture: soft tokens, float32 [256, hidden]; g3n.SoftTokens("image", ...) takes them."""
        part = to_part(image if isinstance(image, Image) else Image(image), self._info.hidden)
        if image_size and part[2] == 0:
            part = (part[0], part[1], operator.index(image_size))
        return wait(self._core.encode_medium(part))  # type: ignore[no-any-return]

    def encode_audio(self, audio: Any) -> numpy.ndarray[Any, Any]:
        """What the audio encoder makes of a clip: soft tokens, float32 [188, hidden]; g3n.SoftTokens("audio", ...) takes them."""
        part = to_part(audio if isinstance(audio, Audio) else Audio(audio), self._info.hidden)
        return wait(self._core.encode_medium(part))  # type: ignore[no-any-return]

    def serve(self, host: str = "127.0.0.1", port: int = 0, **options: Any) -> NoReturn:
        raise Unsupported("serve: not in this version; the program `g3n serve` is the server")

    def load_session(self, path: str | os.PathLike[str]) -> NoReturn:
        raise Unsupported("load_session: sessions cannot be saved in this version")

    # ---- inside ----

    def _submit(self, prompt: Any, options: Any, row: int = 0) -> tuple[_g3n.Call, Hook | None]:
        pass_warnings_on()
        checked = with_seed(check_options(options), row)
        hook = checked.pop("logits_hook", None)
        return self._core.submit(to_prompt(prompt, self._info.hidden), checked, hook is not None), hook

    def _submit_all(self, prompts: list[Any], options: Any) -> tuple[list[_g3n.Call], Hook | None]:
        if options.get("seed") is None:
            options = {**options, "seed": with_seed({})["seed"]}
        calls: list[_g3n.Call] = []
        hook = None
        try:
            for row, prompt in enumerate(prompts):
                call, hook = self._submit(prompt, options, row)
                calls.append(call)
        except BaseException:
            for call in calls:
                call.cancel()
            raise
        return calls, hook

    def _ids_of(self, text: Any, name: str) -> list[int]:
        if isinstance(text, str):
            return self._core.encode(text, True)
        try:
            return [operator.index(id) for id in text]
        except TypeError:
            raise TypeError(f"{name}: expected a str or a list of token ids, got {type(text).__name__}") from None

    def _key_of(self, prefix: Any) -> Any:
        """Equal for prefixes that are the same prompt; media are told apart as objects."""
        form = to_prompt(prefix, self._info.hidden)
        if form[0] == "raw":
            return form[:2]
        return ("ids", *form[1]) if form[0] == "ids" else id(prefix)


@dataclass(frozen=True, repr=False)
class Forward:
    """What Engine.forward gives: logits float32 [vocab] of the last row, taps by name."""

    logits: numpy.ndarray[Any, Any]
    taps: dict[str, numpy.ndarray[Any, Any]]

    def __repr__(self) -> str:
        return f"<g3n.Forward {len(self.taps)} taps>"


@dataclass(frozen=True, repr=False)
class Score:
    """How likely a text is behind a prefix. Per token: logprobs float32 [n], greedy bool [n] (the likeliest of the whole
    vocabulary, of equal ones the lowest id), top: the likeliest (id, log-probability). total: the sum."""

    ids: list[int]
    logprobs: numpy.ndarray[Any, Any]
    greedy: numpy.ndarray[Any, Any]
    total: float
    top: list[list[tuple[int, float]]]

    @property
    def is_greedy(self) -> bool:
        """Whether a greedy answer would begin with this text."""
        return bool(self.greedy.all())

    def __repr__(self) -> str:
        return f"<Score {self.total:.4f} of {len(self.ids)} token{'s' if len(self.ids) != 1 else ''}{' greedy' if self.is_greedy else ''}>"


class Session:
    """A conversation that keeps its cache, so that a turn costs only its own tokens. One turn at a time."""

    def __init__(self, engine: Engine, system: str | None, messages: Messages | None, options: dict[str, Any]) -> None:
        check_options(options)
        if messages:
            first = messages[0]
            if len(messages) > 1 or first.get("role") != "system" or not isinstance(first.get("content"), str) or system:
                raise Unsupported(
                    "chat(messages=...): this version begins a session with a system text only: "
                    "give the messages to Engine.generate, or send them turn by turn"
                )
            system = first["content"]
        self._engine = engine
        self._options = options
        self._system = system or ""
        self._contents: list[list[Any]] = []  # of the user's turns, as given
        self._core = _g3n.session(engine._core, self._system)

    @with_options
    def send(
        self,
        text: str | Sequence[Any] = "",
        *,
        images: Iterable[Any] = (),
        audio: Iterable[Any] = (),
        video: Iterable[Any] = (),
        **options: Unpack[AnswerOptions],
    ) -> Reply:
        """A turn and its answer. In the turn: images, then audio, then the text; for another order a list of parts as text."""
        call, hook = self._begin(text, images, audio, video, options)
        return to_reply(wait(call, hook=hook), self._engine._core.piece)

    @with_options
    def stream(
        self,
        text: str | Sequence[Any] = "",
        *,
        images: Iterable[Any] = (),
        audio: Iterable[Any] = (),
        video: Iterable[Any] = (),
        **options: Unpack[AnswerOptions],
    ) -> Stream:
        """As send, the answer while it is made."""
        call, hook = self._begin(text, images, audio, video, options)
        return Stream(call, self._engine._core.piece, hook)

    @with_options
    async def asend(
        self,
        text: str | Sequence[Any] = "",
        *,
        images: Iterable[Any] = (),
        audio: Iterable[Any] = (),
        video: Iterable[Any] = (),
        **options: Unpack[AnswerOptions],
    ) -> Reply:
        """As send, for coroutines."""
        call, hook = self._begin(text, images, audio, video, options)
        return to_reply(await wait_async(call, hook), self._engine._core.piece)

    @with_options
    def astream(
        self,
        text: str | Sequence[Any] = "",
        *,
        images: Iterable[Any] = (),
        audio: Iterable[Any] = (),
        video: Iterable[Any] = (),
        **options: Unpack[AnswerOptions],
    ) -> AsyncIterator[Piece]:
        """As stream, for coroutines."""
        return iterate_async(self.stream(text, images=images, audio=audio, video=video, **options))

    @property
    def messages(self) -> list[dict[str, Any]]:
        """A copy of the conversation as messages, payloads as they were given."""
        turns = self._core.turns()
        out = [to_message(role, [text]) for role, text in turns if role == "system"]
        answers = [text for role, text in turns if role == "assistant"]
        for content, answer in zip(self._contents, answers):
            out += [to_message("user", content), to_message("assistant", [answer])]
        return out

    @property
    def context_left(self) -> int:
        """Positions that the conversation has not used."""
        return self._engine.info.context - self._core.used_context()

    @property
    def ids(self) -> NoReturn:
        raise Unsupported("Session.ids: not in this version; Engine.tokenize(session.messages) gives those of the messages")

    def undo(self) -> bool:
        """Forgets the last turn and its answer; False if there is none."""
        return self._core.undo()

    def reset(self) -> None:
        """Forgets everything, the system text too."""
        self._core.reset()

    def fork(self) -> NoReturn:
        raise Unsupported("Session.fork: not in this version; give session.messages to Engine.generate")

    def save(self, path: str | os.PathLike[str]) -> NoReturn:
        raise Unsupported("Session.save: not in this version")

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def __repr__(self) -> str:
        turns = sum(role == "user" for role, _ in self._core.turns())
        return f"<g3n.Session {turns} turn{'s' if turns != 1 else ''} \u00b7 {self._core.used_context()} of {self._engine.info.context} positions>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Session cannot be pickled: pickle its .messages")

    def _begin(self, text: Any, images: Any, audio: Any, video: Any, options: Any) -> tuple[_g3n.Call, Hook | None]:
        pass_warnings_on()
        _no_video(video)
        content = turn_content(text, images, audio)
        if not content:
            raise InvalidArgument("a turn: expected text, images or audio, got nothing")
        parts = to_parts(content, self._engine.info.hidden)
        checked = with_seed(check_options({**self._options, **{k: v for k, v in options.items() if v is not None}}))
        while not self._core.is_free(WAKE_SECONDS):  # a turn that was cancelled ends within a step
            pass
        hook = checked.pop("logits_hook", None)
        call = self._core.reply(parts, checked, hook is not None)
        turns = sum(role == "user" for role, _ in self._core.turns())
        self._contents[turns:] = [content]
        return call, hook


# ---- helpers --------------------------------------------------------------------------------------------------------


def pass_warnings_on() -> None:
    """What the library warned of since, to logging."""
    for text in _g3n.take_warnings():
        logger.warning("%s", text)


def _load(path: str, options: dict[str, Any]) -> Engine:
    return Engine(path, **options)


def _reloadable(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of Engine that a pickle holds: those that were given; a function of progress stays here."""
    names = [p.name for p in inspect.signature(Engine).parameters.values() if p.kind is p.KEYWORD_ONLY]
    options = {name: arguments[name] for name in names if arguments[name] is not None}
    options["dtype"] = arguments["given"]["compute"]
    if callable(options.get("progress")):
        options["progress"] = "auto"
    return options


def _dtype_name(dtype: Any) -> str | None:
    if dtype is None:
        return None
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", None) or str(dtype)
    name = name.rpartition(".")[2]
    name = {"float32": "f32", "bfloat16": "bf16", "float": "f32"}.get(name, name)
    return _one_of("dtype", name, ("f32", "bf16"))


def _one_of(name: str, value: str | None, allowed: Sequence[str]) -> str | None:
    if value is None or value in allowed:
        return value
    near = difflib.get_close_matches(str(value), allowed, 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise InvalidArgument(f"{name}: expected {' or '.join(map(repr, allowed))}, got {value!r}{hint}")


def _no_video(video: Iterable[Any]) -> None:
    if tuple(video):
        raise Unsupported("video: not read by this version: pass pictures of it as images")


def _resized(form: Any, size: int | None) -> Any:
    """The prompt with the encoder's size in its images that have none of their own."""
    if not size:
        return form

    def part(one: Any) -> Any:
        return (one[0], one[1], size) if one[0] == "image" and isinstance(one, tuple) and one[2] == 0 else one

    if form[0] == "chat":
        return ("chat", [(role, [part(one) for one in parts]) for role, parts in form[1]], *form[2:])
    return (form[0], form[1], [part(one) for one in form[2]])


def _positions(rows: int | slice | Sequence[int], tokens: int) -> list[int]:
    if isinstance(rows, slice):
        return list(range(*rows.indices(tokens)))
    wanted = [operator.index(rows)] if hasattr(rows, "__index__") else [operator.index(row) for row in rows]
    for row in wanted:
        if not -tokens <= row < tokens:
            raise InvalidArgument(f"rows: expected positions from {-tokens} to {tokens - 1}, got {row}")
    return [row % tokens for row in wanted]


def _to_scores(rows: list[Any], texts: list[list[int]]) -> list[Score]:
    import numpy

    return [
        Score(ids, numpy.asarray(logprobs, numpy.float32), numpy.asarray(greedy, bool), total, top)
        for ids, (logprobs, greedy, top, total) in zip(texts, rows)
    ]
