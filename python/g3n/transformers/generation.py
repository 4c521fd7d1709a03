"""What generate can be asked: each argument's verdict, and the few rules of choice that exist for this surface alone."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import InvalidArgument, Unsupported
from .tensors import has_torch, to_numpy, to_torch, warn_once

# ---- verdicts -------------------------------------------------------------------------------------------------------

YES = {
    "max_new_tokens", "min_new_tokens", "max_length", "min_length", "max_time", "do_sample", "temperature", "top_k", "top_p", "min_p",
    "repetition_penalty", "seed", "num_return_sequences", "eos_token_id", "pad_token_id", "bos_token_id", "stop_strings", "tokenizer",
    "bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "sequence_bias", "forced_eos_token_id", "no_repeat_ngram_size",
    "return_dict_in_generate", "output_scores", "output_logits", "generation_config", "logits_processor", "prefix_allowed_tokens_fn",
    "stopping_criteria", "streamer",
}  # fmt: skip
# Ignored with a warning: they cannot change a result.
WARN = {
    name: "it changes no result here: g3n keeps its own cache"
    for name in (
        "use_cache", "cache_implementation", "cache_config", "max_cache_len", "prefill_chunk_size", "continuous_batching_config",
        "synced_gpus", "disable_compile", "compile_config", "renormalize_logits", "remove_invalid_values", "low_memory",
        "return_legacy_cache", "is_assistant", "num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold",
        "max_matching_ngram_size", "assistant_lookbehind", "target_lookbehind", "transformers_version", "decoder_start_token_id",
    )
}  # fmt: skip
SILENT = {"use_cache": (True,), "cache_implementation": (None, "hybrid", "dynamic"), "transformers_version": None}
BEAMS = "g3n samples: n best by num_return_sequences and Engine.score"
DRAFTS = "g3n does not draft with another model"
# Refused at any value but these.
NO: dict[str, tuple[tuple[Any, ...], str]] = {
    "num_beams": ((1, None), BEAMS), "num_beam_groups": ((1, None), BEAMS), "diversity_penalty": ((0, 0.0, None), BEAMS),
    "length_penalty": ((1, 1.0, None), BEAMS), "early_stopping": ((False, None), BEAMS), "penalty_alpha": ((0, 0.0, None), BEAMS),
    "constraints": ((None,), BEAMS), "force_words_ids": ((None,), BEAMS), "guidance_scale": ((1, 1.0, None), "no guidance"),
    "negative_prompt_ids": ((None,), "no guidance"), "negative_prompt_attention_mask": ((None,), "no guidance"),
    "watermarking_config": ((None,), "no watermarks"), "dola_layers": ((None,), "one model, one head"),
    "token_healing": ((False, None), "prompts are taken as they are"),
    "typical_p": ((1, 1.0, None), "use top_p or min_p"), "top_h": ((None,), "use top_p or min_p"),
    "epsilon_cutoff": ((0, 0.0, None), "use min_p"), "eta_cutoff": ((0, 0.0, None), "use min_p"),
    "exponential_decay_length_penalty": ((None,), "use stopping_criteria"),
    "encoder_repetition_penalty": ((1, 1.0, None), "there is no encoder"),
    "encoder_no_repeat_ngram_size": ((0, None), "there is no encoder"), "forced_bos_token_id": ((None,), "there is no decoder start"),
    "assistant_model": ((None,), DRAFTS), "assistant_tokenizer": ((None,), DRAFTS), "prompt_lookup_num_tokens": ((None,), DRAFTS),
    "assistant_early_exit": ((None,), DRAFTS), "assistant_ensemble_weight": ((None,), DRAFTS), "speculation_type": ((None,), DRAFTS),
    "use_mtp": ((None, False), DRAFTS),
    "past_key_values": ((None,), "keep a g3n Session: Engine.chat()"), "cache": ((None,), "keep a g3n Session: Engine.chat()"),
    "inputs_embeds": ((None,), "use g3n.SoftTokens"), "output_attentions": ((False, None), "use Engine.forward(taps=...)"),
    "output_hidden_states": ((False, None), "use Engine.forward(taps=...)"), "custom_generate": ((None,), "no code is loaded"),
    "trust_remote_code": ((False, None), "no code is loaded"),
}  # fmt: skip


def check_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that are honoured. Warns of those that are ignored; raises Unsupported for what cannot be done, ValueError
    for names that are none."""
    unknown = [name for name in given if name not in YES and name not in WARN and name not in NO]
    if unknown:
        raise ValueError(f"The following `model_kwargs` are not used by the model: {unknown}")
    out = {}
    for name, value in given.items():
        if name in NO:
            neutral, hint = NO[name]
            if not any(value is one or (type(value) in (int, float, bool) and value == one) for one in neutral):
                raise Unsupported(f"generate: {name}={value!r} is not supported: {hint}")
        elif name in WARN:
            silent = SILENT.get(name, (None, False))
            if silent is not None and value is not None and value not in silent:
                warn_once(name, f"generate: {name} is ignored: {WARN[name]}")
        elif value is not None:
            out[name] = value
    return out


class GenerationConfig:
    """Arguments of generate under one name. Those of a call win over it."""

    def __init__(self, **arguments: Any) -> None:
        self.__dict__.update(arguments)

    @classmethod
    def from_pretrained(cls, path: Any, **arguments: Any) -> GenerationConfig:
        """The generation_config.json of a folder."""
        import json
        import os

        with open(os.path.join(path, "generation_config.json"), encoding="utf-8") as file:
            return cls(**{**json.load(file), **arguments})

    def to_dict(self) -> dict[str, Any]:
        """The arguments that are set."""
        return dict(self.__dict__)

    def update(self, **arguments: Any) -> dict[str, Any]:
        """Sets arguments; gives those that are none."""
        self.__dict__.update(arguments)
        return {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None  # not set

    def __repr__(self) -> str:
        return f"GenerationConfig({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


def arguments_of(config: Any) -> dict[str, Any]:
    """What a generation config of ours or of transformers asks for: what differs from transformers' own defaults."""
    if config is None:
        return {}
    if isinstance(config, GenerationConfig):
        return config.to_dict()
    values = config.to_diff_dict() if hasattr(config, "to_diff_dict") else config.to_dict() if hasattr(config, "to_dict") else None
    if values is None:
        raise TypeError(f"generation_config: expected a GenerationConfig, got {type(config).__name__}")
    return {name: value for name, value in values.items() if value is not None and not name.startswith("_")}


# ---- criteria and processors ----------------------------------------------------------------------------------------


class StoppingCriteria:
    """Called after each token with (input_ids [1, t], scores): whether the answer ends."""

    def __call__(self, input_ids: Any, scores: Any, **options: Any) -> Any:
        raise NotImplementedError


class StoppingCriteriaList(list):  # type: ignore[type-arg]
    """Several: one suffices."""

    def __call__(self, input_ids: Any, scores: Any, **options: Any) -> Any:
        return any(truth(criterion(input_ids, scores, **options)) for criterion in self)


class LogitsProcessor:
    """Called per step with (input_ids [1, t], scores [1, vocab]): gives the scores."""

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        raise NotImplementedError


class LogitsProcessorList(list):  # type: ignore[type-arg]
    """Several, one after the other."""

    def __call__(self, input_ids: Any, scores: Any, **options: Any) -> Any:
        for processor in self:
            scores = processor(input_ids, scores)
        return scores


def truth(value: Any) -> bool:
    return bool(to_numpy(value).any()) if hasattr(value, "shape") else bool(value)


Rule = Callable[[Any, Any], None]  # (ids [t], scores [vocab]), which it changes


def rules_of(arguments: Mapping[str, Any], prompt_tokens: int, most: int, stop_ids: Sequence[int]) -> list[Rule]:
    """The rules of choice that the engine has no option for, in transformers' order."""
    rules: list[Rule] = []
    if bias := arguments.get("sequence_bias"):
        pairs = bias.items() if isinstance(bias, Mapping) else [(tuple(ids), value) for ids, value in bias]
        rules += [bias_of(tuple(ids), float(value)) for ids, value in pairs]
    if size := arguments.get("no_repeat_ngram_size"):
        rules.append(no_repeat(int(size)))
    for words in arguments.get("bad_words_ids") or ():
        if list(words) not in [[id] for id in stop_ids]:
            rules.append(bias_of(tuple(words), -float("inf")))
    if (allowed := arguments.get("prefix_allowed_tokens_fn")) is not None:
        rules.append(only_allowed(allowed))
    if (forced := arguments.get("forced_eos_token_id")) is not None:
        rules.append(forced_at(prompt_tokens + most - 1, [forced] if isinstance(forced, int) else list(forced)))
    if first := arguments.get("begin_suppress_tokens"):
        rules.append(suppress_at(prompt_tokens, list(first)))
    for processor in arguments.get("logits_processor") or ():
        rules.append(by_processor(processor))
    return rules


def bias_of(words: tuple[int, ...], value: float) -> Rule:
    if not words or not all(isinstance(id, int) and id >= 0 for id in words):
        raise ValueError(f"bad_words_ids, sequence_bias: expected lists of token ids, got {words!r}")

    def rule(ids: Any, scores: Any) -> None:
        before = len(words) - 1
        if before == 0 or (len(ids) >= before and tuple(ids[-before:]) == words[:-1]):
            scores[words[-1]] += value

    return rule


def no_repeat(size: int) -> Rule:
    def rule(ids: Any, scores: Any) -> None:
        row = ids.tolist()
        last = row[len(row) - size + 1 :] if size > 1 else []
        for at in range(len(row) - size + 1):
            if row[at : at + size - 1] == last:
                scores[row[at + size - 1]] = -float("inf")

    return rule


def only_allowed(allowed: Callable[[int, Any], Iterable[int]]) -> Rule:
    def rule(ids: Any, scores: Any) -> None:
        import numpy

        keep = numpy.asarray(list(allowed(0, to_torch(ids.astype(numpy.int64)) if has_torch() else ids)), numpy.int64)
        if keep.size == 0:
            raise ValueError("prefix_allowed_tokens_fn allows no token: expected at least one")
        kept = scores[keep].copy()
        scores[:] = -numpy.inf
        scores[keep] = kept

    return rule


def forced_at(tokens: int, only: list[int]) -> Rule:
    def rule(ids: Any, scores: Any) -> None:
        if len(ids) == tokens:
            scores[:] = -float("inf")
            scores[only] = 0

    return rule


def suppress_at(tokens: int, banned: list[int]) -> Rule:
    def rule(ids: Any, scores: Any) -> None:
        if len(ids) == tokens:
            scores[banned] = -float("inf")

    return rule


def by_processor(processor: Any) -> Rule:
    """A processor of logits, ours or transformers'."""

    def rule(ids: Any, scores: Any) -> None:
        import numpy

        rows, values = ids.astype(numpy.int64)[None], scores[None]
        if has_torch():
            rows, values = to_torch(rows), to_torch(values)
        scores[:] = to_numpy(processor(rows, values)).reshape(-1)

    return rule


def warped(scores: Any, arguments: Mapping[str, Any]) -> Any:
    """What temperature, top-k, top-p and min-p leave of a row: what transformers reports as scores. The choice is the engine's."""
    import numpy

    row = scores.astype(numpy.float32)
    if not arguments.get("temperature"):
        return row
    row = row / numpy.float32(arguments["temperature"])
    order = numpy.argsort(-row, kind="stable")
    keep = len(row) if not arguments.get("top_k") else min(int(arguments["top_k"]), len(row))
    weights = numpy.exp(row[order].astype(numpy.float64) - row[order[0]])
    weights[keep:] = 0
    if (top_p := arguments.get("top_p", 1.0)) < 1:
        weights /= weights.sum()
        keep = min(keep, int(numpy.searchsorted(numpy.cumsum(weights), top_p)) + 1)
    if min_p := arguments.get("min_p"):
        keep = max(1, min(keep, int((weights >= min_p * weights[0]).sum())))
    row[order[keep:]] = -numpy.inf
    return row


# ---- randomness -----------------------------------------------------------------------------------------------------

_series: random.Random | None = None


def set_seed(seed: int) -> None:
    """Draws from here on are a series of their own, which the next set_seed(seed) repeats."""
    global _series
    _series = random.Random(seed)


def next_seed() -> int | None:
    """The seed of the next draw; None: the engine draws one."""
    import sys

    if _series is not None:
        return _series.getrandbits(63)
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.randint(0, 2**63 - 1, (1,)).item())
    return None


@dataclasses.dataclass
class Stop(Exception):
    """A stopping criterion ended the answer."""


def check_number(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < least:
        raise InvalidArgument(f"{name}: expected an integer of at least {least}, got {value!r}")
    return int(value)
