"""LangChain: OpenAIEmbeddings sends the ids of OpenAI's own vocabulary unless told not to."""

import asyncio
import json
import os

import openai
import pytest
import tiktoken
from langchain_ollama import OllamaEmbeddings
from langchain_openai import OpenAIEmbeddings

from vectors import TEXTS, assert_same, assert_sound, direct

VOCABULARY = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"  # cl100k_base, as tiktoken names it in its cache


def client(url, **extra):
    return OpenAIEmbeddings(
        model="all-minilm", base_url=f"{url}/v1", api_key="none", max_retries=0, **extra
    )


def test_the_vocabulary_is_at_hand():
    assert os.path.exists(os.path.join(os.environ["TIKTOKEN_CACHE_DIR"], VOCABULARY))


def test_by_default_ids_are_sent_and_refused_by_name(recorder):
    embeddings = client(recorder.url)
    for call in (lambda: embeddings.embed_query(TEXTS[0]), lambda: embeddings.embed_documents(TEXTS)):
        with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False"):
            call()
    # It really was ids, of OpenAI's vocabulary: else this test would prove nothing.
    sent = json.loads(recorder.requests[0][3])["input"]
    assert sent == [tiktoken.get_encoding("cl100k_base").encode(TEXTS[0])]
    assert len(json.loads(recorder.requests[-1][3])["input"]) == len(TEXTS)


def test_with_its_setting_texts_are_sent(recorder, url):
    embeddings = client(recorder.url, check_embedding_ctx_length=False)
    found = embeddings.embed_documents(TEXTS)
    assert json.loads(recorder.requests[-1][3])["input"] == TEXTS
    assert_sound(found, len(TEXTS), 384)
    assert_same(found, direct(url, TEXTS))
    assert_same(embeddings.embed_query(TEXTS[3]), direct(url, TEXTS[3:4]))


def test_its_batches_keep_the_order(url):
    texts = [f"document {i}" for i in range(57)]
    found = client(url, check_embedding_ctx_length=False, chunk_size=10).embed_documents(texts)
    assert_same(found, direct(url, texts))


def test_async(url):
    found = asyncio.run(client(url, check_embedding_ctx_length=False).aembed_documents(TEXTS))
    assert_same(found, direct(url, TEXTS))


def test_dimensions(gemma):
    found = client(gemma.url, check_embedding_ctx_length=False, dimensions=256).embed_documents(TEXTS)
    assert_sound(found, len(TEXTS), 256)
    assert_same(found, direct(gemma.url, TEXTS, dimensions=256))


def test_model_kwargs_carry_our_fields(gemma):
    asked = client(
        gemma.url, check_embedding_ctx_length=False, model_kwargs={"extra_body": {"task": "query"}}
    ).embed_query(TEXTS[0])
    assert_same(asked, direct(gemma.url, TEXTS[:1], task="query"))


def test_ids_are_ours_where_the_server_was_told_so(binary):
    """`--token-ids model` takes ids as the model's own: the person who starts it so has said it."""
    from serving import Server

    with Server(binary, "--token-ids", "model") as told:
        found = openai.OpenAI(base_url=f"{told.url}/v1", api_key="none").embeddings.create(
            model="m", input=[[101, 7592, 2088, 102]]
        )
        assert_same([found.data[0].embedding], direct(told.url, ["hello world"]))


def test_ollama_embeddings(url):
    """LangChain's OllamaEmbeddings: /api/embed with an `options` object of its own."""
    found = OllamaEmbeddings(model="all-minilm", base_url=url, num_ctx=256, keep_alive=60).embed_documents(TEXTS)
    assert_sound(found, len(TEXTS), 384)
    assert_same(found, direct(url, TEXTS))
