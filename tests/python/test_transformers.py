"""g3n.transformers against what transformers gave for the same calls (tests/golden/data/python)."""

import json
import threading
import warnings
import zlib

import numpy
import pytest

import g3n
import g3n.transformers as ours
from conftest import CONVERSATIONS, DEMO, MEDIA, ROOT, messages_of
from g3n.transformers import generation, tensors

DATA = ROOT / "tests/golden/data/python"
PROCESSOR = json.loads((DATA / "processor.json").read_text())
PROCESSOR_ERRORS = PROCESSOR.pop("errors")
GENERATE = json.loads((DATA / "generate.json").read_text())
PROMPTS = GENERATE.pop("prompts")
PIPELINE = json.loads((DATA / "pipeline.json").read_text())
PIPELINE_ERRORS = PIPELINE.pop("errors")
FILES = ("red-circle.png", "star-and-square.png", "ring-over-cross.png", "three-seven-one.wav", "what-color-is-the-star.wav",
         "describe-the-image.wav", "colors.wav")  # fmt: skip


def with_paths(value):
    """A recorded argument with its media files as paths."""
    if isinstance(value, dict):
        return {key: with_paths(one) for key, one in value.items()}
    if isinstance(value, list):
        return [with_paths(one) for one in value]
    return str(MEDIA / value) if value in FILES else value


@pytest.fixture(autouse=True)
def no_warning_was_given_yet():
    tensors._warned.clear()
    generation._series = None


@pytest.fixture(scope="module")
def processor():
    return ours.AutoProcessor.from_pretrained(DEMO)


@pytest.fixture(scope="module")
def model(engine):
    return ours.Gemma3nForConditionalGeneration.from_pretrained(engine)


@pytest.fixture(scope="module")
def pipe(engine):
    return ours.pipeline("image-text-to-text", model=engine)


# ---- processor


def check_output(name, got, want):
    if want.get("type") == "list":
        assert isinstance(got, list) and got == want["values"], name
        return
    assert str(got.dtype) == want["dtype"] and list(got.shape) == want["shape"], name
    if "values" in want:
        assert got.tolist() == want["values"], name
    if "sums" in want:
        assert got.sum(axis=-1).tolist() == want["sums"], name
    if "sampled" in want:
        flat = got.reshape(-1)
        sampled = flat[[(k * 2654435761) % flat.size for k in range(64)]]
        if name == "pixel_values":
            assert zlib.crc32(got.astype("<f4").tobytes()) == want["crc32"]
            numpy.testing.assert_array_equal(sampled, numpy.float32(want["sampled"]))
        else:
            numpy.testing.assert_allclose(sampled, want["sampled"], atol=2e-4)


@pytest.mark.parametrize("name", PROCESSOR)
def test_processor(processor, name):
    entry = PROCESSOR[name]
    arguments = with_paths(entry["arguments"])
    if arguments.get("return_tensors") == "pt":
        arguments["return_tensors"] = "np"
    if name == "text_with_its_own_bos":  # transformers doubles it
        with pytest.warns(UserWarning, match="not doubled"):
            out = processor(**arguments)
        assert out["input_ids"].tolist() == [entry["outputs"]["input_ids"]["values"][0][1:]]
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = getattr(processor, entry["method"])(**arguments)
    if isinstance(entry["outputs"], str):
        assert out == entry["outputs"]
        return
    assert list(out) == list(entry["outputs"])
    for key, want in entry["outputs"].items():
        check_output(key, out[key], want)


def test_the_cards_prompt_is_that_of_its_soft_token(processor):
    arguments = with_paths(PROCESSOR_ERRORS["card_prompt"]["arguments"]) | {"return_tensors": "np"}
    assert processor(**arguments)["input_ids"].tolist() == PROCESSOR["image"]["outputs"]["input_ids"]["values"]


@pytest.mark.parametrize("name", [name for name in PROCESSOR_ERRORS if name != "card_prompt"])
def test_processor_errors(processor, name):
    entry = PROCESSOR_ERRORS[name]
    with pytest.raises(ValueError) as caught:
        getattr(processor, entry["method"])(**with_paths(entry["arguments"]) | {"return_tensors": "np"})
    if entry["type"] == "ValueError":
        assert str(caught.value).startswith(entry["message_start"][:60])


def test_processor_forms(processor):
    text = "<image_soft_token> in this image, there is"
    path = MEDIA / "red-circle.png"
    want = processor(images=path, text=text, return_tensors="np")
    for images in (path.read_bytes(), [path], [[path]], g3n.Image(path), path.as_uri()):
        assert (processor(images=images, text=text, return_tensors="np").pixel_values == want.pixel_values).all()
    assert processor(images=path, text=text, size={"height": 128, "width": 128}, return_tensors="np").pixel_values.shape == (1, 3, 128, 128)
    assert processor(images=path)["input_ids"][0].count(processor.image_token_id) == processor.image_seq_length == 256
    assert "token_type_ids" not in processor(text="a", return_mm_token_type_ids=False)
    with pytest.raises(ValueError, match="padding=True"):
        processor(text=["a b c d e", "a"], return_tensors="np")
    for wrong in ({"truncation": True}, {"max_length": 5}, {"padding": "max_length"}):
        with pytest.raises(g3n.Unsupported):
            processor(text="a", **wrong)
    with pytest.raises(TypeError, match="unknown"):
        processor(text="a", nothing=1)
    features = processor(text="a", return_tensors="np")
    assert features.to("cpu") is features and features.input_ids is features["input_ids"]
    with pytest.raises(AttributeError, match="input_ids"):
        features.nothing
    with pytest.warns(UserWarning, match="GPU"):
        features.to("cuda")


def test_control_tokens_of_users(processor):
    chat = [{"role": "user", "content": "a<end_of_turn>b"}]
    end = processor.tokenizer.convert_tokens_to_ids("<end_of_turn>")
    assert processor.apply_chat_template(chat, tokenize=True).count(end) == 2
    assert processor.apply_chat_template(chat, tokenize=True, sanitize_control_tokens=True).count(end) == 1
    for wrong in ({"tools": [1]}, {"documents": [1]}, {"continue_final_message": "b"}, {"return_assistant_tokens_mask": True}):
        with pytest.raises(g3n.Unsupported):
            processor.apply_chat_template(chat, **wrong)


def test_tokenizer(processor, engine):
    t = ours.AutoTokenizer.from_pretrained(DEMO)
    ids = t.encode("The sky is wide")
    assert ids == engine.tokenizer.encode("The sky is wide") == t("The sky is wide")["input_ids"]
    assert t.decode(ids, skip_special_tokens=True) == "The sky is wide" and t.batch_decode([ids[1:]] * 2) == ["The sky is wide"] * 2
    assert t.decode(numpy.array([ids[1:]])) == ["The sky is wide"] and t.decode(ids[1]) == t.convert_ids_to_tokens(ids)[1]
    assert t.convert_tokens_to_ids(t.convert_ids_to_tokens(ids)) == ids and (t.bos_token_id, t.pad_token_id) == (2, 0)
    vocab = t.get_vocab()
    assert vocab["<bos>"] == 2 and len(t) >= len(vocab)
    batch = t(["a b", "a"], padding=True, return_tensors="np")
    assert batch.input_ids.shape == batch.attention_mask.shape and batch.attention_mask[1, 0] == 0


# ---- generate


def inputs_of(processor, prompt):
    return processor.apply_chat_template(
        with_paths(PROMPTS[prompt]["messages"]), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="np"
    )


@pytest.mark.parametrize("name", [name for name in GENERATE if not name.startswith("batch.")])
@pytest.mark.filterwarnings("ignore:generate. without max_new_tokens")
def test_generate(model, processor, name):
    entry = GENERATE[name]
    prompt = name.split(".")[0]
    inputs = inputs_of(processor, prompt)
    assert inputs.input_ids[0].tolist() == PROMPTS[prompt]["ids"]
    extra = {"return_dict_in_generate": True, "output_scores": True} if "scores" in entry else {}
    out = model.generate(**inputs, do_sample=False, **entry["arguments"], **extra)
    sequences = out.sequences if extra else out
    assert sequences.dtype == numpy.int64
    new = sequences[0, inputs.input_ids.shape[1] :].tolist()
    assert new == entry["new_ids"] or entry["smallest_top1_margin"] < 1e-3
    assert processor.decode(new, skip_special_tokens=True) == entry["text"]
    for kind in ("scores", "logits") if extra else ():
        rows = getattr(out, kind)
        assert len(rows) == len(new) and rows[0].shape == (1, model.config.vocab_size)
        for row, ids, values in zip(rows, entry[kind]["top_ids"], entry[kind]["top"], strict=True):
            numpy.testing.assert_allclose(row[0][ids], values, atol=1e-3)
            assert row[0].argmax() == ids[0]


@pytest.mark.parametrize("name", [name for name in GENERATE if name.startswith("batch.")])
def test_generate_a_batch(model, processor, name):
    entry = GENERATE[name]
    inputs = processor.apply_chat_template(
        with_paths(entry["messages"]), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="np",
        processor_kwargs={"padding": True},
    )  # fmt: skip
    assert model.generate(**inputs, do_sample=False, **entry["arguments"]).tolist() == entry["sequences"]
    right = processor.apply_chat_template(
        with_paths(entry["messages"]), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="np",
        processor_kwargs={"padding": True, "padding_side": "right"},
    )  # fmt: skip
    width = inputs.input_ids.shape[1]
    new = model.generate(**right, do_sample=False, **entry["arguments"])[:, width:]
    assert new.tolist() == [row[width:] for row in entry["sequences"]]


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_recorded_conversations(model, processor, name):
    inputs = processor.apply_chat_template(messages_of(name), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="np")
    assert inputs.input_ids[0].tolist() == CONVERSATIONS[name]["ids"]
    out = model.generate(**inputs, max_new_tokens=48, do_sample=False)
    assert out[0, inputs.input_ids.shape[1] :].tolist() == CONVERSATIONS[name]["greedy_ids"]


def test_sampling(model, processor, engine):
    inputs = inputs_of(processor, "sum")
    many = model.generate(**inputs, max_new_tokens=8, num_return_sequences=3, seed=7, temperature=3.0, top_k=0, top_p=1.0)
    assert many.shape[0] == 3 and len({tuple(row) for row in many.tolist()}) > 1
    one = engine.generate(inputs.input_ids[0], max_tokens=8, seed=8, temperature=3.0, top_k=0, top_p=1.0)
    assert many[1, inputs.input_ids.shape[1] :].tolist()[: len(one.ids)] == one.ids
    ours.set_seed(5)
    first = [model.generate(**inputs, max_new_tokens=8, temperature=3.0).tolist() for _ in range(2)]
    ours.set_seed(5)
    assert [model.generate(**inputs, max_new_tokens=8, temperature=3.0).tolist() for _ in range(2)] == first
    for greedy in ({"do_sample": False}, {"temperature": 0}):
        with pytest.raises(ValueError, match="num_return_sequences"):
            model.generate(**inputs, num_return_sequences=2, max_new_tokens=3, **greedy)
    out = model.generate(**inputs, max_new_tokens=3, seed=1, top_k=5, return_dict_in_generate=True, output_scores=True)
    assert all(numpy.isfinite(row).sum() <= 5 for row in out.scores)


def test_choices_of_the_callers_own(model, processor):
    inputs = inputs_of(processor, "sum")
    want = GENERATE["sum.plain"]["new_ids"]
    tokens = inputs.input_ids.shape[1]
    ask = {"do_sample": False, "max_new_tokens": 16}

    def new(**more):
        return model.generate(**inputs, **ask, **more)[0, tokens:].tolist()

    assert want[0] not in new(suppress_tokens=[want[0]]) and new(begin_suppress_tokens=[want[0]])[0] != want[0]
    assert model.generate(**inputs, do_sample=False, max_new_tokens=4, forced_eos_token_id=5)[0, -1] == 5
    assert new(sequence_bias={(want[0],): -100.0})[0] != want[0]
    assert new(prefix_allowed_tokens_fn=lambda row, ids: [want[1]], eos_token_id=[3])[:3] == [want[1]] * 3
    grams = new(no_repeat_ngram_size=1, min_new_tokens=12)
    assert len(set(grams)) == len(grams)

    class Ban(ours.LogitsProcessor):
        def __call__(self, input_ids, scores):
            assert input_ids.shape[0] == scores.shape[0] == 1
            scores[:, want[0]] = -numpy.inf
            return scores

    assert want[0] not in new(logits_processor=ours.LogitsProcessorList([Ban()]))

    class After(ours.StoppingCriteria):
        def __call__(self, input_ids, scores, **options):
            return input_ids.shape[1] >= tokens + 3

    assert new(stopping_criteria=ours.StoppingCriteriaList([After()])) == want[:3]
    # Looked at a few times a second, so it is seen on an answer of more than that.
    late = model.generate(**inputs, do_sample=False, max_new_tokens=8000, min_new_tokens=8000, max_time=1e-9)
    assert late.shape[1] - tokens < 8000
    config = ours.GenerationConfig(max_new_tokens=2, do_sample=False)
    assert model.generate(**inputs, generation_config=config)[0, tokens:].tolist() == want[:2]
    assert model.generate(**inputs, generation_config=config, max_new_tokens=3)[0, tokens:].tolist() == want[:3]
    assert model.generate(inputs.input_ids.tolist(), **ask)[0, tokens:].tolist() == want


def test_streamers(model, processor, capsys):
    inputs = inputs_of(processor, "sum")
    want = GENERATE["sum.plain"]
    ask = {"do_sample": False, "max_new_tokens": 16}
    model.generate(**inputs, **ask, streamer=ours.TextStreamer(processor, skip_prompt=True, skip_special_tokens=True))
    assert capsys.readouterr().out == want["text"] + "\n"
    told = []

    class Mine:
        def put(self, ids):
            told.append(ids.reshape(-1).tolist())

        def end(self):
            told.append("end")

    model.generate(**inputs, **ask, streamer=Mine())
    assert told == [inputs.input_ids[0].tolist(), *[[id] for id in want["new_ids"]], "end"]
    streamer = ours.TextIteratorStreamer(processor.tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=30)
    thread = threading.Thread(target=lambda: model.generate(**inputs, **ask, streamer=streamer))
    thread.start()
    assert "".join(streamer) == want["text"]
    thread.join()
    broken = ours.TextIteratorStreamer(processor.tokenizer, timeout=30)

    def fail(ids, scores):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        model.generate(**inputs, **ask, streamer=broken, logits_processor=[fail])
    with pytest.raises(RuntimeError, match="mine"):
        list(broken)
    with pytest.raises(ValueError, match="more than one"):
        model.generate(**inputs, max_new_tokens=2, num_return_sequences=2, streamer=broken)


def test_arguments_that_are_ignored_or_refused(model, processor):
    inputs = inputs_of(processor, "sum")
    with pytest.warns(UserWarning, match="cache_implementation is ignored"):
        model.generate(**inputs, max_new_tokens=1, cache_implementation="static")
    with pytest.warns(UserWarning, match="20 tokens"):
        model.generate(**inputs, do_sample=False)
    for name, (neutral, hint) in generation.NO.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.generate(**inputs, max_new_tokens=1, **{name: neutral[0]})
        with pytest.raises(g3n.Unsupported, match=name):
            model.generate(**inputs, max_new_tokens=1, **{name: 0.37})
        assert hint
    with pytest.raises(ValueError, match="not used by the model.*max_tokens"):
        model.generate(**inputs, max_tokens=3)
    with pytest.raises(ValueError, match="0 image soft tokens, but 1 image"):
        model.generate(**inputs, pixel_values=numpy.zeros((1, 3, 256, 256), numpy.float32), max_new_tokens=1)
    with pytest.raises(ValueError, match="max_length"):
        model.generate(**inputs, max_length=3)
    with pytest.raises(ValueError, match="output_scores"):
        model.generate(**inputs, max_new_tokens=10**9, output_scores=True, return_dict_in_generate=True)


def test_every_argument_of_transformers_has_a_verdict():
    names = json.loads((ROOT / "tests/python/data/generation_config_5_24.json").read_text())
    for name in names:
        assert (name in generation.YES) + (name in generation.WARN) + (name in generation.NO) == 1, name


def test_what_modules_have(model):
    assert model.eval() is model.cpu() is model.float() is model.to("cpu") is model.requires_grad_(False) is model.train(False) is model
    assert (model.device, model.dtype) == ("cpu", "float32") and model.config.model_type == "gemma3n"
    for use in (model.train, model.parameters, model.state_dict, model.save_pretrained):
        with pytest.raises(g3n.Unsupported):
            use()
    with pytest.warns(UserWarning, match="GPU"):
        model.cuda()
    with pytest.raises(g3n.Unsupported, match="fusion_config"):
        ours.AutoModelForCausalLM.from_pretrained(DEMO, fusion_config={"a": 1})
    with pytest.raises(TypeError, match="unknown argument 'nothing'"):
        ours.AutoModelForCausalLM.from_pretrained(DEMO, nothing=1)
    with pytest.raises(ImportError, match="Gemma 3n only"):
        from g3n.transformers import LlamaForCausalLM  # noqa: F401


def test_forward(model, processor, engine):
    batch = processor.tokenizer(["The sky is wide today.", "The sky is wide"], padding=True, return_tensors="np", return_token_type_ids=True)
    out = model(**batch)
    assert out.logits.shape == (*batch.input_ids.shape, engine.info.vocab) and out.loss is None
    assert (out.logits[1, 0] == 0).all() and batch.attention_mask[1, 0] == 0
    whole = engine.logits(batch.input_ids[0], slice(None))
    assert (out.logits[0] == whole).all()
    assert (model(**batch, logits_to_keep=1).logits[:, 0] == out.logits[:, -1]).all()
    labels = numpy.where(batch.attention_mask, batch.input_ids, -100)
    loss = model(**batch, labels=labels).loss
    rows = []
    for row in range(2):
        for at in range(1, labels.shape[1]):
            if labels[row, at] != -100 and batch.attention_mask[row, at - 1]:
                values = out.logits[row, at - 1].astype(numpy.float64)
                rows.append(numpy.log(numpy.exp(values).sum()) - values[labels[row, at]])
    assert loss == pytest.approx(numpy.mean(rows), abs=1e-4)
    labels[0, 3] = 7
    assert model(**batch, labels=labels).loss > loss


# ---- pipeline


@pytest.mark.parametrize("name", PIPELINE)
def test_pipeline(pipe, name):
    entry = PIPELINE[name]
    result = pipe(**with_paths(entry["arguments"]))
    want = with_paths(entry["result"])
    if name.startswith("sampled"):
        result = json.loads(json.dumps(result), object_hook=lambda one: one | {"generated_text": None} if "generated_text" in one else one)
    assert result == want


def test_pipeline_runs_the_cards_prompt(pipe):
    out = pipe(str(MEDIA / "red-circle.png"), text="<start_of_image> in this image, there is", generate_kwargs={"do_sample": False, "max_new_tokens": 16})
    assert out == [{"input_text": "<start_of_image> in this image, there is", "generated_text": "<start_of_image> in this image, there is a red circle."}]


@pytest.mark.parametrize("name", [name for name in PIPELINE_ERRORS if name not in ("card_prompt", "list_of_image_and_text_dicts")])
def test_pipeline_errors(pipe, name):
    with pytest.raises(ValueError, match="."):
        pipe(**with_paths(PIPELINE_ERRORS[name]["arguments"]))


def test_pipeline_forms(pipe, engine):
    greedy = {"do_sample": False, "max_new_tokens": 16}
    chat = [{"role": "user", "content": "What is 3 plus 4?"}]
    assert pipe(chat, **greedy)[0]["generated_text"][-1] == {"role": "assistant", "content": "3 plus 4 is 7."}
    lazy = pipe((one for one in [chat, chat]), **greedy)
    assert next(lazy)[0]["generated_text"][-1]["content"] == "3 plus 4 is 7."
    dicts = [{"images": str(MEDIA / name), "text": "<image_soft_token> in this image, there is"} for name in ("red-circle.png", "star-and-square.png")]
    assert [rows[0]["generated_text"].split(" is ")[-1].removeprefix("a ").strip() for rows in pipe(dicts, **greedy)] == ["red circle.", "yellow star."]
    with pytest.raises(ValueError, match="given twice"):
        pipe(chat, max_new_tokens=3, generate_kwargs={"max_new_tokens": 4})
    with pytest.raises(ValueError, match="input 1"):
        pipe([chat, [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]], **greedy)
    with pytest.raises(ValueError, match="needs a text"):
        pipe(str(MEDIA / "red-circle.png"))
    with pytest.raises(KeyError, match="image-text-to-text"):
        ours.pipeline("summarization", model=engine)
    speech = ours.pipeline("automatic-speech-recognition", model=engine)
    assert speech(str(MEDIA / "three-seven-one.wav")) == {"text": CONVERSATIONS["transcribe"]["text"]}
