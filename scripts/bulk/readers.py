"""numpy, pandas, polars, DuckDB and pyarrow read what connote writes. run.sh sets CONNOTE_SAMPLES."""

import io
import json
import os
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

FOLDER = Path(os.environ.get("CONNOTE_SAMPLES", "/nonexistent"))
ROWS, DIMENSIONS = 3000, 100
PRECISIONS = ["f32", "f16", "int8", "binary"]
NUMPY = {"f32": np.float32, "f16": np.float16, "int8": np.int8, "binary": np.uint8}
WIDTH = {"f32": 100, "f16": 100, "int8": 100, "binary": 13}
THERE = np.array([row for row in range(ROWS) if row % 7 != 3])
TITLES = [None if row % 5 == 0 else f'title "{row}", Grüße\n' for row in range(ROWS)]


def expected():
    """The vectors that write_samples.rs computes, rounded to f32."""
    angles = np.arange(ROWS)[:, None] * 0.7 + np.arange(DIMENSIONS)[None, :] * 1.3
    vectors = np.sin(angles)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


VECTORS = expected()[THERE]


def check(precision, stored, scales=None):
    """`stored` are the vectors that are there, in their order."""
    stored = np.asarray(stored)
    assert stored.shape == (len(THERE), WIDTH[precision])
    assert stored.dtype == NUMPY[precision]
    if precision == "f32":
        assert np.abs(stored - VECTORS).max() < 1e-7
    elif precision == "f16":
        assert np.abs(stored.astype(np.float32) - VECTORS).max() <= 2**-12
        assert (stored != VECTORS.astype(np.float16)).mean() < 1e-3
    elif precision == "int8":
        if scales is None:
            # Of vectors of length 1 the scale need not be written.
            scales = 1 / np.linalg.norm(stored.astype(np.float64), axis=1)
            assert np.abs(stored * scales[:, None] - VECTORS).max() < 0.002
        else:
            scales = np.asarray(scales, dtype=np.float32)
            assert (np.abs(stored * scales[:, None] - VECTORS) <= scales[:, None] * 0.501).all()
        assert (np.abs(stored).max(axis=1) == 127).all()
    else:
        packed = np.packbits(VECTORS > 0, axis=1)
        # A sine that is nothing but rounding may have another sign here.
        assert (packed != stored).mean() < 1e-3


def check_description(text, precision, scale="column"):
    said = json.loads(text)
    assert said["model"] == "sines" and said["fingerprint"] == "0123456789abcdef"
    assert said["dimensions"] == DIMENSIONS and said["normalized"] is True
    assert said["precision"] == precision and said["created_by"].startswith("connote ")
    assert said.get("scale") == (scale if precision == "int8" else None)


def check_frame(frame):
    """A pandas frame of all rows."""
    assert list(frame["id"]) == list(range(ROWS))
    assert [None if pd.isna(title) else title for title in frame["title"]] == TITLES
    years = frame["x"].to_numpy(dtype=np.float64, na_value=np.nan)
    wanted = np.array([np.nan if row % 4 == 0 else row / 4 for row in range(ROWS)])
    assert np.array_equal(years, wanted, equal_nan=True)
    failed = frame["error"].notna().to_numpy()
    assert np.array_equal(np.flatnonzero(~failed), THERE)
    assert frame["error"][3] == "too_long: line 4: the text is too long"
    assert list(frame["tokens"][~failed].astype(int)) == [row % 50 + 2 for row in THERE]
    assert list(frame["truncated"][~failed].astype(bool)) == [row % 10 == 0 for row in THERE]
    assert frame["tokens"][failed].isna().all() and frame["embedding"][failed].isna().all()


def scales_of(frame, precision):
    return frame["scale"].dropna() if precision == "int8" else None


@pytest.mark.parametrize("precision", PRECISIONS)
def test_numpy(precision):
    path = FOLDER / f"{precision}.npy"
    array = np.load(path)
    check(precision, array)
    assert np.array_equal(np.load(path, mmap_mode="r"), array)
    assert np.array_equal(np.load(f"{path}.rows.npy"), THERE)
    # The same bytes as numpy's own.
    for array, name in [(array, path), (THERE.astype("<i8"), f"{path}.rows.npy")]:
        own = io.BytesIO()
        np.save(own, array)
        assert own.getvalue() == Path(name).read_bytes()
    check_description(Path(f"{path}.meta.json").read_text(), precision, "length")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_pyarrow(precision, ending):
    path = FOLDER / f"{precision}.{ending}"
    table = pq.read_table(path) if ending == "parquet" else pa.feather.read_table(path)
    check_description(table.schema.metadata[b"connote"], precision)
    kind = table.schema.field("embedding").type
    assert pa.types.is_fixed_size_list(kind) and kind.list_size == WIDTH[precision]
    assert kind.value_type == pa.from_numpy_dtype(NUMPY[precision])
    assert table.schema.field("tokens").type == pa.uint32()
    assert table.schema.field("id").type == pa.int64() and table.schema.field("x").type == pa.float64()
    table.validate(full=True)
    there = table.filter(table["error"].is_null())
    column = there["embedding"].combine_chunks()
    values = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, WIDTH[precision])
    check(precision, values, there["scale"].to_numpy() if precision == "int8" else None)
    assert table["embedding"].null_count == ROWS - len(THERE)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_parquet_is_laid_out_for_readers(precision):
    file = pq.ParquetFile(FOLDER / f"{precision}.parquet")
    check_description(file.metadata.metadata[b"connote"], precision)
    assert [file.metadata.row_group(group).num_rows for group in range(3)] == [1024, 1024, 952]
    group = file.metadata.row_group(0)
    columns = {group.column(at).path_in_schema: group.column(at) for at in range(group.num_columns)}
    vectors = columns["embedding.list.element"]
    assert vectors.compression == "UNCOMPRESSED"
    # A byte is a byte, though Parquet has no type for it.
    bytes_a_value = {"f32": 4, "f16": 2, "int8": 1, "binary": 1}[precision]
    assert vectors.total_compressed_size / vectors.num_values < bytes_a_value * 1.15 + 0.35


@pytest.mark.parametrize("precision", PRECISIONS)
def test_pandas(precision):
    for frame in [pd.read_parquet(FOLDER / f"{precision}.parquet"), pd.read_feather(FOLDER / f"{precision}.arrow")]:
        check_frame(frame)
        stored = np.stack(frame["embedding"].dropna())
        # Where a row of a Parquet file has no vector, pandas shows the integers of the others as floats.
        if stored.dtype == np.float64 and np.array_equal(stored, np.trunc(stored)):
            stored = stored.astype(NUMPY[precision])
        check(precision, stored, scales_of(frame, precision))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_pandas_reads_lines(precision):
    path = FOLDER / f"{precision}.csv"
    frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
    check_frame(frame)
    vectors = [np.array(json.loads(cell), dtype=NUMPY[precision]) for cell in frame["embedding"].dropna()]
    check(precision, np.stack(vectors), scales_of(frame, precision))
    check_description(Path(f"{path}.meta.json").read_text(), precision)

    path = FOLDER / f"{precision}.jsonl"
    frame = pd.read_json(path, lines=True)
    failed = frame["error"].map(lambda error: error["message"] if isinstance(error, dict) else None)
    assert failed[3] == "line 4: the text is too long" and failed.notna().sum() == ROWS - len(THERE)
    assert list(frame["id"]) == list(range(ROWS))
    vectors = [np.array(vector, dtype=NUMPY[precision]) for vector in frame["embedding"].dropna()]
    check(precision, np.stack(vectors), scales_of(frame, precision))
    check_description(Path(f"{path}.meta.json").read_text(), precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_polars(precision, ending):
    path = FOLDER / f"{precision}.{ending}"
    read, scan = (pl.read_parquet, pl.scan_parquet) if ending == "parquet" else (pl.read_ipc, pl.scan_ipc)
    frames = [read(path), scan(path).collect()]
    kind = {"f32": pl.Float32, "f16": pl.Float16, "int8": pl.Int8, "binary": pl.UInt8}[precision]
    for frame in frames:
        assert frame["embedding"].dtype == pl.Array(kind, WIDTH[precision])
        there = frame.filter(pl.col("error").is_null())
        scales = there["scale"].to_numpy() if precision == "int8" else None
        check(precision, there["embedding"].to_numpy(), scales)
        assert frame["title"].to_list() == TITLES and frame["id"].to_list() == list(range(ROWS))
        assert frame["embedding"].null_count() == ROWS - len(THERE)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_polars_reads_lines(precision):
    frame = pl.read_csv(FOLDER / f"{precision}.csv", infer_schema_length=None)
    assert frame["title"].to_list() == TITLES
    kind = {"f32": pl.Float32, "f16": pl.Float32, "int8": pl.Int8, "binary": pl.UInt8}[precision]
    cells = frame["embedding"].drop_nulls().str.json_decode(pl.List(kind))
    scales = frame["scale"].drop_nulls().to_numpy() if precision == "int8" else None
    check(precision, np.array(cells.to_list(), dtype=NUMPY[precision]), scales)
    frame = pl.read_ndjson(FOLDER / f"{precision}.jsonl", infer_schema_length=None)
    vectors = np.array(frame["embedding"].drop_nulls().to_list(), dtype=NUMPY[precision])
    check(precision, vectors, frame["scale"].drop_nulls().to_numpy() if precision == "int8" else None)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_duckdb(precision):
    path = FOLDER / f"{precision}.parquet"
    extra = ", scale" if precision == "int8" else ""
    rows = duckdb.sql(f"select embedding{extra} from '{path}' where error is null order by id").fetchnumpy()
    vectors = np.stack([np.asarray(vector) for vector in rows["embedding"]])
    # DuckDB has no half precision and reads it as FLOAT.
    check(precision, vectors.astype(NUMPY[precision]), rows["scale"] if extra else None)
    kinds = dict(duckdb.sql(f"select column_name, column_type from (describe select * from '{path}')").fetchall())
    wanted = {"f32": "FLOAT[]", "f16": "FLOAT[]", "int8": "TINYINT[]", "binary": "UTINYINT[]"}
    assert kinds["embedding"] == wanted[precision]
    assert [kinds[name] for name in ("id", "title", "x", "tokens", "truncated")] == \
        ["BIGINT", "VARCHAR", "DOUBLE", "UINTEGER", "BOOLEAN"]
    assert duckdb.sql(f"select count(*) from '{path}' where embedding is null").fetchall() == [(ROWS - len(THERE),)]
    said = duckdb.sql(f"select value from parquet_kv_metadata('{path}') where decode(key) = 'connote'").fetchall()
    check_description(bytes(said[0][0]).decode(), precision)


def test_duckdb_compares_vectors():
    """The nearest rows by DuckDB's own cosine are numpy's."""
    path = FOLDER / "f32.parquet"
    got = duckdb.sql(
        f"""with v as (select id, embedding::FLOAT[{DIMENSIONS}] as e from '{path}' where error is null)
            select id from v order by array_cosine_similarity(e, (select e from v where id = 11)) desc, id limit 5"""
    ).fetchall()
    scores = VECTORS @ VECTORS[list(THERE).index(11)]
    best = scores[[list(THERE).index(row) for (row,) in got]]
    assert got[0] == (11,) and np.allclose(np.sort(scores)[::-1][:5], best, atol=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_duckdb_reads_lines(precision):
    for name in [f"{precision}.csv", f"{precision}.jsonl"]:
        extra = ", scale" if precision == "int8" else ""
        rows = duckdb.sql(
            f"select id, embedding::VARCHAR::FLOAT[] as embedding{extra} from '{FOLDER / name}' "
            "where embedding is not null order by id"
        ).fetchnumpy()
        assert np.array_equal(rows["id"], THERE)
        vectors = np.stack([np.asarray(vector) for vector in rows["embedding"]])
        check(precision, vectors.astype(NUMPY[precision]), rows["scale"] if extra else None)
