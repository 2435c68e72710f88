"""The names that users of sentence-transformers know."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from connote.errors import InvalidRequestError
from connote.options import how_to

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from connote import _connote
    from connote.options import EncodeKeywords

__all__ = ["Encoding", "Precision"]

#: Keywords of :meth:`Embedder.embed` that sentence-transformers does not have.
_PASSED_ON = frozenset({"cancel", "max_tokens", "priority", "timeout", "title", "truncate"})

_log = logging.getLogger("connote")

#: The place of texts that were not given: ``None`` is an argument that is wrong.
_NOT_GIVEN: Any = object()

#: What values are written as, by sentence-transformers' names.
Precision: TypeAlias = Literal["float32", "int8", "uint8", "binary", "ubinary"]


class Encoding:
    """``encode`` and its relatives, with sentence-transformers' arguments and results."""

    _told_of_lengths = False

    if TYPE_CHECKING:
        _engine: _connote.Engine
        embed: Callable[..., Any]
        embed_tokens: Callable[..., Any]

    def encode(
        self,
        inputs: Any = _NOT_GIVEN,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: Literal["sentence_embedding", "token_embeddings"] | None = "sentence_embedding",
        precision: Precision | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: Any = None,
        chunk_size: int | None = None,
        task: str | None = None,
        *,
        sentences: Any = _NOT_GIVEN,
        **how: Unpack[EncodeKeywords],
    ) -> Any:
        """As ``SentenceTransformer.encode``.

        Args:
            inputs: A text, or several.
            prompt_name: A prompt of the model by its name. As in sentence-transformers every model has a ``"query"`` and a
                ``"document"``, which are empty where nobody gives words for them, and a name that the model has not is an error;
                beside the file's names a task's are read, as :meth:`Embedder.embed` has them.
            prompt: A prompt of your own; goes before ``prompt_name``, which is then passed over, and logged.
            batch_size: Taken, and of no effect: the engine chooses what is computed together, and vectors do not depend on it.
            show_progress_bar: Whether tqdm shows a bar.
            output_value: ``"token_embeddings"`` gives the vectors of all tokens of each text, as tensors where torch is there,
                else as arrays. ``None``, all that a network of torch gives, is refused.
            precision: One of sentence-transformers' names. ``"int8"`` and ``"uint8"`` have a scale a vector (the largest value is
                127), not ranges of the whole call: a vector does not depend on its neighbours.
            convert_to_numpy: One array, else a list: of tensors where torch is there, else of arrays.
            convert_to_tensor: A torch tensor; needs torch.
            device: ``None`` or ``"cpu"``; another warns, and the CPU computes.
            normalize_embeddings: Unit length. A model whose own stack ends in a normalising layer always has it for whole vectors,
                as in sentence-transformers: the file says so (``connote convert`` writes it), else connote's table of known models
                where that was looked up. Where neither says, vectors have unit length, and that is logged once.
            truncate_dim: Cut vectors to this many values; as in sentence-transformers they are only normalised again with
                ``normalize_embeddings``.
            pool: Of processes, which the engine has no need of: another than ``None`` warns.
            chunk_size: Taken, and of no effect, as ``batch_size``.
            task: As ``prompt_name``.
            sentences: The older name of ``inputs``.
            how: ``max_tokens``, ``truncate``, ``title``, ``priority``, ``timeout`` and ``cancel``, as :meth:`Embedder.embed`.

        Raises:
            TypeError: For a keyword that is none of these.
        """
        import numpy as np

        warn_of_device(device)
        if pool is not None:
            warnings.warn("pool: the engine's own threads compute, and no other process", stacklevel=2)
        unknown = sorted(how.keys() - _PASSED_ON)
        if unknown:
            raise TypeError(f"encode() has no keyword {', '.join(unknown)}; see connote.Embedder.encode")
        inputs = sentences if inputs is _NOT_GIVEN else inputs
        if inputs is _NOT_GIVEN:
            raise TypeError("encode() needs texts: `inputs`, a str or several")
        if batch_size <= 0:
            raise InvalidRequestError(f"batch_size is at least 1, not {batch_size}")
        if prompt_name is not None and task is not None and prompt_name != task:
            raise InvalidRequestError(f"prompt_name {prompt_name!r} and task {task!r} name the same thing: give one of them")
        precision = "float32" if precision is None else precision
        if precision not in get_args(Precision):
            raise InvalidRequestError(
                f"precision is one of {', '.join(get_args(Precision))}, as in sentence-transformers, not {precision!r}; float16 is an "
                "output of `embed`"
            )
        single = isinstance(inputs, str)
        texts = [inputs] if single else inputs
        name = prompt_name if prompt_name is not None else task
        if prompt is not None:
            named: dict[str, Any] = {"prompt": prompt}
            if prompt_name is not None:
                _log.warning("prompt_name %r is passed over: a prompt is given", prompt_name)
        else:
            named = {} if name is None else self._prompt_named(name)
        normalize = normalize_embeddings or self._engine.normalizes is not False
        if output_value == "token_embeddings":
            rows = self.embed_tokens(texts, normalize=False, progress=show_progress_bar, **named, **how)
            if precision == "float32":
                rows = [_tensor(one) for one in rows] if convert_to_tensor else _tensors_if_torch(rows)
            else:
                rows = [quantize(one, precision) for one in rows]
            return rows[0] if single else rows
        if output_value != "sentence_embedding":
            raise InvalidRequestError(
                f"output_value is `sentence_embedding` or `token_embeddings`, not {output_value!r}: there is no network of torch "
                "whose other tensors could be given"
            )
        if not normalize_embeddings and self._engine.normalizes is None and not self._told_of_lengths:
            self._told_of_lengths = True
            _log.warning(
                "nobody says whether the authors of `%s` give vectors unit length; `encode` does, as most models for search do. "
                "Files of `connote convert` say it; `embed(..., normalize=False)` gives the network's own lengths",
                self._engine.name,
            )
        cut = truncate_dim is not None and truncate_dim < self._engine.dimensions
        vectors = self.embed(
            texts,
            normalize=normalize,
            output="float32" if cut else precision,
            progress=show_progress_bar,
            **named,
            **how,
        )
        if cut:
            vectors = np.ascontiguousarray(vectors[:, :truncate_dim])
            if normalize_embeddings:
                vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
            vectors = quantize(vectors, precision)
        if convert_to_tensor:
            return _tensor(vectors)[0] if single else _tensor(vectors)
        rows = vectors if convert_to_numpy else _tensors_if_torch(list(vectors))
        return rows[0] if single else rows

    def _prompt_named(self, name: str) -> dict[str, Any]:
        """What :meth:`Embedder.embed` is told for a name of sentence-transformers, which has a query and a document for every
        model, without words where nobody gives some.

        Raises:
            InvalidRequestError: If the model has no prompt of this name, nor one of a task that is called so.
        """
        prompts, tasks = self._prompts_by_name(), dict(self._engine.tasks)
        if name in tasks and prompts.get(name) == _without_title(tasks[name]):
            return {"task": name}  # which knows the place of a title
        if name in prompts:
            return {"prompt": prompts[name]}
        task = self._engine.task_named(name)
        # A task that has no words, by a name that nobody gave it, would be a name that is passed over.
        if task is None or not (tasks.get(task) or task.startswith("custom:")):
            raise InvalidRequestError(f"no prompt is called {name!r}; this model has {', '.join(map(repr, prompts))}")
        self._engine.check(how_to(name))
        return {"task": name}

    def _prompts_by_name(self) -> dict[str, str]:
        """The model's prompts, as sentence-transformers' ``prompts`` has them."""
        known = {task: _without_title(words) for task, words in self._engine.tasks}
        return {"query": "", "document": "", **known, **dict(self._engine.stated_prompts)}

    def encode_query(
        self,
        inputs: Any = _NOT_GIVEN,
        prompt_name: str | None = None,
        prompt: str | None = None,
        *arguments: Any,
        **options: Any,
    ) -> Any:
        """As :meth:`encode`, with the model's prompt for queries if it has one, else with none: never with the default one."""
        return self._encode_as(("query",), inputs, prompt_name, prompt, arguments, options)

    def encode_document(
        self,
        inputs: Any = _NOT_GIVEN,
        prompt_name: str | None = None,
        prompt: str | None = None,
        *arguments: Any,
        **options: Any,
    ) -> Any:
        """As :meth:`encode`, with the model's prompt for documents if it has one, else with none: never with the default one."""
        return self._encode_as(("document", "passage", "corpus"), inputs, prompt_name, prompt, arguments, options)

    def _encode_as(
        self,
        names: tuple[str, ...],
        inputs: Any,
        prompt_name: str | None,
        prompt: str | None,
        arguments: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        if prompt_name is None and prompt is None and options.get("task") is None:
            prompts = self._prompts_by_name()
            named = [name for name in names if name in prompts]
            prompt_name = next((name for name in named if prompts[name]), named[0] if named else None)
        return self.encode(inputs, prompt_name, prompt, *arguments, **options)

    def get_embedding_dimension(self) -> int:
        """Values of a vector of :meth:`encode`."""
        return self._engine.dimensions

    def get_sentence_embedding_dimension(self) -> int:
        """Values of a vector of :meth:`encode`."""
        return self.get_embedding_dimension()

    @property
    def max_seq_length(self) -> int:
        """Tokens a text may have, special tokens included."""
        return self._engine.max_tokens

    def get_max_seq_length(self) -> int:
        """Tokens a text may have, special tokens included."""
        return self.max_seq_length


def _without_title(words: str) -> str:
    return words.replace("{title}", "none")


def warn_of_device(device: Any) -> None:
    """Says, where the caller's caller stands, that no other device is used."""
    if device is not None and not str(device).startswith("cpu"):
        warnings.warn(f"device={device!r}: connote computes on the CPU", stacklevel=3)


def quantize(vectors: Any, precision: Precision) -> Any:
    """Rows of float32 in another precision, as the engine writes it."""
    import numpy as np

    if precision == "float32":
        return vectors
    if precision in ("binary", "ubinary"):
        bits = np.packbits(vectors > 0, axis=1)
        return bits if precision == "ubinary" else (bits.astype(np.int16) - 128).astype(np.int8)
    if precision not in ("int8", "uint8"):
        raise InvalidRequestError(f"no precision is called {precision!r}")
    largest = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    rounded = np.rint(vectors / largest * np.float32(127)).astype(np.int16)
    return rounded.astype(np.int8) if precision == "int8" else (rounded + 128).astype(np.uint8)


def _tensor(vectors: Any) -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError("convert_to_tensor needs torch; leave it out for numpy") from error
    return torch.from_numpy(vectors)


def tensor_if_torch(vectors: Any) -> Any:
    """What sentence-transformers gives as a tensor: one where torch is there, else the array."""
    try:
        import torch
    except ImportError:
        return vectors
    return torch.from_numpy(vectors)


def _tensors_if_torch(rows: list[Any]) -> list[Any]:
    return [tensor_if_torch(one) for one in rows]
