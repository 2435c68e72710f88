"""The frameworks' own packages, and their own tests where they publish such."""

import asyncio

import chromadb
import connote
import numpy as np
import pytest
from chromadb.utils.embedding_functions import known_embedding_functions
from conftest import with_keys
from connote.chroma import ConnoteEmbeddingFunction
from connote.haystack import ConnoteDocumentEmbedder, ConnoteTextEmbedder
from connote.langchain import ConnoteEmbeddings
from connote.llama_index import ConnoteEmbedding
from haystack import DeserializationError, Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests
from llama_index.core import VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.schema import TextNode

NOTES = ["Plant garlic in autumn, before the ground freezes.", "The train to Basel leaves at noon.", "Cats sleep a lot."]
QUESTION = "When do I plant garlic?"


class TestLangChainUnit(EmbeddingsUnitTests):
    embeddings_class = property(lambda self: ConnoteEmbeddings)


class TestLangChainIntegration(EmbeddingsIntegrationTests):
    embeddings_class = property(lambda self: ConnoteEmbeddings)


def test_langchain_searches():
    store = InMemoryVectorStore.from_texts(NOTES, ConnoteEmbeddings())
    assert store.similarity_search(QUESTION, k=1)[0].page_content == NOTES[0]


def test_prompts_are_the_models(dense):
    own = ConnoteEmbeddings(str(dense.path))
    assert np.allclose(own.embed_query("garlic"), dense.embed("garlic", task="query"))
    assert np.allclose(own.embed_documents(["garlic"]), dense.embed(["garlic"], task="document"))
    plain = ConnoteEmbeddings(str(dense.path), use_prompts=False, dimensions=128)
    assert np.allclose(plain.embed_query("garlic"), dense.embed("garlic", dimensions=128))


def test_a_file_with_a_default_prompt_can_be_used_without(tmp_path, minilm):
    keys = {
        "sentence_transformers.prompt_names": ["query"],
        "sentence_transformers.prompts": ["ask: "],
        "sentence_transformers.default_prompt_name": "query",
    }
    path = str(with_keys(connote.find_model(), tmp_path / "own.gguf", keys))
    (bare,), (asked,) = minilm.embed(["garlic"]).tolist(), minilm.embed(["ask: garlic"]).tolist()
    own = ConnoteEmbeddings(path)
    assert own.embed_query("garlic") == asked
    assert own.embed_documents(["garlic"]) == [minilm.embed("garlic", task="document").tolist()] == [bare]
    plain = ConnoteEmbeddings(path, use_prompts=False)
    assert plain.embed_query("garlic") == bare
    assert plain.embed_documents(["garlic"]) == [bare]


def test_llama_index():
    own = ConnoteEmbedding()
    assert isinstance(own, BaseEmbedding)
    index = VectorStoreIndex([TextNode(text=text) for text in NOTES], embed_model=own)
    assert index.as_retriever(similarity_top_k=1).retrieve(QUESTION)[0].text == NOTES[0]
    batch = own.get_text_embedding_batch(NOTES)
    assert batch[0] == own.get_text_embedding(NOTES[0])
    assert asyncio.run(own.aget_query_embedding("a")) == own.get_query_embedding("a")
    assert asyncio.run(own.aget_text_embedding_batch(NOTES)) == batch
    assert own.to_dict()["class_name"] == "ConnoteEmbedding"
    again = ConnoteEmbedding.from_dict({**own.to_dict(), "model_name": None})
    assert again.get_text_embedding("a") == own.get_text_embedding("a")


def test_chroma():
    own = ConnoteEmbeddingFunction()
    assert known_embedding_functions["connote"] is ConnoteEmbeddingFunction
    assert not own.is_legacy()
    client = chromadb.EphemeralClient()
    collection = client.get_or_create_collection("notes", embedding_function=own)
    collection.add(ids=["1", "2", "3"], documents=NOTES)
    assert collection.query(query_texts=[QUESTION], n_results=1)["documents"] == [[NOTES[0]]]
    # By the configuration that Chroma keeps.
    again = client.get_collection("notes")
    assert again.query(query_texts=[QUESTION], n_results=1)["ids"] == [["1"]]
    client.delete_collection("notes")
    config = own.get_config()
    ConnoteEmbeddingFunction.validate_config(config)
    assert np.array_equal(ConnoteEmbeddingFunction.build_from_config(config)(["a"]), own(["a"]))
    with pytest.raises(ValueError, match="no setting colour"):
        ConnoteEmbeddingFunction.validate_config({"colour": "red"})
    with pytest.raises(ValueError, match="cannot change"):
        own.validate_config_update(config, {**config, "model": "other"})


def test_haystack_pipelines():
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    documents = [Document(content=text) for text in NOTES]
    embedded = ConnoteDocumentEmbedder().run(documents=documents)["documents"]
    store.write_documents(embedded)
    pipeline = Pipeline()
    pipeline.add_component("query", ConnoteTextEmbedder())
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=1))
    pipeline.connect("query.embedding", "retriever.query_embedding")
    # As text and back, as Haystack stores pipelines.
    text = pipeline.dumps()
    with pytest.raises(DeserializationError, match="connote"):
        Pipeline.loads(text)
    again = Pipeline.loads(text, allowed_modules=["connote.haystack"])
    assert again.get_component("query").to_dict() == pipeline.get_component("query").to_dict()
    found = pipeline.run({"query": {"text": QUESTION}})
    assert found["retriever"]["documents"][0].content == NOTES[0]


def test_haystack_components_are_read_back_and_refuse_each_others_input(minilm):
    own = ConnoteDocumentEmbedder(meta_fields_to_embed=["title"], embedding_separator=" - ")
    again = ConnoteDocumentEmbedder.from_dict(own.to_dict())
    document = Document(content="plant it in autumn", meta={"title": "Garlic"})
    result = again.run(documents=[document])["documents"][0]
    assert np.allclose(result.embedding, minilm.embed("Garlic - plant it in autumn"))
    assert document.embedding is None
    text = ConnoteTextEmbedder.from_dict(ConnoteTextEmbedder().to_dict())
    assert asyncio.run(text.run_async("a"))["embedding"] == text.run("a")["embedding"]
    assert asyncio.run(again.run_async([document]))["documents"][0].embedding == result.embedding
    with pytest.raises(TypeError, match="ConnoteDocumentEmbedder"):
        text.run([document])
    with pytest.raises(TypeError, match="ConnoteTextEmbedder"):
        again.run("a")
