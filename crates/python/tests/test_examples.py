"""The examples run, each as its first lines say, and give what one process gives."""

import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

EXAMPLES = ROOT / "examples/python"
TEXTS = [f"note {number} on garlic, trains and cats" for number in range(3000)]


def run(name, *arguments):
    command = [sys.executable, EXAMPLES / name, *map(str, arguments)]
    # What hangs; how long each took is in the durations that CI prints.
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(
    "name", ["ray_parquet.py", "daft_parquet.py", pytest.param("spark_parquet.py", marks=pytest.mark.spark)]
)
def test_parquet_in_parquet_out(name, minilm, tmp_path):
    (tmp_path / "in").mkdir()
    for part in range(3):
        rows = pa.table({"id": range(part * 1000, part * 1000 + 1000), "text": TEXTS[part * 1000 : part * 1000 + 1000]})
        pq.write_table(rows, tmp_path / "in" / f"{part}.parquet")
    run(name, tmp_path / "in", tmp_path / "out")
    found = pq.read_table(tmp_path / "out").sort_by("id")
    assert found.column("id").to_pylist() == list(range(3000))
    vectors = pa.chunked_array(found.column("embedding").chunks).combine_chunks()
    # Daft's files carry Daft's type.
    vectors = vectors.storage if isinstance(vectors, pa.ExtensionArray) else vectors
    assert vectors.flatten().to_numpy().tobytes() == minilm.embed(TEXTS).tobytes()


def test_search_in_a_folder():
    found = run("search_folder.py", ROOT / "examples/search_notes/notes", "how do plants eat")
    assert "plants.md" in found.splitlines()[0]
