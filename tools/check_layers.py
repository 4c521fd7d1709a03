#!/usr/bin/env python3
"""Checks who includes whom: the floors of design (docs/architecture.md). Prints each forbidden include; exit 1 if there is one."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Room: what it may include besides itself. "g3n" is include/g3n, "g3n/error.h" that header alone.
ALLOWED = {
    "core": {"g3n/error.h"},
    "kernels": {"core", "g3n/error.h"},
    "json": {"core", "g3n/error.h"},
    "seam": {"core", "g3n/error.h"},
    "formats": {"core", "json", "g3n/error.h"},
    "media": {"core", "g3n/error.h", "g3n/message.h"},
    "tokenizer": {"core", "json", "g3n/error.h", "g3n/message.h"},
    "weights": {"core", "kernels", "formats", "json", "g3n/error.h"},
    "text": {"core", "kernels", "json", "weights", "seam", "g3n/error.h"},
    "embedder": {"core", "kernels", "weights", "g3n/error.h"},
    "vision": {"core", "kernels", "json", "weights", "embedder", "g3n/error.h", "g3n/message.h"},
    "audio": {"core", "kernels", "json", "weights", "embedder", "g3n/error.h", "g3n/message.h"},
    "checkpoint": {"core", "kernels", "formats", "json", "tokenizer", "weights", "text", "embedder", "vision", "audio", "g3n"},
    "model": {"core", "kernels", "formats", "json", "media", "tokenizer", "weights", "text", "embedder", "vision", "audio", "checkpoint", "seam", "g3n"},
    "runtime": {"core", "kernels", "json", "media", "tokenizer", "seam", "formats", "checkpoint", "model", "g3n"},
    "apps": {"core", "json", "g3n"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def may(room: str, header: str, allowed: set[str]) -> bool:
    top = header.split("/")[0]
    return top == room or header in allowed or top in allowed or "/" not in header


def check(path: pathlib.Path, room: str, allowed: set[str]) -> list[str]:
    bad = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = INCLUDE.match(line)
        if found and not may(room, found[1], allowed):
            bad.append(f"{path.relative_to(ROOT)}:{number}: {room} may not include {found[1]}")
    return bad


def main() -> None:
    bad, seen = [], 0
    sources = lambda folder: (p for p in sorted(folder.rglob("*")) if p.suffix in {".h", ".cc", ".inc"})  # noqa: E731
    for folder in sorted((ROOT / "src").iterdir()):
        if folder.is_dir():
            if folder.name not in ALLOWED:
                bad.append(f"src/{folder.name}: a room that tools/check_layers.py does not know")
                continue
            for path in sources(folder):
                seen += 1
                bad += check(path, folder.name, ALLOWED[folder.name])
    for path in sources(ROOT / "apps"):
        seen += 1
        bad += check(path, "apps", ALLOWED["apps"])
    for path in sources(ROOT / "include"):
        seen += 1
        bad += check(path, "g3n", set())
    print("\n".join(bad) if bad else f"layers: {seen} files, every include points downwards")
    sys.exit(1 if bad or seen == 0 else 0)


if __name__ == "__main__":
    main()
