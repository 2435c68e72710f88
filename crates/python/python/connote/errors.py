"""What can go wrong, as exceptions: one class for each kind of the library's errors."""

from __future__ import annotations

import errno
from typing import Any

__all__ = [
    "BadVectorError",
    "CancelledError",
    "ConnoteError",
    "DeadlineExceededError",
    "InternalError",
    "InvalidRequestError",
    "ModelFileError",
    "ModelNotFoundError",
    "NoTokensError",
    "PoolingUnknownError",
    "TooLongError",
    "UnsupportedModelError",
]


class ConnoteError(Exception):
    """An error of connote.

    ``kind`` is its stable name, ``index`` the text it concerns, counted from 0 (``None`` if it concerns all), and
    ``message`` says what to do.
    """

    kind: str = "error"

    def __init__(self, message: str, index: int | None = None, number: int | None = None) -> None:
        if not isinstance(self, OSError):
            super().__init__(message, index)
        elif number is None:
            super().__init__(message)
        else:
            super().__init__(number, message)  # what OSError reads as `errno` and `strerror`
        self.message = message
        self.index = index

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.index, getattr(self, "errno", None))

    def __str__(self) -> str:
        return self.message if self.index is None else f"input {self.index}: {self.message}"


class ModelFileError(ConnoteError, OSError):
    """The model file could not be opened (``errno`` says why) or is not a valid GGUF file."""

    kind = "model_file"


class ModelNotFoundError(ModelFileError, FileNotFoundError):
    """No file on this machine has that name. ``errno`` is ``ENOENT``."""

    def __init__(self, message: str, index: int | None = None, number: int | None = errno.ENOENT) -> None:
        super().__init__(message, index, number)


class UnsupportedModelError(ConnoteError):
    """The file is valid, but connote cannot run its model."""

    kind = "unsupported_model"


class PoolingUnknownError(ConnoteError, ValueError):
    """The file does not say how to pool; give ``pooling``."""

    kind = "pooling_unknown"


class InvalidRequestError(ConnoteError, ValueError):
    """A setting makes no sense for this model: dimensions, task, title, token limit. Or a text is none: ``None``, or not Unicode."""

    kind = "invalid_request"


class TooLongError(ConnoteError, ValueError):
    """A text is longer than allowed and ``truncate`` is ``"error"``."""

    kind = "too_long"


class NoTokensError(ConnoteError, ValueError):
    """A text gives no tokens at all."""

    kind = "no_tokens"


class BadVectorError(ConnoteError, ArithmeticError):
    """The model gave a vector that is not finite or is zero; it was withheld."""

    kind = "bad_vector"


class CancelledError(ConnoteError):
    """The call was cancelled."""

    kind = "cancelled"


class DeadlineExceededError(ConnoteError, TimeoutError):
    """The call's time was over before all texts were computed. ``errno`` is ``ETIMEDOUT``."""

    kind = "deadline_exceeded"

    def __init__(self, message: str, index: int | None = None, number: int | None = errno.ETIMEDOUT) -> None:
        super().__init__(message, index, number)


class InternalError(ConnoteError, RuntimeError):
    """The engine failed on this text, which is a fault of connote. Other texts are not affected."""

    kind = "internal"


_KINDS: dict[str, type[ConnoteError]] = {
    cls.kind: cls
    for cls in (
        ModelFileError,
        UnsupportedModelError,
        PoolingUnknownError,
        InvalidRequestError,
        TooLongError,
        NoTokensError,
        BadVectorError,
        CancelledError,
        DeadlineExceededError,
        InternalError,
    )
}


def from_kind(kind: str, message: str, index: int | None = None, number: int | None = None) -> ConnoteError:
    """The exception of a kind, by the name that the library gives it; ``number`` is the system's, where it has one."""
    cls = ModelNotFoundError if number == errno.ENOENT else _KINDS.get(kind, ConnoteError)
    return cls(message, index) if number is None else cls(message, index, number)
