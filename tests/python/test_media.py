"""Pictures and sound in every form give what the file gives; what cannot be taken says what to pass."""

import base64
import io
import struct
import wave

import numpy
import pytest
from conftest import CONVERSATIONS, GREEDY, MEDIA, messages_of

import g3n
from g3n.media import audio_source, image_source

PIL = pytest.importorskip("PIL.Image")
PICTURE = MEDIA / "star-and-square.png"
SOUND = MEDIA / "three-seven-one.wav"


def samples_of(path) -> numpy.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        return numpy.frombuffer(file.readframes(file.getnframes()), numpy.int16)


def soft_of(engine, kind, payload):
    """The soft tokens of one medium."""
    prompt = engine.prepare([{"role": "user", "content": [{"type": kind, kind: payload}]}])
    assert len(prompt.soft) == 1
    first, rows = prompt.soft[0]
    assert rows.dtype == numpy.float32 and rows.shape[1] == engine.info.hidden
    assert (prompt.token_types[first : first + len(rows)] == (1 if kind == "image" else 3)).all()
    return rows


PIXELS = numpy.asarray(PIL.open(PICTURE).convert("RGB"))
IMAGES = {
    "str": str(PICTURE),
    "Path": PICTURE,
    "bytes": PICTURE.read_bytes(),
    "bytearray": bytearray(PICTURE.read_bytes()),
    "PIL": PIL.open(PICTURE),
    "PIL palette": PIL.open(PICTURE).convert("RGB"),
    "array": PIXELS,
    "array with alpha": numpy.dstack([PIXELS, numpy.full(PIXELS.shape[:2], 255, numpy.uint8)]),
    "planes": numpy.ascontiguousarray(PIXELS.transpose(2, 0, 1)),
    "not contiguous": numpy.repeat(PIXELS, 2, axis=1)[:, ::2],
}


@pytest.mark.parametrize("form", IMAGES)
def test_images(engine, form):
    assert (soft_of(engine, "image", IMAGES[form]) == soft_of(engine, "image", PICTURE)).all()


def test_grey_pictures(engine):
    grey = PIXELS[:, :, 0]
    want = soft_of(engine, "image", numpy.dstack([grey] * 3))
    for form in (grey, grey[:, :, None], PIL.fromarray(grey)):
        assert (soft_of(engine, "image", form) == want).all()


def test_pil_alpha_is_white_and_exif_is_applied(engine):
    rgba = numpy.zeros((40, 60, 4), numpy.uint8)
    rgba[:, :30] = [200, 10, 30, 255]
    want = rgba[:, :, :3].copy()
    want[:, 30:] = 255
    assert (soft_of(engine, "image", PIL.fromarray(rgba)) == soft_of(engine, "image", want)).all()
    file = io.BytesIO()
    exif = PIL.Exif()
    exif[0x0112] = 6  # to be turned to the right
    PIL.fromarray(want).save(file, "png", exif=exif)
    turned = PIL.open(io.BytesIO(file.getvalue()))
    assert (soft_of(engine, "image", turned) == soft_of(engine, "image", numpy.rot90(want, -1))).all()


@pytest.mark.parametrize(
    ("value", "kind", "says"),
    [
        (PIXELS.astype(numpy.float32), g3n.InvalidArgument, "uint8 array.*float32"),
        (PIXELS[:, :, :2], g3n.InvalidArgument, r"\[3, h, w\]"),
        (PIXELS[None], g3n.InvalidArgument, "expected an array"),
        (PIXELS[:0], g3n.InvalidArgument, "expected an array"),
        (PIL.new("F", (4, 4)), g3n.InvalidArgument, "mode F"),
        (5, TypeError, "expected a path"),
        ("http://127.0.0.1:1/a.png", g3n.NotFound, "cannot reach"),
        ("data:image/png;base64", g3n.InvalidArgument, "without a comma"),
        ("data:image/png;base64,!", g3n.InvalidArgument, "base64 is broken"),
        ("file://elsewhere/a.png", g3n.InvalidArgument, "this machine"),
        ("file:///nowhere.png", g3n.NotFound, "no file '/nowhere.png'"),
        ("nowhere.png", g3n.NotFound, "no file 'nowhere.png'"),
        (MEDIA, g3n.InvalidArgument, "cannot read"),
    ],
)
def test_images_that_are_refused(engine, value, kind, says):
    with pytest.raises(kind, match=says):
        engine.chat().send("What is this?", images=[value])


def test_a_list_of_images_is_a_list(engine):
    for wrong in (str(PICTURE), PICTURE.read_bytes(), PIXELS, PIL.open(PICTURE), PICTURE):
        with pytest.raises(TypeError, match=r"images=\[\.\.\.\]"):
            engine.chat().send("What is this?", images=wrong)


PCM = samples_of(SOUND)
SOUNDS = {
    "str": str(SOUND),
    "Path": SOUND,
    "bytes": SOUND.read_bytes(),
    "int16": PCM,
    "float32": (PCM / 32768).astype(numpy.float32),
    "float64": PCM / 32768,
    "with rate": (PCM, 16000),
    "datasets": {"array": PCM / 32768, "sampling_rate": 16000},
    "two equal channels": numpy.stack([PCM, PCM], axis=1),
    "one channel": (PCM / 32768)[:, None],
}


@pytest.mark.parametrize("form", SOUNDS)
def test_sounds(engine, form):
    got, want = soft_of(engine, "audio", SOUNDS[form]), soft_of(engine, "audio", SOUND)
    assert numpy.array_equal(got, want)


def test_sound_of_another_rate_is_what_its_file_is(engine):
    high = numpy.repeat(PCM, 2)[:, None].repeat(2, axis=1)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((2, 2, 32000, 0, "NONE", ""))
        out.writeframes(high.tobytes())
    assert numpy.array_equal(soft_of(engine, "audio", (high, 32000)), soft_of(engine, "audio", file.getvalue()))
    assert numpy.array_equal(soft_of(engine, "audio", (high / 32768, 32000)), soft_of(engine, "audio", file.getvalue()))
    name, data, _ = audio_source((high, 32000), 8)
    assert name == "bytes" and data == file.getvalue() and struct.unpack("<I", data[4:8])[0] == len(data) - 8


@pytest.mark.parametrize(
    ("value", "kind", "says"),
    [
        (PCM.astype(numpy.int32), g3n.InvalidArgument, "float32, float64 or int16 samples, got int32"),
        (PCM[:0], g3n.InvalidArgument, "not empty"),
        (numpy.array([0.0, numpy.nan]), g3n.InvalidArgument, "NaN"),
        (PCM[None, None], g3n.InvalidArgument, "n, channels"),
        ((PCM, 0), g3n.InvalidArgument, "samples a second"),
        (numpy.zeros(16000 * 31, numpy.float32), g3n.Error, "30"),
        (5, TypeError, "expected a path"),
        ("http://127.0.0.1:1/a.wav", g3n.NotFound, "cannot reach"),
    ],
)
def test_sounds_that_are_refused(engine, value, kind, says):
    with pytest.raises(kind, match=says):
        engine.chat().send("What is said?", audio=[value])


def test_soft_tokens_stand_for_media(engine):
    rows = soft_of(engine, "image", PICTURE)
    name = "question_before_image"
    messages = messages_of(name)
    messages[0]["content"][1]["image"] = g3n.SoftTokens("image", rows)
    assert engine.generate(messages, **GREEDY).ids == CONVERSATIONS[name]["greedy_ids"]
    for bad in (rows[:, :-1], rows.astype(numpy.float64), rows[0]):
        with pytest.raises(g3n.InvalidArgument, match="expected float32"):
            engine.chat().send("a", images=[g3n.SoftTokens("image", bad)])
    with pytest.raises(g3n.InvalidArgument, match="kind 'audio'"):
        engine.chat().send("a", images=[g3n.SoftTokens("audio", rows)])


def test_order_of_a_turn(engine):
    session = engine.chat(**GREEDY)
    assert session.send(images=[PICTURE], audio=[MEDIA / "what-color-is-the-star.wav"]).text == CONVERSATIONS["spoken_question"]["text"]
    other = engine.chat(**GREEDY)
    assert other.send(["What color is the star?", g3n.Image(PIXELS)]).text == CONVERSATIONS["question_before_image"]["text"]


def test_openai_parts(engine):
    content = [
        {"type": "image_url", "image_url": {"url": str(MEDIA / "star-and-square.png")}},
        {"type": "input_audio", "input_audio": {"format": "wav", "data": base64.b64encode((MEDIA / "what-color-is-the-star.wav").read_bytes()).decode()}},
    ]
    assert engine.generate([{"role": "user", "content": content}], **GREEDY).text == CONVERSATIONS["spoken_question"]["text"]
    for bad, says in (({"type": "image"}, "keys"), ({"type": "shape"}, "type 'shape'"), ({"type": "input_audio", "input_audio": {"data": "!"}}, "base64")):
        with pytest.raises(g3n.InvalidArgument, match=says):
            engine.generate([{"role": "user", "content": [bad]}])


def test_arrays_are_copied_on_the_way_in():
    pixels = PIXELS.copy()
    source = image_source(pixels, 8)
    pixels[:] = 0
    assert source == image_source(PIXELS, 8)
