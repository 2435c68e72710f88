from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, final

from connote.options import How

__version__: str

__all__ = ["Cancellation", "Engine", "Vectors", "__version__", "find_model"]

@final
class Cancellation:
    def __new__(cls) -> Cancellation: ...
    def cancel(self) -> None: ...

@final
class Vectors:
    def __len__(self) -> int: ...
    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[Any, Any]: ...
    @property
    def __array_interface__(self) -> dict[str, Any]: ...
    @property
    def tokens(self) -> list[int]: ...
    @property
    def truncated(self) -> list[bool]: ...
    @property
    def counts(self) -> list[int] | None: ...
    @property
    def failures(self) -> list[tuple[int, str, str]]: ...

@final
class Engine:
    def __new__(
        cls,
        path: str | PathLike[str],
        *,
        threads: int,
        parallelism: str,
        policy: str,
        preset: str,
        pooling: str | None,
        cpu_level: str | None,
        cache_dir: str | PathLike[str] | None,
        share_weights: bool,
    ) -> Engine: ...
    def embed(
        self,
        texts: object,
        how: How,
        *,
        output: str,
        strict: bool,
        per_token: bool,
        cancel: Cancellation | None,
        progress: Callable[[int, int], object] | None,
        priority: str | None,
        timeout: float | None,
    ) -> Vectors: ...
    def tokenize(self, texts: object, how: How) -> list[list[int]]: ...
    def count_tokens(self, texts: object, how: How) -> list[int]: ...
    def fingerprint(self, how: How) -> str: ...
    def reserve(self) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def dimensions(self) -> int: ...
    @property
    def max_tokens(self) -> int: ...
    @property
    def tasks(self) -> list[tuple[str, str]]: ...
    @property
    def known(self) -> bool: ...
    @property
    def pooling(self) -> str: ...
    @property
    def threads(self) -> int: ...
    @property
    def warnings(self) -> list[str]: ...

def find_model(name: str | PathLike[str]) -> Path | None: ...
