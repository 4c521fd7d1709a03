"""The openai package against g3n serve over the demo: what it sends is taken, what comes back is what its types say."""

import asyncio
import base64
import os
import time

import httpx
import openai
import pytest
from conftest import DEMO, Server

MODEL = "demo"
QUESTION = [{"role": "user", "content": "What is 3 plus 4?"}]


def media(name):
    with open(os.path.join(DEMO, "media", name), "rb") as file:
        return base64.b64encode(file.read()).decode()


def picture(question="What is in the picture?"):
    url = "data:image/png;base64," + media("red-circle.png")
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": question}]}]


def ask(client, messages=QUESTION, **fields):
    return client.chat.completions.create(model=MODEL, messages=messages, **{"max_tokens": 16, "temperature": 0, **fields})


def metric(server, name):
    lines = httpx.get(server.url + "/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{"))


def unknown_fields(model, path=""):
    """Fields of an answer that the package's types do not have."""
    found = set()
    if not isinstance(model, openai.BaseModel):
        return found
    found |= {path + name for name in (model.model_extra or {})}
    for name in type(model).model_fields:
        value = getattr(model, name, None)
        for item in value if isinstance(value, list) else [value]:
            found |= unknown_fields(item, path + name + ".")
    return found


def test_models(client):
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).owned_by == "google"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")


def test_chat(client):
    answer = ask(client)
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.object == "chat.completion" and answer.model == MODEL
    known = {"g3n", "usage.prompt_tokens_details.image_tokens", "usage.prompt_tokens_details.text_tokens"}
    assert unknown_fields(answer) <= known


def test_stream_gives_the_same_text(client):
    whole = ask(client, max_tokens=24)
    chunks = list(ask(client, max_tokens=24, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    reasons = [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
    assert reasons == [whole.choices[0].finish_reason]
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens and not chunks[-1].choices
    assert len({c.id for c in chunks}) == 1
    assert set().union(*map(unknown_fields, chunks)) <= {
        "g3n", "usage.prompt_tokens_details.image_tokens", "usage.prompt_tokens_details.text_tokens"}


def test_stream_helper(client):
    with client.chat.completions.stream(model=MODEL, messages=QUESTION, max_tokens=64, temperature=0) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.content == ask(client, max_tokens=64).choices[0].message.content


def test_logprobs(client):
    answer = ask(client, logprobs=True, top_logprobs=3)
    entries = answer.choices[0].logprobs.content
    assert b"".join(bytes(entry.bytes) for entry in entries).decode() == answer.choices[0].message.content
    for entry in entries:
        assert len(entry.top_logprobs) == 3
        values = [top.logprob for top in entry.top_logprobs]
        assert values == sorted(values, reverse=True) and entry.logprob <= values[0] <= 0
        assert entry.logprob == values[0]  # greedy
    streamed = [entry for chunk in ask(client, logprobs=True, top_logprobs=3, stream=True) if chunk.choices
                for entry in (chunk.choices[0].logprobs.content if chunk.choices[0].logprobs else [])]
    assert streamed == entries


def test_choices_stops_seeds_bias(client):
    assert len(ask(client, n=3, temperature=1, seed=1).choices) == 3
    one, two = (ask(client, temperature=1, seed=5).choices[0].message.content for _ in range(2))
    assert one == two
    text = ask(client).choices[0].message.content
    assert ask(client, stop=[text[3:6]]).choices[0].message.content == text[: text.index(text[3:6])]
    banned = ask(client, logprobs=True, max_tokens=1).choices[0].logprobs.content[0].token
    ids = httpx.post(str(client.base_url.copy_with(path="/tokenize")), json={"content": banned}).json()["tokens"]
    biased = ask(client, logprobs=True, max_tokens=1, logit_bias={str(ids[0]): -100})
    assert biased.choices[0].logprobs.content[0].token != banned


def test_pictures_and_sounds(client):
    seen = ask(client, picture())
    assert "circle" in seen.choices[0].message.content
    assert seen.usage.prompt_tokens > 256
    sound = {"type": "input_audio", "input_audio": {"data": media("colors.wav"), "format": "wav"}}
    heard = ask(client, [{"role": "user", "content": [sound, {"type": "text", "text": "Transcribe the audio."}]}])
    assert heard.choices[0].message.content and heard.usage.prompt_tokens_details.audio_tokens == 188
    chunks = list(ask(client, picture(), stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == seen.choices[0].message.content


def test_completions(client):
    answer = client.completions.create(model=MODEL, prompt=["The star is", "The circle is"], max_tokens=4, temperature=0, logprobs=2)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert len(answer.choices[0].logprobs.tokens) == len(answer.choices[0].logprobs.token_logprobs)
    streamed = client.completions.create(model=MODEL, prompt="The star is", max_tokens=4, temperature=0, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed if chunk.choices) == answer.choices[0].text


def test_errors(client):
    for fields in ({"temperature": 3}, {"max_tokens": 0}, {"tools": [{"type": "function", "function": {"name": "f"}}]}):
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client, **fields)
        assert caught.value.param and caught.value.code
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, [{"role": "user", "content": "red star " * 60000}])
    assert caught.value.code == "context_length_exceeded" and "maximum context length is" in str(caught.value)
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model=MODEL, input="a")
    assert caught.value.code == "unsupported_endpoint"
    broken = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, broken, stream=True)
    assert caught.value.code == "invalid_media"


def test_what_is_ignored_is_named(client):
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=QUESTION, max_tokens=1, user="me", store=True, extra_body={"whatever": 1})
    assert raw.headers["x-g3n-ignored"] == "store, user, whatever"
    assert raw.headers["x-request-id"] and raw.parse().model == MODEL


def test_cancel(server, client):
    before = metric(server, "g3n_cancelled_total")
    stream = ask(client, [{"role": "user", "content": "Tell me a story."}], stream=True, max_tokens=4000,
                 extra_body={"ignore_eos": True})
    next(iter(stream))
    stream.close()
    for _ in range(500):
        if metric(server, "g3n_requests_running") == 0 and metric(server, "g3n_cancelled_total") > before:
            break
        time.sleep(0.01)
    else:
        pytest.fail("the work goes on")


def test_sixteen_at_once_get_what_each_gets_alone(server, client):
    fields = [{"temperature": 1, "seed": i, "messages": picture() if i % 5 == 0 else QUESTION, "max_tokens": 4 + i} for i in range(16)]
    alone = [ask(client, **one).choices[0].message.content for one in fields]

    async def all_of_them():
        async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0) as many:
            answers = await asyncio.gather(*(many.chat.completions.create(model=MODEL, **one) for one in fields))
            return [answer.choices[0].message.content for answer in answers]

    assert asyncio.run(all_of_them()) == alone


def test_keys(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("me:secret\n")
    keys.chmod(0o600)
    server = Server("--api-key-file", str(keys))
    try:
        with pytest.raises(openai.AuthenticationError):
            server.client(api_key="wrong").models.list()
        assert server.client(api_key="secret").models.list().data[0].id == MODEL
        assert not any("secret" in line for line in server.log)
    finally:
        server.stop()
