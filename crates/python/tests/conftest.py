import json
import os
import struct
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


def with_keys(source, target, keys):
    """A copy of a GGUF file with more metadata: flags, strings and lists of strings."""

    def string(text):
        return struct.pack("<Q", len(text.encode())) + text.encode()

    def value(one):
        if isinstance(one, bool):
            return struct.pack("<I?", 7, one)
        if isinstance(one, str):
            return struct.pack("<I", 8) + string(one)
        return struct.pack("<IIQ", 9, 8, len(one)) + b"".join(map(string, one))

    old = source.read_bytes()
    added = b"".join(string(key) + value(one) for key, one in keys.items())
    # Tensors stay where a multiple of 32 is.
    filling = string("test.filling") + struct.pack("<I", 8) + struct.pack("<Q", 0)
    filler = -(len(added) + len(filling)) % 32
    added += filling[:-8] + struct.pack("<Q", filler) + b"x" * filler
    magic, version, tensors, count = struct.unpack_from("<4sIQQ", old)
    target.write_bytes(struct.pack("<4sIQQ", magic, version, tensors, count + len(keys) + 1) + added + old[24:])
    return target


def without_special_tokens(source, target):
    """A copy of a GGUF file whose tokenizer adds no token of its own; of those that can be told so."""
    data = bytearray(source.read_bytes())
    for key in (b"tokenizer.ggml.add_bos_token", b"tokenizer.ggml.add_eos_token"):
        at = data.index(key + struct.pack("<I", 7)) + len(key) + 4
        data[at] = False
    target.write_bytes(data)
    return target


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
