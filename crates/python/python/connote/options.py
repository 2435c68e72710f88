"""How texts become vectors, as the native module reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

from connote.errors import InvalidRequestError

if TYPE_CHECKING:
    from connote.cancellation import Cancellation
    from connote.embedder import Output, Progress, Texts, Truncate

__all__ = ["EachKeywords", "EmbedKeywords", "EncodeKeywords", "How", "how_to"]


class How(TypedDict):
    """Everything but the texts; keywords of :meth:`connote.Embedder.embed`."""

    task: str | None
    title: Any
    prompt: str | None
    dimensions: int | None
    normalize: bool
    truncate: str
    max_tokens: int | None


def how_to(
    task: str | None = None,
    title: Any = None,
    prompt: str | None = None,
    dimensions: int | None = None,
    normalize: bool = True,
    truncate: str = "end",
    max_tokens: int | None = None,
) -> How:
    """
    Raises:
        InvalidRequestError: If the task or the prompt is no Unicode text.
    """
    for name, words in (("task", task), ("prompt", prompt)):
        if isinstance(words, str) and not words.isascii():
            try:
                words.encode()
            except UnicodeEncodeError as error:
                raise InvalidRequestError(
                    f"the {name} is no Unicode text: it holds a lone surrogate (at character {error.start}); replace it"
                ) from None
    return {
        "task": task,
        "title": title,
        "prompt": prompt,
        "dimensions": dimensions,
        "normalize": normalize,
        "truncate": truncate,
        "max_tokens": max_tokens,
    }


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


class EmbedKeywords(_Manner, total=False):
    """Keywords of :meth:`connote.Embedder.embed` that it passes on."""

    strict: bool


class EachKeywords(_Manner, total=False):
    """Keywords of :meth:`connote.Embedder.embed_each`."""

    task: str | None
    title: Texts | None
    prompt: str | None
    dimensions: int | None
    normalize: bool
    truncate: Truncate
    output: Output
