"""A bar by tqdm."""

from __future__ import annotations

__all__ = ["Bar"]


class Bar:
    """What is called with texts done and texts in all, as the native module does for ``progress=True``."""

    def __init__(self) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError("progress=True needs tqdm (`pip install tqdm`), or give a function") from error
        self._bar = tqdm(unit=" texts")

    def __call__(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leaves the bar as it is."""
        self._bar.close()
