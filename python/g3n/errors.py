"""What g3n raises. Every class is a g3n.Error and of the built-in kind that fits; ``code`` is the library's name of it."""

from __future__ import annotations


class Error(Exception):
    """The base of all errors of g3n. The message says what was expected, what was found, and where."""

    code = "error"


class InvalidArgument(Error, ValueError):
    """What was asked makes no sense."""

    code = "invalid argument"


class NotFound(Error, FileNotFoundError):
    """A file, folder, tensor or model that is not there."""

    code = "not found"


class BadFile(Error, ValueError):
    """A file that is there but is not what it should be."""

    code = "bad file"


class Unsupported(Error, NotImplementedError):
    """Understood, but this build or this checkpoint cannot do it."""

    code = "unsupported"


class OutOfMemory(Error, MemoryError):
    """The machine has too little memory for the request."""

    code = "out of memory"


class ContextFull(Error, ValueError):
    """The prompt and its answer need more positions than the context has."""

    code = "context full"


class Cancelled(Error, RuntimeError):
    """The request was cancelled before its first token."""

    code = "cancelled"


class InternalError(Error, RuntimeError):
    """A fault of g3n itself: please report it."""

    code = "internal error"


class BusyError(Error, RuntimeError):
    """A session is answering another turn."""

    code = "busy"


class ClosedError(Error, RuntimeError):
    """The engine was closed, or the interpreter is ending."""

    code = "closed"


class ForkError(Error, RuntimeError):
    """An engine of the parent was used in a forked child."""

    code = "fork"
