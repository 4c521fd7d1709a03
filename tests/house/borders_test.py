#!/usr/bin/env python3
"""A forbidden include does not compile: borders_test.py BUILD. The compile command of one source of each room must not find
the headers that design forbids to that room, and must find one that it needs."""
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Written by hand, not read from cmake/rooms.cmake: a line there that allows too much fails here.
# Room: includes that must not compile, and one that must.
BORDERS = {
    "core": (["json/events.h", "kernels/ops.h", "g3n/engine.h"], "core/view.h"),
    "json": (["formats/gguf.h", "g3n/message.h"], "json/events.h"),
    "kernels": (["json/events.h", "weights/binder.h", "g3n/message.h"], "core/view.h"),
    "media": (["json/events.h", "vision/preprocess.h", "g3n/engine.h"], "g3n/message.h"),
    "formats": (["weights/bundle.h", "checkpoint/checkpoint.h", "g3n/message.h"], "json/events.h"),
    "tokenizer": (["formats/gguf.h", "g3n/engine.h"], "g3n/message.h"),
    "weights": (["text/text_model.h", "checkpoint/checkpoint.h"], "formats/tensor_source.h"),
    "text": (["formats/gguf.h", "vision/vision_tower.h", "runtime/sampler.h", "g3n/engine.h"], "seam/language_model.h"),
    "embedder": (["json/config.h", "vision/vision_tower.h"], "weights/binder.h"),
    "vision": (["audio/audio_tower.h", "text/text_model.h", "media/image.h"], "embedder/multimodal_embedder.h"),
    "audio": (["vision/vision_tower.h", "text/text_model.h", "media/audio.h"], "embedder/multimodal_embedder.h"),
    "checkpoint": (["model/model.h", "runtime/sampler.h"], "formats/gguf.h"),
    "model": (["runtime/sampler.h"], "checkpoint/checkpoint.h"),
    "runtime": (["options.h"], "seam/language_model.h"),
    "server": (["runtime/scheduler.h", "media/image.h", "tokenizer/tokenizer.h"], "g3n/engine.h"),
    "apps": (["runtime/sampler.h", "media/image.h", "model/model.h", "checkpoint/checkpoint.h", "weights/recipe.h"], "g3n/diagnostics.h"),
    "python": (["core/view.h", "runtime/sampler.h", "json/events.h"], "g3n/session.h"),
}


def look_up(command: dict, headers: list[str], needed: str) -> tuple[set[str], str]:
    """Those of the headers that this source can find, and what the preprocessor says against including the needed one."""
    words = shlex.split(command["command"])
    words = words[1:] if words[0].endswith("ccache") else words
    for flag in ("-o", "-c"):
        at = words.index(flag)
        del words[at:at + 2]
    with tempfile.NamedTemporaryFile("w", suffix=".cc") as source:
        for header in headers:
            source.write(f'#if __has_include("{header}")\n#pragma found {header}\n#endif\n')
        source.write(f'#include "{needed}"\n')
        source.flush()
        done = subprocess.run([*words, "-E", "-P", source.name], cwd=command["directory"], capture_output=True, text=True)
    findable = {line.split()[-1] for line in done.stdout.splitlines() if line.startswith("#pragma found ")}
    return findable, done.stderr if done.returncode else ""


def main() -> None:
    commands = {}
    build = pathlib.Path(sys.argv[1]).resolve()
    for command in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(command["file"])
        base = build if path.is_relative_to(build) else ROOT  # a batch of sources lies in the build folder, as its room
        if path.is_relative_to(base):
            parts = path.relative_to(base).parts
            commands.setdefault(parts[1] if parts[0] == "src" else parts[0], command)
    rooms = {folder.name for folder in (ROOT / "src").iterdir() if any(folder.rglob("*.cc"))} | {"apps", "server"}
    bad = [f"{room}: no border is tested; add it here" for room in sorted(rooms - set(BORDERS))]
    if commands.keys() >= {"model"}:  # else a build of the kernels alone
        bad += [f"{room}: nothing of it is compiled" for room in sorted(set(BORDERS) - set(commands) - {"python"})]  # G3N_PYTHON
    for room, (forbidden, needed) in BORDERS.items():
        if room not in commands:
            continue
        findable, said = look_up(commands[room], forbidden, needed)
        for header in forbidden:
            if not any((ROOT / base / header).exists() for base in ("src", "include", "apps")):
                bad.append(f"{room}: {header} is no header of this house: name another one here")
            elif header in findable:
                bad.append(f"{room} may include {header}")
        if said:
            bad.append(f"{room} cannot include {needed}:\n{said}")
    print("\n".join(bad) if bad else f"borders: {sum(len(f) for f, _ in BORDERS.values())} forbidden includes were refused")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
