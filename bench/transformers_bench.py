"""Hugging Face transformers, measured on demand on the CPU: commands on stdin, one JSON object a line on stdout (run.py drives it).

    python transformers_bench.py FOLDER [--type bf16|f32] [--threads N]
    prefill TYPE TOKENS, decode TYPE CONTEXT STEPS, image TYPE PIXELS, audio TYPE SECONDS, memory

f32: everything but the table of per-layer embeddings, which is only looked up and would not fit into memory (8 GB in float32).
"""
import argparse
import json
import sys
import time

import torch
import transformers
from transformers import Gemma3nForConditionalGeneration


def prompt_ids(count: int) -> torch.Tensor:
    return torch.tensor([[2] + [3 + (2654435761 * i + 7 * i * i) % 255990 for i in range(1, count)]])


def status_bytes(key: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key + ":"))


class Bench:
    def __init__(self, folder: str, kind: str):
        start = time.monotonic()
        self.model = Gemma3nForConditionalGeneration.from_pretrained(folder, dtype=torch.bfloat16, low_cpu_mem_usage=True).eval()
        self.kind, self.dtype = kind, {"bf16": torch.bfloat16, "f32": torch.float32}[kind]
        if kind == "f32":
            self.to_float32()
        self.load_seconds = time.monotonic() - start

    def to_float32(self) -> None:
        table = self.model.model.language_model.embed_tokens_per_layer
        for module in self.model.modules():
            if module is not table:
                module._apply(lambda tensor: tensor.float() if tensor.dtype == torch.bfloat16 else tensor, recurse=False)

    def loaded(self) -> dict:
        return {"load_seconds": self.load_seconds, "torch": torch.__version__, "transformers": transformers.__version__, "threads": torch.get_num_threads(),
                "memory": self.memory()}

    def memory(self) -> dict:
        return {"peak": status_bytes("VmHWM"), "now": status_bytes("VmRSS"), "anonymous": status_bytes("RssAnon")}

    def timed(self, work) -> dict:
        start = time.monotonic()
        work()
        return {"seconds": time.monotonic() - start}

    def prefill(self, tokens: int) -> dict:
        ids = prompt_ids(tokens)
        return self.timed(lambda: self.model(input_ids=ids, use_cache=True, logits_to_keep=1))

    def decode(self, context: int, steps: int) -> dict:
        out = self.model(input_ids=prompt_ids(context), use_cache=True, logits_to_keep=1)
        seconds = []
        for _ in range(steps):
            start = time.monotonic()
            feed = out.logits[:, -1, :262144].argmax(-1, keepdim=True)
            out = self.model(input_ids=feed, cache=out.cache, use_cache=True, logits_to_keep=1)
            seconds.append(time.monotonic() - start)
        return {"seconds": seconds}

    def image(self, size: int) -> dict:
        pixels = torch.rand(1, 3, size, size, dtype=self.dtype)
        return self.timed(lambda: self.model.model.get_image_features(pixels))

    def audio(self, seconds: float) -> dict:
        frames = round(seconds * 100) - 3
        mel = torch.randn(1, frames, 128, dtype=self.dtype)
        none_masked = torch.zeros(1, frames, dtype=torch.bool)
        return self.timed(lambda: self.model.model.get_audio_features(mel, none_masked))

    def answer(self, line: str) -> dict:
        command, *words = line.split()
        if command == "memory":
            return self.memory()
        if words[0] != self.kind:
            raise SystemExit(f"transformers_bench: {line}: loaded as {self.kind}")
        numbers = [float(word) if command == "audio" else int(word) for word in words[1:]]
        with torch.inference_mode():
            return getattr(self, command)(*numbers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--type", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    answers = sys.stdout
    sys.stdout = sys.stderr  # libraries print
    bench = Bench(args.folder, args.type)
    print(json.dumps(bench.loaded()), file=answers, flush=True)
    for line in sys.stdin:
        if line.strip():
            print(json.dumps(bench.answer(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
