"""The `ollama` package."""

import asyncio
import json

import ollama
import pytest

from vectors import TEXTS, assert_same, assert_sound, direct, request

TOO_LONG = "word " * 600


@pytest.fixture
def client(url):
    return ollama.Client(host=url, timeout=120)


def test_one_string(client, url):
    answer = client.embed(model="all-minilm", input=TEXTS[0])
    assert answer.model
    assert answer.prompt_eval_count > 0
    assert answer.total_duration > 0
    assert answer.load_duration >= 0
    assert_sound(answer.embeddings, 1, 384)
    assert_same(answer.embeddings, direct(url, TEXTS[:1]))


def test_a_list_in_order(client, url):
    answer = client.embed(model="all-minilm:latest", input=TEXTS)
    assert_sound(answer.embeddings, len(TEXTS), 384)
    assert_same(answer.embeddings, direct(url, TEXTS))


def test_an_empty_list_is_an_empty_answer(client):
    assert list(client.embed(model="m", input=[]).embeddings) == []


def test_truncate(client, url):
    cut = client.embed(model="m", input=[TOO_LONG, "a"], truncate=True).embeddings
    assert_sound(cut, 2, 384)
    # Ollama's default is to cut.
    assert_same(client.embed(model="m", input=[TOO_LONG, "a"]).embeddings, cut)
    assert_same(cut, direct(url, [TOO_LONG, "a"], truncate=True))
    with pytest.raises(ollama.ResponseError) as caught:
        client.embed(model="m", input=["a", TOO_LONG], truncate=False)
    assert caught.value.status_code == 400
    assert "256" in caught.value.error
    assert_same(client.embed(model="m", input="a", truncate=False).embeddings, cut[1])


def test_dimensions(gemma):
    client = ollama.Client(host=gemma.url, timeout=120)
    found = client.embed(model="embeddinggemma", input=TEXTS, dimensions=256).embeddings
    assert_sound(found, len(TEXTS), 256)
    assert_same(found, direct(gemma.url, TEXTS, dimensions=256))


def test_a_task_by_the_tag(gemma):
    client = ollama.Client(host=gemma.url, timeout=120)
    found = client.embed(model="embeddinggemma:query", input=TEXTS).embeddings
    assert_same(found, direct(gemma.url, TEXTS, task="query"))


@pytest.mark.parametrize("keep_alive", ["5m", "-1", 0, -1, 300, 1.5, "24h"])
def test_keep_alive_is_accepted(client, url, keep_alive):
    found = client.embed(model="m", input="a", keep_alive=keep_alive).embeddings
    assert_same(found, direct(url, ["a"]))


def test_options_are_accepted(client, recorder, url):
    found = ollama.Client(host=recorder.url).embed(
        model="m", input="a", options=ollama.Options(num_ctx=8192, num_thread=2, temperature=0.5)
    )
    assert json.loads(recorder.requests[-1][3])["options"]["num_ctx"] == 8192
    assert_same(found.embeddings, direct(url, ["a"]))
    found = client.embed(model="m", input="a", options={"num_batch": 512, "stop": ["x"], "use_mmap": True})
    assert_same(found.embeddings, direct(url, ["a"]))


def test_the_old_route(client, url):
    answer = client.embeddings(model="all-minilm", prompt=TEXTS[0], keep_alive="5m", options={"num_ctx": 512})
    assert_same(answer.embedding, direct(url, TEXTS[:1]))
    assert_sound(answer.embedding, 1, 384)


def test_the_old_route_cuts_too_long_texts(client, url):
    assert_same(client.embeddings(model="m", prompt=TOO_LONG).embedding, direct(url, [TOO_LONG], truncate=True))


def test_list_show_ps(client):
    listed = client.list().models
    assert len(listed) == 1
    model = listed[0]
    assert model.model and model.modified_at and model.digest and model.size > 0
    assert model.details.format == "gguf"
    assert model.details.family
    for name in (model.model, model.model.split(":")[0]):
        shown = client.show(name)
        assert shown.modelinfo["general.architecture"]
        architecture = shown.modelinfo["general.architecture"]
        assert shown.modelinfo[f"{architecture}.embedding_length"] == 384
        assert "embedding" in shown.capabilities
        assert shown.details.format == "gguf"
    running = client.ps().models
    assert len(running) == 1
    assert running[0].model == model.model
    assert running[0].expires_at and running[0].size > 0 and running[0].size_vram == 0
    assert running[0].context_length > 0


def test_errors_have_ollamas_shape(client, url):
    status, _, body = request(url, "POST", "/api/embed", {"input": 5})
    assert status == 400 and isinstance(json.loads(body)["error"], str)
    status, _, body = request(url, "POST", "/api/embed", b"{")
    assert status == 400 and isinstance(json.loads(body)["error"], str)


def test_the_root_and_the_version(url):
    status, _, body = request(url, "GET", "/")
    assert (status, body) == (200, b"Ollama is running")
    status, _, body = request(url, "HEAD", "/")
    assert (status, body) == (200, b"")
    status, _, body = request(url, "GET", "/api/version")
    assert status == 200 and json.loads(body)["version"]


def test_async_client(url):
    async def run():
        client = ollama.AsyncClient(host=url)
        return await asyncio.gather(*(client.embed(model="m", input=[text, "b"]) for text in TEXTS))

    wanted = direct(url, [*TEXTS, "b"])
    for i, answer in enumerate(asyncio.run(run())):
        assert_same(answer.embeddings, wanted[[i, -1]])


def test_a_key_is_asked_for(key_server):
    with_key = ollama.Client(host=key_server.url, headers={"Authorization": "Bearer sk-first-key"})
    assert_sound(with_key.embed(model="m", input="a").embeddings, 1)
    with pytest.raises(ollama.ResponseError) as caught:
        ollama.Client(host=key_server.url).embed(model="m", input="a")
    assert caught.value.status_code == 401
