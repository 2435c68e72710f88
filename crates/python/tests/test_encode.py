"""sentence-transformers' names, arguments and results."""

import importlib.util
import pickle

import connote
import numpy as np
import pytest
from conftest import golden, model, with_keys
from connote.sentence_transformers import SentenceTransformer


@pytest.fixture(scope="module")
def st():
    return SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2", device="cpu")


def is_a_tensor_where_torch_is(found):
    return hasattr(found, "detach") == (importlib.util.find_spec("torch") is not None)


def test_encode_gives_the_golden_vectors(st):
    rows = golden("minilm")
    vectors = st.encode([row["prompt"] + row["text"] for row in rows], batch_size=8, show_progress_bar=False)
    cosines = np.sum(vectors * np.array([row["embedding"] for row in rows]), axis=1)
    assert cosines.mean() >= 0.99976
    assert cosines.min() >= 0.999


def test_encode_gives_the_golden_vectors_of_embeddinggemma(dense):
    rows = golden("embeddinggemma")
    by_prompt = {}
    for row in rows:
        by_prompt.setdefault(row["prompt"], []).append(row)
    for prompt, own in by_prompt.items():
        vectors = dense.encode([row["text"] for row in own], prompt=prompt, normalize_embeddings=True)
        cosines = np.sum(vectors * np.array([row["embedding"] for row in own]), axis=1)
        assert cosines.min() >= 0.999


def test_shapes(st):
    assert st.encode("a cat").shape == (384,)
    assert st.encode(["a cat", "a dog"]).shape == (2, 384)
    rows = st.encode(["a cat", "a dog"], convert_to_numpy=False)
    assert isinstance(rows, list)
    assert rows[0].shape == (384,)
    assert is_a_tensor_where_torch_is(rows[0])
    assert is_a_tensor_where_torch_is(st.encode("a cat", convert_to_numpy=False))
    tokens = st.encode("a cat", output_value="token_embeddings")
    assert tokens.shape == (4, 384)
    assert is_a_tensor_where_torch_is(tokens)
    assert st.encode(["a cat"], output_value="token_embeddings", precision="int8")[0].dtype == np.int8
    assert st.get_sentence_embedding_dimension() == 384
    assert st.max_seq_length == st.get_max_seq_length() == 256


def test_prompt_names_and_queries(dense):
    query = dense.encode("garlic", prompt_name="query")
    assert np.array_equal(query, dense.embed("garlic", task="query"))
    assert np.array_equal(query, dense.encode("garlic", prompt_name="Retrieval-query"))
    assert np.array_equal(query, dense.encode_query("garlic"))
    assert np.array_equal(dense.encode_document(["garlic"]), dense.embed(["garlic"], task="document"))
    assert np.array_equal(dense.encode("garlic", prompt="query: "), dense.embed("query: garlic"))


def test_truncate_dim_normalises_only_if_told(dense):
    whole = dense.embed("garlic")
    cut = dense.encode("garlic", truncate_dim=256)
    assert np.array_equal(cut, whole[:256])
    again = dense.encode("garlic", truncate_dim=256, normalize_embeddings=True)
    assert np.allclose(again, cut / np.linalg.norm(cut), atol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "int8", "uint8", "binary", "ubinary"])
def test_precisions(dense, precision):
    assert np.array_equal(dense.encode(["garlic"], precision=precision), dense.embed(["garlic"], output=precision))
    cut = dense.encode(["garlic"], precision=precision, truncate_dim=256, normalize_embeddings=True)
    expected = dense.embed(["garlic"], dimensions=256, output=precision)
    assert np.abs(cut.astype(np.float32) - expected.astype(np.float32)).max() <= (1e-6 if precision == "float32" else 1)


def test_settings_of_the_model_object():
    own = SentenceTransformer(None, prompts={"shout": "HEY "}, default_prompt_name="shout", truncate_dim=100)
    assert own.encode("a cat").shape == (100,)
    assert np.array_equal(own.encode("a cat", truncate_dim=None), own.embed("HEY a cat")[:100]), "None is the object's own"
    assert own.get_embedding_dimension() == own.get_sentence_embedding_dimension() == 100
    own.truncate_dim = 1000
    assert own.get_embedding_dimension() == 384
    own.truncate_dim = 100
    with own.truncate_embeddings(7):
        assert own.encode(["a cat"]).shape == (1, 7)
        assert own.get_embedding_dimension() == 7
    assert own.encode("a cat").shape == (100,)
    again = pickle.loads(pickle.dumps(own))
    assert np.array_equal(again.encode("a cat"), own.encode("a cat"))


def test_queries_and_documents_have_their_own_prompt_or_none():
    own = SentenceTransformer(
        None, prompts={"query": "ask: ", "passage": "told: ", "shout": "HEY "}, default_prompt_name="shout"
    )
    bare = connote.Embedder.shared(None)
    assert np.array_equal(own.encode_query(["a cat"]), bare.embed(["ask: a cat"]))
    assert np.array_equal(own.encode_document(["a cat"]), bare.embed(["told: a cat"]))
    assert np.array_equal(own.encode(["a cat"]), bare.embed(["HEY a cat"]))
    # As there, where `prompts` always has a query and a document: the default prompt is never theirs.
    plain = SentenceTransformer(None, prompts={"shout": "HEY "}, default_prompt_name="shout")
    for encode in (plain.encode_query, plain.encode_document):
        assert np.array_equal(encode(["a cat"]), bare.embed(["a cat"]))
        assert np.array_equal(encode(["a cat"], "shout"), bare.embed(["HEY a cat"]))
        assert np.array_equal(encode(["a cat"], None, "so: "), bare.embed(["so: a cat"]))
        assert np.array_equal(encode(inputs=["a cat"]), bare.embed(["a cat"]))
        assert np.array_equal(encode(sentences=["a cat"]), bare.embed(["a cat"]))


def test_a_file_with_a_default_prompt(tmp_path):
    keys = {
        "sentence_transformers.prompt_names": ["query"],
        "sentence_transformers.prompts": ["ask: "],
        "sentence_transformers.default_prompt_name": "query",
    }
    own = SentenceTransformer(with_keys(connote.find_model(), tmp_path / "own.gguf", keys))
    bare = connote.Embedder.shared(None)
    assert own.default_prompt == "ask: "
    assert np.array_equal(own.encode(["a cat"]), bare.embed(["ask: a cat"]))
    assert np.array_equal(own.encode_document(["a cat"]), bare.embed(["a cat"]))
    assert np.array_equal(own.embed(["a cat"], prompt=""), bare.embed(["a cat"]))


def test_only_models_that_normalise_do(tmp_path):
    """paraphrase-multilingual-MiniLM-L12-v2 ends in its pooling: as `connote convert` writes it into the file."""
    raw = connote.Embedder.shared(None).embed(["a cat"], normalize=False)
    assert not np.allclose(np.linalg.norm(raw), 1, atol=1e-2)
    for says in (True, False):
        keys = {"sentence_transformers.normalize": says}
        own = SentenceTransformer(with_keys(connote.find_model(), tmp_path / f"{says}.gguf", keys))
        found = own.encode(["a cat"])
        assert np.allclose(np.linalg.norm(found), 1, atol=1e-5) == says
        assert np.array_equal(found, own.embed(["a cat"], normalize=says))
        assert np.allclose(np.linalg.norm(own.encode(["a cat"], normalize_embeddings=True)), 1, atol=1e-5)


def test_the_longest_text_can_be_set():
    own = SentenceTransformer(None)
    own.max_seq_length = 8
    assert own.get_max_seq_length() == 8
    assert np.array_equal(own.encode("word " * 50), own.embed("word " * 50, max_tokens=8))
    assert pickle.loads(pickle.dumps(own)).max_seq_length == 8
    with pytest.raises(connote.InvalidRequestError):
        own.max_seq_length = 100_000
    assert own.max_seq_length == 8


def test_similarity_by_pairs(st):
    vectors = st.encode(["a cat", "a dog", "a train"])
    whole = st.similarity(vectors, vectors)
    pairs = st.similarity_pairwise(vectors, vectors[::-1])
    assert is_a_tensor_where_torch_is(whole)
    assert is_a_tensor_where_torch_is(pairs)
    assert np.allclose(pairs, [whole[0][2], whole[1][1], whole[2][0]], atol=1e-6)
    assert np.allclose(st.similarity(list(vectors), st.encode(["a cat"], convert_to_numpy=False)), whole[:, :1], atol=1e-6)
    with pytest.raises(ValueError, match="one by one"):
        st.similarity_pairwise(vectors, vectors[:2])


def test_texts_have_two_names_and_one_place(st):
    rows = st.encode(["a cat"])
    assert np.array_equal(st.encode(inputs=["a cat"]), rows)
    assert np.array_equal(st.encode(sentences=["a cat"]), rows)
    with pytest.raises(TypeError, match="needs texts"):
        st.encode()
    with pytest.raises(ValueError, match="output_value.*torch"):
        st.encode("a cat", output_value=None)
    with pytest.raises(ValueError, match="batch_size"):
        st.encode("a cat", batch_size=0)


def test_pickles_open_a_model_once_and_keep_their_own_settings():
    pickled = pickle.dumps(SentenceTransformer(None, prompts={"shout": "HEY "}, truncate_dim=100, threads=1))
    one, two = pickle.loads(pickled), pickle.loads(pickled)
    assert one._engine is two._engine
    one.truncate_dim = 50
    assert [model.encode("a cat").shape for model in (one, two, pickle.loads(pickled))] == [(50,), (100,), (100,)]
    again = pickle.loads(pickle.dumps(one))
    assert again.encode("a cat").shape == (50,)
    assert again._engine is one._engine


def test_another_device_is_warned_of(st):
    with pytest.warns(UserWarning, match="cuda"):
        st.encode("a cat", device="cuda")


def test_keywords_that_nobody_knows_are_refused(st):
    with pytest.raises(TypeError, match="normalise_embeddings"):
        st.encode("a cat", normalise_embeddings=True)
    with pytest.raises(TypeError, match="batchsize"):
        st.encode("a cat", output_value="token_embeddings", batchsize=2)
    with pytest.raises(TypeError, match="dtype"):
        SentenceTransformer(None, dtype="float16")
    with pytest.raises(ValueError, match="one of them"):
        st.encode("a cat", prompt_name="query", task="document")


def test_keywords_of_sentence_transformers_are_taken(st, dense):
    own = SentenceTransformer(None, trust_remote_code=True, local_files_only=True, token="x")
    with pytest.warns(UserWarning, match="backend='onnx'"):
        SentenceTransformer(None, backend="onnx")
    assert np.array_equal(own.encode("a cat", chunk_size=5), st.encode("a cat"))
    with pytest.warns(UserWarning, match="pool"):
        st.encode("a cat", pool={"processes": []})
    assert np.array_equal(dense.encode("garlic", task="query"), dense.embed("garlic", task="query"))
    assert len(st.encode("word " * 50, output_value="token_embeddings", max_tokens=8)) == 8


def test_arguments_without_names(st):
    """Each in its place, as sentence-transformers has them."""
    rows = st.encode(["a cat"], None, None, 32, False, "sentence_embedding", "float32", False, False, "cpu", True, 100)
    assert isinstance(rows, list), "convert_to_numpy is the eighth"
    assert np.linalg.norm(rows[0]) == pytest.approx(1)
    assert rows[0].shape == (100,)


def test_tensors_need_torch(st):
    try:
        import torch
    except ImportError:
        with pytest.raises(ImportError, match="torch"):
            st.encode("a cat", convert_to_tensor=True)
    else:
        assert torch.equal(st.encode("a cat", convert_to_tensor=True), torch.from_numpy(st.encode("a cat")))


def test_files_by_path():
    path = model("all-MiniLM-L6-v2-F32.gguf")
    assert SentenceTransformer(str(path)).encode("a cat").shape == (384,)
