"""sentence-transformers' names, arguments and results."""

import importlib.util
import logging
import pickle

import connote
import numpy as np
import pytest
from conftest import ROOT, golden, model, with_keys, without_special_tokens
from connote.sentence_transformers import SentenceTransformer


#: A network of a few layers, which is in no table of known models.
TINY = ROOT / "testdata/architectures/qwen2.gguf"


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


def test_every_model_has_a_query_and_a_document(st):
    """`prompts` of sentence-transformers begins with both, and no words."""
    unknown = SentenceTransformer(TINY)
    assert unknown.prompts == {"query": "", "document": ""}
    assert {name: st.prompts[name] for name in ("query", "document")} == {"query": "", "document": ""}
    for model in (unknown, st, connote.Embedder.shared(TINY)):
        plain = model.encode(["garlic"])
        for name in ("query", "document"):
            assert np.array_equal(model.encode(["garlic"], prompt_name=name), plain)
            assert np.array_equal(model.encode("garlic", prompt_name=name), plain[0])
        assert np.array_equal(model.encode_query(["garlic"]), plain)
        assert np.array_equal(model.encode_document(["garlic"]), plain)


@pytest.mark.parametrize("name", ["passage", "search_query", "retrieval", "Query", "qeury", "", "custom:law"])
def test_a_prompt_name_that_the_model_has_not_is_refused(st, name):
    """Also where the texts are none, and where the name is a task's that has no words: nothing would be done of what was asked."""
    own = SentenceTransformer(TINY, prompts={"ask": "Q: "}, default_prompt_name="ask")
    for model in (st, own, connote.Embedder.shared(TINY)):
        for texts in ("garlic", ["garlic"], []):
            with pytest.raises(ValueError, match="query|has no prompts"):
                model.encode(texts, prompt_name=name)
    with pytest.raises(ValueError, match="query|has no prompts"):
        SentenceTransformer(TINY, default_prompt_name=name)


def test_a_prompt_goes_before_a_prompt_name_of_any_kind(st, caplog):
    found = st.encode("a cat", prompt_name="qeury", prompt="HEY ")
    assert np.array_equal(found, st.embed("HEY a cat"))
    assert "'qeury' is passed over" in caplog.text
    assert np.array_equal(st.encode("a cat", prompt_name="qeury", prompt=""), st.embed("a cat"))


def test_the_file_s_prompts_go_by_their_own_names(tmp_path):
    """Tasks' names are read beside them, and never instead: EmbeddingGemma's InstructionRetrieval is no query."""
    keys = {
        "sentence_transformers.prompt_names": ["query", "InstructionRetrieval", "BitextMining", "passage", "STS"],
        "sentence_transformers.prompts": ["ask: ", "code: ", "bitext: ", "told: ", ""],
        "sentence_transformers.default_prompt_name": "query",
    }
    path = with_keys(TINY, tmp_path / "own.gguf", keys)
    own, bare = SentenceTransformer(path), connote.Embedder.shared(TINY)
    for name, words in zip(*list(keys.values())[:2], strict=True):
        assert own.prompts[name] == words
        for model in (own, connote.Embedder.shared(path)):
            assert np.array_equal(model.encode(["garlic"], prompt_name=name), bare.encode([words + "garlic"])), name
    assert np.array_equal(own.encode(["garlic"], prompt_name="search_query"), bare.encode(["ask: garlic"]))
    with pytest.raises(ValueError, match="'BitextMining'"):
        own.encode("garlic", prompt_name="bitextmining")


def test_prompts_are_an_attribute():
    own, bare = SentenceTransformer(None, prompts={"shout": "HEY ", "query": None, "odd": None}), connote.Embedder.shared(None)
    assert (own.prompts["shout"], own.prompts["query"], own.prompts["odd"]) == ("HEY ", "", "")
    own.prompts["ask"] = "Q: "
    again = pickle.loads(pickle.dumps(own))
    assert again.prompts == own.prompts
    for model in (own, again):
        assert np.array_equal(model.encode(["a cat"], prompt_name="ask"), bare.embed(["Q: a cat"]))
    own.default_prompt_name = "ask"
    assert np.array_equal(own.encode(["a cat"]), bare.embed(["Q: a cat"]))
    own.prompts = {"only": "O: "}
    assert np.array_equal(own.encode(["a cat"]), bare.embed(["a cat"])), "the default is none of them any more"
    assert np.array_equal(own.encode(["a cat"], prompt_name="only"), bare.embed(["O: a cat"]))
    assert np.array_equal(own.encode_query(["a cat"]), bare.embed(["a cat"]))
    with pytest.raises(ValueError, match="this model has 'only'"):
        own.encode("a cat", prompt_name="shout")
    assert again.prompts["shout"] == "HEY ", "each has its own"


def test_truncate_dim_normalises_only_if_told(dense):
    whole = dense.embed("garlic")
    cut = dense.encode("garlic", truncate_dim=256)
    assert np.array_equal(cut, whole[:256])
    again = dense.encode("garlic", truncate_dim=256, normalize_embeddings=True)
    assert np.allclose(again, cut / np.linalg.norm(cut), atol=1e-6)


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "int4", ""])
@pytest.mark.parametrize("options", [{}, {"truncate_dim": 7}, {"output_value": "token_embeddings"}])
def test_precisions_that_are_none_are_refused(st, precision, options):
    """As in sentence-transformers, whatever the texts. float16 is an output of `embed`."""
    for texts in ("a cat", []):
        with pytest.raises(ValueError, match="float32, int8, uint8, binary, ubinary"):
            st.encode(texts, precision=precision, **options)


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


def test_where_nobody_knows_of_a_layer_that_normalises_it_is_said(tmp_path, caplog):
    own = SentenceTransformer(TINY)
    texts = ["a cat"]
    with caplog.at_level(logging.WARNING, "connote"):
        found = own.encode(texts)
        own.encode(texts)
    assert np.array_equal(found, own.embed(texts))
    assert not np.allclose(np.linalg.norm(own.embed(texts, normalize=False)), 1, atol=1e-2)
    assert caplog.text.count("nobody says whether the authors of `tiny qwen2`") == 1
    caplog.clear()
    for says in (True, False):
        own = SentenceTransformer(with_keys(TINY, tmp_path / f"{says}.gguf", {"sentence_transformers.normalize": says}))
        assert np.array_equal(own.encode(texts), own.embed(texts, normalize=says))
    SentenceTransformer(TINY).encode(texts, normalize_embeddings=True)
    assert not caplog.text


def test_the_longest_text_can_be_set():
    own = SentenceTransformer(None)
    own.max_seq_length = 8
    assert own.get_max_seq_length() == 8
    assert np.array_equal(own.encode("word " * 50), own.embed("word " * 50, max_tokens=8))
    assert pickle.loads(pickle.dumps(own)).max_seq_length == 8
    for few in (2, 0, -1):
        with pytest.raises(connote.InvalidRequestError):
            own.max_seq_length = few
    assert own.max_seq_length == 8
    # As there: more than the authors' limit, and with a warning more than the network reads, where there such a text ends in an
    # error of torch.
    own.max_seq_length = 512
    assert own.max_seq_length == 512
    assert np.array_equal(own.encode("word " * 600), own.embed("word " * 600, max_tokens=512))
    with pytest.warns(UserWarning, match="512"):
        own.max_seq_length = 100_000
    assert own.max_seq_length == own.get_max_seq_length() == 100_000
    assert np.array_equal(own.encode("word " * 600), own.embed("word " * 600, max_tokens=512))
    own.max_seq_length = None
    assert own.max_seq_length == 256


def test_the_longest_text_is_the_object_s_whatever_is_asked_of_it():
    own, long = SentenceTransformer(None), "word " * 50
    whole = own.embed(long)
    own.max_seq_length = 8
    assert [len(own.tokenize([long])[0]), own.count_tokens([long])[0], len(own.embed_tokens([long])[0])] == [8, 8, 8]
    assert own.embed_vectors([long]).tokens == [8]
    cut = own.embed(long)
    assert not np.array_equal(cut, whole)
    for found in (own.embed([long])[0], own.embed_each([long])[0], own.embed_arrow([long])[0].values.to_numpy(), own.encode(long)):
        assert np.array_equal(found, cut)
    # What a call says goes before it.
    assert len(own.tokenize([long], None, None, None, "end", 5)[0]) == own.count_tokens([long], max_tokens=5)[0] == 5
    assert np.array_equal(own.embed(long, max_tokens=256), whole)
    own.max_seq_length = None
    assert np.array_equal(own.embed(long), whole)


def test_the_longest_text_of_a_model_without_special_tokens(tmp_path):
    own = SentenceTransformer(without_special_tokens(TINY, tmp_path / "bare.gguf"))
    assert len(own.tokenize(["garlic " * 50], max_tokens=8)[0]) == 8
    with pytest.raises(connote.NoTokensError):
        own.tokenize([""])
    for tokens in (1, 8):
        own.max_seq_length = tokens
        assert own.max_seq_length == tokens
        assert len(own.encode("garlic " * 50, output_value="token_embeddings")) == tokens
    with pytest.raises(ValueError):
        own.max_seq_length = 0


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
    with pytest.raises(ValueError, match="one by one"):
        st.similarity_pairwise(vectors, vectors[:, :7])


def test_similarity_of_single_vectors(st):
    """A number without axes, as there; and one vector beside each of several."""
    vectors = st.encode(["a cat", "a dog", "a train"])
    whole = st.similarity(vectors, vectors)
    assert tuple(st.similarity(vectors[0], vectors[1]).shape) == (1, 1)
    pair = st.similarity_pairwise(vectors[0], vectors[1])
    assert tuple(pair.shape) == ()
    assert float(pair) == pytest.approx(float(whole[0][1]), abs=1e-6)
    assert is_a_tensor_where_torch_is(pair)
    assert tuple(st.similarity_pairwise(list(map(float, vectors[0])), vectors[1]).shape) == ()
    for one in (vectors[0], vectors[:1]):
        for pairs in (st.similarity_pairwise(one, vectors), st.similarity_pairwise(vectors, one)):
            assert tuple(pairs.shape) == (3,)
            assert np.allclose(pairs, whole[0], atol=1e-6)
    assert tuple(st.similarity_pairwise(vectors[:1], vectors[:1]).shape) == (1,)


class Bfloat16:
    """A tensor of torch whose type numpy has not."""

    def __init__(self, values):
        self.values = values

    def detach(self):
        return self

    cpu = detach

    def float(self):
        upper = np.frombuffer((np.asarray(self.values, np.float32).view(np.uint32) & 0xFFFF0000).tobytes(), np.float32)
        return Float32(upper.reshape(np.shape(self.values)))

    def numpy(self):
        raise TypeError("Got unsupported ScalarType BFloat16")

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return map(Bfloat16, self.values)


class Float32(Bfloat16):
    def float(self):
        return self

    def numpy(self):
        return self.values


def test_similarity_of_tensors_of_bfloat16(st):
    """They become float32, as there."""
    vectors = st.encode(["a cat", "a dog", "a train"])
    whole, pairs = st.similarity(vectors, vectors), st.similarity_pairwise(vectors, vectors[::-1])
    for tensor in (Bfloat16(vectors), list(Bfloat16(vectors))):
        assert np.allclose(st.similarity(tensor, vectors), whole, atol=1e-2)
        assert np.allclose(st.similarity_pairwise(tensor, vectors[::-1].copy()), pairs, atol=1e-2)
        assert np.allclose(connote.Embedder.similarity(st, tensor, tensor), whole, atol=1e-2)
    torch = pytest.importorskip("torch") if importlib.util.find_spec("torch") else None
    if torch is not None:
        tensor = torch.from_numpy(vectors).to(torch.bfloat16)
        assert st.similarity(tensor, tensor).dtype == torch.float32
        assert np.allclose(st.similarity(tensor, vectors), whole, atol=1e-2)


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
