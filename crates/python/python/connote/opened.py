"""Which models this process has open, so that nobody opens one again."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from connote.embedder import Embedder

    _E = TypeVar("_E", bound=Embedder)

__all__ = ["get", "keep"]

#: Models that stay open for the tasks of an engine, each of which may come with a function of its own: a job's model, and another.
_MOST_KEPT = 2


class _Opened:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        #: Held while a model is opened, so that who asks for another does not wait.
        self.opening: weakref.WeakValueDictionary[Hashable, _Lock] = weakref.WeakValueDictionary()
        self.alive: weakref.WeakValueDictionary[Hashable, Embedder] = weakref.WeakValueDictionary()
        self.kept: OrderedDict[int, Embedder] = OrderedDict()


class _Lock:
    """A lock that can be referred to weakly."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


_opened = _Opened()


def get(key: Hashable, make: Callable[[], _E]) -> _E:
    """The embedder of this key while somebody holds it, else what ``make`` gives. Of threads that ask at once one makes it."""
    state = _opened
    with state.lock:
        opening = state.opening.setdefault(key, _Lock())
    with opening.lock:
        found = state.alive.get(key)
        if found is None:
            found = state.alive[key] = make()
    return found  # type: ignore[return-value]  # a key names its class


def keep(embedder: Embedder) -> None:
    """Keeps an embedder open when nobody holds it any more, until others have been kept after it."""
    state = _opened
    with state.lock:
        state.kept[id(embedder)] = embedder
        state.kept.move_to_end(id(embedder))
        while len(state.kept) > _MOST_KEPT:
            state.kept.popitem(last=False)


def _forget() -> None:
    global _opened
    _opened = _Opened()


# A forked child has no threads to compute with, and perhaps a lock that a thread of its parent held.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
