"""sentence-transformers' names, arguments and results."""

import pickle

import numpy as np
import pytest
from conftest import golden, model
from connote.sentence_transformers import SentenceTransformer


@pytest.fixture(scope="module")
def st():
    return SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2", device="cpu")


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
    assert st.encode("a cat", output_value="token_embeddings").shape == (4, 384)
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
    assert np.array_equal(own.encode("a cat", truncate_dim=None), own.embed("HEY a cat"))
    again = pickle.loads(pickle.dumps(own))
    assert np.array_equal(again.encode("a cat"), own.encode("a cat"))


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
