"""``from connote.sentence_transformers import SentenceTransformer``: most code for sentence-transformers runs unchanged."""

from __future__ import annotations

import os
from typing import Any

from connote.embedder import Embedder
from connote.encode import warn_of_device

__all__ = ["SentenceTransformer"]


class SentenceTransformer(Embedder):
    """An :class:`connote.Embedder` that is made with sentence-transformers' arguments.

    Args:
        model_name_or_path: As :class:`connote.Embedder`; ``"sentence-transformers/all-MiniLM-L6-v2"`` is that of ``connote-minilm``.
        device: ``None`` or ``"cpu"``; another warns, and the CPU computes.
        truncate_dim: What :meth:`encode` cuts vectors to where it is not told otherwise.
        prompts: Prompts of your own, by name; go before the model's.
        default_prompt_name: The prompt where :meth:`encode` is told none.
        options: As :class:`connote.Embedder`.
    """

    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str] | None = None,
        device: Any = None,
        truncate_dim: int | None = None,
        prompts: dict[str, str] | None = None,
        default_prompt_name: str | None = None,
        **options: Any,
    ) -> None:
        warn_of_device(device)
        super().__init__(model_name_or_path, **options)
        self.truncate_dim = truncate_dim
        self.default_prompt_name = default_prompt_name
        self._own_prompts = dict(prompts or {})
        self._options = options

    def __reduce__(self) -> tuple[Any, ...]:
        own = (self._arguments["path_or_name"], None, self.truncate_dim, self._own_prompts, self.default_prompt_name)
        return _again, (type(self), own, self._options)

    def encode(self, sentences: Any, prompt_name: str | None = None, *arguments: Any, **options: Any) -> Any:
        """As :meth:`connote.Embedder.encode`."""
        if arguments:
            options["prompt"], *rest = arguments
            names = ("batch_size", "show_progress_bar", "output_value", "precision", "convert_to_numpy")
            options.update(zip(names, rest, strict=False))
        prompt_name = prompt_name or self.default_prompt_name
        if options.get("prompt") is None and prompt_name in self._own_prompts:
            options["prompt"], prompt_name = self._own_prompts[prompt_name], None
        options.setdefault("truncate_dim", self.truncate_dim)
        return super().encode(sentences, prompt_name, **options)


def _again(cls: type[SentenceTransformer], own: tuple[Any, ...], options: dict[str, Any]) -> SentenceTransformer:
    return cls(*own, **options)
