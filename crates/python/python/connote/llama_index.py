"""LlamaIndex's ``BaseEmbedding``: ``pip install connote[llama-index]``."""

from __future__ import annotations

import os
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr

from connote.embedder import Embedder
from connote.prompting import DocumentsAndQueries

__all__ = ["ConnoteEmbedding"]


class ConnoteEmbedding(BaseEmbedding):
    """Embeddings by connote, for LlamaIndex.

    Args:
        model: As :class:`connote.Embedder`.
        use_prompts: Give queries and texts the prompts of the model's authors, where they have some.
        dimensions: Cut vectors to this many values, for Matryoshka models.
        threads: As :class:`connote.Embedder`.
        embed_batch_size: Texts that LlamaIndex hands over at once.
    """

    use_prompts: bool = Field(default=True, description="Whether the model's own prompts are used.")
    dimensions: int | None = Field(default=None, description="Values that vectors are cut to.")
    threads: int = Field(default=0, description="Threads; 0 is what the machine gives.")

    _embedder: Embedder = PrivateAttr()
    _how: DocumentsAndQueries = PrivateAttr()

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        use_prompts: bool = True,
        dimensions: int | None = None,
        threads: int = 0,
        embed_batch_size: int = 512,
        **fields: Any,
    ) -> None:
        # LlamaIndex makes a copy by its fields, among which a model is `model_name`.
        named = fields.pop("model_name", None)
        model = model if model is not None else named
        embedder = Embedder.shared(model, threads)
        super().__init__(
            model_name=str(model) if model is not None else embedder.name,
            use_prompts=use_prompts,
            dimensions=dimensions,
            threads=threads,
            embed_batch_size=embed_batch_size,
            **fields,
        )
        self._embedder = embedder
        self._how = DocumentsAndQueries(embedder, use_prompts, dimensions)

    @classmethod
    def class_name(cls) -> str:
        return "ConnoteEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = self._embedder.embed(query, **self._how.query).tolist()
        return vector

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._embedder.embed(texts, **self._how.document).tolist()
        return vectors

    async def _aget_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = (await self._embedder.aembed(query, **self._how.query)).tolist()
        return vector

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aget_text_embeddings([text]))[0]

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = (await self._embedder.aembed(texts, **self._how.document)).tolist()
        return vectors
