"""What ends calls from outside."""

from __future__ import annotations

import threading
import weakref
from typing import final

from connote import _connote

__all__ = ["Cancellation", "token"]


@final
class Cancellation:
    """Ends the calls that carry it, from any thread.

    Args:
        parent: What ends the parent's calls, now or before, ends this one's too, through any number of generations, and not the
            other way round.
    """

    def __init__(self, parent: Cancellation | None = None) -> None:
        self._token = _connote.Cancellation()
        # A signal's handler may cancel while its own thread is in here.
        self._lock = threading.RLock()
        self._cancelled = False
        self._children: weakref.WeakSet[Cancellation] = weakref.WeakSet()
        if parent is None:
            return
        if not isinstance(parent, Cancellation):
            raise TypeError(f"parent is a connote.Cancellation, not {type(parent).__name__}")
        # Children hold their parents: a generation between that nobody else holds still hands on what it hears.
        self._parent = parent
        with parent._lock:
            parent._children.add(self)
            cancelled = parent._cancelled
        if cancelled:
            self.cancel()

    def cancel(self) -> None:
        """Ends the calls that carry it, now and later."""
        self._token.cancel()
        with self._lock:
            self._cancelled = True
            children = list(self._children)
        for child in children:
            child.cancel()


def token(cancel: Cancellation | None) -> _connote.Cancellation | None:
    """What the engine looks at."""
    if cancel is None:
        return None
    if not isinstance(cancel, Cancellation):
        raise TypeError(f"cancel is a connote.Cancellation, not {type(cancel).__name__}")
    return cancel._token
