#!/usr/bin/env python3
"""Writes tests/data/media: small pictures and sounds of every kind that g3n reads, and samples.json with what Pillow makes of the pictures.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install pillow numpy
    apt install ffmpeg libjpeg-turbo-progs
    /tmp/venv/bin/python tools/make_media_samples.py tests/data/media

Pictures: 24 x 16, the reference is ImageOps.exif_transpose(Image.open(f)).convert("RGB") as hex, but the high byte where there are 16 bits.
Sounds: 0.4 s (0.3 s in f64.wav) of the same three tones as `tones` says; tests/media/audio_test.cc knows the formula.
"""
import argparse
import json
import pathlib
import struct
import subprocess
import zlib

import numpy as np
from PIL import Image, ImageOps, ImageSequence

WIDTH, HEIGHT = 24, 16


def picture(seed: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Saturated colours with soft edges, uint8 [height, width, 3]."""
    x, y, c = np.arange(width)[None, :, None], np.arange(height)[:, None, None], np.arange(3)[None, None, :]
    wave = np.sin((x * (1 + c) + seed) * 0.13) * np.cos((y * (3 - c) - seed) * 0.11)
    return np.clip(127.5 + 120 * wave, 0, 255).astype(np.uint8)


# ---- PNG by hand, for what Pillow cannot write --------------------------------------------------------------------------------------------------


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples: np.ndarray, depth: int, colour: int, adam7: bool = False, extra: bytes = b"") -> bytes:
    """samples: [height, width, channels]; depth 1..16 bits each; extra: chunks before the data."""

    def rows(part):
        out = b""
        for row in part:
            flat = row.reshape(-1)
            if depth == 16:
                out += b"\0" + flat.astype(">u2").tobytes()
            elif depth == 8:
                out += b"\0" + flat.astype(np.uint8).tobytes()
            else:
                bits = ((flat[:, None] >> np.arange(depth - 1, -1, -1)) & 1).astype(np.uint8)
                out += b"\0" + np.packbits(bits.reshape(-1)).tobytes()
        return out

    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)] if adam7 else [(0, 0, 1, 1)]
    data = b"".join(rows(samples[y::dy, x::dx]) for x, y, dx, dy in passes if samples[y::dy, x::dx].size)
    height, width = samples.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(adam7))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + extra + png_chunk(b"IDAT", zlib.compress(data, 9)) + png_chunk(b"IEND", b"")


def exif(orientation: int) -> bytes:
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


def partial_gif() -> bytes:
    """A canvas of 24 x 16 whose only frame is 8 x 6 at (5, 3), interlaced, with transparent colour 2."""
    colours = bytes([200, 10, 20, 10, 200, 30, 40, 50, 220, 250, 240, 10])
    head = b"GIF89a" + struct.pack("<HHBBB", WIDTH, HEIGHT, 0x81, 0, 0) + colours
    control = b"\x21\xf9\x04\x01\x00\x00\x02\x00"
    frame = b"\x2c" + struct.pack("<HHHHB", 5, 3, 8, 6, 0x40)
    rows = [0, 4, 2, 1, 3, 5]  # the order of interlaced rows
    indices = [(x + y) % 4 for y in rows for x in range(8)]
    codes = []
    for i, index in enumerate(indices):  # clear often, so that codes stay 3 bits wide
        if i % 2 == 0:
            codes.append(4)
        codes.append(index)
    codes.append(5)
    bits = "".join(format(c, "03b")[::-1] for c in codes)
    packed = bytes(int(bits[i : i + 8].ljust(8, "0")[::-1], 2) for i in range(0, len(bits), 8))
    return head + control + frame + b"\x02" + bytes([len(packed)]) + packed + b"\0" + b"\x3b"


def write_pictures(folder: pathlib.Path) -> None:
    def save(name, image, **options):
        image.save(folder / name, **options)

    rgb = lambda seed: Image.fromarray(picture(seed))  # noqa: E731
    save("progressive.jpg", rgb(1), quality=90, progressive=True)
    save("subsampled.jpg", rgb(2), quality=90, subsampling="4:2:0", restart_marker_blocks=1)
    save("cmyk.jpg", rgb(3).convert("CMYK"), quality=92)
    data = bytearray((folder / "cmyk.jpg").read_bytes())
    at = data.index(b"Adobe")
    data[at + 11] = 2  # the same data, declared YCCK
    (folder / "ycck.jpg").write_bytes(data)
    subprocess.run(["jpegtran", "-arithmetic", "-outfile", folder / "arithmetic.jpg", folder / "subsampled.jpg"], check=True)
    save("exif3.jpg", rgb(4), quality=95, exif=exif(3))
    save("wide_12000x50.png", Image.fromarray(np.broadcast_to((np.arange(12000) // 50 % 256).astype(np.uint8), (50, 12000))), optimize=True)

    deep = (picture(5).astype(np.uint16) << 8) | picture(6)
    (folder / "rgb16.png").write_bytes(png(deep, 16, 2))
    (folder / "gray16.png").write_bytes(png(deep[..., :1], 16, 0, extra=png_chunk(b"tRNS", struct.pack(">H", 99))))
    (folder / "interlaced.png").write_bytes(png(picture(7), 8, 2, adam7=True, extra=png_chunk(b"gAMA", struct.pack(">I", 45455))))
    (folder / "gray2.png").write_bytes(png(picture(8)[..., :1] >> 6, 2, 0))
    save("bits1.png", rgb(9).convert("1"))
    save("gray_alpha.png", Image.merge("LA", [rgb(10).convert("L"), rgb(11).convert("L")]))
    save("palette_transparent.png", rgb(12).quantize(7), transparency=2)
    for i in range(1, 9):
        save(f"exif{i}.png", rgb(20 + i), exif=exif(i), optimize=True)

    save("exif6.webp", rgb(30), lossless=True, exif=exif(6))
    save("alpha.webp", Image.merge("RGBA", [*rgb(31).split(), rgb(32).convert("L")]), quality=90, exact=True)
    frames = [rgb(33), rgb(34), rgb(35)]
    save("animated.webp", frames[0], save_all=True, append_images=frames[1:], duration=50, lossless=True)
    save("animated.gif", frames[0], save_all=True, append_images=frames[1:], duration=50)
    save("plain.gif", rgb(36), interlace=0)
    (folder / "partial.gif").write_bytes(partial_gif())

    save("rgb.bmp", rgb(40))
    save("palette.bmp", rgb(41).quantize(16))
    save("bits1.bmp", rgb(42).convert("1"))
    save("rgba.bmp", Image.merge("RGBA", [*rgb(43).split(), rgb(44).convert("L")]))
    save("raw.tif", rgb(50))
    save("lzw.tif", rgb(51), compression="tiff_lzw")
    save("deflate.tif", rgb(52), compression="tiff_adobe_deflate")
    save("gray16.tif", Image.fromarray(deep[..., 0].astype(np.uint16)))
    save("palette.tif", rgb(53).quantize(16))
    save("pages.tif", rgb(54), save_all=True, append_images=[rgb(55)])
    save("exif8.tif", rgb(56), tiffinfo={0x0112: 8})
    save("bits1.tif", rgb(57).convert("1"))
    save("group4.tif", rgb(58).convert("1"), compression="group4")
    save("float_refused.tif", rgb(59).convert("F"))
    save("jpeg_refused.tif", rgb(59), compression="jpeg")
    save("rgb.ppm", rgb(60))
    save("gray.pgm", rgb(61).convert("L"))
    save("bits.pbm", rgb(62).convert("1"))
    text = "P3\n# a comment\n24 16\n255\n" + "\n".join(" ".join(map(str, row.reshape(-1))) for row in picture(63))
    (folder / "ascii.ppm").write_text(text + "\n")
    (folder / "rgb16.ppm").write_bytes(b"P6 24 16 65535\n" + deep.astype(">u2").tobytes())
    save("two_sizes.ico", Image.fromarray(picture(64, 48, 48)), sizes=[(16, 16), (48, 48)])
    save("bmp_entry.ico", Image.fromarray(picture(65, 32, 32)), sizes=[(32, 32)], bitmap_format="bmp")


def reference(path: pathlib.Path) -> Image.Image:
    if path.name.startswith(("rgb16", "gray16")):
        deep = picture(5)
        return Image.fromarray(deep if path.name.startswith("rgb") else np.repeat(deep[..., :1], 3, axis=2))
    image = Image.open(path)
    image = next(ImageSequence.Iterator(image)) if getattr(image, "n_frames", 1) > 1 else image
    return ImageOps.exif_transpose(image).convert("RGB")


def describe(path: pathlib.Path) -> dict:
    image = reference(path)
    pixels = np.array(image)
    entry = {"width": image.width, "height": image.height, "crc32": f"{zlib.crc32(pixels.tobytes()):08x}"}
    return entry | ({"rgb": pixels.tobytes().hex()} if path.suffix in (".jpg", ".webp") else {})


# ---- sounds -------------------------------------------------------------------------------------------------------------------------------------


def tones(rate: int, seconds: float = 0.4) -> np.ndarray:
    """[samples, 2]; the mean of left and right is what g3n should give."""
    t = np.arange(int(seconds * rate)) / rate
    left = 0.3 * np.sin(2 * np.pi * 440 * t) + 0.1 * np.sin(2 * np.pi * 1300 * t)
    right = 0.3 * np.sin(2 * np.pi * 620 * t)
    return np.stack([left, right], axis=1)


def wav(samples: np.ndarray, rate: int, tag: int, bits: int, extensible: bool = False) -> bytes:
    channels = samples.shape[1]
    if tag == 3:
        data = samples.astype("<f4" if bits == 32 else "<f8").tobytes()
    elif bits == 8:
        data = np.round(samples * 127 + 128).astype(np.uint8).tobytes()
    else:
        whole = np.round(samples * (2 ** (bits - 1) - 1)).astype("<i4")
        data = whole.view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()
    block = channels * bits // 8
    fmt = struct.pack("<HHIIHH", 0xFFFE if extensible else tag, channels, rate, rate * block, block, bits)
    if extensible:
        fmt += struct.pack("<HHI", 22, bits, 3) + struct.pack("<H", tag) + bytes.fromhex("000000001000800000aa00389b71")
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"LIST\x05\0\0\0INFO\0\0" + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def write_sounds(folder: pathlib.Path) -> None:
    half = tones(8000)
    (folder / "u8.wav").write_bytes(wav(half, 8000, 1, 8))
    mono = half.mean(axis=1, keepdims=True)
    (folder / "s32.wav").write_bytes(wav(mono, 8000, 1, 32))
    (folder / "f64.wav").write_bytes(wav(mono[:2400], 8000, 3, 64))
    (folder / "s24_extensible.wav").write_bytes(wav(half, 8000, 1, 24, extensible=True))
    (folder / "stereo_11k.wav").write_bytes(wav(tones(11025), 11025, 1, 16))

    def ffmpeg(name, rate, *options, video=False, mono=False):
        stereo = tones(rate)
        source = wav(stereo.mean(axis=1, keepdims=True) if mono else stereo, rate, 3, 32)
        before = ["-f", "lavfi", "-i", "color=c=red:s=32x32:r=10:d=0.4"] if video else []
        command = ["ffmpeg", "-v", "error", "-y", *before, "-i", "-", "-map_metadata", "-1", "-fflags", "+bitexact", "-flags", "+bitexact", *options, folder / name]
        subprocess.run(command, input=source, check=True)

    ffmpeg("stereo.mp3", 44100, "-c:a", "libmp3lame", "-b:a", "96k")
    ffmpeg("no_xing_8k.mp3", 8000, "-c:a", "libmp3lame", "-b:a", "32k", "-write_xing", "0", mono=True)
    ffmpeg("vorbis.ogg", 22050, "-c:a", "libvorbis", "-q:a", "4")
    ffmpeg("opus.ogg", 48000, "-c:a", "libopus", "-b:a", "48k")
    ffmpeg("aac.m4a", 44100, "-c:a", "aac", "-b:a", "96k")
    ffmpeg("aac.aac", 44100, "-c:a", "aac", "-b:a", "96k")
    ffmpeg("alac.m4a", 8000, "-c:a", "alac")
    ffmpeg("flac24.flac", 16000, "-c:a", "flac", "-sample_fmt", "s32", mono=True)
    ffmpeg("flac.ogg", 16000, "-c:a", "flac")
    ffmpeg("mulaw.wav", 8000, "-c:a", "pcm_mulaw")
    ffmpeg("adpcm.wav", 22050, "-c:a", "adpcm_ima_wav")
    ffmpeg("aiff.aiff", 8000, "-c:a", "pcm_s16be")
    ffmpeg("video.mp4", 44100, "-c:v", "mpeg4", "-c:a", "aac", "-b:a", "96k", video=True)
    ffmpeg("video.webm", 48000, "-c:v", "libvpx", "-b:v", "50k", "-c:a", "libopus", "-b:a", "48k", video=True)
    ffmpeg("silent_video.mp4", 44100, "-c:v", "mpeg4", "-an", video=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    write_pictures(folder)
    pictures = sorted(p for p in folder.iterdir() if p.suffix in (".jpg", ".png", ".webp", ".gif", ".bmp", ".tif", ".ppm", ".pgm", ".pbm", ".ico") and not p.stem.endswith("_refused"))
    lines = [f"  {json.dumps(p.name)}: {json.dumps(describe(p))}" for p in pictures]
    (folder / "samples.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    write_sounds(folder)


if __name__ == "__main__":
    main()
