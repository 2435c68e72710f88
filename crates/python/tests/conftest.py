import json
import os
import sys
from pathlib import Path

# Before the packages are imported: tests talk to nobody, and workers run this Python.
os.environ.update(
    ANONYMIZED_TELEMETRY="False",
    HAYSTACK_TELEMETRY_ENABLED="False",
    RAY_USAGE_STATS_ENABLED="0",
    DAFT_ANALYTICS_ENABLED="0",
    DO_NOT_TRACK="true",
    PYSPARK_PYTHON=sys.executable,
)

import connote  # noqa: E402
import pytest  # noqa: E402

# scripts/python/run.sh copies the tests away from the sources, so that what was installed is tested.
ROOT = Path(os.environ.get("CONNOTE_ROOT") or Path(__file__).resolve().parents[3])
MODELS = Path(os.environ.get("EMBED_MODELS_DIR") or Path.home() / ".cache/embed-models")


def golden(name):
    lines = (ROOT / "testdata/golden" / f"dev.{name}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def model(name):
    """A model's file, or the test is skipped, which scripts/python/run.sh takes for a failure where models have to be there."""
    path = MODELS / name
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


@pytest.fixture(scope="session")
def minilm():
    """The model of the companion package."""
    return connote.Embedder()


@pytest.fixture(scope="session")
def gemma():
    with pytest.warns(UserWarning, match="dense heads"):
        return connote.Embedder(model("embeddinggemma-300m-Q8_0.gguf"))


@pytest.fixture(scope="session")
def dense():
    return connote.Embedder(model("embeddinggemma-300m-dense-Q8_0.gguf"))
