"""How close vectors are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["cosine_similarity"]


def cosine_similarity(a: Any, b: Any) -> npt.NDArray[np.float32]:
    """Cosines between every row of ``a`` and every row of ``b``, as an array of shape (rows of a, rows of b).

    A single vector counts as one row. A vector that is zero is like none: its cosines are 0.

    Raises:
        ValueError: If rows of ``a`` and ``b`` differ in length: such vectors are of different models or sizes.
    """
    import numpy as np

    def unit(vectors: Any) -> npt.NDArray[np.float32]:
        rows = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        lengths[lengths == 0] = 1
        scaled: npt.NDArray[np.float32] = rows / lengths
        return scaled

    left, right = unit(a), unit(b)
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"vectors of {left.shape[1]} and {right.shape[1]} values cannot be compared")
    result: npt.NDArray[np.float32] = left @ right.T
    return result
