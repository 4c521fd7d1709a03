"""The options of an answer, the one table of them: names, types and meanings. Signatures are made from it.

Defaults are nobody's here: what is not given comes from the checkpoint's generation_config.json, then from the engine.
"""

from __future__ import annotations

import difflib
import inspect
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar

from .errors import InvalidArgument, Unsupported


LogitsHook = Callable[[Any, Any], Any]


class AnswerOptions(TypedDict, total=False):
    """What may be asked of an answer. None is the same as not given."""

    max_tokens: int | None
    """The answer ends after this many tokens; not given: at a stop token or the end of the context."""
    min_tokens: int | None
    """No stop token is chosen before."""
    temperature: float | None
    """0: the likeliest token, always."""
    top_k: int | None
    """Of the k likeliest tokens; 0: of all."""
    top_p: float | None
    """Of the likeliest tokens that together have this probability; 1: of all."""
    min_p: float | None
    """Of the tokens at least this likely, relative to the likeliest; 0: of all."""
    repetition_penalty: float | None
    """1: none. Over prompt and answer."""
    presence_penalty: float | None
    """0: none. Over the answer."""
    frequency_penalty: float | None
    """0: none. Over the answer, times the count."""
    seed: int | None
    """Same seed, same answer. Not given: drawn at random, and told in Reply.seed."""
    stop: str | Sequence[str] | None
    """The answer ends before the first of these."""
    logprobs: int | None
    """0 to 20: log-probabilities of each token, and of this many of the likeliest."""
    prompt_logprobs: int | None
    """The same of each token of the prompt but the first."""
    logit_bias: Mapping[int, float] | None
    """Token id to what is added to its logit."""
    logits_hook: LogitsHook | None
    """Called per step with (ids int32 [t], logits float32 [vocab]): changes the logits in place, behind penalties and bias,
    in front of temperature. From the thread that waits for the answer. False ends the answer in front of this token; what it raises ends the request."""


LATER = ("schema", "grammar", "slice", "speculative")

F = TypeVar("F", bound=Callable[..., Any])


def with_options(function: F) -> F:
    """Writes the options out as keywords in the signature of a function that takes **options."""
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in AnswerOptions.__annotations__.items()
    ]
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return function


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, as the bindings take them. Raises TypeError for a name that is none."""
    known = AnswerOptions.__annotations__
    for name in options:
        if name in LATER:
            if options[name] is not None:
                raise Unsupported(f"{name}: this build cannot do it yet")
        elif name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.0)
            raise TypeError(f"unknown option {name!r}: did you mean {near[0]!r}? Options: {', '.join(known)}")
    given = {name: value for name, value in options.items() if value is not None and name in known}
    if "max_tokens" in given and isinstance(given["max_tokens"], int) and given["max_tokens"] < 1:
        raise InvalidArgument(f"max_tokens: expected at least 1, got {given['max_tokens']}")
    if "logits_hook" in given and not callable(given["logits_hook"]):
        raise TypeError(f"logits_hook: expected a function of (ids, logits), got {type(given['logits_hook']).__name__}")
    if isinstance(given.get("stop"), str):
        given["stop"] = [given["stop"]]
    elif "stop" in given:
        given["stop"] = list(given["stop"])
    if "logit_bias" in given:
        given["logit_bias"] = dict(given["logit_bias"])
    return given


def with_seed(options: dict[str, Any], row: int = 0) -> dict[str, Any]:
    """The options of one row of a batch: row i draws with seed + i."""
    seed = options.get("seed")
    if seed is None:
        return options | {"seed": secrets.randbits(63)}
    if not isinstance(seed, int):
        return options
    return options | {"seed": (seed + row) % 2**64 if seed >= 0 else seed}
