#!/usr/bin/env python3
"""Writes src/kernels/quant/gguf_grids.cc from the code books in grids.safetensors: make_gguf_grids.py GRIDS.safetensors > gguf_grids.cc"""
import json
import struct
import sys

# Name in the file, C++ name, values of an entry, bits of a level.
BOOKS = [("IQ2_XXS", "kIq2Xxs", 8, 2), ("IQ2_XS", "kIq2Xs", 8, 2), ("IQ2_S", "kIq2S", 8, 2), ("IQ3_XXS", "kIq3Xxs", 4, 3), ("IQ3_S", "kIq3S", 4, 3), ("IQ1_S", "kIq1", 8, 2)]


def wrapped(items: list[str]) -> str:
    lines = [""]
    for item in items:
        if len(lines[-1]) + len(item) > 116:
            lines.append("")
        lines[-1] += item
    return "\n".join("    " + line for line in lines)


def book(values: list[int], width: int, bits: int) -> tuple[list[int], list[int]]:
    levels = sorted(set(values))
    assert len(levels) <= 1 << bits
    place = {v: i for i, v in enumerate(levels)}
    entries = [sum(place[v] << bits * k for k, v in enumerate(values[i : i + width])) for i in range(0, len(values), width)]
    return levels, entries


def main() -> None:
    with open(sys.argv[1], "rb") as file:
        raw = file.read()
    size = struct.unpack("<Q", raw[:8])[0]
    header, data = json.loads(raw[8 : 8 + size]), raw[8 + size :]
    print("// Made by tools/make_gguf_grids.py from grids.safetensors; see gguf_grids.h.")
    print('#include "kernels/quant/gguf_grids.h"\n\n// clang-format off\nnamespace g3n::quant {\nnamespace {')
    books = []
    for name, symbol, width, bits in BOOKS:
        begin, end = header[name]["data_offsets"]
        levels, entries = book(list(struct.unpack(f"{end - begin}b", data[begin:end])), width, bits)
        books.append(f"const CodeBook {symbol}{{{symbol}Entries, {{{', '.join(map(str, levels))}}}}};")
        print(f"\nconstexpr uint16_t {symbol}Entries[{len(entries)}] = {{\n{wrapped([f'{e},' for e in entries])}}};")
    print("\n}  // namespace\n\n" + "\n".join(books) + "\n\n}  // namespace g3n::quant")


if __name__ == "__main__":
    main()
