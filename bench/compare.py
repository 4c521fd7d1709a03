#!/usr/bin/env python3
"""Two reports of bench/run.py side by side: compare.py OLD.json NEW.json [--worse PERCENT]

Prints the medians of both and how much faster the new one is. A difference smaller than the spread of either side is marked "~". With --worse the
exit status is 1 if anything of ours got slower by more than PERCENT and by more than the spread.
"""
import argparse
import json
import pathlib
import statistics
import sys


def series(report: dict) -> dict[str, tuple[str, list[float]]]:
    """Name of each measurement: unit and values. Rates and seconds of every program, and the kernels' seconds."""
    out = {}
    for result in report["results"]:
        for program, values in result["values"].items():
            if values:
                out[f"{result['name']}, {program}"] = (result["unit"], values)
    for kernel in report.get("kernels", {}).get("kernels", []):
        out[kernel["name"]] = ("s", [kernel["seconds"]])
    return out


def gain(unit: str, old: float, new: float) -> float:
    return new / old if unit == "tok/s" else old / new


def overlap(a: list[float], b: list[float]) -> bool:
    return min(a) <= max(b) and min(b) <= max(a)


def number(value: float) -> str:
    return f"{value:.4g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=pathlib.Path)
    parser.add_argument("new", type=pathlib.Path)
    parser.add_argument("--worse", type=float, metavar="PERCENT", help="fail if one of ours got so much slower")
    args = parser.parse_args()
    reports = [json.loads(path.read_text()) for path in (args.old, args.new)]
    machines = [report["machine"] for report in reports]
    if machines[0] != machines[1]:
        print(f"not the same machine: {machines[0]} and {machines[1]}: compare ratios, not times", file=sys.stderr)
    old, new = (series(report) for report in reports)
    worse = []
    print(f"{'':58s}{'old':>10s}{'new':>10s}  faster")
    for name in (name for name in old if name in new):
        unit, before = old[name]
        after = new[name][1]
        factor = gain(unit, statistics.median(before), statistics.median(after))
        noise = len(before) > 1 and len(after) > 1 and overlap(before, after)
        print(f"{name:58s}{number(statistics.median(before)):>10s}{number(statistics.median(after)):>10s}  {factor:5.2f} x{' ~' if noise else ''}  {unit}")
        theirs = any(word in name for word in ("llama.cpp", "transformers"))
        if args.worse is not None and not theirs and not noise and factor < 1 - args.worse / 100:
            worse.append(name)
    for name in sorted(old.keys() ^ new.keys()):
        print(f"{name:58s} only in {'old' if name in old else 'new'}")
    if worse:
        sys.exit("slower: " + "; ".join(worse))


if __name__ == "__main__":
    main()
