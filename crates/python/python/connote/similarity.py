"""How close vectors are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["cosine_similarity", "pairwise_cosine_similarity"]


def cosine_similarity(a: Any, b: Any) -> npt.NDArray[np.float32]:
    """Cosines between every row of ``a`` and every row of ``b``, as an array of shape (rows of a, rows of b).

    A single vector counts as one row. A vector that is zero is like none: its cosines are 0.

    Raises:
        ValueError: If rows of ``a`` and ``b`` differ in length: such vectors are of different models or sizes.
    """
    left, right = _unit(a), _unit(b)
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"vectors of {left.shape[1]} and {right.shape[1]} values cannot be compared")
    result: npt.NDArray[np.float32] = left @ right.T
    return result


def pairwise_cosine_similarity(a: Any, b: Any) -> npt.NDArray[np.float32]:
    """The cosine of each row of ``a`` and the row of ``b`` in its place, as an array of as many.

    Raises:
        ValueError: If ``a`` and ``b`` differ in their rows or these in length.
    """
    left, right = _unit(a), _unit(b)
    if left.shape != right.shape:
        raise ValueError(f"vectors of shapes {left.shape} and {right.shape} cannot be compared one by one")
    result: npt.NDArray[np.float32] = (left * right).sum(axis=1)
    return result


def _unit(vectors: Any) -> npt.NDArray[np.float32]:
    import numpy as np

    def array(one: Any) -> Any:
        return one.detach().cpu().numpy() if hasattr(one, "detach") else one

    # Tensors of torch, and lists of them.
    vectors = [array(one) for one in vectors] if isinstance(vectors, (list, tuple)) else array(vectors)
    rows = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    scaled: npt.NDArray[np.float32] = rows / lengths
    return scaled
