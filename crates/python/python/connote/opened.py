"""Which models this process has open, so that nobody opens one again."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

from connote.models import find_model

if TYPE_CHECKING:
    from connote.embedder import Embedder

    _E = TypeVar("_E", bound=Embedder)

__all__ = ["file", "forget_models", "get", "hashable", "keep"]

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


def file(path_or_name: str | os.PathLike[str] | None) -> Hashable:
    """What tells a model's file from others, and from what lies in its place later.

    Raises:
        ModelNotFoundError: If there is no such file.
    """
    path = os.path.realpath(find_model(path_or_name))
    # Embedders are pickled by their names, which other machines know, too: who asks by a name gets none that has a path.
    name = None if path_or_name is None or os.path.isfile(path_or_name) else os.fspath(path_or_name)
    by_default = path_or_name is None
    try:
        is_now = os.stat(path)
    except OSError:  # which is told where it is opened
        return by_default, name, path
    return by_default, name, path, is_now.st_dev, is_now.st_ino, is_now.st_size, is_now.st_mtime_ns


def hashable(value: Any) -> Hashable:
    """Arguments as a part of a key."""
    if isinstance(value, dict):
        return tuple(sorted((name, hashable(one)) for name, one in value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(hashable(one) for one in value)
    return value  # type: ignore[no-any-return]


def keep(embedder: Embedder) -> None:
    """Keeps an embedder open when nobody holds it any more, until others have been kept after it."""
    state = _opened
    dropped = []
    with state.lock:
        state.kept[id(embedder)] = embedder
        state.kept.move_to_end(id(embedder))
        while len(state.kept) > _MOST_KEPT:
            dropped.append(state.kept.popitem(last=False))
    # An engine ends its threads as it goes, for which nobody else should wait.
    del dropped


def forget_models() -> None:
    """Lets go of the models that this process keeps open for the tasks of an engine; those that somebody holds stay open."""
    state = _opened
    with state.lock:
        dropped = list(state.kept.values())
        state.kept.clear()
    del dropped


def _forget() -> None:
    global _opened
    _opened = _Opened()


# A forked child has none of the threads of its parent's models, and perhaps a lock that one of its parent's threads held.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
