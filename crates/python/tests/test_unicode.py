"""Texts that are no Unicode: each a failure of its row, whatever it came in."""

import os
import subprocess
import sys

import connote
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from connote.integrations import ArrowEmbedder
from connote.sentence_transformers import SentenceTransformer

BYTES = [b"a cat", b"\xff\xfe is no letter", None, b"caf\xc3", b"a dog, at some length, \x80", b"a cat"]
BAD = [1, 3, 4]


def forged(kind):
    """A column of strings over bytes that are not: pyarrow looks at none of them."""
    if kind == pa.string_view():
        return pa.array(BYTES, pa.binary_view()).view(kind)
    column = pa.array(BYTES, pa.large_binary() if kind == pa.large_string() else pa.binary())
    return pa.Array.from_buffers(kind, len(column), column.buffers(), column.null_count)


def dictionary():
    return pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 3, 4, 0], pa.int32()), forged(pa.string()))


LONE = ["a cat", "a lone \ud83d", None, "\udc80", "a dog, at some length, \udcff", "a cat"]
COLUMNS = {
    "string": forged(pa.string()),
    "large_string": forged(pa.large_string()),
    "string_view": forged(pa.string_view()),
    "dictionary": dictionary(),
    "chunks": pa.chunked_array([forged(pa.string()).slice(0, 2), forged(pa.string()).slice(2)]),
    "list": LONE,
    "tuple": tuple(LONE),
    "numpy object": np.array(LONE, object),
    "pandas object": pd.Series(LONE, dtype=object),
    "pandas string": pd.Series(LONE, dtype=pd.StringDtype("python")),
    "polars object": pl.Series(LONE, dtype=pl.Object),
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS.keys())
def test_what_is_no_unicode_is_a_failure_of_its_row(minilm, column):
    vectors = minilm.embed_vectors(column, strict=False)
    assert [(index, kind) for index, kind, _ in vectors.failures] == [(index, "invalid_request") for index in BAD]
    assert all("UTF-8" in said or "surrogate" in said for _, _, said in vectors.failures)
    rows = np.asarray(vectors)
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, True, True, True, False]
    assert np.array_equal(rows[0], minilm.embed("a cat"))
    assert np.array_equal(rows[5], rows[0])
    each = minilm.embed_each(column)
    assert [isinstance(one, connote.InvalidRequestError) for one in each] == [index in BAD for index in range(6)]
    assert [one.index for one in each if isinstance(one, connote.ConnoteError)] == BAD
    assert each[2] is None
    calls = (minilm.embed, minilm.tokenize, minilm.count_tokens, minilm.embed_arrow, minilm.embed_tokens)
    for call in (*calls, minilm.encode, minilm.encode_query, SentenceTransformer(None).encode_document):
        with pytest.raises(connote.InvalidRequestError) as error:
            call(column)
        assert error.value.index == 1
    nulls = minilm.embed_arrow(column, errors="null").is_valid().to_pylist()
    assert nulls == [True, False, False, False, False, True]


def test_a_prompt_or_a_single_text_that_is_no_unicode_is_refused(minilm):
    for call in (minilm.embed, minilm.encode, minilm.encode_query, minilm.tokenize):
        with pytest.raises(ValueError, match="surrogate"):
            call("\ud83d")
        with pytest.raises(ValueError, match="surrogate"):
            call("a cat", prompt="\ud83d ")
    with pytest.raises(ValueError, match="surrogate"):
        minilm.fingerprint(prompt="\ud83d")
    with pytest.raises(ValueError, match="surrogate"):
        minilm.similarity("a cat", "\ud83d")
    with pytest.raises(ValueError):
        minilm.embed("a cat", task="\ud83d")


def test_a_row_of_pandas_that_is_no_unicode_is_not_fatal_to_its_partition(minilm):
    from connote.integrations.engines import _pandas

    found = _pandas(pd.DataFrame({"text": pd.Series(LONE, dtype=object)}), ArrowEmbedder(error_column="error"))
    assert found["embedding"].isna().tolist() == [False, True, True, True, True, False]
    assert [isinstance(one, str) and "UTF-8" in one for one in found["error"]] == [index in BAD for index in range(6)]
    assert np.array_equal(np.asarray(found["embedding"][0], np.float32), minilm.embed("a cat"))


def test_a_title_that_is_no_unicode_fails_its_text(dense):
    each = dense.embed_each(["a", "b"], task="document", title=["Garlic", "\ud83d"])
    assert isinstance(each[1], connote.InvalidRequestError)
    assert "title" in each[1].message
    with pytest.raises(connote.InvalidRequestError, match="title"):
        dense.embed(["a"], task="document", title="\ud83d")


def test_offsets_and_keys_that_lead_out_of_a_column(minilm):
    words = pa.py_buffer(b"a cata dog")
    offsets = pa.py_buffer(np.array([0, 5, 2_000, 10], np.int32).tobytes())
    column = pa.Array.from_buffers(pa.string(), 3, [None, offsets, words])
    assert [index for index, _, _ in minilm.embed_vectors(column, strict=False).failures] == [1, 2]
    below = pa.py_buffer(np.array([0, -7, 10], np.int32).tobytes())
    column = pa.Array.from_buffers(pa.string(), 2, [None, below, words])
    assert [index for index, _, _ in minilm.embed_vectors(column, strict=False).failures] == [0, 1]
    keys = pa.array([0, 9, -1], pa.int8())
    column = pa.DictionaryArray.from_arrays(keys, pa.array(["a cat"]), safe=False)
    vectors = minilm.embed_vectors(column, strict=False)
    assert [index for index, _, _ in vectors.failures] == [1, 2]
    assert "key" in vectors.failures[0][2]
    view = np.array([[40, 0, 5, 3], [40, 0, 0, 1_000_000]], np.int32)
    column = pa.Array.from_buffers(pa.string_view(), 2, [None, pa.py_buffer(view.tobytes()), words])
    assert [index for index, _, _ in minilm.embed_vectors(column, strict=False).failures] == [0, 1]


def test_a_job_says_which_rows_they_are(minilm, caplog):
    table = pa.table({"id": range(6), "text": forged(pa.string())})
    found = ArrowEmbedder(error_column="error")(table)
    errors = found.column("error").to_pylist()
    assert [index for index, error in enumerate(errors) if error] == BAD
    assert found.column("embedding").combine_chunks().is_valid().to_pylist() == [True, False, False, False, False, True]
    ArrowEmbedder()(table)
    assert "row 1 of a batch, whose text is not UTF-8, has no vector" in caplog.text


def test_what_pandas_has_in_the_place_of_a_text_is_null(minilm):
    pandas = pytest.importorskip("pandas")
    column = ["a cat", float("nan"), pandas.NA, None, "a dog"]
    valid = [True, False, False, False, True]
    for texts in (column, tuple(column), np.array(column, object), pandas.Series(column, dtype=object)):
        assert minilm.embed_arrow(texts).is_valid().to_pylist() == valid
    with pytest.raises(TypeError, match="input 1.*float"):
        minilm.embed_vectors(["a", 1.5])


def test_pandas_without_pyarrow_is_iterated(tmp_path):
    (tmp_path / "pyarrow.py").write_text("raise ImportError('hidden')")
    code = """
import connote, numpy, pandas
embedder = connote.Embedder()
expected = embedder.embed(["a cat", "a dog"])
for kind in (object, "str", "category"):
    column = pandas.Series(["a cat", None, "a dog"], dtype=kind)
    found = embedder.embed(column, strict=False)
    assert numpy.array_equal(found[[0, 2]], expected) and numpy.isnan(found[1]).all(), kind
try:
    embedder.embed(pandas.DataFrame({"text": ["a cat"]}))
except ImportError as error:
    assert "pyarrow" in str(error)
else:
    raise SystemExit("the names of columns were embedded")
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "pyarrow chunks", "numpy", "numpy object", "tuple"])
def test_similarity_of_columns_of_texts(minilm, library):
    import pandas

    words = ["a cat", "a dog"]
    column = {
        "pandas": pandas.Series(words),
        "polars": pl.Series(words),
        "pyarrow": pa.array(words),
        "pyarrow chunks": pa.chunked_array([words[:1], words[1:]]),
        "numpy": np.array(words),
        "numpy object": np.array(words, object),
        "tuple": tuple(words),
    }[library]
    assert np.array_equal(minilm.similarity(column, ["a cat"]), minilm.similarity(minilm.embed(words), minilm.embed(["a cat"])))
