"""Prompts and messages as users write them, brought into the forms that the bindings take (bindings/convert.h)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import _g3n
from .errors import InvalidArgument, Unsupported
from .media import Audio, Image, SoftTokens, to_part

Messages = Sequence[Mapping[str, Any]]


def is_batch(prompt: Any) -> bool:
    """Whether it is a list of prompts: any list but one of ids or of messages."""
    if not isinstance(prompt, list):
        return False
    return not prompt or not (all(map(_is_id, prompt)) or all(isinstance(item, Mapping) for item in prompt))


def to_prompt(prompt: Any, hidden: int) -> Any:
    """One prompt: a str (as it is), ids, messages or a Prompt."""
    if isinstance(prompt, str):
        return ("raw", str(prompt), [])
    if isinstance(prompt, _g3n.Prompt):
        return ("prepared", prompt)
    if _is_array(prompt):
        prompt = prompt.tolist()
    if isinstance(prompt, Sequence) and not isinstance(prompt, (bytes, bytearray, memoryview)) and len(prompt) > 0:
        if all(map(_is_id, prompt)):
            return ("ids", [int(item) for item in prompt], [])
        if all(isinstance(item, Mapping) for item in prompt):
            return to_chat(prompt, hidden)
    raise TypeError(f"a prompt: expected a str, a list of token ids, a list of messages or a g3n.Prompt, got {_describe(prompt)}")


def to_chat(messages: Messages, hidden: int, add_generation_prompt: bool = True, continue_final_message: bool = False) -> Any:
    """Messages of {"role": ..., "content": a str or a list of parts}."""
    rows = []
    for at, message in enumerate(messages):
        if not isinstance(message, Mapping) or "role" not in message or "content" not in message:
            raise InvalidArgument(f"messages[{at}]: expected a dict with 'role' and 'content', got {_describe(message)}")
        where = f"messages[{at}].content"
        rows.append((str(message["role"]), to_parts(message["content"], hidden, where)))
    return ("chat", rows, add_generation_prompt and not continue_final_message, continue_final_message)


def to_parts(content: Any, hidden: int, where: str = "parts") -> list[Any]:
    """The parts of one turn: a str, or a list of str, g3n.Image, g3n.Audio, g3n.SoftTokens and part dicts."""
    if isinstance(content, str):
        return [str(content)]
    if not isinstance(content, Iterable) or isinstance(content, (bytes, Mapping)):
        raise TypeError(f"{where}: expected a str or a list of parts, got {type(content).__name__}")
    parts = []
    for at, part in enumerate(content):
        name = f"{where}[{at}]"
        if isinstance(part, (list, tuple)):
            raise TypeError(f"{name}: expected one part, got a {type(part).__name__}")
        if isinstance(part, Mapping):
            part = part_of_dict(part, name)
        parts.append(to_part(part, hidden))
    return parts


def turn_content(text: Any, images: Iterable[Any], audio: Iterable[Any]) -> list[Any]:
    """The parts of a turn in their order: images, then audio, then the text."""
    for name, media in (("images", images), ("audio", audio)):
        if isinstance(media, (str, bytes)) or not isinstance(media, Iterable) or _is_array(media):
            raise TypeError(f"{name}: expected a list of them, got {type(media).__name__}: write {name}=[...]")
    parts: list[Any] = [x if isinstance(x, Image) else Image(x) for x in images]
    parts += [x if isinstance(x, Audio) else Audio(x) for x in audio]
    if isinstance(text, str):
        return [*parts, str(text)] if text else parts
    return [*parts, *text]


def to_message(role: str, content: list[Any]) -> dict[str, Any]:
    """A message in the transformers form, payloads as they were given."""
    if all(isinstance(part, str) for part in content):
        return {"role": role, "content": "".join(content)}
    return {"role": role, "content": [_dict_of_part(part) for part in content]}


def _dict_of_part(part: Any) -> Any:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, Image):
        return {"type": "image", "image": part.data}
    if isinstance(part, Audio):
        return {"type": "audio", "audio": part.data}
    if isinstance(part, SoftTokens):
        return {"type": part.kind, part.kind: part}
    return part


def _of_base64(text: Any, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise InvalidArgument(f"{where}: expected base64") from None


def part_of_dict(part: Mapping[str, Any], where: str) -> Any:
    """A part of a message as a str, Image, Audio or SoftTokens."""
    kind = part.get("type")
    if kind == "text" and isinstance(part.get("text"), str):
        return part["text"]
    if kind in ("image", "audio"):
        payload = next((part[key] for key in (kind, "path", "url") if part.get(key) is not None), None)
        if payload is None and isinstance(part.get("base64"), str):
            payload = _of_base64(part["base64"], f"{where}: 'base64'")
        if payload is None:
            raise InvalidArgument(f"{where}: expected the {kind} under {kind!r}, 'path' or 'url', got the keys {list(part)}")
        if isinstance(payload, SoftTokens):
            return payload
        return Image(payload) if kind == "image" else Audio(payload)
    if kind == "image_url":
        url = part.get("image_url")
        return Image(url["url"] if isinstance(url, Mapping) else url)
    if kind == "input_audio" and isinstance(part.get("input_audio"), Mapping):
        return Audio(_of_base64(part["input_audio"].get("data"), f"{where}: 'input_audio.data'"))
    if kind in ("video", "video_url"):
        raise Unsupported(f"{where}: video is not read by this version: pass pictures of it")
    raise InvalidArgument(f"{where}: expected a part of type 'text', 'image' or 'audio' with its payload, got type {kind!r}")


def _is_id(value: Any) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool)
    return not isinstance(value, (str, bytes, Mapping, float)) and hasattr(value, "__index__") and not _is_array_of_many(value)


def _is_array(value: Any) -> bool:
    return hasattr(value, "tolist") and hasattr(value, "shape")


def _is_array_of_many(value: Any) -> bool:
    return _is_array(value) and len(value.shape) > 0


def _describe(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return f"a {type(value).__name__} of {type(value[0]).__name__}" if value else f"an empty {type(value).__name__}"
    return type(value).__name__


__all__ = ["Messages", "is_batch", "part_of_dict", "to_chat", "to_message", "to_parts", "to_prompt", "turn_content"]
