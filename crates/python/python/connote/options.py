"""How texts become vectors, as the native module reads it."""

from __future__ import annotations

from typing import Any, TypedDict

__all__ = ["How"]


class How(TypedDict):
    """Everything but the texts; keywords of :meth:`connote.Embedder.embed`."""

    task: str | None
    title: Any
    prompt: str | None
    dimensions: int | None
    normalize: bool
    truncate: str
    max_tokens: int | None
