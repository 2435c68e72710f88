"""``from connote.sentence_transformers import SentenceTransformer``: most code for sentence-transformers runs unchanged."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from connote import opened
from connote.embedder import Embedder, Texts
from connote.encode import _NOT_GIVEN, Encoding, tensor_if_torch, warn_of_device
from connote.errors import InvalidRequestError
from connote.options import how_to
from connote.similarity import pairwise_cosine_similarity

if TYPE_CHECKING:
    import numpy.typing as npt

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
        prompts: Prompts of your own, by name; go before the model's. The attribute has both, and can be changed.
        default_prompt_name: The prompt where :meth:`encode` is told none; one of these, or of the model's.
        options: As :class:`connote.Embedder`. Those of sentence-transformers that say how to fetch and trust a model
            (``local_files_only``, ``token``, ``trust_remote_code``) are taken and have no effect, since nothing is fetched and no
            code of a model runs; ``backend``, ``model_kwargs`` and others that would change vectors or files warn.

    Raises:
        TypeError: For a keyword that is none of these.
        ValueError: If nothing is called as ``default_prompt_name`` says.
    """

    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str] | None = None,
        device: Any = None,
        truncate_dim: int | None = None,
        prompts: Mapping[str, str | None] | None = None,
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
        self._prompts = self._with_prompts(prompts or {})
        self.default_prompt_name = default_prompt_name
        if default_prompt_name is not None:
            self._prompt_named(default_prompt_name)
        self._max_seq_length: int | None = None
        self._options = options
        #: What was opened where this one was read back from a pickle: others that are read back find it while this one lives.
        self._opened_as: SentenceTransformer | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # All of them: one that was taken out must not come back with the model's.
        own = (self._arguments["path_or_name"], None, self.truncate_dim, dict(self.prompts), self.default_prompt_name)
        return _again, (type(self), own, self._options, self._max_seq_length)

    def encode(self, inputs: Any = _NOT_GIVEN, *arguments: Any, **options: Any) -> Any:
        """As :meth:`connote.Embedder.encode`."""
        given = dict(inspect.signature(Encoding.encode).bind(self, inputs, *arguments, **options).arguments)
        options = given.pop("how", {}) | {name: value for name, value in given.items() if name not in ("self", "inputs")}
        if all(options.get(name) is None for name in ("prompt", "prompt_name", "task")) and self.default_prompt_name is not None:
            options |= self._default_prompt()
        # As there: None is the object's own.
        if options.get("truncate_dim") is None:
            options["truncate_dim"] = self.truncate_dim
        return super().encode(inputs, **options)

    def embed(self, texts: Texts, *arguments: Any, **how: Any) -> npt.NDArray[Any]:
        """As :meth:`connote.Embedder.embed`."""
        # The other methods ask by themselves; this one goes straight down to the native module.
        how["max_tokens"] = self._longest(how.get("max_tokens"))
        return super().embed(texts, *arguments, **how)

    def _longest(self, max_tokens: int | None) -> int | None:
        # As there, `max_seq_length` is the object's limit, whatever is asked of it.
        if max_tokens is not None or self._max_seq_length is None:
            return max_tokens
        return min(self._max_seq_length, self._engine.context_length)

    @property
    def prompts(self) -> dict[str, str]:
        """Prompts by name: the model's, and one's own, which may be added here. As there every model has a ``"query"`` and a
        ``"document"``, if without words."""
        return self._prompts

    @prompts.setter
    def prompts(self, prompts: Mapping[str, str | None]) -> None:
        self._prompts = {name: words or "" for name, words in prompts.items()}

    def _prompts_by_name(self) -> dict[str, str]:
        return self._prompts

    def _default_prompt(self) -> dict[str, Any]:
        """As there, none where ``prompts`` lost the default's after the object was made."""
        try:
            self._prompt_named(str(self.default_prompt_name))
        except InvalidRequestError:
            return {"prompt": ""}
        return {"prompt_name": self.default_prompt_name}

    def _with_prompts(self, own: Mapping[str, str | None]) -> dict[str, str]:
        """The model's prompts and these; as there, one that is ``None`` is the model's."""
        given = {name: words for name, words in own.items() if words is not None}
        return {**dict.fromkeys(own, ""), **super()._prompts_by_name(), **given}

    def get_embedding_dimension(self) -> int:
        """Values of a vector of :meth:`encode`: ``truncate_dim``, where that is less than the model has."""
        return self.dimensions if self.truncate_dim is None else min(self.dimensions, self.truncate_dim)

    @contextmanager
    def truncate_embeddings(self, truncate_dim: int | None) -> Iterator[None]:
        """Cuts vectors of :meth:`encode` to this many values, as long as it lasts."""
        before, self.truncate_dim = self.truncate_dim, truncate_dim
        try:
            yield
        finally:
            self.truncate_dim = before

    truncate_sentence_embeddings = truncate_embeddings

    @property
    def max_seq_length(self) -> int:
        """Tokens a text may have, special tokens included, where a call does not say ``max_tokens``. As there, it can be set to
        more than the network reads: that warns, and texts are cut at what it reads. ``None``: what the model has by itself.

        Raises:
            ValueError: If it is set to so few that special tokens leave no room for a text.
        """
        return self.max_tokens if self._max_seq_length is None else self._max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, tokens: int | None) -> None:
        if tokens is not None:
            most = self._engine.context_length
            if tokens < 1:
                raise InvalidRequestError(f"max_seq_length is at least 1, not {tokens}")
            self._engine.check(how_to(prompt="", max_tokens=min(tokens, most)))
            if tokens > most:
                warnings.warn(
                    f"max_seq_length={tokens}: the network reads {most} tokens at most, and longer texts are cut there",
                    stacklevel=2,
                )
        self._max_seq_length = tokens

    def similarity(self, a: Any, b: Any) -> Any:
        """Cosines of every row of ``a`` and every row of ``b``: a tensor where torch is there, else an array."""
        return tensor_if_torch(super().similarity(a, b))

    def similarity_pairwise(self, a: Any, b: Any) -> Any:
        """The cosine of each row of ``a`` and the row of ``b`` in its place: a tensor where torch is there, else an array.

        Raises:
            ValueError: If there are neither as many rows of ``b`` as of ``a`` nor one of either, or theirs are of another length.
        """
        return tensor_if_torch(pairwise_cosine_similarity(a, b))


def _again(
    cls: type[SentenceTransformer], own: tuple[Any, ...], options: dict[str, Any], longest: int | None = None
) -> SentenceTransformer:
    key = ("unpickled", cls, opened.file(own[0]), opened.hashable(options))
    first = opened.get(key, lambda: cls(*own[:2], **options))
    # Who changes `truncate_dim` or a prompt does so for one object: each has its own beside the engine of all.
    again = cls.__new__(cls)
    again.__dict__.update(first.__dict__)
    again._engine = first._engine
    _, _, again.truncate_dim, prompts, again.default_prompt_name = own
    again._prompts = dict(prompts)
    again._max_seq_length = longest
    again._opened_as = first
    return again
