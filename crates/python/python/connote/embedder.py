"""The embedder: texts in, vectors out."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from connote import _connote, opened
from connote._connote import Vectors
from connote.cancellation import Cancellation, token
from connote.encode import Encoding
from connote.errors import ConnoteError, from_kind
from connote.models import find_model
from connote.options import EachKeywords, how_to
from connote.similarity import cosine_similarity

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from typing_extensions import Unpack  # which type checkers have; Python has it from 3.11 on

__all__ = ["Embedder", "Output", "Progress", "Texts", "Truncate"]

#: What texts may come as: a list of ``str``, an Arrow array or anything with Arrow's PyCapsule interface (polars and pandas
#: columns), or anything that can be iterated.
Texts: TypeAlias = Any
#: What the values of a vector are written as.
Output: TypeAlias = Literal["float32", "float16", "int8", "uint8", "binary", "ubinary"]
#: What happens to a text that is longer than the limit.
Truncate: TypeAlias = Literal["end", "start", "error"]
#: ``True`` for a bar by tqdm, or a function that is called with texts done and texts in all.
Progress: TypeAlias = "bool | Callable[[int, int], object] | None"

_T = TypeVar("_T")


class Embedder(_connote.EmbedderBase, Encoding):
    """A model, its weights packed, for any number of threads at once.

    Args:
        path_or_name: A GGUF file, or a name (see :func:`connote.find_model`). ``None``: the model of ``connote-minilm``.
        threads: Threads that work on a call. 0: the cores this process may use, by affinity and cgroup limits, and no more than
            ``CONNOTE_THREADS`` or ``OMP_NUM_THREADS`` say.
        parallelism: ``"auto"``; ``"texts"`` (side by side, a thread each); ``"matmul"`` (all threads inside matrix products).
        policy: ``"adaptive"``, ``"table"``, ``"cost-model"``, or workers x threads, as in ``"4x2"``.
        preset: ``"balanced"``, ``"latency"`` or ``"throughput"``.
        pooling: ``"mean"``, ``"cls"``, ``"last"`` or ``"none"``, instead of what the file says.
        cpu_level: Instead of what ``CONNOTE_CPU`` says or the fastest there is.
        cache_dir: Where hashes of files and measurements are kept. Default: ``$CONNOTE_CACHE_DIR``, else the user's cache folder.
        share_weights: Keep the packed weights in a file of ``cache_dir`` that all processes of the machine map, so that a further
            process takes little more memory than its own scratch. For several processes with one model.

    Raises:
        ModelNotFoundError: If no file has that name.
        ConnoteError: If the file cannot be used; its class says why.

    An embedder is pickled by these arguments, never by its weights: where it is read back it opens its own, once a process, in a
    forked child, too. One that a forked child has from its parent without being sent raises ``RuntimeError`` when it is used.
    """

    def __init__(
        self,
        path_or_name: str | os.PathLike[str] | None = None,
        threads: int = 0,
        parallelism: Literal["auto", "texts", "matmul"] = "auto",
        *,
        policy: str = "adaptive",
        preset: Literal["balanced", "latency", "throughput"] = "balanced",
        pooling: Literal["mean", "cls", "last", "none"] | None = None,
        cpu_level: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        share_weights: bool = False,
    ) -> None:
        if self._is_open:
            raise RuntimeError("this embedder has its model already; make another embedder")
        path = find_model(path_or_name)
        # A path that was given as such means the same file from any folder; a name means the file of each machine.
        if path_or_name is not None and os.path.isfile(path_or_name):
            path_or_name = os.path.abspath(path_or_name)
        arguments: dict[str, Any] = {
            "threads": threads,
            "parallelism": parallelism,
            "policy": policy,
            "preset": preset,
            "pooling": pooling,
            "cpu_level": cpu_level,
            "cache_dir": None if cache_dir is None else os.fspath(cache_dir),
            "share_weights": share_weights,
        }
        named = None if path_or_name is None else os.fspath(path_or_name)
        engine = _connote.Engine(path, **arguments)
        for warning in engine.warnings:  # which may be made errors: then nothing is open
            warnings.warn(warning, stacklevel=2)
        self._engine = engine
        self._arguments: dict[str, Any] = {"path_or_name": named, **arguments}
        self.path = path

    @classmethod
    def shared(cls, *arguments: Any, **options: Any) -> Embedder:
        """The embedder of these arguments, however they are given, that this process has, else a new one. Threads that ask at
        once get the same. A file that was replaced or changed is another model."""
        bound = inspect.signature(cls).bind(*arguments, **options)
        bound.apply_defaults()
        named = bound.args[0] if bound.args else bound.kwargs.get("path_or_name")
        others = {name: value for name, value in bound.kwargs.items() if name != "path_or_name"}
        key = (cls, opened.file(named), opened.hashable(bound.args[1:]), opened.hashable(others))
        return opened.get(key, lambda: cls(*arguments, **options))

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self._arguments)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r}, dimensions={self.dimensions}, threads={self.threads})"

    # What it is

    @property
    def name(self) -> str:
        """The model's own name, as its file has it."""
        return self._engine.name

    @property
    def dimensions(self) -> int:
        """Values of a whole vector."""
        return self._engine.dimensions

    @property
    def max_tokens(self) -> int:
        """Tokens a text may have, special tokens included."""
        return self._engine.max_tokens

    @property
    def pooling(self) -> str:
        """How rows of tokens become a vector."""
        return self._engine.pooling

    @property
    def threads(self) -> int:
        """Threads that work on a call."""
        return self._engine.threads

    @property
    def prompts(self) -> dict[str, str]:
        """Tasks that the model's authors give, and the prompt of each."""
        return dict(self._engine.tasks)

    @property
    def default_prompt(self) -> str:
        """What goes before texts that are given neither a task nor a prompt, as the file says; empty if nothing does."""
        return self._engine.default_prompt

    # Texts in, vectors out; `embed` is the native base's

    def embed_vectors(
        self,
        texts: Texts,
        task: str | None = None,
        title: Texts | None = None,
        prompt: str | None = None,
        dimensions: int | None = None,
        normalize: bool = True,
        truncate: Truncate = "end",
        output: Output = "float32",
        *,
        max_tokens: int | None = None,
        progress: Progress = None,
        priority: Literal["interactive", "batch"] | None = None,
        timeout: float | None = None,
        cancel: Cancellation | None = None,
        strict: bool = True,
    ) -> Vectors:
        """As :meth:`embed`, for who has no numpy or wants to know more: :class:`connote.Vectors` also has the ``tokens`` of each
        text and whether it was ``truncated``, and gives its memory to numpy (``numpy.asarray``) and to Arrow
        (``pyarrow.array``, ``polars.Series``) without a copy.

        Not ``strict``, texts that are ``None`` or fail have no vector, and ``failures`` says why: a null in Arrow, in numpy a row
        of NaN, or an error where the output is of integers.
        """
        return self._engine.vectors(
            texts,
            how_to(task, title, prompt, dimensions, normalize, truncate, self._longest(max_tokens)),
            (progress, priority, timeout, token(cancel), output, strict),
            False,
        )

    def embed_each(self, texts: Texts, **how: Unpack[EachKeywords]) -> list[npt.NDArray[Any] | ConnoteError | None]:
        """For each text its vector, the error that it met, or ``None`` for ``None``. Keywords as :meth:`embed`."""
        vectors = self.embed_vectors(_several(texts), strict=False, **how)
        rows: list[npt.NDArray[Any] | ConnoteError | None] = list(_connote.numpy().asarray(_Memory(vectors)))
        for index, tokens in enumerate(vectors.tokens):
            if tokens == 0:
                rows[index] = None
        for index, kind, message in vectors.failures:
            rows[index] = from_kind(kind, message, index)
        return rows

    def embed_arrow(
        self, array: Texts, *, errors: Literal["raise", "null"] = "raise", **how: Unpack[EachKeywords]
    ) -> pa.FixedSizeListArray:
        """The vectors of a column as a pyarrow ``FixedSizeListArray``, without a copy; a null text gives a null row.

        Args:
            array: See :data:`Texts`.
            errors: A text that fails is raised, or gives a null row and is logged.
            how: As :meth:`embed`.
        """
        vectors = self.embed_vectors(_several(array), strict=False, **how)
        for index, kind, message in vectors.failures:
            if errors == "raise":
                raise from_kind(kind, message, index)
        vectors.log_failures()
        import pyarrow

        result: pa.FixedSizeListArray = pyarrow.array(vectors)
        return result

    def embed_tokens(
        self,
        texts: Texts,
        task: str | None = None,
        title: Texts | None = None,
        prompt: str | None = None,
        dimensions: int | None = None,
        normalize: bool = True,
        truncate: Truncate = "end",
        output: Output = "float32",
        *,
        max_tokens: int | None = None,
        progress: Progress = None,
        priority: Literal["interactive", "batch"] | None = None,
        timeout: float | None = None,
        cancel: Cancellation | None = None,
    ) -> list[npt.NDArray[Any]]:
        """For each text the vectors of its tokens, as an array of shape (tokens, dimensions): what late interaction reads.

        Arguments as :meth:`embed`.
        """
        vectors = self._engine.vectors(
            _several(texts),
            how_to(task, title, prompt, dimensions, normalize, truncate, self._longest(max_tokens)),
            (progress, priority, timeout, token(cancel), output, True),
            True,
        )
        np = _connote.numpy()
        ends = np.cumsum(vectors.counts or [], dtype=np.int64)
        return list(np.split(np.asarray(vectors), ends[:-1])) if len(ends) else []

    # Tokens

    def tokenize(
        self,
        texts: Texts,
        task: str | None = None,
        title: Texts | None = None,
        prompt: str | None = None,
        truncate: Truncate = "end",
        max_tokens: int | None = None,
    ) -> list[list[int]]:
        """For each text the token ids that the network reads: prompt and special tokens included, cut to the limit."""
        how = how_to(task, title, prompt, None, True, truncate, self._longest(max_tokens))
        return self._engine.tokenize(_several(texts), how)

    def count_tokens(
        self,
        texts: Texts,
        task: str | None = None,
        title: Texts | None = None,
        prompt: str | None = None,
        truncate: Truncate = "end",
        max_tokens: int | None = None,
    ) -> list[int]:
        """For each text how many tokens the network reads."""
        how = how_to(task, title, prompt, None, True, truncate, self._longest(max_tokens))
        return self._engine.count_tokens(_several(texts), how)

    def _longest(self, max_tokens: int | None) -> int | None:
        """The most tokens that a text may have in a call that says this; ``None`` for the model's limit."""
        return max_tokens

    # Vector spaces

    def similarity(self, a: Any, b: Any) -> npt.NDArray[np.float32]:
        """Cosines between ``a`` and ``b``, which are vectors or texts, as an array of shape (of a, of b).

        Texts are embedded without a task, and come as for :meth:`embed`.
        """
        return cosine_similarity(self._vectors(a), self._vectors(b))

    def _vectors(self, what: Any) -> Any:
        return self.embed(what) if _are_texts(what) else what

    def fingerprint(
        self,
        task: str | None = None,
        prompt: str | None = None,
        dimensions: int | None = None,
        normalize: bool = True,
    ) -> str:
        """The name of the vector space: vectors with different fingerprints must not be compared.

        The first call reads the whole file, unless its hash is cached.
        """
        return self._engine.fingerprint(how_to(task, None, prompt, dimensions, normalize, "end", None))

    def reserve(self) -> None:
        """Takes now the memory that workers will need for the longest texts, instead of as they meet them."""
        self._engine.reserve()

    # For asyncio

    async def aembed(self, texts: Texts, *arguments: Any, **how: Any) -> npt.NDArray[Any]:
        """As :meth:`embed`. Cancelling the task ends the work."""
        return await self._aside(self.embed, texts, *arguments, **how)

    async def aembed_vectors(self, texts: Texts, *arguments: Any, **how: Any) -> Vectors:
        """As :meth:`embed_vectors`. Cancelling the task ends the work."""
        return await self._aside(self.embed_vectors, texts, *arguments, **how)

    async def aembed_arrow(self, array: Texts, **how: Any) -> pa.FixedSizeListArray:
        """As :meth:`embed_arrow`. Cancelling the task ends the work."""
        return await self._aside(self.embed_arrow, array, **how)

    async def aencode(self, *arguments: Any, **how: Any) -> Any:
        """As :meth:`encode`. Cancelling the task ends the work."""
        return await self._aside(self.encode, *arguments, **how)

    async def _aside(self, work: Callable[..., _T], *arguments: Any, **how: Any) -> _T:
        # Ending this task must not end other calls that carry the caller's own.
        cancel = how["cancel"] = Cancellation(how.get("cancel"))
        call = functools.partial(work, *arguments, **how)
        try:
            return await asyncio.get_running_loop().run_in_executor(_waiters(os.getpid()), call)
        except asyncio.CancelledError:
            cancel.cancel()
            raise


@functools.lru_cache(maxsize=1)
def _waiters(pid: int) -> ThreadPoolExecutor:
    """Threads that only wait: the engine computes calls together that wait at the same time."""
    return ThreadPoolExecutor(max_workers=64, thread_name_prefix="connote-async")


def _reopen(cls: type[Embedder], arguments: dict[str, Any]) -> Embedder:
    return cls.shared(**arguments)


def _several(texts: Texts) -> Texts:
    return [texts] if isinstance(texts, str) else texts


def _are_texts(what: Any) -> bool:
    """Whether something that is read as texts or as vectors is texts: by the first that is there."""
    if isinstance(what, str):
        return True
    # A generator would be empty after a look at it.
    if not hasattr(what, "__len__") or not hasattr(what, "__iter__"):
        return False
    values = (one.as_py() if hasattr(one, "as_py") else one for one in what)  # pyarrow's scalars
    first = next((one for one in values if isinstance(one, str) or hasattr(one, "__len__")), None)
    return isinstance(first, str)


class _Memory:
    """The memory of vectors for numpy, where whoever reads it knows which rows have none."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self._vectors.memory()
