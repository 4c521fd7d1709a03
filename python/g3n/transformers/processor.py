"""AutoProcessor and AutoTokenizer: text, conversations and media to what generate takes, as transformers gives it.

Tokens, template, pictures and log-mel frames are made by the engine; here they are put into transformers' shapes.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any


from ..answers import wait
from ..engine import Engine
from ..errors import InvalidArgument, NotFound, Unsupported
from ..media import Audio, Image, LogMel, PixelValues, SoftTokens, to_part
from ..prompts import part_of_dict
from .tensors import BatchFeature, convert, to_numpy, warn_once

DUMMIES = {"image": ("image", ("pixels", 1, 1, b"\0\0\0"), 0), "audio": ("audio", ("samples", b"\0\0\0\0"))}
SOFT = {"image": "<image_soft_token>", "audio": "<audio_soft_token>"}
BEGIN = {"image": "<start_of_image>", "audio": "<start_of_audio>"}
BOS = "<bos>"


def as_lists(ids: Any) -> list[list[int]]:
    """Ids as rows: of an int, a list, an array or a tensor, 1-D or 2-D."""
    values = ids if isinstance(ids, (list, tuple)) and any(isinstance(row, (list, tuple)) for row in ids) else to_numpy(ids).tolist()
    if not isinstance(values, (list, tuple)):
        return [[int(values)]]
    if values and isinstance(values[0], (list, tuple)):
        return [[int(id) for id in row] for row in values]
    return [[int(id) for id in values]]


def is_nested(ids: Any) -> bool:
    if hasattr(ids, "ndim"):
        return bool(ids.ndim > 1)
    return isinstance(ids, (list, tuple)) and len(ids) > 0 and (isinstance(ids[0], (list, tuple)) or getattr(ids[0], "ndim", 0) > 0)


class Tokenizer:
    """Text to ids and back, with transformers' names."""

    padding_side = "left"
    model_input_names = ["input_ids", "attention_mask"]

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._core = engine._core
        self.name_or_path = engine.info.path

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **options: Any) -> Tokenizer:
        """The tokenizer of a model; no weight is read."""
        return cls(open_without_weights(pretrained_model_name_or_path, options))

    def __call__(
        self,
        text: str | Sequence[str],
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool = False,
        return_attention_mask: bool = True,
        truncation: bool = False,
        max_length: int | None = None,
    ) -> BatchFeature:
        """input_ids and attention_mask; of one str one row (without return_tensors: not nested)."""
        refuse_truncation(truncation, max_length)
        is_one = isinstance(text, str)
        texts: list[str] = [text] if isinstance(text, str) else list(text)
        rows = [self.encode(one, add_special_tokens) for one in texts]
        out = pad(rows, padding, padding_side or self.padding_side, return_tensors)
        if not return_token_type_ids:
            del out["token_type_ids"]
        if not return_attention_mask:
            del out["attention_mask"]
        if is_one and return_tensors is None:
            return BatchFeature({name: value[0] for name, value in out.items()})
        return out

    def encode(self, text: str, add_special_tokens: bool = True, return_tensors: str | None = None, **options: Any) -> Any:
        """Ids of a text; literals of control tokens are tokens."""
        if options:
            raise TypeError(f"encode: unknown arguments {list(options)}")
        ids = self._core.encode(text, True)
        if add_special_tokens:
            ids = with_bos(ids, self.bos_token_id)
        if return_tensors is None:
            return ids
        import numpy

        return convert(numpy.asarray([ids], numpy.int64), return_tensors)

    def tokenize(self, text: str, add_special_tokens: bool = False) -> list[str]:
        """The pieces of a text."""
        return [self._core.piece(id) for id in self.encode(text, add_special_tokens)]

    def decode(self, token_ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: Any = None) -> Any:
        """Text of ids: int, list, array or tensor; of a batch a list of texts."""
        if clean_up_tokenization_spaces:
            warn_once("clean_up_tokenization_spaces", "clean_up_tokenization_spaces: Gemma's texts are not cleaned up; it is ignored")
        texts = [self._core.decode(row, skip_special_tokens) for row in as_lists(token_ids)]
        return texts if is_nested(token_ids) else texts[0]

    def batch_decode(self, sequences: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: Any = None) -> list[str]:
        """Texts of rows of ids."""
        return [self.decode(row, skip_special_tokens, clean_up_tokenization_spaces) for row in sequences]

    def convert_tokens_to_ids(self, tokens: str | Sequence[str]) -> Any:
        """Ids of pieces; unknown ones are <unk>."""
        if isinstance(tokens, str):
            return id if (id := self._core.id_of(tokens)) >= 0 else self.unk_token_id
        return [self.convert_tokens_to_ids(token) for token in tokens]

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """Pieces of ids."""
        if isinstance(ids, int):
            return self._core.piece(ids)
        specials = self.all_special_ids if skip_special_tokens else []
        return [self._core.piece(id) for id in as_lists(ids)[0] if id not in specials]

    def get_vocab(self) -> dict[str, int]:
        """Piece to id."""
        vocab = {}
        for id in range(self._core.pieces()):
            try:
                vocab[self._core.piece(id)] = id
            except InvalidArgument:  # a hole
                pass
        return vocab

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any:
        """As the processor's."""
        return Processor(self.engine).apply_chat_template(conversation, **options)

    def save_pretrained(self, *args: Any, **options: Any) -> Any:
        raise Unsupported("save_pretrained: the model's own folder holds its tokenizer")

    def push_to_hub(self, *args: Any, **options: Any) -> Any:
        raise Unsupported("push_to_hub: g3n uploads nothing")

    def __len__(self) -> int:
        return self._core.pieces()

    @property
    def vocab_size(self) -> int:
        return len(self)

    @functools.cached_property
    def chat_template(self) -> str | None:
        return chat_template_of(self.engine)

    pad_token, bos_token, eos_token, unk_token = "<pad>", "<bos>", "<eos>", "<unk>"
    image_token, boi_token, eoi_token = SOFT["image"], BEGIN["image"], "<end_of_image>"
    audio_token, boa_token, eoa_token = SOFT["audio"], BEGIN["audio"], "<end_of_audio>"

    @functools.cached_property
    def pad_token_id(self) -> int:
        return self._core.id_of(self.pad_token)

    @functools.cached_property
    def bos_token_id(self) -> int:
        return self._core.id_of(self.bos_token)

    @functools.cached_property
    def eos_token_id(self) -> int:
        return self._core.id_of(self.eos_token)

    @functools.cached_property
    def unk_token_id(self) -> int:
        return self._core.id_of(self.unk_token)

    @functools.cached_property
    def image_token_id(self) -> int:
        return self._core.id_of(self.image_token)

    @functools.cached_property
    def audio_token_id(self) -> int:
        return self._core.id_of(self.audio_token)

    @functools.cached_property
    def all_special_ids(self) -> list[int]:
        names = [self.pad_token, self.bos_token, self.eos_token, self.unk_token, "<start_of_turn>", "<end_of_turn>"]
        names += [self.image_token, self.boi_token, self.eoi_token, self.audio_token, self.boa_token, self.eoa_token]
        return [id for name in names if (id := self._core.id_of(name)) >= 0]

    def __repr__(self) -> str:
        return f"<Tokenizer {Path(self.name_or_path).name} {len(self)} pieces>"


class Processor:
    """Text, conversations and media to what generate takes."""

    model_input_names = ["input_ids", "attention_mask", "token_type_ids", "pixel_values", "input_features", "input_features_mask"]

    def __init__(self, engine: Engine, size: Any = None) -> None:
        self.engine = engine
        self._core = engine._core
        self.tokenizer = Tokenizer(engine)
        self.size = side_of(size)
        side = self.size or engine.info.image_size
        self.image_processor = SimpleNamespace(size={"height": side, "width": side}, do_rescale=True, rescale_factor=1 / 255)
        self.feature_extractor = SimpleNamespace(sampling_rate=16000, feature_size=128)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **options: Any) -> Processor:
        """The processor of a model; no weight is read. size: pixels a side of pictures; padding_side: of the tokenizer."""
        size = options.pop("size", None)
        side = options.pop("padding_side", None)
        processor = cls(open_without_weights(pretrained_model_name_or_path, options), size)
        if side is not None:
            processor.tokenizer.padding_side = side
        return processor

    @functools.cached_property
    def chat_template(self) -> str | None:
        return self.tokenizer.chat_template

    image_token, audio_token, boi_token, boa_token = SOFT["image"], SOFT["audio"], BEGIN["image"], BEGIN["audio"]

    @property
    def image_token_id(self) -> int:
        return self.tokenizer.image_token_id

    @property
    def audio_token_id(self) -> int:
        return self.tokenizer.audio_token_id

    @functools.cached_property
    def image_seq_length(self) -> int:
        return self._soft_tokens("image", self.image_token_id)

    @functools.cached_property
    def audio_seq_length(self) -> int:
        return self._soft_tokens("audio", self.audio_token_id)

    def _soft_tokens(self, kind: str, id: int) -> int:
        return self._core.tokenize(("raw", SOFT[kind], [DUMMIES[kind]])).count(id)

    # ---- calls ----

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] | None = None,
        audio: Any = None,
        *,
        return_tensors: str | None = None,
        padding: bool | str = False,
        padding_side: str | None = None,
        truncation: bool = False,
        max_length: int | None = None,
        add_special_tokens: bool = True,
        return_mm_token_type_ids: bool = True,
        size: Any = None,
        sampling_rate: int | None = None,
        **options: Any,
    ) -> BatchFeature:
        """The prompt or prompts and their media. <image_soft_token> and <audio_soft_token> in a text stand for them, in order."""
        if options:
            raise TypeError(f"processor: unknown arguments {list(options)}: expected images, text, audio and those of its signature")
        refuse_truncation(truncation, max_length)
        if text is None and images is None and audio is None:
            raise ValueError("You must at least provide either text or images.")
        pictures, clips = flatten(images, "images"), flatten(audio, "audio")
        if text is None:
            rows = images if images is not None and is_batch_of_media(images) else [pictures]
            texts = [SOFT["audio"]] * len(clips) if clips else [" ".join([SOFT["image"]] * len(flatten(row, "images"))) for row in rows]
        else:
            texts = [text] if isinstance(text, str) else list(text)
        if not all(isinstance(one, str) for one in texts):
            raise ValueError("text: expected a str or a list of str")
        texts = expand(texts, "image", len(pictures))
        texts = expand(texts, "audio", len(clips))
        rows_of_ids = [self._ids(one, add_special_tokens) for one in texts]
        media = self._media(pictures, clips, size, sampling_rate)
        return self._result(rows_of_ids, media, padding, padding_side, return_tensors, return_mm_token_type_ids)

    def apply_chat_template(
        self,
        conversation: Any,
        chat_template: str | None = None,
        *,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        tokenize: bool = False,
        return_dict: bool = False,
        return_tensors: str | None = None,
        sanitize_control_tokens: bool = False,
        processor_kwargs: Mapping[str, Any] | None = None,
        tools: Any = None,
        documents: Any = None,
        return_assistant_tokens_mask: bool = False,
        load_audio_from_video: bool = False,
        **options: Any,
    ) -> Any:
        """A conversation (a list of messages), or several, through the chat template: text, ids, or what generate takes."""
        if return_assistant_tokens_mask or load_audio_from_video:
            raise Unsupported("apply_chat_template: return_assistant_tokens_mask and load_audio_from_video are not supported")
        if not isinstance(continue_final_message, bool):
            raise Unsupported("continue_final_message: expected a bool: g3n continues the last message where it ends")
        is_one = not is_batch_of_chats(conversation)
        conversations = [conversation] if is_one else list(conversation)
        end = (add_generation_prompt, continue_final_message)
        texts, ids, pictures, clips = [], [], [], []
        foreign = chat_template is not None and chat_template != self.chat_template
        if not foreign and (tools or documents):
            raise Unsupported("apply_chat_template: Gemma 3n's template has no place for tools and documents: give a chat_template")
        for one in conversations:
            rows, row_pictures, row_clips = chat_rows(one)
            pictures += row_pictures
            clips += row_clips
            if foreign:
                texts.append(render_foreign(str(chat_template), one, add_generation_prompt, tools, documents))
            else:
                texts.append(self._core.render(("chat", rows, *end)))
            if tokenize and sanitize_control_tokens and not foreign:
                ids.append(self._core.tokenize(("chat", rows, *end)))
        if not tokenize:
            return texts[0] if is_one else texts
        given = {**options, **(processor_kwargs or {})}
        size, rate = given.pop("size", None), given.pop("sampling_rate", None)
        padding, side = given.pop("padding", False), given.pop("padding_side", None)
        return_tensors = given.pop("return_tensors", return_tensors)
        types = given.pop("return_mm_token_type_ids", True)
        refuse_truncation(given.pop("truncation", False), given.pop("max_length", None))
        given.pop("add_special_tokens", None)
        if given:
            raise TypeError(f"apply_chat_template: unknown arguments {list(given)}")
        if not ids:
            texts = expand(expand(texts, "image", len(pictures)), "audio", len(clips))
            ids = [self._ids(text, True, quiet=True) for text in texts]
        media = self._media(pictures, clips, size, rate)
        out = self._result(ids, media, padding, side, return_tensors, types)
        if return_dict:
            return out
        kept = out["input_ids"]
        return kept[0] if is_one and return_tensors is None else kept

    def decode(self, token_ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: Any = None) -> Any:
        """Text of ids: int, list, array or tensor; of a batch a list of texts."""
        return self.tokenizer.decode(token_ids, skip_special_tokens, clean_up_tokenization_spaces)

    def batch_decode(self, sequences: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: Any = None) -> list[str]:
        """Texts of rows of ids."""
        return self.tokenizer.batch_decode(sequences, skip_special_tokens, clean_up_tokenization_spaces)

    def post_process_image_text_to_text(
        self, generated_outputs: Any, skip_special_tokens: bool = True, clean_up_tokenization_spaces: Any = None
    ) -> list[str]:
        """Texts of what generate gave."""
        return self.batch_decode(generated_outputs, skip_special_tokens, clean_up_tokenization_spaces)

    def save_pretrained(self, *args: Any, **options: Any) -> Any:
        raise Unsupported("save_pretrained: the model's own folder holds its processor")

    def push_to_hub(self, *args: Any, **options: Any) -> Any:
        raise Unsupported("push_to_hub: g3n uploads nothing")

    def __repr__(self) -> str:
        return f"<Processor {Path(self.engine.info.path).name}>"

    # ---- inside ----

    def _ids(self, text: str, add_special_tokens: bool, quiet: bool = False) -> list[int]:
        if text.startswith(BOS) and add_special_tokens and not quiet:
            warn_once("bos", "the text begins with <bos>, which is not doubled (transformers 5.24 doubles it)")
        media = [DUMMIES[kind] for kind in ("image", "audio") for _ in range(text.count(SOFT[kind]))]
        ids = self._core.tokenize(("raw", text, media))
        return ids if add_special_tokens or text.startswith(BOS) else ids[1:]

    def _media(self, pictures: list[Any], clips: list[Any], size: Any, rate: int | None) -> dict[str, Any]:
        try:
            return self._read(pictures, clips, size, rate)
        except NotFound as error:  # transformers' kind
            raise ValueError(str(error)) from error

    def _read(self, pictures: list[Any], clips: list[Any], size: Any, rate: int | None) -> dict[str, Any]:
        import numpy

        out: dict[str, Any] = {}
        side = side_of(size) or self.size or 0
        hidden = self.engine.info.hidden
        if pictures:
            made: dict[Any, Any] = {}
            rows = []
            for picture in pictures:
                part = to_part(as_image(picture, side), hidden)
                if part[1][0] == "soft":
                    raise InvalidArgument("images: a processor takes pictures, not soft tokens: give them to Engine.generate")
                if part not in made:
                    made[part] = wait(self._core.preprocess_image(part))
                rows.append(made[part])
            out["pixel_values"] = numpy.stack(rows)
        if clips:
            parts = [to_part(as_audio(clip, rate), hidden) for clip in clips]
            frames = wait(self._core.preprocess_audio(parts))
            out["input_features"] = numpy.stack([values for values, _ in frames])
            out["input_features_mask"] = numpy.stack([valid for _, valid in frames]).astype(bool)
        return out

    def _result(
        self, rows: list[list[int]], media: dict[str, Any], padding: Any, side: str | None, return_tensors: str | None, types: bool
    ) -> BatchFeature:
        kinds = {self.image_token_id: 1, self.audio_token_id: 3}
        out = pad(rows, padding, side or self.tokenizer.padding_side, return_tensors, kinds)
        token_types = out.pop("token_type_ids")
        for name, values in media.items():
            out[name] = convert(values, return_tensors)
        if types:
            out["token_type_ids"] = token_types
        return out


# ---- helpers --------------------------------------------------------------------------------------------------------

LOADING = {"revision", "token", "local_files_only", "cache_dir", "use_fast", "trust_remote_code", "device_map", "dtype", "torch_dtype"}


def open_without_weights(path: Any, options: Mapping[str, Any]) -> Engine:
    """The engine of a processor. Takes what from_pretrained takes."""
    if isinstance(path, Engine):
        return path
    for name in options:
        if name not in LOADING:
            raise TypeError(f"from_pretrained: unknown argument {name!r}: expected {', '.join(sorted(LOADING))}, size, padding_side")
        if name in ("use_fast", "trust_remote_code") and options[name] is not None:
            warn_once(name, f"{name}: g3n has one processor of its own; it is ignored")
    return Engine(path, cache_dir=options.get("cache_dir"), revision=options.get("revision"), load_weights=False, progress=False)


def chat_template_of(engine: Engine) -> str | None:
    """The template in the model's folder, if it has one."""
    file = Path(engine.info.path) / "chat_template.jinja"
    return file.read_text("utf-8") if file.is_file() else None


def refuse_truncation(truncation: Any, max_length: Any) -> None:
    if truncation or max_length is not None:
        raise Unsupported("truncation, max_length: g3n cuts no prompt: one that is too long is an error that says by how much")


def with_bos(ids: list[int], bos: int) -> list[int]:
    if ids[:1] == [bos]:
        warn_once("bos", "the text begins with <bos>, which is not doubled (transformers 5.24 doubles it)")
        return ids
    return [bos, *ids]


def side_of(size: Any) -> int | None:
    """Pixels a side, of an int or transformers' {"height": ..., "width": ...}."""
    if size is None:
        return None
    if isinstance(size, Mapping):
        sides = {int(value) for value in size.values()}
        if len(sides) != 1:
            raise Unsupported(f"size: expected one number for both sides, got {dict(size)}")
        return sides.pop()
    return int(size)


def pad(rows: list[list[int]], padding: Any, side: str, return_tensors: str | None, kinds: Mapping[int, int] | None = None) -> BatchFeature:
    """Rows of ids as input_ids, attention_mask and token_type_ids."""
    if padding not in (False, True, "longest", "do_not_pad", None):
        raise Unsupported(f"padding: expected False, True or 'longest', got {padding!r}")
    if side not in ("left", "right"):
        raise ValueError(f"padding_side: expected 'left' or 'right', got {side!r}")
    import numpy

    types = [[(kinds or {}).get(id, 0) for id in row] for row in rows]
    masks = [[1] * len(row) for row in rows]
    longest = max((len(row) for row in rows), default=0)
    if padding in (True, "longest"):
        for table in (rows, types, masks):
            for at, row in enumerate(table):
                fill = [0] * (longest - len(row))
                table[at] = fill + row if side == "left" else row + fill
    names = ("input_ids", "attention_mask", "token_type_ids")
    tables = (rows, masks, types)
    if return_tensors in (None, "auto"):
        return BatchFeature(zip(names, tables))
    if any(len(row) != longest for row in rows):
        raise ValueError("the prompts differ in length: pass padding=True to make one array of them")
    return BatchFeature((name, convert(numpy.asarray(table, numpy.int64).reshape(len(rows), longest), return_tensors)) for name, table in zip(names, tables))


def expand(texts: list[str], kind: str, count: int) -> list[str]:
    """Placeholders of the batch made one form: <start_of_image> alone counts as <image_soft_token> where the numbers ask for it."""
    soft, begin = SOFT[kind], BEGIN[kind]
    alone = re.compile(re.escape(begin) + f"(?!{re.escape(soft)})")
    softs = sum(text.count(soft) for text in texts)
    begins = sum(len(alone.findall(text)) for text in texts)
    if softs == count:
        return texts
    if count == 0:
        raise ValueError(f"Found {softs} {soft} tokens in the text but no {media_word(kind)} were passed.")
    if softs + begins == count:
        return [alone.sub(lambda _: soft, text) for text in texts]
    raise ValueError(
        f"The total number of {soft} tokens in the prompts should be the same as the number of {media_word(kind)} passed. "
        f"Found total {softs} {soft} tokens and {count} {media_word(kind)} passed ({begins} {begin} stand alone)."
    )


def media_word(kind: str) -> str:
    return "images" if kind == "image" else "audio clips"


def is_batch_of_media(images: Any) -> bool:
    return isinstance(images, (list, tuple)) and len(images) > 0 and all(isinstance(row, (list, tuple)) for row in images)


def flatten(media: Any, name: str) -> list[Any]:
    """Media as one list: one, a list, or a list of lists per prompt."""
    if media is None:
        return []
    if isinstance(media, tuple) and len(media) == 2 and isinstance(media[1], int):  # (array, rate)
        return [media]
    if isinstance(media, (list, tuple)):
        if media and all(isinstance(value, (int, float)) for value in media):
            raise TypeError(f"{name}: expected pictures or clips, got a list of numbers: make it a numpy array")
        return [one for item in media for one in flatten(item, name)]
    ndim = getattr(media, "ndim", None)
    if name == "images" and ndim == 4:
        return [to_numpy(media)[at] for at in range(len(media))]
    return [media]


def as_image(picture: Any, side: int) -> Any:
    if isinstance(picture, (Image, PixelValues)):
        return picture
    return Image(to_numpy(picture) if hasattr(picture, "detach") else picture, side)


def as_audio(clip: Any, rate: int | None) -> Any:
    if isinstance(clip, (Audio, LogMel)):
        return clip
    if hasattr(clip, "detach"):
        clip = to_numpy(clip)
    return Audio((clip, rate) if rate and hasattr(clip, "shape") else clip)


def is_batch_of_chats(conversation: Any) -> bool:
    if isinstance(conversation, Mapping) or not isinstance(conversation, Iterable):
        raise ValueError("conversation: expected a list of messages, or a list of such lists")
    return not all(isinstance(message, Mapping) for message in conversation)


def chat_rows(messages: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Messages as rows of the bindings with stand-ins for their media; the media in order."""
    rows: list[Any] = []
    pictures: list[Any] = []
    clips: list[Any] = []
    for at, message in enumerate(messages):
        if "role" not in message or "content" not in message:
            raise ValueError(f"messages[{at}]: expected a dict with 'role' and 'content', got the keys {list(message)}")
        content = message["content"]
        parts: list[Any] = [content] if isinstance(content, str) else []
        is_system = message["role"] == "system"  # the template drops its media
        for number, part in enumerate([] if isinstance(content, str) else content):
            if isinstance(part, Mapping):
                part = part_of_dict(part, f"messages[{at}].content[{number}]")
            if isinstance(part, str):
                parts.append(part)
                continue
            is_image = isinstance(part, (Image, PixelValues)) or (isinstance(part, SoftTokens) and part.kind == "image")
            parts.append(DUMMIES["image" if is_image else "audio"])
            if not is_system:
                (pictures if is_image else clips).append(part)
        rows.append((str(message["role"]), parts))
    return rows, pictures, clips


def render_foreign(template: str, messages: Any, add_generation_prompt: bool, tools: Any, documents: Any) -> str:
    """A template of the caller's own, by jinja2's sandbox."""
    try:
        from jinja2.sandbox import ImmutableSandboxedEnvironment  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise Unsupported("chat_template: a template of your own needs jinja2, which is not installed") from None

    def raise_exception(text: str) -> None:
        raise InvalidArgument(f"chat_template: {text}")

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = raise_exception
    values = {"messages": messages, "add_generation_prompt": add_generation_prompt, "bos_token": BOS, "tools": tools, "documents": documents}
    return str(environment.from_string(template).render(**values))


__all__ = ["Processor", "Tokenizer"]
