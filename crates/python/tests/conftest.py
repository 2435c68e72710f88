import json
import os
from pathlib import Path

import connote
import pytest

ROOT = Path(__file__).resolve().parents[3]
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
