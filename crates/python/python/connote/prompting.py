"""Which prompts documents and queries have, for frameworks that tell them apart."""

from __future__ import annotations

from typing import Any

from connote.embedder import Embedder

__all__ = ["DocumentsAndQueries"]


class DocumentsAndQueries:
    """Keywords of :meth:`connote.Embedder.embed` for documents and for queries.

    A model whose authors give no prompt for a task gets its texts as they are, and so does every one without ``use_prompts``: also
    one whose file has a default prompt.
    """

    def __init__(self, embedder: Embedder, use_prompts: bool, dimensions: int | None) -> None:
        there = embedder.prompts if use_prompts else {}

        def how(task: str) -> dict[str, Any]:
            return {**({"task": task} if task in there else {"prompt": ""}), "dimensions": dimensions}

        self.document = how("document")
        self.query = how("query")
