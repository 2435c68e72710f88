"""Haystack's embedders: ``pip install connote[haystack]``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict

from connote.embedder import Embedder, Progress
from connote.prompting import DocumentsAndQueries

__all__ = ["ConnoteDocumentEmbedder", "ConnoteTextEmbedder"]


class _Opening:
    """What both components are made with, and the model that they open when it is needed."""

    def __init__(
        self, model: str | os.PathLike[str] | None, use_prompts: bool, dimensions: int | None, threads: int
    ) -> None:
        self.model = None if model is None else os.fspath(model)
        self.use_prompts = use_prompts
        self.dimensions = dimensions
        self.threads = threads
        self._embedder: Embedder | None = None

    def warm_up(self) -> None:
        """Opens the model."""
        if self._embedder is None:
            self._embedder = Embedder.shared(self.model, self.threads)
            self._how = DocumentsAndQueries(self._embedder, self.use_prompts, self.dimensions)

    def _ready(self) -> Embedder:
        self.warm_up()
        assert self._embedder is not None
        return self._embedder

    def _settings(self) -> dict[str, Any]:
        names = ("model", "use_prompts", "dimensions", "threads")
        return {name: getattr(self, name) for name in names}


@component
class ConnoteTextEmbedder(_Opening):
    """Embeds a query, for Haystack.

    Args:
        model: As :class:`connote.Embedder`.
        use_prompts: Give queries the prompt of the model's authors, where they have one.
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
        # Not `super()`: `component` makes another class of this one.
        _Opening.__init__(self, model, use_prompts, dimensions, threads)

    def to_dict(self) -> dict[str, Any]:
        return default_to_dict(self, **self._settings())  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ConnoteTextEmbedder:
        return default_from_dict(cls, data)  # type: ignore[no-any-return]

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    def run(self, text: str) -> dict[str, Any]:
        """The vector of a query, as ``embedding``."""
        vector = self._ready().embed(_text(text), **self._how.query)
        return {"embedding": vector.tolist(), "meta": {"model": self._ready().name}}

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    async def run_async(self, text: str) -> dict[str, Any]:
        """As :meth:`run`."""
        vector = await self._ready().aembed(_text(text), **self._how.query)
        return {"embedding": vector.tolist(), "meta": {"model": self._ready().name}}


@component
class ConnoteDocumentEmbedder(_Opening):
    """Embeds documents, for Haystack.

    Args:
        model: As :class:`connote.Embedder`.
        use_prompts: Give documents the prompt of the model's authors, where they have one.
        dimensions: Cut vectors to this many values, for Matryoshka models.
        threads: As :class:`connote.Embedder`.
        meta_fields_to_embed: Fields of a document's ``meta`` that are put before its text.
        embedding_separator: What stands between them.
        progress_bar: Whether tqdm shows a bar.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        use_prompts: bool = True,
        dimensions: int | None = None,
        threads: int = 0,
        meta_fields_to_embed: Sequence[str] | None = None,
        embedding_separator: str = "\n",
        progress_bar: bool = False,
    ) -> None:
        _Opening.__init__(self, model, use_prompts, dimensions, threads)
        self.meta_fields_to_embed = list(meta_fields_to_embed or [])
        self.embedding_separator = embedding_separator
        self.progress_bar = progress_bar

    def to_dict(self) -> dict[str, Any]:
        return default_to_dict(  # type: ignore[no-any-return]
            self,
            **self._settings(),
            meta_fields_to_embed=self.meta_fields_to_embed,
            embedding_separator=self.embedding_separator,
            progress_bar=self.progress_bar,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ConnoteDocumentEmbedder:
        return default_from_dict(cls, data)  # type: ignore[no-any-return]

    def _words(self, documents: list[Document]) -> list[str]:
        if not isinstance(documents, list) or any(not isinstance(one, Document) for one in documents):
            raise TypeError("this component embeds a list of Documents; for a str use ConnoteTextEmbedder")

        def words(one: Document) -> str:
            meta = [str(one.meta[field]) for field in self.meta_fields_to_embed if one.meta.get(field) is not None]
            return self.embedding_separator.join([*meta, one.content or ""])

        return [words(one) for one in documents]

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """The same documents with their ``embedding``."""
        progress: Progress = self.progress_bar
        embedder = self._ready()
        vectors = embedder.embed(self._words(documents), progress=progress, **self._how.document)
        return self._embedded(documents, vectors)

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    async def run_async(self, documents: list[Document]) -> dict[str, Any]:
        """As :meth:`run`."""
        embedder = self._ready()
        vectors = await embedder.aembed(self._words(documents), **self._how.document)
        return self._embedded(documents, vectors)

    def _embedded(self, documents: list[Document], vectors: Any) -> dict[str, Any]:
        pairs = zip(documents, vectors.tolist(), strict=True)
        embedded = [replace(one, embedding=vector) for one, vector in pairs]
        return {"documents": embedded, "meta": {"model": self._ready().name}}


def _text(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError("this component embeds a str; for Documents use ConnoteDocumentEmbedder")
    return text
