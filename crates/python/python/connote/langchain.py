"""LangChain's ``Embeddings``: ``pip install connote[langchain]``."""

from __future__ import annotations

import os
from typing import Any

from langchain_core.embeddings import Embeddings

from connote.embedder import Embedder
from connote.prompting import DocumentsAndQueries

__all__ = ["ConnoteEmbeddings"]


class ConnoteEmbeddings(Embeddings):
    """Embeddings by connote, for LangChain.

    Args:
        model: As :class:`connote.Embedder`.
        use_prompts: Give queries and documents the prompts of the model's authors, where they have some.
        dimensions: Cut vectors to this many values, for Matryoshka models.
        options: As :class:`connote.Embedder`.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        use_prompts: bool = True,
        dimensions: int | None = None,
        **options: Any,
    ) -> None:
        self.embedder = Embedder.shared(model, **options)
        self._how = DocumentsAndQueries(self.embedder, use_prompts, dimensions)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of documents."""
        vectors: list[list[float]] = self.embedder.embed(texts, **self._how.document).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """The vector of a query."""
        vector: list[float] = self.embedder.embed(text, **self._how.query).tolist()
        return vector

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of documents; cancelling ends the work."""
        vectors: list[list[float]] = (await self.embedder.aembed(texts, **self._how.document)).tolist()
        return vectors

    async def aembed_query(self, text: str) -> list[float]:
        """The vector of a query; cancelling ends the work."""
        vector: list[float] = (await self.embedder.aembed(text, **self._how.query)).tolist()
        return vector
