"""Chroma's ``EmbeddingFunction``: ``pip install connote[chroma]``."""

from __future__ import annotations

import os
from typing import Any

from chromadb.api.types import Documents, EmbeddingFunction, Embeddings, Space
from chromadb.utils.embedding_functions import register_embedding_function

from connote.embedder import Embedder
from connote.prompting import DocumentsAndQueries

__all__ = ["ConnoteEmbeddingFunction"]


@register_embedding_function
class ConnoteEmbeddingFunction(EmbeddingFunction[Documents]):
    """Embeddings by connote, for Chroma.

    Args:
        model: As :class:`connote.Embedder`.
        use_prompts: Give queries and documents the prompts of the model's authors, where they have some.
        dimensions: Cut vectors to this many values, for Matryoshka models.
        threads: As :class:`connote.Embedder`.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        use_prompts: bool = True,
        dimensions: int | None = None,
        threads: int = 0,
    ) -> None:
        self.model = None if model is None else os.fspath(model)
        self.use_prompts = use_prompts
        self.dimensions = dimensions
        self.threads = threads
        self.embedder = Embedder.shared(self.model, threads)
        self._how = DocumentsAndQueries(self.embedder, use_prompts, dimensions)

    def __call__(self, input: Documents) -> Embeddings:
        """The vectors of documents."""
        return list(self.embedder.embed(list(input), **self._how.document))

    def embed_query(self, input: Documents) -> Embeddings:
        """The vectors of queries."""
        return list(self.embedder.embed(list(input), **self._how.query))

    @staticmethod
    def name() -> str:
        return "connote"

    def default_space(self) -> Space:
        return "cosine"

    def supported_spaces(self) -> list[Space]:
        return ["cosine", "l2", "ip"]

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> ConnoteEmbeddingFunction:
        return ConnoteEmbeddingFunction(**config)

    def get_config(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "use_prompts": self.use_prompts,
            "dimensions": self.dimensions,
            "threads": self.threads,
        }

    def validate_config_update(self, old_config: dict[str, Any], new_config: dict[str, Any]) -> None:
        for key in ("model", "use_prompts", "dimensions"):
            if key in new_config and new_config[key] != old_config.get(key):
                raise ValueError(f"`{key}` of a collection cannot change: its vectors would not be comparable")

    @staticmethod
    def validate_config(config: dict[str, Any]) -> None:
        unknown = set(config) - {"model", "use_prompts", "dimensions", "threads"}
        if unknown:
            raise ValueError(f"connote's embedding function has no setting {', '.join(sorted(unknown))}")
