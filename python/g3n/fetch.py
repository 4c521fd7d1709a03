"""Bytes behind a URL that a user gave: http, https, data, file. Nothing touches the disk; nothing else is ever asked for."""

from __future__ import annotations

import base64
import binascii
import os
import urllib.parse

from .errors import BadFile, InvalidArgument, NotFound

MOST_BYTES = 64 << 20
MOST_SECONDS = 20.0
MOST_REDIRECTS = 5
SCHEMES = ("http", "https", "data", "file")


def is_url(value: str) -> bool:
    """Whether the str is a URL of a kind that is read."""
    scheme, colon, _ = value.partition(":")
    return bool(colon) and scheme.lower() in SCHEMES


def read_url(url: str, kind: str) -> bytes:
    """What is there. kind: "image" or "audio", for messages."""
    scheme = url.partition(":")[0].lower()
    if scheme == "data":
        return _data(url, kind)
    if scheme == "file":
        return _file(url, kind)
    return _http(url, kind)


def is_offline() -> bool:
    """Whether the hub's switch forbids the network."""
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def _data(url: str, kind: str) -> bytes:
    head, comma, body = url[5:].partition(",")
    if not comma:
        raise InvalidArgument(f"{kind}: expected a data URL 'data:...;base64,...', got one without a comma")
    raw = urllib.parse.unquote_to_bytes(body)
    if not head.rstrip().lower().endswith(";base64"):
        return raw
    try:
        return base64.b64decode(b"".join(raw.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument(f"{kind}: the data URL's base64 is broken: {error}") from None


def _file(url: str, kind: str) -> bytes:
    parts = urllib.parse.urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise InvalidArgument(f"{kind}: expected a file URL of this machine (file:///path), got one of {parts.netloc!r}")
    path = urllib.parse.unquote(parts.path)
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise NotFound(f"{kind}: there is no file {path!r}") from None
    except OSError as error:
        raise InvalidArgument(f"{kind}: cannot read {path!r}: {error.strerror}") from None


def _http(url: str, kind: str) -> bytes:
    if is_offline():
        raise NotFound(f"{kind}: {url!r} is not fetched while HF_HUB_OFFLINE is set: pass a path or the bytes")
    import time
    import urllib.error
    import urllib.request

    class Redirects(urllib.request.HTTPRedirectHandler):
        max_redirections = MOST_REDIRECTS  # to http and https, and to ftp, which has no handler here

    opener = urllib.request.OpenerDirector()
    handlers = (
        urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler, urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor, Redirects,
    )  # fmt: skip
    for handler in handlers:
        opener.add_handler(handler())  # type: ignore[abstract, unused-ignore]
    end = time.monotonic() + MOST_SECONDS
    request = urllib.request.Request(url, headers={"User-Agent": "g3n"})
    chunks: list[bytes] = []
    size = 0
    try:
        with opener.open(request, timeout=MOST_SECONDS) as answer:
            while chunk := answer.read(1 << 16):
                size += len(chunk)
                if size > MOST_BYTES:
                    raise InvalidArgument(f"{kind}: {url!r} is larger than {MOST_BYTES >> 20} MiB")
                if time.monotonic() > end:
                    raise TimeoutError
                chunks.append(chunk)
    except urllib.error.HTTPError as error:
        kind_of = NotFound if error.code in (404, 410) else BadFile
        raise kind_of(f"{kind}: {url!r} answered {error.code} {error.reason}") from None
    except TimeoutError:
        raise BadFile(f"{kind}: {url!r} took longer than {MOST_SECONDS:.0f} s") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise BadFile(f"{kind}: {url!r} took longer than {MOST_SECONDS:.0f} s") from None
        raise NotFound(f"{kind}: cannot reach {url!r}: {error.reason}") from None
    except OSError as error:
        raise BadFile(f"{kind}: {url!r} broke off: {error}") from None
    return b"".join(chunks)
