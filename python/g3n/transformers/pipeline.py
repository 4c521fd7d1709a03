"""pipeline: transformers' one call for a prompt with pictures or sound, its results nested as transformers nests them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from ..engine import Engine
from ..errors import Unsupported
from ..progress import Bar
from .model import Gemma3nForConditionalGeneration
from .processor import Processor, Tokenizer, is_batch_of_media
from .tensors import check_device, warn_once

TASKS = ("image-text-to-text", "any-to-any", "text-generation", "automatic-speech-recognition")
IGNORED = ("config", "feature_extractor", "image_processor", "video_processor", "use_fast", "num_workers", "framework", "trust_remote_code")
TRANSCRIBE = "Transcribe the audio."
DEFAULT_NEW_TOKENS = 256
MANY = 20


def pipeline(task: str | None = None, model: Any = None, **options: Any) -> Pipeline:
    """A pipeline for a task over a model: an id, a path, a g3n.Engine or a model object."""
    if task is None:
        task = "image-text-to-text"
    if task not in TASKS:
        raise KeyError(f"Unknown task {task!r}: g3n runs {', '.join(TASKS)}")
    if model is None:
        raise ValueError("pipeline: expected a model: a path, an id in the hub's cache, a g3n.Engine or a model object")
    if options.pop("pipeline_class", None) is not None:
        raise Unsupported("pipeline_class is not supported")
    for name in IGNORED:
        if options.pop(name, None) is not None:
            warn_once(f"pipeline.{name}", f"pipeline: {name} is ignored: g3n has its own")
    processor, tokenizer = options.pop("processor", None), options.pop("tokenizer", None)
    batch_size = options.pop("batch_size", None)
    call = {name: options.pop(name) for name in list(options) if name in CALL}
    loading = dict(options.pop("model_kwargs", None) or {})
    device, device_map = options.pop("device", None), options.pop("device_map", None)
    check_device(device)
    check_device(device_map)
    loading.update({name: options.pop(name) for name in ("revision", "token", "dtype", "torch_dtype", "cache_dir", "local_files_only") if name in options})
    if options:
        raise TypeError(f"pipeline: unknown arguments {list(options)}")
    if not isinstance(model, Gemma3nForConditionalGeneration):
        model = Gemma3nForConditionalGeneration.from_pretrained(model, **({} if isinstance(model, Engine) else loading))
    if processor is None:
        processor = model._processor
    elif not isinstance(processor, Processor):
        processor = Processor.from_pretrained(processor)
    if isinstance(tokenizer, Tokenizer):
        processor.tokenizer = tokenizer
    kind = AutomaticSpeechRecognitionPipeline if task == "automatic-speech-recognition" else Pipeline
    return kind(task, model, processor, batch_size, call)


CALL = (
    "generate_kwargs", "max_new_tokens", "stop_sequence", "return_full_text", "return_tensors", "continue_final_message",
    "skip_special_tokens", "clean_up_tokenization_spaces", "timeout", "processor_kwargs", "streamer",
)  # fmt: skip


class Pipeline:
    """pipe(images, text=..., **generate arguments); pipe(text=messages)."""

    def __init__(self, task: str, model: Gemma3nForConditionalGeneration, processor: Processor, batch_size: int | None, call: Mapping[str, Any]) -> None:
        self.task = task
        self.model = model
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.device = model.device
        self._batch_size = batch_size or 1
        self._call = dict(call)

    def __call__(self, images: Any = None, text: Any = None, audio: Any = None, **options: Any) -> Any:
        """One input or a list of them. Results are nested as transformers nests them (docs/python.md)."""
        options = {**self._call, **options}
        inputs, form = self._inputs(images, text, audio)
        if isinstance(inputs, Iterator):
            return (self._run([one], options)[0] for one in inputs)
        rows = self._run(inputs, options)
        if form == "one":
            return rows[0]
        return rows if form == "nested" else [one for row in rows for one in row]

    def __repr__(self) -> str:
        return f"<{self.task} pipeline {self.model.engine!r}>"

    # ---- inputs ----

    def _inputs(self, images: Any, text: Any, audio: Any) -> tuple[Any, str]:
        """The inputs as [(text or messages, images, audio)], and how their results are nested."""
        if images is None and text is None and audio is None:
            raise ValueError("You must at least provide either text or images.")
        if text is None and is_stream(images):
            return (self._inputs_of(one) for one in images), "nested"
        if text is None and isinstance(images, Mapping) and "text" in images:
            return self._inputs(images.get("images"), images["text"], images.get("audio"))
        if text is None and isinstance(images, (list, tuple)) and images and all(isinstance(one, Mapping) and "text" in one for one in images):
            return [self._inputs_of(one) for one in images], "nested"
        if text is None and images is not None and (is_chat(images) or is_chats(images)):
            text, images = images, None
        if text is None:
            if isinstance(images, str) and self.task == "text-generation":
                return [(images, None, audio)], "one"
            raise ValueError("an image needs a text: pass text=..., with <image_soft_token> or <start_of_image> in it, or messages")
        if is_chat(text) or is_chats(text):
            if images is not None or audio is not None:
                raise ValueError("Invalid input: messages hold their images and audio in their parts; pass no others beside them")
            return ([(text, None, None)], "one") if is_chat(text) else ([(one, None, None) for one in text], "nested")
        if is_stream(text):
            return ((one, None, None) for one in text), "nested"
        if isinstance(text, str):
            return [(text, images, audio)], "one"
        texts = list(text)
        pictures, clips = split(images, texts, "images", "image"), split(audio, texts, "audio", "audio")
        with_media = images is not None or audio is not None
        return [(one, pictures[at], clips[at]) for at, one in enumerate(texts)], "flat" if with_media else "nested"

    def _inputs_of(self, one: Any) -> Any:
        if isinstance(one, Mapping) and "text" in one:
            return (one["text"], one.get("images"), one.get("audio"))
        return (one, None, None)

    # ---- running ----

    def _run(self, inputs: list[Any], options: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
        ask = Ask(options)
        bar = Bar("generating", "auto" if len(inputs) > MANY else False, 0.0)
        out: list[Any] = []
        problem: tuple[int, BaseException] | None = None
        try:
            for at, one in enumerate(inputs):
                bar.update(at, len(inputs))
                try:
                    out.append(self._answer(one, ask))
                except Exception as error:
                    if len(inputs) == 1:
                        raise
                    problem = problem or (at, error)
        finally:
            bar.close()
        if problem is not None:
            at, failure = problem
            failure.args = (f"input {at}: {failure}", *failure.args[1:])
            raise failure
        return out

    def _answer(self, one: Any, ask: Ask) -> list[dict[str, Any]]:
        text, images, audio = one
        if is_chat(text):
            prefix = text[-1].get("role") in ("assistant", "model") if ask.continue_final_message is None else bool(ask.continue_final_message)
            inputs = self.processor.apply_chat_template(
                text, add_generation_prompt=not prefix, continue_final_message=prefix, tokenize=True, return_dict=True,
                return_tensors="np", processor_kwargs=ask.processor_kwargs,
            )  # fmt: skip
        else:
            prefix = False
            inputs = self.processor(images=images, text=text, audio=audio, return_tensors="np", **ask.processor_kwargs)
        sequences = self.model.generate(**inputs, **ask.generate)
        prompt = inputs["input_ids"].shape[-1]
        results = []
        for row in sequences:
            ids = row.tolist()
            new = ids[prompt:]
            while len(new) > 1 and new[-1] == self.tokenizer.pad_token_id:
                new.pop()
            if ask.return_tensors:
                results.append({"input_text": text, "generated_token_ids": ids[:prompt] + new})
                continue
            answer = self.processor.decode(new, skip_special_tokens=ask.skip_special_tokens)
            results.append({"input_text": text, "generated_text": full(text, answer, prefix) if ask.return_full_text else answer})
        return results


class Ask:
    """The arguments of a call, brought together."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        given = dict(options)
        generate = dict(given.pop("generate_kwargs", None) or {})
        for name in ("max_new_tokens", "streamer"):
            if (value := given.pop(name, None)) is not None:
                if name in generate:
                    raise ValueError(f"{name} is given twice, directly and in generate_kwargs: please use only one")
                generate[name] = value
        if (stop := given.pop("stop_sequence", None)) is not None:
            generate["stop_strings"] = stop
        self.return_tensors = bool(given.pop("return_tensors", False))
        whole = given.pop("return_full_text", None)
        self.return_full_text = True if whole is None else bool(whole)
        self.continue_final_message = given.pop("continue_final_message", None)
        skip = given.pop("skip_special_tokens", None)
        self.skip_special_tokens = True if skip is None else bool(skip)
        if given.pop("clean_up_tokenization_spaces", None):
            warn_once("clean_up_tokenization_spaces", "clean_up_tokenization_spaces: Gemma's texts are not cleaned up; it is ignored")
        given.pop("timeout", None)  # media are fetched within 20 s
        self.processor_kwargs = dict(given.pop("processor_kwargs", None) or {})
        for name, value in given.items():
            if name in generate:
                raise ValueError(f"{name} is given twice, directly and in generate_kwargs: please use only one")
            generate[name] = value
        if not any(name in generate for name in ("max_new_tokens", "max_length", "generation_config")):
            generate["max_new_tokens"] = DEFAULT_NEW_TOKENS
        self.generate = generate


class AutomaticSpeechRecognitionPipeline(Pipeline):
    """pipe(audio) gives {"text": ...}; of a list a list."""

    def __call__(self, inputs: Any = None, **options: Any) -> Any:  # type: ignore[override]
        """What is said in a clip, or in each of a list."""
        ask = Ask({**self._call, "generate_kwargs": {"do_sample": False}, **options})
        is_many = isinstance(inputs, list)
        results = []
        for clip in inputs if is_many else [inputs]:
            payload = {"array": clip["raw"], "sampling_rate": clip["sampling_rate"]} if isinstance(clip, Mapping) and "raw" in clip else clip
            chat = [{"role": "user", "content": [{"type": "audio", "audio": payload}, {"type": "text", "text": TRANSCRIBE}]}]
            answer = self._answer((chat, None, None), ask)[0]["generated_text"]
            results.append({"text": answer[-1]["content"] if isinstance(answer, list) else answer})
        return results if is_many else results[0]


def full(text: Any, answer: str, prefix: bool) -> Any:
    """The prompt as it was given, and the answer behind it."""
    if isinstance(text, str):
        return text + answer
    if not prefix:
        return [*text, {"role": "assistant", "content": answer}]
    last = copy.copy(text[-1])
    if isinstance(last["content"], str):
        last["content"] += answer
    else:
        parts = [copy.copy(part) for part in last["content"]]
        at = next((at for at in reversed(range(len(parts))) if parts[at].get("type") == "text"), None)
        if at is None:
            parts.append({"type": "text", "text": answer})
        else:
            parts[at]["text"] += answer
        last["content"] = parts
    return [*text[:-1], last]


def is_chat(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(isinstance(one, Mapping) and "role" in one for one in value)


def is_chats(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(map(is_chat, value))


def is_stream(value: Any) -> bool:
    """A generator or a dataset: read one by one."""
    if isinstance(value, (str, bytes, Mapping, list, tuple)) or hasattr(value, "shape") or hasattr(value, "__fspath__"):
        return False
    return isinstance(value, Iterator) or (hasattr(value, "__getitem__") and hasattr(value, "__len__") and not hasattr(value, "mode"))


def split(media: Any, texts: list[str], name: str, kind: str) -> list[Any]:
    """Media of a list of texts, text by text: as lists, or counted by their placeholders."""
    if media is None:
        return [None] * len(texts)
    if is_batch_of_media(media):
        if len(media) != len(texts):
            raise ValueError(f"{name}: expected a list for each of the {len(texts)} texts, got {len(media)}")
        return list(media)
    flat = list(media) if isinstance(media, (list, tuple)) else [media]
    counts = [max(text.count(f"<{kind}_soft_token>"), text.count(f"<start_of_{kind}>")) for text in texts]
    if sum(counts) != len(flat):
        raise ValueError(f"{name}: the texts have {sum(counts)} placeholders, {len(flat)} came with them")
    rows, at = [], 0
    for count in counts:
        rows.append(flat[at : at + count] or None)
        at += count
    return rows
