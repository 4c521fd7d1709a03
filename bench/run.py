#!/usr/bin/env python3
"""Benchmarks at full shape (make bench): ours, and llama.cpp and transformers in the same run where they are installed.

Writes random weights of E2B (or E4B) once, as a Hugging Face folder, as bundles and as GGUF files; then measures the machine, single kernels, and end to end: load,
prefill, decode, image, audio, memory. Each quantity is measured by turns (ours, theirs, ours, ...), so that a machine that gets slower does so for all.
Prints medians with the smallest and largest, and ratios; standard library only; bench/README.md.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "tests/golden/data/full"
SLOW = 10.0  # seconds: a peer's first turn warms up and does not count, unless it takes so long that this is nothing
GGUF_ONLY = ["q4_0", "q4_k_m", "q5_k_m", "q6_k", "ud-q4_k_xl"]  # read from the same file by both
# Same bits per weight; the checkpoints are bf16.
PEER_TYPE = {"q4": "q4_0", "q8": "q8_0", "keep": "bf16"} | {kind: kind for kind in GGUF_ONLY}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# ---- what is measured -------------------------------------------------------------------------------------------------------------------

class Work:
    """One quantity: how each program is asked for it."""

    def __init__(self, kind: str, amount: int, unit: str, steps: int = 0):
        self.kind, self.amount, self.unit, self.steps = kind, amount, unit, steps

    @property
    def name(self) -> str:
        return {"prefill": f"prefill {self.amount}", "decode": f"decode at {self.amount}", "image": f"image {self.amount} px", "audio": f"audio {self.amount} s"}[self.kind]

    def flags(self) -> list[str]:  # of g3n bench
        flag = {"prefill": "--prefill", "decode": "--decode-at", "image": "--image", "audio": "--audio"}[self.kind]
        return [flag, str(self.amount)] + (["--decode-tokens", str(self.steps)] if self.kind == "decode" else [])

    def command(self, type_word: str) -> str:  # of the peers
        amount = max(self.amount, 1) if self.kind == "decode" else self.amount  # something has to come first
        return " ".join(filter(None, [self.kind, type_word, str(amount), str(self.steps) if self.kind == "decode" else ""]))

    def value(self, seconds) -> float:
        if self.kind == "decode":
            return len(seconds) / sum(seconds)
        return self.amount / seconds if self.kind == "prefill" else seconds


def works(args) -> list[Work]:
    all_works = [Work("prefill", n, "tok/s") for n in args.prefill] + [Work("decode", n, "tok/s", args.decode_tokens) for n in args.decode_at]
    all_works += [Work("image", n, "s") for n in args.image] + [Work("audio", n, "s") for n in args.audio]
    return [work for work in all_works if not args.only or any(word in work.name for word in args.only)]


# ---- programs ---------------------------------------------------------------------------------------------------------------------------

class Ours:
    """g3n bench: a process per measurement. A bundle is there in a moment, and each process warms itself up."""

    def __init__(self, args, label: str, model: pathlib.Path, media: bool):
        self.label, self.model, self.media = label, model, media
        self.words = [str(args.build / "g3n"), "bench", "-m", str(model), "--threads", str(args.threads), "--dtype", "bf16", "--json", *args.g3n_flags.split()]
        self.loads: list[float] = []
        self.machine: dict = {}

    def bench(self, flags: list[str]) -> dict:
        done = subprocess.run(self.words + flags, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"bench: {' '.join(self.words + flags)} ended with {done.returncode}")
        report = json.loads(done.stdout)
        self.machine = report["machine"]
        self.loads += next(r["seconds"] for r in report["results"] if r["work"] == "load")
        return report

    def can(self, work: Work) -> bool:
        return self.media or work.kind in ("prefill", "decode")

    def measure(self, work: Work, first: bool) -> list[float]:
        if first:
            return []
        result = next(r for r in self.bench(work.flags() + ["--repeat", "1"])["results"] if r["work"] == work.kind)
        return result["tok_per_s" if work.unit == "tok/s" else "seconds"]

    def memory(self) -> dict:
        report = self.bench(["--prefill", "2000", "--repeat", "1"])
        return {"peak": report["peak_rss_bytes"], "anonymous": report["peak_rss_anonymous_bytes"], "file": report.get("peak_rss_file_bytes")}

    def close(self) -> None:
        pass


class Peer:
    """A program that stays loaded and answers one command with one line of JSON."""

    def __init__(self, label: str, words: list[str], type_word: str, media: bool):
        self.label, self.type_word, self.media = label, type_word, media
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.loaded = self.read()
        self.loads = [self.loaded["load_seconds"]]

    def read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: {self.process.args[0]} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, command: str) -> dict:
        self.process.stdin.write(command + "\n")
        return self.read()

    def can(self, work: Work) -> bool:
        return self.media or work.kind in ("prefill", "decode")

    def measure(self, work: Work, first: bool) -> list[float]:
        seconds = self.ask(work.command(self.type_word))["seconds"]
        taken = sum(seconds) if isinstance(seconds, list) else seconds
        return [] if first and taken < SLOW else [work.value(seconds)]

    def memory(self) -> dict:
        self.ask(Work("prefill", 2000, "tok/s").command(self.type_word))
        return self.ask("memory")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


# ---- files ------------------------------------------------------------------------------------------------------------------------------

def written(path: pathlib.Path, words: list) -> pathlib.Path:
    """path, made by the program `words` if it is not there; {} in words stands for where to write."""
    if path.exists():
        return path
    say(f"bench: writing {path}, once")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.stem + ".part" + path.suffix)
    shutil.rmtree(part, ignore_errors=True)
    part.unlink(missing_ok=True)
    subprocess.run([str(word).replace("{}", str(part)) for word in words], check=True)
    part.rename(path)
    return path


def checkpoint(args) -> pathlib.Path:
    return written(args.files / args.size, [args.build / "random_checkpoint", CONFIGS / args.size / "config.json", "{}"])


def bundle(args, recipe: str) -> pathlib.Path:
    path = args.files / f"{args.size}-{recipe}.g3n"
    return path if path.exists() else written(path, [args.build / "g3n", "convert", checkpoint(args), "{}", "--recipe", recipe])


def gguf(args, recipe: str) -> pathlib.Path:
    kind = PEER_TYPE[recipe]
    return written(args.files / f"{args.size}-{kind}.gguf", [args.build / "random_gguf", CONFIGS / args.size / "config.json", "{}", "--type", kind])


# ---- peers that are installed -----------------------------------------------------------------------------------------------------------

def llama_folder(args) -> pathlib.Path | None:
    for folder in filter(None, [args.llama, ROOT / "build/bench-node"]):
        if (folder / "node_modules/node-llama-cpp").is_dir() and shutil.which("node"):
            return folder
    return None


def python_with_transformers(args) -> str | None:
    for python in filter(None, [args.python, ROOT / "build/bench-venv/bin/python", sys.executable]):
        if shutil.which(python) and subprocess.run([python, "-c", "import torch, transformers, timm"], capture_output=True).returncode == 0:
            return str(python)
    return None


def start_programs(args) -> list:
    programs: list = []
    node, python = (None, None) if args.without_peers else (llama_folder(args), python_with_transformers(args))
    if not args.without_peers:
        for name, found in (("llama.cpp", node), ("transformers", python)):
            if not found:
                say(f"bench: {name} is not installed, measured without it (bench/README.md says how to install it)")
    for recipe in args.recipes:
        from_gguf = recipe in GGUF_ONLY  # text only
        programs.append(Ours(args, f"g3n {recipe}", gguf(args, recipe) if from_gguf else bundle(args, recipe), media=not from_gguf))
        if node and f"llama.cpp {PEER_TYPE[recipe].upper()}" not in [program.label for program in programs]:  # q4 and q4_0: one file
            words = ["node", str(ROOT / "bench/llama_bench.mjs"), str(gguf(args, recipe)), "--packages", str(node), "--threads", str(args.threads)]
            programs.append(Peer(f"llama.cpp {PEER_TYPE[recipe].upper()}", words, "", media=False))
    if python:
        words = [python, str(ROOT / "bench/transformers_bench.py"), str(checkpoint(args)), "--type", args.their_type, "--threads", str(args.threads)]
        programs.append(Peer(f"transformers {args.their_type}", words, args.their_type, media=True))
    return programs


# ---- measuring and reporting ------------------------------------------------------------------------------------------------------------

def kernels(args, only: str = "") -> dict:
    words = [str(args.build / "bench_kernels"), "--threads", str(args.threads), "--json"] + (["--only", only] if only else [])
    return json.loads(subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout)


def spread(values: list[float], unit: str) -> str:
    digits = 1 if unit == "tok/s" else 3
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def measure(args, programs: list) -> list[dict]:
    results = []
    for work in works(args):
        values = {program.label: [] for program in programs if program.can(work)}
        bandwidth = []
        for turn in range(args.repeat + 1):
            if work.kind == "decode" and turn > 0:  # it changes with the neighbours of a virtual machine: measured beside what it bounds
                bandwidth.append(kernels(args, "ceilings")["read_gb_per_s"])
            for program in programs:
                if program.can(work):
                    values[program.label] += program.measure(work, turn == 0)
        results.append({"name": work.name, "unit": work.unit, "values": values, "read_gb_per_s": bandwidth})
        say(f"{work.name:16s}" + "   ".join(f"{label}: {spread(v, work.unit)} {work.unit}" for label, v in values.items()))
    return results


def opponent(label: str, labels: list[str]) -> list[str]:
    """The peers that a column of ours is compared with: the GGUF of as many bits, and transformers."""
    kind = PEER_TYPE[label.split()[1]].upper()
    return [other for other in labels if other == f"llama.cpp {kind}" or other.startswith("transformers")]


def table(results: list[dict], programs: list) -> str:
    labels = [program.label for program in programs]
    ours = [label for label in labels if label.startswith("g3n ")]
    lines = ["| | " + " | ".join(labels) + " | ratios |", "|---" * (len(labels) + 2) + "|"]
    for result in results:
        values, unit = result["values"], result["unit"]
        cells = [f"{spread(values[label], unit)} {unit}" if values.get(label) else "" for label in labels]
        ratios = []
        for label in ours:
            for other in opponent(label, labels):
                if values.get(label) and values.get(other):
                    mine, theirs = statistics.median(values[label]), statistics.median(values[other])
                    ratios.append(f"{label} / {other}: {mine / theirs if unit == 'tok/s' else theirs / mine:.2f} x")
        lines.append(f"| {result['name']} | " + " | ".join(cells) + " | " + "; ".join(ratios) + " |")
    return "\n".join(lines)


def memory_text(memory: dict) -> str:
    return f"{memory['peak'] / 1e9:.2f} GB (anonymous {memory['anonymous'] / 1e9:.2f})"


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--files", type=pathlib.Path, default=ROOT / "build/full", help="where models are written and kept")
    parser.add_argument("--size", choices=["e2b", "e4b"], default="e2b")
    parser.add_argument("--recipes", nargs="*", choices=sorted(PEER_TYPE), default=["q4", "q8"])
    parser.add_argument("--llama", type=pathlib.Path, help="folder with node_modules/node-llama-cpp; default build/bench-node")
    parser.add_argument("--python", help="interpreter with transformers; default build/bench-venv, then this one")
    parser.add_argument("--their-type", choices=["bf16", "f32"], default="bf16", help="of transformers; bf16 is slow in torch on a CPU without AVX-512")
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--without-kernels", action="store_true")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--prefill", type=numbers, default=[128, 512, 2048])
    parser.add_argument("--decode-at", type=numbers, default=[0, 1024, 4096])
    parser.add_argument("--decode-tokens", type=int, default=32)
    parser.add_argument("--image", type=numbers, default=[256, 512, 768])
    parser.add_argument("--audio", type=numbers, default=[30])
    parser.add_argument("--only", nargs="*", help="words of the quantities wanted: prefill, image, ...")
    parser.add_argument("--g3n-flags", default="", help="more flags for g3n bench")
    parser.add_argument("--json", type=pathlib.Path, help="every number; default FILES/bench-SIZE.json")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    programs = start_programs(args)
    before = kernels(args, "ceilings")
    results = measure(args, programs)
    loads = {program.label: program.loads for program in programs}
    results.insert(0, {"name": "load", "unit": "s", "values": loads, "read_gb_per_s": []})
    memory = {program.label: program.memory() for program in programs}
    results.append({"name": "peak memory, 2000 tokens", "unit": "GB", "values": {label: [m["peak"] / 1e9] for label, m in memory.items()}, "read_gb_per_s": []})
    for program in programs:
        program.close()
    single = {} if args.without_kernels else kernels(args)
    after = kernels(args, "ceilings")  # was the machine the same at the end?
    machine = next(program.machine for program in programs if isinstance(program, Ours))

    print(f"\n{machine['cpu']}, {machine['isa']}, {machine['threads']} threads; " + ", ".join(
        f"{name} {before[key]:.0f} (after: {after[key]:.0f}) {unit}" for name, key, unit in
        (("read", "read_gb_per_s", "GB/s"), ("int8", "int8_gop_per_s", "GOP/s"), ("f32", "f32_gflop_per_s", "GFLOP/s"), ("bf16", "bf16_gflop_per_s", "GFLOP/s"))))
    print("peak memory after 2000 tokens: " + ", ".join(f"{label} {memory_text(m)}" for label, m in memory.items()))
    for kernel in single.get("kernels", []):
        print(f"{kernel['name']:48s} {kernel['seconds'] * 1e6:10.1f} us {kernel['gb_per_s']:8.1f} GB/s {kernel['gop_per_s']:8.1f} GOP/s {kernel['share']:5.0%} of {kernel['of']}")
    print("\n" + table(results, programs))
    report = {"date": time.strftime("%Y-%m-%d"), "size": args.size, "machine": machine, "ceilings": before, "ceilings_after": after, "memory": memory,
              "peers": {program.label: program.loaded for program in programs if isinstance(program, Peer)}, "kernels": single, "results": results}
    path = args.json or args.files / f"bench-{args.size}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nwritten: {path}")


if __name__ == "__main__":
    main()
