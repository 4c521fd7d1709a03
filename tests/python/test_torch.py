"""Tensors of torch in and out, and the model card's snippets, in Debian's own Python (python3-torch, numpy 1.24, Pillow)."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CONVERSATIONS, ROOT, run_python

import g3n

PYTHON = "/usr/bin/python3"
EXAMPLES = ROOT / "python/examples"


@pytest.fixture(scope="session")
def torch_path(tmp_path_factory):
    """A folder for PYTHONPATH with this very package, if Debian's Python has torch and can load the module."""
    folder = tmp_path_factory.mktemp("path")
    (folder / "g3n").symlink_to(Path(g3n.__file__).parent)
    found = subprocess.run([PYTHON, "-c", "import torch, numpy, PIL, g3n"], env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f"no torch in {PYTHON}: tools/setup.sh torch installs it ({found.stderr.strip().splitlines()[-1]})")
    return str(folder)


def run_with_torch(torch_path, *arguments):
    done = subprocess.run(
        [PYTHON, "-W", "error::UserWarning:g3n", *arguments], cwd=ROOT, env=os.environ | {"PYTHONPATH": torch_path}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


TENSORS = """
import json, sys, threading
import torch
from PIL import Image
from g3n.transformers import *
model = Gemma3nForConditionalGeneration.from_pretrained("models/demo", torch_dtype=torch.float32).eval()
processor = AutoProcessor.from_pretrained("models/demo")
assert (model.dtype, model.device) == (torch.float32, torch.device("cpu"))
chat = [{"role": "user", "content": [{"type": "image", "image": Image.open("models/demo/media/red-circle.png")},
                                     {"type": "text", "text": "Describe the image."}]}]
inputs = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt")
assert {name: value.dtype for name, value in inputs.items()} == {
    "input_ids": torch.int64, "attention_mask": torch.int64, "pixel_values": torch.float32, "token_type_ids": torch.int64}
inputs = inputs.to(model.device, dtype=torch.bfloat16)
assert inputs.pixel_values.dtype == torch.bfloat16 and inputs["input_ids"].dtype == torch.int64
inputs["pixel_values"] = processor.apply_chat_template(chat, tokenize=True, return_dict=True, return_tensors="pt")["pixel_values"]
with torch.inference_mode():
    out = model.generate(**inputs, max_new_tokens=48, do_sample=False)
assert isinstance(out, torch.Tensor) and out.dtype == torch.int64
new = out[0][inputs["input_ids"].shape[-1]:]

def ban(ids, scores):
    assert isinstance(ids, torch.Tensor) and ids.shape[0] == 1 and scores.shape == (1, model.config.vocab_size)
    return scores.index_fill(1, new[:1], -float("inf"))

class After(StoppingCriteria):
    def __call__(self, ids, scores, **more):
        return torch.tensor([ids.shape[1] >= inputs["input_ids"].shape[1] + 2])

banned = model.generate(**inputs, max_new_tokens=3, do_sample=False, logits_processor=LogitsProcessorList([ban]))
assert banned[0, inputs["input_ids"].shape[1]] != new[0]
stopped = model.generate(**inputs, max_new_tokens=20, do_sample=False, stopping_criteria=[After()])
assert stopped.shape[1] == inputs["input_ids"].shape[1] + 2
told = []
class Mine:
    def put(self, ids): told.append(ids)
    def end(self): pass
model.generate(**inputs, max_new_tokens=2, do_sample=False, streamer=Mine())
assert all(isinstance(ids, torch.Tensor) for ids in told) and told[0].shape == inputs["input_ids"].shape
torch.manual_seed(3)
ask = dict(max_new_tokens=8, do_sample=True, temperature=3.0, top_k=0)
first = model.generate(**inputs, **ask)
torch.manual_seed(3)
assert torch.equal(model.generate(**inputs, **ask), first)
kept = model(**inputs, logits_to_keep=1)
assert isinstance(kept.logits, torch.Tensor) and kept.logits.argmax() == new[0]
assert processor.batch_decode(out[:, inputs["input_ids"].shape[-1]:], skip_special_tokens=True) == [processor.decode(new, skip_special_tokens=True)]
from g3n import Engine
engine = model.engine
pixels = torch.zeros((3, 40, 40), dtype=torch.uint8)
assert engine.generate([{"role": "user", "content": [{"type": "image", "image": pixels}]}], max_tokens=1).ids
print(json.dumps(new.tolist()))
"""


def test_tensors(torch_path):
    assert json.loads(run_with_torch(torch_path, "-c", TENSORS)) == CONVERSATIONS["caption"]["greedy_ids"]


def test_the_cards_snippets_with_torch(torch_path):
    printed = run_with_torch(torch_path, str(EXAMPLES / "card_pipeline.py"))
    assert printed.startswith("[{'input_text': '<start_of_image> in this image, there is', 'generated_text': '<start_of_image> in this image, there is")
    assert run_with_torch(torch_path, str(EXAMPLES / "card_generate.py")).strip().endswith("star.")


def without_torch(path):
    """The snippet as someone without torch has it."""
    code = path.read_text().replace("with torch.inference_mode():", "if True:").replace('return_tensors="pt"', 'return_tensors="np"')
    code = re.sub(r",? *torch_dtype=torch\.bfloat16,?", "", code).replace("import torch\n", "")
    assert "torch" not in re.sub("was: .*|#.*", "", code)
    return code


def test_the_cards_snippets_without_torch():
    block = "import sys\nsys.modules['torch'] = None\n"
    assert run_python(block + without_torch(EXAMPLES / "card_pipeline.py")).startswith("[{'input_text'")
    assert run_python(block + without_torch(EXAMPLES / "card_generate.py")).strip().endswith("star.")


def test_other_examples(tmp_path):
    code = (EXAMPLES / "research_taps.py").read_text().replace('main(*sys.argv[1:])', f'main("models/demo", "{tmp_path}/norms.png")')
    plots = subprocess.run([sys.executable, "-c", "import matplotlib"], capture_output=True).returncode == 0
    if not plots:  # what it plots is computed all the same
        code = re.sub(r"(?s)\n    import matplotlib.*?\n\n\nif", "\n\n\nif", code)
    out = run_python(code)
    assert re.match(r"\d+ layers, \d+ tokens; the last layer: \d", out)
    assert not plots or (tmp_path / "norms.png").stat().st_size > 1000
    done = subprocess.run([sys.executable, str(EXAMPLES / "chat.py")], cwd=ROOT, input="What is the capital of Norway?\n", capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("The capital of Norway is Oslo.\n", "")
