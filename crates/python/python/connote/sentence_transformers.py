"""``from connote.sentence_transformers import SentenceTransformer``: most code for sentence-transformers runs unchanged."""

from __future__ import annotations

import inspect
import os
import warnings
from typing import Any

from connote import opened
from connote.embedder import Embedder
from connote.encode import Encoding, warn_of_device

__all__ = ["SentenceTransformer"]


#: Arguments of sentence-transformers that a file on this machine has no use for.
_NEEDLESS = {"local_files_only", "token", "trust_remote_code", "use_auth_token"}
#: Arguments of sentence-transformers that would change something there, and do nothing here.
_WITHOUT_EFFECT = {
    "backend",
    "cache_folder",
    "config_kwargs",
    "model_card_data",
    "model_kwargs",
    "processor_kwargs",
    "revision",
    "similarity_fn_name",
    "tokenizer_kwargs",
}


class SentenceTransformer(Embedder):
    """An :class:`connote.Embedder` that is made with sentence-transformers' arguments.

    Args:
        model_name_or_path: As :class:`connote.Embedder`; ``"sentence-transformers/all-MiniLM-L6-v2"`` is that of ``connote-minilm``.
        device: ``None`` or ``"cpu"``; another warns, and the CPU computes.
        truncate_dim: What :meth:`encode` cuts vectors to where it is not told otherwise.
        prompts: Prompts of your own, by name; go before the model's.
        default_prompt_name: The prompt where :meth:`encode` is told none.
        options: As :class:`connote.Embedder`. Those of sentence-transformers that say how to fetch and trust a model
            (``local_files_only``, ``token``, ``trust_remote_code``) are taken and have no effect, since nothing is fetched and no
            code of a model runs; ``backend``, ``model_kwargs`` and others that would change vectors or files warn.

    Raises:
        TypeError: For a keyword that is none of these.
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
        for name in sorted(_NEEDLESS | _WITHOUT_EFFECT):
            value = options.pop(name, None)
            if name in _WITHOUT_EFFECT and value is not None:
                warnings.warn(f"{name}={value!r} has no effect: connote reads a GGUF file that is here", stacklevel=2)
        super().__init__(model_name_or_path, **options)
        self.truncate_dim = truncate_dim
        self.default_prompt_name = default_prompt_name
        self._own_prompts = dict(prompts or {})
        self._options = options
        #: What was opened where this one was read back from a pickle: others that are read back find it while this one lives.
        self._opened_as: SentenceTransformer | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        own = (self._arguments["path_or_name"], None, self.truncate_dim, self._own_prompts, self.default_prompt_name)
        return _again, (type(self), own, self._options)

    def encode(self, sentences: Any, prompt_name: str | None = None, *arguments: Any, **options: Any) -> Any:
        """As :meth:`connote.Embedder.encode`."""
        if arguments:
            given = inspect.signature(Encoding.encode).bind(self, sentences, prompt_name, *arguments, **options).arguments
            more = given.pop("how", {})
            options = {name: value for name, value in given.items() if name not in ("self", "sentences", "prompt_name")} | more
        prompt_name = prompt_name or options.pop("task", None) or self.default_prompt_name
        if options.get("prompt") is None and prompt_name in self._own_prompts:
            options["prompt"], prompt_name = self._own_prompts[prompt_name], None
        options.setdefault("truncate_dim", self.truncate_dim)
        return super().encode(sentences, prompt_name, **options)


def _again(cls: type[SentenceTransformer], own: tuple[Any, ...], options: dict[str, Any]) -> SentenceTransformer:
    key = ("unpickled", cls, opened.file(own[0]), opened.hashable(options))
    first = opened.get(key, lambda: cls(*own, **options))
    # Who changes `truncate_dim` or a prompt does so for one object: each has its own beside the engine of all.
    again = cls.__new__(cls)
    again.__dict__.update(first.__dict__)
    _, _, again.truncate_dim, prompts, again.default_prompt_name = own
    again._own_prompts = dict(prompts)
    again._opened_as = first
    return again
