"""all-MiniLM-L6-v2 (384 dimensions, English, up to 256 tokens) as a GGUF file, for ``connote.Embedder()``."""

from pathlib import Path

__all__ = ["PATH"]

#: Where the file lies.
PATH: Path = Path(__file__).with_name("all-MiniLM-L6-v2-Q8_0.gguf")
