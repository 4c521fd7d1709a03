"""Pictures and sound in the forms that users have them, brought into those that the bindings take (bindings/convert.h).

Nothing is decoded, resized, mixed or resampled here: the library does that, and arrays of sound that need it go there as
a file of the same content would.
"""

from __future__ import annotations

import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InvalidArgument, NotFound
from .fetch import is_url, read_url

if TYPE_CHECKING:
    import numpy

Source = tuple[Any, ...]
RATE_HZ = 16000


@dataclass(frozen=True)
class Image:
    """A picture in a list of parts: a path, URL, bytes of a file, a PIL image or a uint8 array. size: pixels a side for the encoder, 32 to 4096."""

    data: Any
    size: int = 0


@dataclass(frozen=True)
class Audio:
    """Sound in a list of parts: a path, URL, bytes of a file, an array at 16 kHz, or (array, rate)."""

    data: Any


@dataclass(frozen=True)
class SoftTokens:
    """Embeddings in the place of a picture ("image") or of sound ("audio"): float32 [n, hidden]."""

    kind: str
    data: Any


@dataclass(frozen=True)
class PixelValues:
    """A picture as the encoder is fed it, in place of a picture: float32 [3, height, width] (transformers' pixel_values)."""

    data: Any


@dataclass(frozen=True)
class LogMel:
    """A clip as the encoder is fed it, in place of sound: float32 [frames, mels] and bool [frames] (transformers'
    input_features, input_features_mask)."""

    data: Any
    valid: Any


def to_part(part: Any, hidden: int) -> Any:
    """A str, Image, Audio or SoftTokens as the bindings take it."""
    if isinstance(part, str):
        return str(part)
    if isinstance(part, Image):
        return ("image", image_source(part.data, hidden), part.size)
    if isinstance(part, Audio):
        return ("audio", audio_source(part.data, hidden))
    if isinstance(part, PixelValues):
        return ("image", _pixel_values(part), 0)
    if isinstance(part, LogMel):
        return ("audio", _log_mel(part))
    if isinstance(part, SoftTokens):
        if part.kind not in ("image", "audio"):
            raise InvalidArgument(f"SoftTokens: expected the kind 'image' or 'audio', got {part.kind!r}")
        source = _soft(part, part.kind, hidden)
        return ("image", source, 0) if part.kind == "image" else ("audio", source)
    raise TypeError(f"a part: expected a str, g3n.Image, g3n.Audio or g3n.SoftTokens, got {type(part).__name__}")


def image_source(value: Any, hidden: int) -> Source:
    """A picture as a source of bindings/convert.h. Raises an error that says what to pass."""
    if isinstance(value, Image):
        return image_source(value.data, hidden)
    if isinstance(value, SoftTokens):
        return _soft(value, "image", hidden)
    if isinstance(value, PixelValues):
        return _pixel_values(value)
    if (source := _file(value, "image")) is not None:
        return source
    if _is_pil(value):
        return _pil_pixels(value)
    if not _is_array(value):
        raise TypeError(f"an image: expected a path, bytes, a PIL image or a uint8 array, got {type(value).__name__}")
    import numpy

    pixels = numpy.asarray(value)
    if pixels.dtype != numpy.uint8:
        raise InvalidArgument(f"an image: expected a uint8 array (0 to 255), got {pixels.dtype}")
    if pixels.ndim == 3 and pixels.shape[0] == 3 and pixels.shape[2] not in (1, 3, 4):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or 0 in pixels.shape:
        raise InvalidArgument(f"an image: expected an array [h, w], [h, w, 1, 3 or 4] or [3, h, w], got {list(pixels.shape)}")
    if pixels.shape[2] == 1:
        pixels = pixels.repeat(3, axis=2)
    height, width = pixels.shape[:2]
    return ("pixels", width, height, numpy.ascontiguousarray(pixels[:, :, :3]).tobytes())


def audio_source(value: Any, hidden: int) -> Source:
    """Sound as a source of bindings/convert.h. Raises an error that says what to pass."""
    if isinstance(value, Audio):
        return audio_source(value.data, hidden)
    if isinstance(value, SoftTokens):
        return _soft(value, "audio", hidden)
    if isinstance(value, LogMel):
        return _log_mel(value)
    if (source := _file(value, "audio")) is not None:
        return source
    rate: Any = RATE_HZ
    if isinstance(value, dict) and "array" in value:
        value, rate = value["array"], value.get("sampling_rate", RATE_HZ)
    elif isinstance(value, tuple) and len(value) == 2 and _is_array(value[0]):
        value, rate = value
    if not _is_array(value):
        raise TypeError(
            f"audio: expected a path, bytes, an array at 16 kHz, (array, rate) or {{'array': ..., 'sampling_rate': ...}}, "
            f"got {type(value).__name__}"
        )
    import numpy

    samples = numpy.asarray(value)
    if samples.dtype not in (numpy.float32, numpy.float64, numpy.int16):
        raise InvalidArgument(f"audio: expected float32, float64 or int16 samples, got {samples.dtype}")
    if samples.ndim not in (1, 2) or samples.size == 0:
        raise InvalidArgument(f"audio: expected an array [n] or [n, channels] that is not empty, got {list(samples.shape)}")
    if samples.dtype != numpy.int16 and not numpy.isfinite(samples).all():
        raise InvalidArgument("audio: expected finite samples, got NaN or infinity among them")
    if int(rate) != rate or rate < 1:
        raise InvalidArgument(f"audio: expected a whole number of samples a second, got {rate}")
    channels = samples.shape[1] if samples.ndim == 2 else 1
    if channels > 64:
        raise InvalidArgument(f"audio: expected an array [n] or [n, channels] of at most 64 channels, got {list(samples.shape)}")
    if rate == RATE_HZ and channels == 1 and samples.dtype != numpy.int16:
        return ("samples", samples.reshape(-1).astype(numpy.float32).tobytes())
    return ("bytes", _wav(samples, channels, int(rate)), "the array of samples")


def _wav(samples: numpy.ndarray[Any, Any], channels: int, rate: int) -> bytes:
    """The samples as the file of the same content."""
    is_integer = samples.dtype.kind == "i"
    data = samples.astype("<i2" if is_integer else "<f4").tobytes()
    width = 2 if is_integer else 4
    form = struct.pack("<HHIIHH", 1 if is_integer else 3, channels, rate, rate * channels * width, channels * width, width * 8)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def _file(value: Any, kind: str) -> Source | None:
    """A path or the bytes of a file; None if the value is neither."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return ("bytes", bytes(value), f"the {kind}'s bytes")
    if isinstance(value, str) and is_url(value):
        return ("bytes", read_url(value, kind), value if len(value) <= 80 else value[:79] + "\u2026")
    if not isinstance(value, (str, os.PathLike)):
        return None
    path = Path(value)
    try:
        return ("bytes", path.read_bytes(), str(path))
    except FileNotFoundError:
        raise NotFound(f"{kind}: there is no file {str(path)!r} (looked from {os.getcwd()})") from None
    except OSError as error:
        raise InvalidArgument(f"{kind}: cannot read {str(path)!r}: {error.strerror}") from None


def _is_pil(value: Any) -> bool:
    pil = sys.modules.get("PIL.Image")  # whoever has such an image has imported it
    return pil is not None and isinstance(value, pil.Image)


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") or hasattr(value, "__array_interface__")


def _pil_pixels(picture: Any) -> Source:
    from PIL import Image as pil
    from PIL import ImageOps

    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = pil.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = pil.alpha_composite(white, picture)
    if picture.mode[0] in "IF":
        raise InvalidArgument(f"an image: expected 8 bits a channel, got a PIL image of mode {picture.mode}: convert it to 'L' or 'RGB'")
    picture = picture.convert("RGB")
    return ("pixels", picture.width, picture.height, picture.tobytes())


def _soft(tokens: SoftTokens, kind: str, hidden: int) -> Source:
    import numpy

    if tokens.kind != kind:
        raise InvalidArgument(f"SoftTokens of kind {tokens.kind!r} stand in the place of {kind}")
    data = numpy.asarray(tokens.data)
    if data.ndim != 2 or data.shape[0] == 0 or data.shape[1] != hidden or data.dtype != numpy.float32:
        raise InvalidArgument(f"SoftTokens: expected float32 [n, {hidden}], got {data.dtype} {list(data.shape)}")
    return ("soft", data.shape[0], data.tobytes())


def _pixel_values(values: PixelValues) -> Source:
    import numpy

    data = numpy.asarray(values.data)
    if data.ndim != 3 or data.shape[0] != 3 or data.dtype != numpy.float32:
        raise InvalidArgument(f"PixelValues: expected float32 [3, height, width], got {data.dtype} {list(data.shape)}")
    return ("pixel_values", data.shape[2], data.shape[1], data.tobytes())


def _log_mel(frames: LogMel) -> Source:
    import numpy

    data, valid = numpy.asarray(frames.data), numpy.asarray(frames.valid)
    if data.ndim != 2 or data.dtype != numpy.float32:
        raise InvalidArgument(f"LogMel: expected float32 [frames, mels], got {data.dtype} {list(data.shape)}")
    if valid.shape != data.shape[:1]:
        raise InvalidArgument(f"LogMel: expected a mask [{data.shape[0]}], got {list(valid.shape)}")
    return ("log_mel", data.shape[0], data.shape[1], data.tobytes(), (valid != 0).astype(numpy.uint8).tobytes())
