#!/usr/bin/env python3
"""Makes a Gemma 3n tokenizer folder out of the public Gemma 3 vocabulary (tools/fetch_tokenizer.sh), for `make test-tokenizer`.

    make_tokenizer_folder.py MODELS OUT      MODELS: tokenizer.json and tokenizer_config.json of Gemma 3; OUT gets Gemma 3n's, and tokenizer.model

Gemma 3n has Gemma 3's text pieces under other multimodal tokens (spec/processor.md 1). Ids up to 262399 that have no name get one that no text contains.
tokenizer.model is built from the same vocabulary: SentencePiece BPE with byte fallback, no normalisation but the space, scores by id. Standard library only.
"""
import json
import struct
import sys
from pathlib import Path

MULTIMODAL = {255999: "<start_of_image>", 256000: "<start_of_audio>", 262144: "<end_of_image>", 262145: "<image_soft_token>",
              262272: "<end_of_audio>", 262273: "<audio_soft_token>"}
NAMES = dict(boi_token=255999, eoi_token=262144, image_token=262145, boa_token=256000, eoa_token=262272, audio_token=262273)
VOCAB, FIRST_BYTE, FIRST_NORMAL, UNK = 262400, 238, 494, 3
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6  # SentencePiece's piece types


def gemma3n(tokenizer: dict) -> dict:
    vocab = {piece: id for piece, id in tokenizer["model"]["vocab"].items() if id not in MULTIMODAL}
    vocab |= {MULTIMODAL.get(id, f"<placeholder {id}>"): id for id in {*MULTIMODAL, *range(262144, VOCAB)}}
    if sorted(vocab.values()) != list(range(VOCAB)):
        sys.exit("make_tokenizer_folder: the vocabulary is not Gemma 3's: its ids are not 0 .. 262144")
    plain = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    added = [a for a in tokenizer["added_tokens"] if a["id"] not in MULTIMODAL] + [dict(id=id, content=name, **plain) for id, name in MULTIMODAL.items()]
    model = dict(tokenizer["model"], vocab=dict(sorted(vocab.items(), key=lambda item: item[1])))
    return dict(tokenizer, added_tokens=sorted(added, key=lambda a: a["id"]), model=model)


def gemma3n_config(config: dict) -> dict:
    """Other token names, and the audio branch that is the whole difference between the two chat templates."""
    image = "{%- if item['type'] == 'image' -%}\n                {{ '<start_of_image>' }}"
    both = ("{%- if item['type'] == 'audio' -%}\n                {{ '<audio_soft_token>' }}\n"
            "            {%- elif item['type'] == 'image' -%}\n                {{ '<image_soft_token>' }}")
    if config["chat_template"].count(image) != 1:
        sys.exit("make_tokenizer_folder: the chat template is not Gemma 3's: its image branch is missing")
    names = {key: MULTIMODAL[id] for key, id in NAMES.items()}
    kept = {key: value for key, value in config.items() if key not in ("added_tokens_decoder", "processor_class")}
    return kept | dict(chat_template=config["chat_template"].replace(image, both), extra_special_tokens=names) | names


def varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def message(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def sentencepiece_model(tokenizer: dict) -> bytes:
    added = {a["id"] for a in tokenizer["added_tokens"]}
    out = bytearray()
    for piece, id in tokenizer["model"]["vocab"].items():  # in the order of ids
        kind = (UNKNOWN if id == UNK else CONTROL if id < UNK else USER_DEFINED if id in added else
                BYTE if FIRST_BYTE <= id < FIRST_BYTE + 256 else CONTROL if id >= 262144 else NORMAL)
        score = float(FIRST_NORMAL - id) if kind == NORMAL else 0.0
        out += message(1, message(1, piece.encode()) + varint(2 << 3 | 5) + struct.pack("<f", score) + number(3, kind))
    trainer = number(3, 2) + number(4, VOCAB) + number(24, 0) + number(35, 1) + number(40, 3) + number(41, 2) + number(42, 1) + number(43, 0)
    normalizer = message(1, b"identity") + number(3, 0) + number(4, 0) + number(5, 1)
    return bytes(out) + message(2, trainer) + message(3, normalizer)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    tokenizer = gemma3n(json.loads((source / "tokenizer.json").read_text(encoding="utf-8")))
    config = gemma3n_config(json.loads((source / "tokenizer_config.json").read_text(encoding="utf-8")))
    out.mkdir(parents=True, exist_ok=True)
    (out / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    (out / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    (out / "tokenizer.model").write_bytes(sentencepiece_model(tokenizer))
    print(f"{out}: tokenizer.json, tokenizer_config.json and tokenizer.model of {VOCAB} pieces")


if __name__ == "__main__":
    main()
