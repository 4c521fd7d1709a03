"""Gemma 3n under transformers' names: change the import of the model card's code, and it runs here.

    from g3n.transformers import pipeline
"""

from typing import NoReturn

from .generation import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList, set_seed
from .model import Gemma3nForConditionalGeneration
from .pipeline import AutomaticSpeechRecognitionPipeline, Pipeline, pipeline
from .processor import Processor as Gemma3nProcessor
from .processor import Tokenizer
from .streamers import AsyncTextIteratorStreamer, TextIteratorStreamer, TextStreamer
from .tensors import BatchFeature, GenerateDecoderOnlyOutput

AutoProcessor = Gemma3nProcessor
AutoTokenizer = Tokenizer
AutoModelForImageTextToText = Gemma3nForConditionalGeneration
AutoModelForMultimodalLM = Gemma3nForConditionalGeneration
AutoModelForCausalLM = Gemma3nForConditionalGeneration

__all__ = [
    "AsyncTextIteratorStreamer", "AutoModelForCausalLM", "AutoModelForImageTextToText", "AutoModelForMultimodalLM", "AutoProcessor",
    "AutoTokenizer", "AutomaticSpeechRecognitionPipeline", "BatchFeature", "Gemma3nForConditionalGeneration", "Gemma3nProcessor",
    "GenerateDecoderOnlyOutput", "GenerationConfig", "LogitsProcessor", "LogitsProcessorList", "Pipeline", "StoppingCriteria",
    "StoppingCriteriaList", "TextIteratorStreamer", "TextStreamer", "Tokenizer", "pipeline", "set_seed",
]  # fmt: skip


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    raise ImportError(f"g3n.transformers has no {name!r}: g3n runs Gemma 3n only; it has {', '.join(__all__)}")
