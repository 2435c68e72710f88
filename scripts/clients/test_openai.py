"""The `openai` package."""

import asyncio

import numpy as np
import openai
import pytest

from vectors import TEXTS, assert_same, assert_sound, direct, from_base64

TOO_LONG = "word " * 600  # MiniLM takes 256 tokens


@pytest.fixture
def client(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as opened:
        yield opened


def embed(client, texts, **extra):
    answer = client.embeddings.create(model="all-minilm", input=texts, **extra)
    assert [item.index for item in answer.data] == list(range(len(answer.data)))
    assert all(item.object == "embedding" for item in answer.data)
    return [item.embedding for item in answer.data]


def test_one_string(client, url):
    vectors = embed(client, TEXTS[0])
    assert_sound(vectors, 1, 384)
    assert_same(vectors, direct(url, TEXTS[:1]))


def test_the_default_is_base64_and_it_equals_float(recorder, url):
    client = openai.OpenAI(base_url=f"{recorder.url}/v1", api_key="none", max_retries=0)
    by_default = embed(client, TEXTS)
    assert b'"encoding_format":"base64"' in recorder.requests[-1][3].replace(b": ", b":")
    as_float = embed(client, TEXTS, encoding_format="float")
    assert isinstance(as_float[0][0], float)
    assert_sound(by_default, len(TEXTS), 384)
    assert_same(by_default, as_float)
    assert_same(by_default, direct(url, TEXTS))


def test_base64_as_it_is(client, url):
    answer = client.embeddings.create(model="m", input=TEXTS, encoding_format="base64")
    assert_same([from_base64(item.embedding) for item in answer.data], direct(url, TEXTS))


def test_usage_is_exact_and_the_envelope_whole(client):
    one = client.embeddings.create(model="m", input="hello world")
    assert one.object == "list"
    assert one.model
    assert one.usage.prompt_tokens == one.usage.total_tokens == 4  # [CLS] hello world [SEP]
    two = client.embeddings.create(model="m", input=["hello world", "hello"])
    assert two.usage.prompt_tokens == 7


def test_many_inputs_in_order(client, url):
    texts = [f"text number {i} " + "and more " * (i * 7 % 40) for i in range(700)]
    vectors = assert_sound(embed(client, texts), len(texts), 384)
    picked = [0, 1, 31, 32, 333, 698, 699]
    assert_same(vectors[picked], np.concatenate([direct(url, [texts[i]]) for i in picked]))


def test_the_empty_string_has_a_vector(client):
    assert_sound(embed(client, ["", "a"]), 2, 384)


def test_user_is_taken(client, url):
    assert_same(embed(client, TEXTS[0], user="someone"), direct(url, TEXTS[:1]))


def test_extra_body_truncates(client):
    assert_sound(embed(client, TOO_LONG, extra_body={"truncate": True}), 1, 384)


def test_dimensions_of_a_matryoshka_model(gemma):
    client = openai.OpenAI(base_url=f"{gemma.url}/v1", api_key="none", max_retries=0)
    full = assert_sound(embed(client, TEXTS), len(TEXTS), 768)
    cut = assert_sound(embed(client, TEXTS, dimensions=256), len(TEXTS), 256)
    assert_same(cut, direct(gemma.url, TEXTS, dimensions=256))
    wanted = full[:, :256] / np.linalg.norm(full[:, :256], axis=1, keepdims=True)
    assert np.abs(cut - wanted).max() < 1e-6
    assert_same(embed(client, TEXTS, dimensions=768), full)


def test_dimensions_that_the_model_has_not(client):
    assert_sound(embed(client, "a", dimensions=384), 1, 384)
    with pytest.raises(openai.BadRequestError, match="(?i)dimension"):
        embed(client, "a", dimensions=256)


def test_tasks_by_extra_field_and_by_tag(gemma):
    client = openai.OpenAI(base_url=f"{gemma.url}/v1", api_key="none", max_retries=0)
    plain = embed(client, TEXTS[0])
    asked = embed(client, TEXTS[0], extra_body={"task": "query"})
    assert_sound(asked, 1, 768)
    assert (np.asarray(plain) != np.asarray(asked)).any()
    for field in ("input_type", "prompt_name"):
        assert_same(embed(client, TEXTS[0], extra_body={field: "query"}), asked)
    assert_same([client.embeddings.create(model="m:query", input=TEXTS[0]).data[0].embedding], asked)
    assert_same([client.embeddings.create(model="m:latest", input=TEXTS[0]).data[0].embedding], plain)
    with_text = embed(client, "task: search result | query: " + TEXTS[0])
    assert_same(with_text, asked)


def test_errors_are_bad_requests_that_say_why(client):
    cases = [
        ([], {}, "(?i)input"),
        ("a", {"encoding_format": "base32"}, "(?i)encoding_format"),
        ("a", {"dimensions": 0}, "(?i)dimension"),
        ("a", {"dimensions": 100_000}, "(?i)dimension"),
    ]
    for text, extra, said in cases:
        with pytest.raises(openai.BadRequestError, match=said) as caught:
            client.embeddings.create(model="m", input=text, **extra)
        error = caught.value
        assert error.status_code == 400
        assert error.body["message"] and error.body["type"] == "invalid_request_error"
        assert {"message", "type", "param", "code"} <= set(error.body)


def test_too_long_names_the_input_and_fails_nothing_else(client):
    with pytest.raises(openai.BadRequestError) as caught:
        embed(client, ["short", TOO_LONG, "short"])
    assert caught.value.code == "context_length_exceeded"
    assert "input 1" in caught.value.body["message"]
    assert "256" in caught.value.body["message"]
    assert_sound(embed(client, ["short", "short"]), 2)


def test_token_ids_are_refused_unless_said_to_be_ours(client, url):
    for ids in ([7592, 2088], [[7592, 2088], [7592]]):
        with pytest.raises(openai.BadRequestError, match="token_ids"):
            embed(client, ids)
    ids = [101, 7592, 2088, 102]  # [CLS] hello world [SEP] in MiniLM's own vocabulary
    ours = embed(client, ids, extra_body={"token_ids": "model"})
    assert_sound(ours, 1, 384)
    assert_same(ours, direct(url, ["hello world"]))


def test_models(client, server):
    listed = client.models.list().data
    assert len(listed) == 1
    model = listed[0]
    assert model.object == "model" and isinstance(model.created, int) and model.owned_by
    assert client.models.retrieve(model.id).id == model.id
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("not/such a model")
    assert caught.value.body["message"]


def test_unknown_path_is_a_not_found(client):
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="m", prompt="a")


def test_headers_tell_the_fingerprint_and_the_time(client):
    raw = client.embeddings.with_raw_response.create(model="m", input="a")
    assert raw.headers["x-embedding-fingerprint"]
    assert raw.headers["x-model"]
    assert "dur=" in raw.headers["server-timing"]
    assert raw.headers["content-type"].startswith("application/json")
    assert_sound([raw.parse().data[0].embedding], 1)


def test_with_options_timeout(client, gemma):
    assert_sound(embed(client.with_options(timeout=60), "a"), 1)
    slow = openai.OpenAI(base_url=f"{gemma.url}/v1", api_key="none", max_retries=0)
    long = ["many words " * 900] * 16
    with pytest.raises(openai.APITimeoutError):
        embed(slow.with_options(timeout=0.1), long)
    # The client has gone: the server must not be held up by what it asked for.
    assert_sound(embed(slow.with_options(timeout=20), "a"), 1, 768)


def test_async_client(url):
    async def run():
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            answers = await asyncio.gather(
                *(client.embeddings.create(model="m", input=[text, text]) for text in TEXTS * 4)
            )
            models = [model.id async for model in client.models.list()]
        return answers, models

    answers, models = asyncio.run(run())
    assert len(models) == 1
    wanted = direct(url, TEXTS)
    for i, answer in enumerate(answers):
        row = i % len(TEXTS)
        assert_same([item.embedding for item in answer.data], wanted[[row, row]])


def test_a_key_is_asked_for(key_server):
    for key in ("sk-first-key", "sk-second-key"):
        client = openai.OpenAI(base_url=f"{key_server.url}/v1", api_key=key, max_retries=0)
        assert_sound(embed(client, "a"), 1)
    client = openai.OpenAI(base_url=f"{key_server.url}/v1", api_key="sk-wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as caught:
        embed(client, "a")
    assert caught.value.body["message"]
    with pytest.raises(openai.AuthenticationError):
        client.models.list()
