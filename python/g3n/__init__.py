"""Google's Gemma 3n on ordinary computers.

    import g3n
    model = g3n.Engine("models/demo")
    print(model.chat().send("What is the capital of Norway?", temperature=0))
"""

from ._g3n import VERSION as __version__
from .answers import Piece, Reply, Stream, TokenLogprob
from .engine import Engine, Forward, Info, Prompt, Score, Session, Tokenizer
from .errors import (
    BadFile,
    BusyError,
    Cancelled,
    ClosedError,
    ContextFull,
    Error,
    ForkError,
    InternalError,
    InvalidArgument,
    NotFound,
    OutOfMemory,
    Unsupported,
)
from .media import Audio, Image, LogMel, PixelValues, SoftTokens
from .options import AnswerOptions

__all__ = [
    "AnswerOptions", "Audio", "BadFile", "BusyError", "Cancelled", "ClosedError", "ContextFull", "Engine", "Error", "ForkError",
    "Forward", "Image", "Info", "InternalError", "InvalidArgument", "LogMel", "NotFound", "OutOfMemory", "Piece", "PixelValues",
    "Prompt", "Reply", "Score", "Session", "SoftTokens", "Stream", "TokenLogprob", "Tokenizer", "Unsupported", "__version__",
]  # fmt: skip
