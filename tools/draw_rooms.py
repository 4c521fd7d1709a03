#!/usr/bin/env python3
"""The picture of the house: which room may include which (cmake/rooms.cmake), and how often it does.
    tools/draw_rooms.py            a table: rows include columns; number of includes, "." allowed but unused
    tools/draw_rooms.py --dot      the same for graphviz
    tools/draw_rooms.py --check    silent unless an arrow points upwards or a path leaves its room by "../"; then exit 1"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def read_table() -> dict[str, list[str]]:
    sees: dict[str, list[str]] = {}
    for room, rest in re.findall(r"^g3n_room\((\w+)\s*([^)#]*)\)", (ROOT / "cmake/rooms.cmake").read_text(), re.M):
        sees[room] = ["core"] if room not in ("core", "python") else []
        sees[room] += rest.partition("SEES")[2].split()
    return sees


def count_includes(rooms: list[str]) -> tuple[dict[tuple[str, str], int], list[str]]:
    count: dict[tuple[str, str], int] = {}
    climbing = []
    for room in rooms:
        folder = ROOT / {"apps": "apps", "server": "server", "python": "python/bindings"}.get(room, f"src/{room}")
        for path in sorted(p for p in folder.rglob("*") if p.suffix in {".h", ".cc", ".inc"}):
            for header in INCLUDE.findall(path.read_text(encoding="utf-8")):
                if ".." in header.split("/"):
                    climbing.append(f"{path.relative_to(ROOT)} includes {header}: a path out of its room")
                to = header.split("/")[0] if "/" in header else room
                if to in rooms and to != room:
                    count[room, to] = count.get((room, to), 0) + 1
    return count, climbing


def main() -> None:
    sees = read_table()
    rooms = list(sees)
    count, bad = count_includes(rooms)
    for at, room in enumerate(rooms):
        bad += [f"{room} sees {other}, which is not below it" for other in sees[room] if other not in rooms[:at]]
    bad += [f"src/{f.name}: a room that cmake/rooms.cmake does not know" for f in (ROOT / "src").iterdir() if f.name not in rooms]
    if "--dot" in sys.argv:
        print("digraph rooms {")
        for (room, to), n in sorted(count.items()):
            print(f'  {room} -> {to} [label="{n}"];')
        print("}")
    elif "--check" not in sys.argv:
        print(" " * 12 + "".join(f"{room[:9]:>10}" for room in rooms))
        for room in rooms:
            cells = (str(count.get((room, to), ".")) if to in sees[room] else "" for to in rooms)
            print(f"{room:12}" + "".join(f"{cell:>10}" for cell in cells).rstrip())
    if bad or len(rooms) < 3:
        print("\n".join(bad) or "cmake/rooms.cmake: no table found", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
