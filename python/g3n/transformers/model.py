"""Gemma3nForConditionalGeneration: generate and forward as transformers has them, over an Engine."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from .. import _g3n
from ..answers import WAKE_SECONDS, run_hook, wait
from ..engine import MOST_BYTES, Engine, pass_warnings_on
from ..errors import Cancelled, Unsupported
from ..options import with_seed
from .generation import GenerationConfig, Rule, arguments_of, check_arguments, check_number, next_seed, rules_of, truth, warped
from .processor import Processor, as_lists
from .tensors import CausalLMOutput, GenerateDecoderOnlyOutput, check_device, has_torch, is_tensor, like, to_numpy, to_torch, warn_once

WARNED = ("attn_implementation", "low_cpu_mem_usage", "max_memory", "use_safetensors", "weights_only", "disable_mmap", "trust_remote_code",
          "use_fast", "token", "local_files_only", "offload_folder", "experts_implementation")  # fmt: skip
SILENT_WARNED = ("token", "local_files_only")
REFUSED = ("config", "ignore_mismatched_sizes", "fusion_config", "adapter_kwargs", "state_dict", "from_tf", "from_flax", "force_download",
           "gguf_file", "tp_plan", "device_mesh")  # fmt: skip
ENGINE = ("quantize", "kv_cache", "threads", "context", "chunk", "image_size", "release_encoders", "kv_ram", "cache_ram", "progress")
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "pixel_values", "input_features", "input_features_mask")
DEFAULT_NEW_TOKENS = 20


def engine_options(options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The options of an Engine of what from_pretrained takes."""
    out = {name: options[name] for name in ENGINE if options.get(name) is not None}
    for name in ("revision", "cache_dir"):
        if options.get(name) is not None:
            out[name] = options[name]
    check_device(options.get("device_map"))
    check_device(options.get("device"))
    dtype = options.get("dtype") if options.get("dtype") is not None else options.get("torch_dtype")
    out.update(dtype_options(dtype))
    if (quantization := options.get("quantization_config")) is not None:
        out["quantize"] = quantize_of(quantization)
    for name, value in options.items():
        if name in REFUSED and value not in (None, False):
            raise Unsupported(f"{where}: {name} is not supported")
        if name in WARNED and name not in SILENT_WARNED and value is not None:
            warn_once(f"{where}.{name}", f"{where}: {name} is ignored")
        known = (*ENGINE, *WARNED, *REFUSED, "revision", "cache_dir", "device_map", "device", "dtype", "torch_dtype", "quantization_config")
        if name not in known:
            raise TypeError(f"{where}: unknown argument {name!r}")
    return out


def dtype_options(dtype: Any) -> dict[str, Any]:
    if dtype is None or dtype == "auto":
        return {}
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", None) or str(dtype)
    name = name.rpartition(".")[2]
    if name in ("q4", "q8"):
        return {"quantize": name}
    if name in ("float16", "half", "f16"):
        warn_once("float16", "dtype float16: Gemma 3n overflows it; activations are computed in bfloat16")
        name = "bf16"
    return {"dtype": name}


def quantize_of(config: Any) -> str:
    values = config if isinstance(config, Mapping) else config.to_dict() if hasattr(config, "to_dict") else vars(config)
    for flag, name in (("load_in_8bit", "q8"), ("load_in_4bit", "q4")):
        if values.get(flag):
            warn_once("quantization_config", f"quantization_config: g3n packs to its own {name}")
            return name
    raise Unsupported("quantization_config: expected load_in_8bit or load_in_4bit; or pass quantize='q8' or 'q4'")


class Gemma3nForConditionalGeneration:
    """A model with transformers' generate. Not an nn.Module: it runs on the engine, and torch is not needed."""

    main_input_name = "input_ids"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._core = engine._core
        self._processor = Processor(engine)
        self.name_or_path = engine.info.path
        self.generation_config = GenerationConfig(**self._file("generation_config.json"))
        tokenizer = self._processor.tokenizer
        text = SimpleNamespace(vocab_size=engine.info.vocab, hidden_size=engine.info.hidden, max_position_embeddings=engine.info.context)
        self.config = SimpleNamespace(
            model_type="gemma3n", text_config=text, vocab_size=engine.info.vocab, hidden_size=engine.info.hidden,
            image_token_id=tokenizer.image_token_id, audio_token_id=tokenizer.audio_token_id, name_or_path=self.name_or_path,
            get_text_config=lambda *_, **__: text, is_encoder_decoder=False,
        )  # fmt: skip

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, **options: Any) -> Gemma3nForConditionalGeneration:
        """Loads a model: a folder, .g3n or .gguf file, or an id in the hub's cache. dtype: how activations are computed; options
        of g3n.Engine, too."""
        if isinstance(pretrained_model_name_or_path, Engine):
            return cls(pretrained_model_name_or_path)
        return cls(Engine(pretrained_model_name_or_path, **engine_options(options, "from_pretrained")))

    # ---- what modules have ----

    def eval(self) -> Gemma3nForConditionalGeneration:
        """Itself: there is no other mode."""
        return self

    def to(self, *args: Any, **options: Any) -> Gemma3nForConditionalGeneration:
        """Itself; another device or dtype than it has is a warning."""
        for value in (*args, *options.values()):
            if isinstance(value, (str, int)) or type(value).__name__ == "device":
                check_device(value)
            elif value is not None and not isinstance(value, bool):
                warn_once("to.dtype", f"to({value!r}): the dtype is chosen when a model is loaded: from_pretrained(dtype=...)")
        return self

    def cpu(self) -> Gemma3nForConditionalGeneration:
        """Itself."""
        return self

    def cuda(self, device: Any = None) -> Gemma3nForConditionalGeneration:
        """Itself, with a warning."""
        return self.to("cuda")

    def float(self) -> Gemma3nForConditionalGeneration:
        """Itself."""
        return self if self.engine.info.dtype == "f32" else self.to(dtype="float32-after-loading")

    def half(self) -> Gemma3nForConditionalGeneration:
        """Itself, with a warning."""
        warn_once("half", "half(): the dtype is chosen when a model is loaded: from_pretrained(dtype=...)")
        return self

    def bfloat16(self) -> Gemma3nForConditionalGeneration:
        """Itself, with a warning unless it was loaded so."""
        if self.engine.info.dtype != "bf16":
            warn_once("bfloat16", "bfloat16(): the dtype is chosen when a model is loaded: from_pretrained(dtype='bfloat16')")
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Gemma3nForConditionalGeneration:
        """Itself: nothing is trained."""
        return self

    def train(self, mode: bool = True) -> Gemma3nForConditionalGeneration:
        if not mode:
            return self
        raise Unsupported("train: g3n runs models, it does not train them")

    def parameters(self, recurse: bool = True) -> NoReturn:
        raise Unsupported("parameters: weights are packed for the engine's kernels: read them from the checkpoint's files")

    def state_dict(self) -> NoReturn:
        raise Unsupported("state_dict: weights are packed for the engine's kernels: read them from the checkpoint's files")

    def save_pretrained(self, *args: Any, **options: Any) -> NoReturn:
        raise Unsupported("save_pretrained: copy the model's folder, or pack it with `g3n convert`")

    @property
    def device(self) -> Any:
        """The CPU; torch's if torch is there."""
        if has_torch():
            import torch  # type: ignore[import-not-found,unused-ignore]

            return torch.device("cpu")
        return "cpu"

    @property
    def dtype(self) -> Any:
        """How activations are computed."""
        name = "bfloat16" if self.engine.info.dtype == "bf16" else "float32"
        if has_torch():
            import torch

            return getattr(torch, name)
        return name

    def __repr__(self) -> str:
        return f"<Gemma3nForConditionalGeneration {self.engine!r}>"

    # ---- generate ----

    def generate(self, inputs: Any = None, generation_config: Any = None, **arguments: Any) -> Any:
        """Prompt and continuation, [rows * num_return_sequences, tokens], as the kind of array that came in.

        Takes what a processor gives. Which arguments are honoured, ignored or refused: docs/python.md.
        """
        pass_warnings_on()
        if inputs is not None:
            if arguments.get("input_ids") is not None:
                raise ValueError("generate: ids given twice, as inputs and as input_ids")
            arguments["input_ids"] = inputs
        given = {name: arguments.pop(name, None) for name in INPUTS}
        from_config = check_arguments(arguments_of(self.generation_config)) if generation_config is None else {}
        chosen = check_arguments(arguments_of(generation_config))
        request = {**from_config, **chosen, **check_arguments(arguments)}
        own = {**chosen, **{name: value for name, value in arguments.items() if value is not None}}
        if given["input_ids"] is None:
            if any(given[name] is not None for name in INPUTS):
                raise ValueError("generate: expected input_ids beside the media, got none")
            given["input_ids"] = [[request.get("bos_token_id") or self._processor.tokenizer.bos_token_id]]
        return Generation(self, given, request, own).run()

    def __call__(self, *args: Any, **options: Any) -> CausalLMOutput:
        return self.forward(*args, **options)

    def forward(
        self, input_ids: Any = None, *, attention_mask: Any = None, token_type_ids: Any = None, pixel_values: Any = None,
        input_features: Any = None, input_features_mask: Any = None, labels: Any = None, logits_to_keep: Any = 0,
        return_dict: bool = True, **options: Any,
    ) -> CausalLMOutput:  # fmt: skip
        """logits float32 [rows, tokens or kept, vocab]; loss, if labels are given: the mean over those that are not -100."""
        check_forward(options)
        import numpy

        given = {
            "input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids, "pixel_values": pixel_values,
            "input_features": input_features, "input_features_mask": input_features_mask,
        }  # fmt: skip
        rows = self.rows_of(given)
        ids = numpy.asarray(as_lists(input_ids))
        kept = kept_positions(logits_to_keep, ids.shape[1])
        size = len(rows) * len(kept) * self.engine.info.vocab * 4
        if size > MOST_BYTES:
            raise ValueError(f"forward: the logits take {size} bytes, expected at most {MOST_BYTES}: use logits_to_keep or engine.score")
        logits = numpy.zeros((len(rows), len(kept), self.engine.info.vocab), numpy.float32)
        for row, one in enumerate(rows):
            place = {column: at for at, column in enumerate(one.columns)}
            wanted = [(at, place[column]) for at, column in enumerate(kept) if column in place]
            if wanted:
                values = wait(self._core.logits(wait(self._core.prepare(one.form)), [position for _, position in wanted]))
                logits[row, [at for at, _ in wanted]] = values
        loss = None if labels is None else self._loss(rows, to_numpy(labels))
        if is_tensor(input_ids):
            logits, loss = to_torch(logits), None if loss is None else to_torch(numpy.asarray(loss, numpy.float32))
        return CausalLMOutput(loss=loss, logits=logits, past_key_values=None)

    def _loss(self, rows: list[Row], labels: Any) -> Any:
        """-log p of each label from the row in front of it, the mean of all."""
        import numpy

        total, count = 0.0, 0
        for row, one in enumerate(rows):
            wanted = [(at, int(labels[row, column])) for at, column in enumerate(one.columns) if at > 0 and labels[row, column] != -100]
            if not wanted:
                continue
            call = self._core.submit(one.form, {"max_tokens": 0, "prompt_logprobs": 0, "seed": 0})
            scored = wait(call)["prompt_logprobs"]
            others = [(at, label) for at, label in wanted if label != one.ids[at]]
            total -= sum(scored[at - 1][1] for at, label in wanted if label == one.ids[at])
            if others:
                prompt = wait(self._core.prepare(one.form))
                for at, label in others:
                    values = wait(self._core.logits(prompt, [at - 1]))[0].astype(numpy.float64)
                    top = values.max()
                    total -= values[label] - top - numpy.log(numpy.exp(values - top).sum())
            count += len(wanted)
        return total / count if count else float("nan")

    # ---- inside ----

    def _file(self, name: str) -> dict[str, Any]:
        file = Path(self.name_or_path) / name
        if not file.is_file():
            return {"eos_token_id": self._core.stop_ids(), **self._core.default_sampling()}
        return dict(json.loads(file.read_text("utf-8")))

    def rows_of(self, given: Mapping[str, Any]) -> list[Row]:
        """The rows of a batch without their padding, each with its media."""
        ids = as_lists(given["input_ids"])
        mask = given["attention_mask"]
        masks = [[1] * len(row) for row in ids] if mask is None else to_numpy(mask).reshape(len(ids), -1).tolist()
        pictures = [] if given["pixel_values"] is None else list(to_numpy(given["pixel_values"]))
        clips = [] if given["input_features"] is None else list(to_numpy(given["input_features"]))
        valid = given["input_features_mask"]
        valids = list(to_numpy(valid)) if valid is not None else [None] * len(clips)
        tokenizer, processor = self._processor.tokenizer, self._processor
        rows = []
        for number, (row, keep) in enumerate(zip(ids, masks)):
            if len(row) != len(keep):
                raise ValueError(f"attention_mask: row {number} has {len(keep)} entries, input_ids has {len(row)}")
            columns = [at for at, kept in enumerate(keep) if kept]
            rows.append(Row([row[at] for at in columns], columns))
        self._share("image", tokenizer.image_token_id, processor.image_seq_length, rows, [picture_part(one) for one in pictures])
        self._share("audio", tokenizer.audio_token_id, processor.audio_seq_length, rows, [clip_part(*one) for one in zip(clips, valids)])
        return rows

    def _share(self, kind: str, id: int, block: int, rows: list[Row], media: list[Any]) -> None:
        found = sum(row.ids.count(id) for row in rows)
        if found != len(media) * block:
            raise ValueError(
                f"the ids hold {found} {kind} soft tokens, but {len(media)} {kind} inputs of {block} came with them "
                f"({len(media) * block} soft tokens)"
            )
        next_one = iter(media)
        for row in rows:
            row.media += [next(next_one) for _ in range(row.ids.count(id) // block)]


class Row:
    """One prompt of a batch: its ids without padding, the columns they stand in, and its media."""

    def __init__(self, ids: list[int], columns: list[int]) -> None:
        if not ids:
            raise ValueError("generate: a row has no token that its attention_mask keeps")
        self.ids = ids
        self.columns = columns
        self.media: list[Any] = []

    @property
    def form(self) -> Any:
        return ("ids", self.ids, self.media)


def picture_part(values: Any) -> Any:
    import numpy

    from ..media import PixelValues, to_part

    return to_part(PixelValues(values.astype(numpy.float32)), 0)


def clip_part(values: Any, valid: Any) -> Any:
    import numpy

    from ..media import LogMel, to_part

    return to_part(LogMel(values.astype(numpy.float32), numpy.ones(len(values), bool) if valid is None else valid), 0)


def kept_positions(logits_to_keep: Any, tokens: int) -> list[int]:
    if hasattr(logits_to_keep, "__index__") and getattr(logits_to_keep, "ndim", 0) == 0:
        last = int(logits_to_keep)
        return list(range(tokens))[-last:] if last else list(range(tokens))
    return [int(at) % tokens for at in to_numpy(logits_to_keep)]


def check_forward(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if name in ("use_cache", "return_dict", "cache_position", "position_ids"):
            continue
        if name in ("past_key_values", "inputs_embeds", "output_attentions", "output_hidden_states"):
            if value not in (None, False):
                raise Unsupported(f"forward: {name} is not supported: Engine.forward(taps=...) gives intermediate values")
            continue
        raise TypeError(f"forward: unknown argument {name!r}")


class Generation:
    """One call of generate."""

    def __init__(self, model: Gemma3nForConditionalGeneration, given: Mapping[str, Any], request: dict[str, Any], own: Mapping[str, Any]) -> None:
        self.model = model
        self.example = given["input_ids"]
        self.request = request
        self.own = own
        self.prompt_rows = as_lists(given["input_ids"])
        self.rows = model.rows_of(given)
        self.count = check_number("num_return_sequences", request.get("num_return_sequences", 1), 1)
        self.is_sampled = self._samples()
        if self.count > 1 and not self.is_sampled:
            raise ValueError("num_return_sequences: greedy answers are all alike: expected 1 with do_sample=False")
        self.width = max(len(row) for row in self.prompt_rows)
        self.most = self._most_tokens()
        self.streamer = request.get("streamer")
        if self.streamer is not None and len(self.rows) * self.count > 1:
            raise ValueError("`streamer` cannot be used with more than one sequence")
        self.wants_scores = bool(request.get("output_scores")) and bool(request.get("return_dict_in_generate"))
        self.wants_logits = bool(request.get("output_logits")) and bool(request.get("return_dict_in_generate"))
        self._check_size()
        self.options = self._options()
        self.stop_ids: list[int] = self.options.get("stop_ids") or model._core.stop_ids()

    def _samples(self) -> bool:
        if (own := self.own.get("do_sample")) is not None:
            return bool(own) and self.own.get("temperature") != 0
        if self.own.get("temperature") == 0:
            return False
        return bool(self.request.get("do_sample", False))

    def _most_tokens(self) -> int:
        request, own = self.request, self.own
        if "max_new_tokens" in request:
            return check_number("max_new_tokens", request["max_new_tokens"], 1)
        if "max_length" in request:
            most = check_number("max_length", request["max_length"], 1) - self.width
            if most < 1:
                raise ValueError(f"max_length: expected more than the {self.width} tokens of the prompt, got {request['max_length']}")
            return most
        if "max_time" not in own and not own.get("stopping_criteria"):
            warn_once("max_new_tokens", f"generate: without max_new_tokens or max_length an answer has {DEFAULT_NEW_TOKENS} tokens")
            return DEFAULT_NEW_TOKENS
        return self.model.engine.info.context

    def _check_size(self) -> None:
        kinds = int(self.wants_scores) + int(self.wants_logits)
        size = kinds * self.most * len(self.rows) * self.count * self.model.engine.info.vocab * 4
        if size > MOST_BYTES:
            raise ValueError(f"output_scores, output_logits: {size} bytes, expected at most {MOST_BYTES}: fewer new tokens or rows")

    def _options(self) -> dict[str, Any]:
        request = self.request
        out: dict[str, Any] = {"max_tokens": self.most}
        if self.is_sampled:
            defaults = self.model._core.default_sampling()
            out["temperature"] = float(request.get("temperature") or defaults["temperature"] or 1.0)
            for name in ("top_k", "top_p", "min_p"):
                if name in request:
                    out[name] = request[name]
        else:
            out["temperature"] = 0.0
        if "repetition_penalty" in request:
            out["repetition_penalty"] = request["repetition_penalty"]
        least = request.get("min_new_tokens", max(int(request.get("min_length", 0)) - self.width, 0))
        out["min_tokens"] = min(check_number("min_new_tokens", least, 0), self.most)
        if (eos := request.get("eos_token_id")) is not None:
            ids = [int(id) for id in (eos if isinstance(eos, (list, tuple)) else to_numpy(eos).reshape(-1).tolist())]
            out["stop_ids" if ids else "ignore_stop_ids"] = ids or True
        if (stop := request.get("stop_strings")) is not None:
            out["stop"] = [stop] if isinstance(stop, str) else list(stop)
        if (banned := request.get("suppress_tokens")) is not None:
            out["banned_ids"] = [int(id) for id in banned]
        return out

    # ---- running ----

    def run(self) -> Any:
        try:
            answers = self._answers()
        except BaseException as error:
            if self.streamer is not None:
                (self.streamer.fail(error) if hasattr(self.streamer, "fail") else self.streamer.end())
            raise
        return self._result(answers)

    def _answers(self) -> list[tuple[list[int], list[Any]]]:
        seed = self.request.get("seed")
        base = with_seed({"seed": next_seed() if seed is None else check_number("seed", seed, 0)})["seed"]
        end = time.monotonic() + float(self.request["max_time"]) if self.request.get("max_time") else None
        running: list[tuple[_g3n.Call, Any, list[Any]]] = []
        core = self.model._core
        try:
            for number, row in enumerate(self.rows):
                form = row.form if self.count == 1 else ("prepared", wait(core.prepare(row.form)))
                for again in range(self.count):
                    scores: list[Any] = []
                    hook = self._hook(row, scores)
                    options = self.options | {"seed": (base + number * self.count + again) % 2**64}
                    running.append((core.submit(form, options, hook is not None), hook, scores))
            return [(self._wait(call, hook, end), scores) for call, hook, scores in running]
        except BaseException:
            for call, _, _ in running:
                call.cancel()
            raise

    def _wait(self, call: _g3n.Call, hook: Any, end: float | None) -> list[int]:
        """The ids of an answer; fed to the streamer while they come. A criterion's stop and max_time end it early."""
        told = 0
        if self.streamer is not None:
            self._tell(self.prompt_rows[0], nested=True)
        try:
            while not call.ended():
                while (fragment := call.take()) is not None:
                    told += self._tell_all(fragment[1])
                if end is not None and time.monotonic() > end:
                    call.cancel()
                if not run_hook(call, hook):
                    call.wait(WAKE_SECONDS) if self.streamer is not None or hook else call.wait_for_end(WAKE_SECONDS)
            ids: list[int] = call.result()["ids"]
        except Cancelled:  # before the first token
            ids = []
        except BaseException:
            call.cancel()
            raise
        self._tell_all(ids[told:])
        if self.streamer is not None:
            self.streamer.end()
        return ids

    def _tell_all(self, ids: list[int]) -> int:
        if self.streamer is not None:
            for id in ids:
                self._tell([id])
        return len(ids)

    def _tell(self, ids: list[int], nested: bool = False) -> None:
        import numpy

        array = numpy.asarray([ids] if nested else ids, numpy.int64)
        self.streamer.put(to_torch(array) if has_torch() else array)  # type: ignore[union-attr]

    def _hook(self, row: Row, scores: list[Any]) -> Any:
        """What a request needs at each step; None: nothing."""
        rules = rules_of(self.request, len(row.ids), self.most, self.stop_ids)
        criteria = self.request.get("stopping_criteria")
        criteria = [] if criteria is None else list(criteria) if isinstance(criteria, (list, tuple)) else [criteria]
        if not rules and not criteria and not self.wants_scores:
            return None
        return StepHook(self, row, rules, criteria, scores)

    def _result(self, answers: list[tuple[list[int], list[Any]]]) -> Any:
        import numpy

        pad = self.request.get("pad_token_id")
        fill = int(pad) if pad is not None else self.model._processor.tokenizer.pad_token_id
        longest = max(len(ids) for ids, _ in answers)
        sequences = numpy.full((len(answers), self.width + longest), fill, numpy.int64)
        for at, (ids, _) in enumerate(answers):
            prompt = self.prompt_rows[at // self.count]
            sequences[at, : len(prompt)] = prompt
            sequences[at, self.width : self.width + len(ids)] = ids
        out = like(sequences, self.example)
        if not self.request.get("return_dict_in_generate"):
            return out
        return GenerateDecoderOnlyOutput(
            sequences=out,
            scores=self._steps([rows for _, rows in answers], longest) if self.wants_scores else None,
            logits=self._steps([self._logits(at, ids) for at, (ids, _) in enumerate(answers)], longest) if self.wants_logits else None,
            attentions=None, hidden_states=None, past_key_values=None,
        )  # fmt: skip

    def _steps(self, rows: list[Any], longest: int) -> tuple[Any, ...]:
        """Per step [rows, vocab]; rows that have ended are zeros."""
        import numpy

        nothing = numpy.zeros(self.model.engine.info.vocab, numpy.float32)
        steps = []
        for step in range(longest):
            steps.append(like(numpy.stack([row[step] if step < len(row) else nothing for row in rows]), self.example))
        return tuple(steps)

    def _logits(self, at: int, ids: list[int]) -> Any:
        """The model's own rows that the ids were chosen from: the answer once more, as a prompt."""
        row = self.rows[at // self.count]
        form = ("ids", row.ids + ids[:-1], row.media)
        core = self.model._core
        first = len(row.ids) - 1
        return wait(core.logits(wait(core.prepare(form)), list(range(first, first + len(ids))))) if ids else []


class StepHook:
    """Per step: the criteria look at the token before, the rules change the scores, which are kept if they are wanted."""

    def __init__(self, generation: Generation, row: Row, rules: list[Rule], criteria: list[Any], scores: list[Any]) -> None:
        self._generation = generation
        self._row = row
        self._rules = rules
        self._criteria = criteria
        self._scores = scores

    def __call__(self, ids: Any, logits: Any) -> bool | None:
        if self._criteria and len(ids) > len(self._row.ids) and self._ends(ids):
            return False
        for rule in self._rules:
            rule(ids, logits)
        if self._generation.wants_scores:
            self._scores.append(warped(logits, self._generation.options))
        return None

    def _ends(self, ids: Any) -> bool:
        import numpy

        rows = ids.astype(numpy.int64)[None]
        scores = tuple(row[None] for row in self._scores) if self._generation.wants_scores else None
        if has_torch():
            rows = to_torch(rows)
        return any(truth(criterion(rows, scores)) for criterion in self._criteria)
