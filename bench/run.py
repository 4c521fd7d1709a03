#!/usr/bin/env python3
"""Benchmarks at full E2B shape (make bench): prefill, decode, encoders, load, memory; ours, and transformers in the same run if it is installed.

Both load the same random checkpoint and stay loaded; each quantity is measured by turns (ours, theirs, ours, ...), so that a machine that gets
slower does so for both. Medians, with the smallest and largest. Standard library only; bench/README.md.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "tests/golden/data/full"
SLOW = 10.0  # seconds: the first turn warms up (pages, towers, scratch) and does not count, unless it takes so long that this is nothing


class Program:
    """A program that answers one command with one line of JSON."""

    def __init__(self, words: list[str]):
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.loaded = self.read()

    def read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: {self.process.args[0]} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, command: str) -> dict:
        self.process.stdin.write(command + "\n")
        return self.read()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def checkpoint(args) -> pathlib.Path:
    folder = pathlib.Path(args.checkpoint or ROOT / "build/full" / args.size)
    if not folder.exists():
        print(f"bench: writing {folder} (11 GB for E2B, 16 GB for E4B), once", file=sys.stderr)
        part = folder.with_suffix(".part")
        part.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["rm", "-rf", part], check=True)
        subprocess.run([args.build / "random_checkpoint", CONFIGS / args.size / "config.json", part], check=True)
        part.rename(folder)
    return folder


def python_with_transformers(args) -> str | None:
    for python in filter(None, [args.python, ROOT / "build/bench-venv/bin/python", sys.executable]):
        if subprocess.run([python, "-c", "import torch, transformers, timm"], capture_output=True).returncode == 0:
            return str(python)
    return None


# name, command with {} for the type, unit of the result, units of work per measurement
def quantities(args) -> list[tuple]:
    jobs = [(f"prefill {n} tokens", "prefill {} " + str(n), "tok/s", n) for n in (128, 512)]
    jobs += [(f"decode after {n} tokens", "decode {} " + f"{n} {args.steps}", "tok/s", 1) for n in (16, 1024)]
    jobs += [(f"image {n} px", "image {} " + str(n), "s", 1) for n in (256, 512, 768)]
    jobs += [("audio 30 s", "audio {} 30", "s", 1)]
    return [job for job in jobs if not args.only or any(word in job[0] for word in args.only)]


def as_list(seconds) -> list[float]:
    return [statistics.median(seconds)] if isinstance(seconds, list) else [seconds]


def spread(seconds: list[float], unit: str, work: int) -> str:
    values = sorted(work / s for s in seconds) if unit == "tok/s" else sorted(seconds)
    digits = 1 if unit == "tok/s" else 2
    return f"{statistics.median(values):.{digits}f} ({values[0]:.{digits}f}..{values[-1]:.{digits}f})"


def measure(args, programs: list[tuple[str, Program, str]]) -> list[dict]:
    results = []
    for name, command, unit, work in quantities(args):
        seconds = {label: [] for label, _, _ in programs}
        flops, bandwidth = 0, []
        for turn in range(args.repeat + 1):
            if name.startswith("decode"):  # it changes with the neighbours of a virtual machine, so it is measured beside what it bounds
                bandwidth.append(programs[0][1].ask("bandwidth")["read_gb_per_s"])
            for label, program, kind in programs:
                answer = program.ask(command.format(kind))
                flops = answer.get("flops", flops)
                taken = as_list(answer["seconds"])
                if turn > 0 or taken[0] > SLOW:
                    seconds[label] += taken
        results.append({"name": name, "unit": unit, "work": work, "flops": flops, "read_gb_per_s": bandwidth, "seconds": seconds})
        print(f"{name:26s}" + "".join(f"{label}: {spread(s, unit, work)} {unit}   " for label, s in seconds.items()), file=sys.stderr)
    return results


def table(results: list[dict], machine: dict, ours: dict) -> str:
    labels = list(results[0]["seconds"])
    theirs = next((label for label in labels if label.startswith("transformers")), None)
    lines = ["| | " + " | ".join(labels) + " | of the machine |" + (" faster than transformers, bf16 and f32 |" if theirs else ""), "|---" * (len(labels) + (3 if theirs else 2)) + "|"]
    for r in results:
        median = {label: statistics.median(s) for label, s in r["seconds"].items()}
        cells = [f"{spread(r['seconds'][label], r['unit'], r['work'])} {r['unit']}" for label in labels]
        bound = ""
        if r["name"].startswith("decode"):
            read = statistics.median(r["read_gb_per_s"])
            bound = f"{ours['decode_bytes'] / median['g3n bf16'] / 1e9 / read:.0%} of the {read:.0f} GB/s read at that time (bf16)"
        elif r["flops"]:
            bound = f"{r['flops'] / median['g3n f32'] / 1e9 / machine['fma_f32_gflops']:.0%} of f32 FMA peak (f32)"
        ratio = f" {median[theirs] / median['g3n bf16']:.2f} x, {median[theirs] / median['g3n f32']:.2f} x |" if theirs else ""
        lines.append(f"| {r['name']} | " + " | ".join(cells) + f" | {bound} |{ratio}")
    return "\n".join(lines)


def gigabytes(n: int) -> str:
    return f"{n / 1e9:.1f} GB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--size", choices=["e2b", "e4b"], default="e2b")
    parser.add_argument("--checkpoint", help="a folder; default build/full/SIZE, written when missing and kept")
    parser.add_argument("--python", help="interpreter with transformers; default build/bench-venv, then this one")
    parser.add_argument("--their-type", choices=["bf16", "f32"], default="bf16", help="bf16 is slow in torch on a CPU without AVX-512")
    parser.add_argument("--without-transformers", action="store_true")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--steps", type=int, default=16, help="decode steps per measurement")
    parser.add_argument("--only", nargs="*", help="words of the quantities wanted: prefill, image, ...")
    parser.add_argument("--json", type=pathlib.Path, help="write every number here")
    args = parser.parse_args()

    folder = checkpoint(args)
    g3n = Program([str(args.build / "model_bench"), str(folder), "--threads", str(args.threads)])
    machine = g3n.ask("machine")
    programs = [("g3n bf16", g3n, "bf16"), ("g3n f32", g3n, "f32")]
    python = None if args.without_transformers else python_with_transformers(args)
    theirs = None
    if python:
        theirs = Program([python, str(ROOT / "bench/transformers_bench.py"), str(folder), "--type", args.their_type, "--threads", str(args.threads)])
        programs.append((f"transformers {args.their_type}", theirs, args.their_type))
    elif not args.without_transformers:
        print("bench: transformers is not installed, ours alone (bench/README.md says how to install it)", file=sys.stderr)

    results = measure(args, programs)
    memory = g3n.ask("memory")
    after = g3n.ask("machine")  # was the machine the same at the end?
    report = {"date": time.strftime("%Y-%m-%d"), "size": args.size, "machine": machine, "machine_after": after, "g3n": g3n.loaded | {"memory": memory}, "results": results}
    print(f"\n{machine['cpu']}, {machine['threads']} threads, kernels {g3n.loaded['kernels']}; read {machine['read_gb_per_s']:.1f} GB/s (after: {after['read_gb_per_s']:.1f}), "
          f"f32 FMA {machine['fma_f32_gflops']:.0f} GFLOP/s (after: {after['fma_f32_gflops']:.0f})"
          + (f", bf16 dot {machine['dot_bf16_gflops']:.0f} GFLOP/s" if machine["dot_bf16_gflops"] else ""))
    print(f"one decoded token reads {gigabytes(g3n.loaded['decode_bytes'])}; g3n loaded in {g3n.loaded['load_seconds']:.1f} s; "
          f"peak memory after loading {gigabytes(g3n.loaded['memory']['peak'])}, after all {gigabytes(memory['peak'])} (anonymous {gigabytes(memory['anonymous'])})")
    if theirs:
        report["transformers"] = theirs.loaded | {"memory": theirs.ask("memory")}
        m = report["transformers"]["memory"]
        print(f"transformers {theirs.loaded['transformers']}, torch {theirs.loaded['torch']}: loaded in {theirs.loaded['load_seconds']:.1f} s, peak memory {gigabytes(m['peak'])}")
        theirs.close()
    g3n.close()
    print("\n" + table(results, machine, g3n.loaded))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
