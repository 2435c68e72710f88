"""How texts become vectors, as the native module reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

if TYPE_CHECKING:
    from connote.cancellation import Cancellation
    from connote.embedder import Output, Progress, Texts, Truncate

__all__ = ["EachKeywords", "EncodeKeywords", "How", "Manner", "how_to"]


#: Everything but the texts, in the order that the native module reads: keywords of :meth:`connote.Embedder.embed`.
How: TypeAlias = tuple[str | None, Any, str | None, int | None, bool, str, int | None]
#: How it is computed and given: progress, priority, timeout, cancel, output, strict.
Manner: TypeAlias = tuple[Any, str | None, float | None, Any, str, bool]


def how_to(
    task: str | None = None,
    title: Any = None,
    prompt: str | None = None,
    dimensions: int | None = None,
    normalize: bool = True,
    truncate: str = "end",
    max_tokens: int | None = None,
) -> How:
    """Options in their order."""
    return task, title, prompt, dimensions, normalize, truncate, max_tokens


class EncodeKeywords(TypedDict, total=False):
    """Keywords of :meth:`connote.Embedder.embed` that :meth:`connote.Embedder.encode` passes on."""

    cancel: Cancellation | None
    max_tokens: int | None
    priority: Literal["interactive", "batch"] | None
    timeout: float | None
    title: Texts | None
    truncate: Truncate


class _Manner(TypedDict, total=False):
    max_tokens: int | None
    progress: Progress
    priority: Literal["interactive", "batch"] | None
    timeout: float | None
    cancel: Cancellation | None


class EachKeywords(_Manner, total=False):
    """Keywords of :meth:`connote.Embedder.embed_each`."""

    task: str | None
    title: Texts | None
    prompt: str | None
    dimensions: int | None
    normalize: bool
    truncate: Truncate
    output: Output
