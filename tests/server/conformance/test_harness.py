"""lm-evaluation-harness 0.4 (local-completions) on items of its own: its scores are those of the model's logits."""

import json
import math
import os
import subprocess

import httpx
import pytest

lm_eval = pytest.importorskip("lm_eval")
os.environ["HF_HUB_OFFLINE"] = "1"

ITEMS = [(f"The {shape} is", f" {color}") for shape in ("star", "circle", "square", "ring", "cross")
         for color in ("red", "blue", "green", "yellow")]


def log_softmax_of_the_library(prompt_ids, tail):
    """Of the last `tail` ids, from the rows of g3n's own logits (tools of the build: build/release/score_ids)."""
    program = os.path.join(os.path.dirname(os.environ.get("G3N", "build/release/g3n")), "score_ids")
    text = subprocess.run([program, "models/demo", str(tail), *map(str, prompt_ids)], check=True, capture_output=True, text=True)
    return [float(line) for line in text.stdout.split()]


def test_scores_are_those_of_the_logits(server, tmp_path):
    from lm_eval.api.instance import Instance
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    model = LocalCompletionsAPI(model="demo", base_url=server.url + "/v1/completions", tokenizer_backend="remote",
                                num_concurrent=4, max_retries=1)
    requests = [Instance("loglikelihood", {}, item, i) for i, item in enumerate(ITEMS)]
    found = model.loglikelihood(requests)
    assert len(found) == len(ITEMS)
    for (context, continuation), (score, _) in zip(ITEMS, found):
        def ids(text):
            return httpx.post(server.url + "/tokenize", json={"content": text, "add_special": False}).json()["tokens"]

        whole, head = ids(context + continuation), ids(context)
        wanted = sum(log_softmax_of_the_library(whole, len(whole) - len(head)))
        assert math.isclose(score, wanted, abs_tol=2e-5), (context, continuation, score, wanted)
