"""Text embeddings on ordinary CPUs: a GGUF file in, vectors out.

>>> import connote
>>> embedder = connote.Embedder()  # the model of `connote-minilm`; else a path or a name
>>> vectors = embedder.embed(["a cat on the mat", "a feline on a rug"])
>>> vectors.shape
(2, 384)

A text's vector has the same bits whatever it is embedded with, on any number of threads. No vector that is zero or not
finite is handed out.
"""

from connote._connote import Vectors, __version__
from connote.cancellation import Cancellation
from connote.embedder import Embedder
from connote.errors import (
    BadVectorError,
    CancelledError,
    ConnoteError,
    DeadlineExceededError,
    InternalError,
    InvalidRequestError,
    ModelFileError,
    ModelNotFoundError,
    NoTokensError,
    PoolingUnknownError,
    TooLongError,
    UnsupportedModelError,
)
from connote.models import find_model
from connote.opened import forget_models
from connote.similarity import cosine_similarity

__all__ = [
    "BadVectorError",
    "Cancellation",
    "CancelledError",
    "ConnoteError",
    "DeadlineExceededError",
    "Embedder",
    "InternalError",
    "InvalidRequestError",
    "ModelFileError",
    "ModelNotFoundError",
    "NoTokensError",
    "PoolingUnknownError",
    "TooLongError",
    "UnsupportedModelError",
    "Vectors",
    "__version__",
    "cosine_similarity",
    "find_model",
    "forget_models",
]
