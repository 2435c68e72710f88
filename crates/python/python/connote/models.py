"""Which file a model's name means."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from connote import _connote
from connote.errors import ModelFileError, ModelNotFoundError

__all__ = ["find_model"]

_BUILTIN_NAMES = {"minilm", "all-minilm", "all-minilm-l6-v2", "sentence-transformers/all-minilm-l6-v2"}


def find_model(path_or_name: str | os.PathLike[str] | None = None) -> Path:
    """The GGUF file that a path or name means; never the network.

    ``None`` is the model of the package ``connote-minilm``. A name is a path, a file in ``$EMBED_MODELS_DIR``
    (``~/.cache/embed-models``), or a name that ``connote pull`` takes, whose file is in the Hugging Face cache.

    Raises:
        ModelNotFoundError: If there is no such file.
        ModelFileError: If it is a folder.
        TypeError: If it is neither ``None`` nor a ``str`` nor a ``PathLike`` of one.
    """
    if path_or_name is None:
        builtin = _builtin()
        if builtin is None:
            raise ModelNotFoundError(
                "no model was named and the package `connote-minilm`, which carries one, is not installed: "
                "`pip install connote-minilm`, or give the path of a GGUF file"
            )
        return builtin
    name = os.fspath(path_or_name) if hasattr(path_or_name, "__fspath__") else path_or_name
    if not isinstance(name, str):
        raise TypeError(f"a model is the path of a GGUF file or a name, as a str or an os.PathLike of one, not {type(name).__name__}")
    found = _connote.find_model(name)
    if found is not None:
        return found
    if name.lower() in _BUILTIN_NAMES:
        builtin = _builtin()
        if builtin is not None:
            return builtin
    if os.path.isdir(name):
        raise ModelFileError(f"{name}: is a folder; give the path of the .gguf file in it", number=errno.EISDIR)
    hint = f"; `connote pull {name}` fetches it" if not name.endswith(".gguf") else ""
    raise ModelNotFoundError(f"{name}: there is no such file, nor a model of that name on this machine{hint}")


def _builtin() -> Path | None:
    try:
        import connote_minilm
    except ImportError:
        return None
    return Path(connote_minilm.PATH)
