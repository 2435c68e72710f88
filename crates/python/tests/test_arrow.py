import connote
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from connote.integrations import ArrowEmbedder

WORDS = ["a cat", None, "a dog", "a cat"]

COLUMNS = {
    "pyarrow string": pa.array(WORDS),
    "pyarrow large_string": pa.array(WORDS, pa.large_string()),
    "pyarrow string_view": pa.array(WORDS, pa.string_view()),
    "pyarrow dictionary": pa.array(WORDS).dictionary_encode(),
    "pyarrow chunks": pa.chunked_array([WORDS[:1], [], WORDS[1:]], pa.string()),
    "pyarrow slice": pa.array(["before", *WORDS, "after"]).slice(1, 4),
    "pyarrow table": pa.table({"text": WORDS}),
    "pyarrow batch": pa.record_batch({"text": WORDS}),
    "polars": pl.Series(WORDS),
    "polars object": pl.Series(WORDS, dtype=pl.Object),
    "polars categorical": pl.Series(WORDS, dtype=pl.Categorical),
    "polars frame": pl.DataFrame({"text": WORDS}),
    "pandas": pd.Series(WORDS),
    "pandas object": pd.Series(WORDS, dtype=object),
    "pandas category": pd.Series(WORDS, dtype="category"),
    "pandas arrow": pd.Series(WORDS, dtype=pd.ArrowDtype(pa.string())),
    "list": WORDS,
    "tuple": tuple(WORDS),
    "generator": (word for word in WORDS),
    "numpy": np.array(WORDS, dtype=object),
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS.keys())
def test_columns_of_any_kind(minilm, column):
    vectors = minilm.embed_arrow(column)
    assert vectors.type == pa.list_(pa.float32(), 384)
    assert vectors.is_valid().to_pylist() == [True, False, True, True]
    expected = minilm.embed(["a cat", "a dog"])
    assert np.array_equal(vectors[0].values.to_numpy(), expected[0])
    assert np.array_equal(vectors[2].values.to_numpy(), expected[1])
    assert vectors[3] == vectors[0]


def around(values, valid):
    """Rows of one field, of which some are null as a whole, whatever the field holds there."""
    return pa.StructArray.from_arrays([values], ["text"], mask=pa.array([not one for one in valid]))


INNER = ["a cat", "hidden", "a dog", None, "a cat"]
OUTER = [True, False, True, True, True]
NESTED = {
    "struct": around(pa.array(INNER), OUTER),
    "of large strings": around(pa.array(INNER, pa.large_string()), OUTER),
    "of views": around(pa.array(INNER, pa.string_view()), OUTER),
    "of a dictionary": around(pa.array(INNER).dictionary_encode(), OUTER),
    "of nothing but null": around(around(pa.array(INNER), OUTER), [True] * 5),
    "two deep": around(around(pa.array(INNER), [True] * 5), OUTER),
    "chunks": pa.chunked_array([around(pa.array(INNER), OUTER).slice(0, 2), around(pa.array(INNER), OUTER).slice(2)]),
    "slice": around(pa.array(["x", *INNER, "y"]), [False, *OUTER, False]).slice(1, 5),
    "table": pa.table({"doc": around(pa.array(INNER), OUTER)}),
    "batch": pa.record_batch({"doc": around(pa.array(INNER), OUTER)}),
    "polars": pl.Series([{"text": one} if valid else None for one, valid in zip(INNER, OUTER, strict=True)]),
    "pandas": pd.Series(around(pa.array(INNER), OUTER), dtype=pd.ArrowDtype(pa.struct([("text", pa.string())]))),
}


@pytest.mark.parametrize("column", NESTED.values(), ids=NESTED.keys())
def test_a_null_around_a_text_is_a_null_row(minilm, column):
    vectors = minilm.embed_arrow(column)
    assert vectors.is_valid().to_pylist() == [True, False, True, False, True]
    assert np.array_equal(vectors[2].values.to_numpy(), minilm.embed("a dog"))
    assert vectors[4] == vectors[0]
    assert minilm.embed_each(column)[1] is None
    with pytest.raises(connote.InvalidRequestError, match="input 1"):
        minilm.embed(column)


def test_a_null_around_a_text_that_is_no_unicode_hides_it(minilm):
    words = pa.array([b"a cat", b"\xff", b"\xff"], pa.binary()).view(pa.string())
    vectors = minilm.embed_vectors(around(words, [True, False, True]), strict=False)
    assert [index for index, _, _ in vectors.failures] == [2]


def test_columns_of_structs_in_a_job(minilm, dense):
    table = pa.table({"text": around(pa.array(INNER), OUTER), "title": around(pa.array(["T"] * 5), OUTER)})
    found = ArrowEmbedder(error_column="error")(table)
    assert found.column("embedding").combine_chunks().is_valid().to_pylist() == [True, False, True, False, True]
    assert found.column("error").null_count == 5
    # A title that is null is none.
    titles = around(pa.array(["T", "T"]), [True, False])
    rows = dense.embed(["a cat", "a cat"], task="document", title=titles)
    assert np.array_equal(rows[0], dense.embed("a cat", task="document", title="T"))
    assert np.array_equal(rows[1], dense.embed("a cat", task="document"))


def test_the_memory_is_the_same(minilm):
    vectors = minilm.embed_vectors(["a cat", "a dog"])
    array = pa.array(vectors)
    assert array.values.buffers()[1].address == vectors.__array_interface__["data"][0]
    del vectors
    assert np.array_equal(array.values.to_numpy().reshape(2, 384), minilm.embed(["a cat", "a dog"]))


def test_polars_reads_vectors(minilm):
    series = pl.Series(minilm.embed_vectors(WORDS, strict=False))
    assert series.dtype == pl.Array(pl.Float32, 384)
    assert series.null_count() == 1


def test_outputs_have_arrow_types(minilm):
    types = {"float32": pa.float32(), "float16": pa.float16(), "int8": pa.int8(), "uint8": pa.uint8()}
    for output, kind in types.items():
        vectors = minilm.embed_arrow(["a cat"], output=output)
        assert vectors.type == pa.list_(kind, 384)
        assert np.array_equal(vectors.values.to_numpy(), minilm.embed("a cat", output=output))
    assert minilm.embed_arrow(["a cat"], output="ubinary").type == pa.list_(pa.uint8(), 48)


def test_no_rows(minilm):
    assert len(minilm.embed_arrow(pa.array([], pa.string()))) == 0
    assert minilm.embed_arrow(pa.array([None, None], pa.null())).null_count == 2


NOTHING = {
    "polars": pl.Series([None, None]),
    "polars frame": pl.DataFrame({"a": [None, None]}),
    "polars structs": pl.Series([{"a": None}, None]),
    "pyarrow": pa.nulls(2),
    "pyarrow slice": pa.nulls(5).slice(1, 2),
    "pyarrow chunks": pa.chunked_array([pa.nulls(1), pa.nulls(1)]),
    "pyarrow table": pa.table({"a": pa.nulls(2)}),
    "pyarrow dictionary": pa.DictionaryArray.from_arrays(pa.array([0, None], pa.int8()), pa.nulls(1)),
}


@pytest.mark.parametrize("column", NOTHING.values(), ids=NOTHING.keys())
def test_columns_of_nothing_but_nulls(minilm, column):
    """Polars gives them the place of a buffer, which they have not."""
    assert minilm.embed_arrow(column).null_count == 2
    assert np.isnan(minilm.embed(column, strict=False)).all()
    assert minilm.embed_each(column) == [None, None]


def test_a_stream_that_fails_says_why(minilm):
    def batches():
        yield pa.record_batch({"text": ["a cat"]})
        raise ValueError("the disk is gone")

    reader = pa.RecordBatchReader.from_batches(pa.schema([("text", pa.string())]), batches())
    with pytest.raises(ValueError, match="the disk is gone"):
        minilm.embed_arrow(reader)


class Kept:
    """Gives the same capsules out whenever it is asked."""

    def __init__(self, *, stream=None, array=None):
        if stream is not None:
            self.__arrow_c_stream__ = lambda requested_schema=None: stream
        if array is not None:
            self.__arrow_c_array__ = lambda requested_schema=None: array


# A structure's children and a dictionary's values are taken with it, and must not be looked at.
TAKEN = {
    "string": pa.array(["a cat"]),
    "dictionary": pa.array(["a cat"]).dictionary_encode(),
    "struct": around(pa.array(["a cat"]), [True]),
}


@pytest.mark.parametrize("column", TAKEN.values(), ids=TAKEN.keys())
def test_what_was_read_already_is_refused(minilm, column):
    table = pa.table({"text": column})
    by_pyarrow = table.__arrow_c_stream__()
    assert pa.RecordBatchReader._import_from_c_capsule(by_pyarrow).read_all() == table
    by_us = table.__arrow_c_stream__()
    assert len(minilm.embed_arrow(Kept(stream=by_us))) == 1
    for capsule in (by_pyarrow, by_us):
        for embed in (minilm.embed, minilm.embed_arrow):
            with pytest.raises(ValueError, match="a stream that was read already"):
                embed(Kept(stream=capsule))

    by_pyarrow = column.__arrow_c_array__()
    assert pa.Array._import_from_c_capsule(*by_pyarrow) == column
    by_us = column.__arrow_c_array__()
    assert len(minilm.embed_arrow(Kept(array=by_us))) == 1
    # Each half of a pair can be taken alone.
    schema_alone = (by_us[0], column.__arrow_c_array__()[1])
    array_alone = (column.__arrow_c_array__()[0], by_us[1])
    for pair in (by_pyarrow, by_us, schema_alone, array_alone):
        for embed in (minilm.embed, minilm.embed_arrow):
            with pytest.raises(ValueError, match="an array that was read already"):
                embed(Kept(array=pair))


def test_failing_texts_raise_or_are_null(minilm, caplog):
    texts = pa.array(["short", "word " * 300, None])
    with pytest.raises(connote.TooLongError, match="input 1"):
        minilm.embed_arrow(texts, truncate="error")
    vectors = minilm.embed_arrow(texts, truncate="error", errors="null")
    assert vectors.is_valid().to_pylist() == [True, False, False]
    assert "input 1 has no vector (too_long)" in caplog.text


def test_what_is_no_text_is_refused(minilm):
    with pytest.raises(TypeError, match="Int64"):
        minilm.embed_arrow(pa.array([1, 2]))
    with pytest.raises(TypeError, match="run_end_decode"):
        minilm.embed_arrow(pa.RunEndEncodedArray.from_arrays([1, 2], ["a", "b"]))
    with pytest.raises(ValueError, match="2 columns"):
        minilm.embed_arrow(pa.table({"a": ["x"], "b": ["y"]}))
    with pytest.raises(TypeError, match="not as int"):
        minilm.embed_arrow(7)
