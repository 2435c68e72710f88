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
    """The cosine of each row of ``a`` and the row of ``b`` in its place, as an array of as many: of two single vectors one without
    axes. One vector is compared with each row of the other.

    Raises:
        ValueError: If ``a`` and ``b`` differ in their rows or these in length.
    """
    import numpy as np

    left, right = _unit(a, single=True), _unit(b, single=True)
    one_by_one = left.shape[:-1] == right.shape[:-1] or 1 in (_rows(left), _rows(right))
    if left.shape[-1] != right.shape[-1] or not one_by_one:
        raise ValueError(f"vectors of shapes {left.shape} and {right.shape} cannot be compared one by one")
    result: npt.NDArray[np.float32] = np.asarray((left * right).sum(axis=-1))
    return result


def _rows(vectors: npt.NDArray[np.float32]) -> int:
    return len(vectors) if vectors.ndim > 1 else 1


def _unit(vectors: Any, *, single: bool = False) -> npt.NDArray[np.float32]:
    """Rows of unit length; a ``single`` vector may stay one."""
    import numpy as np

    def array(one: Any) -> Any:
        # numpy has no bfloat16, and no float of 8 bits.
        return one.detach().float().cpu().numpy() if hasattr(one, "detach") else one

    # Tensors of torch, and lists of them.
    vectors = [array(one) for one in vectors] if isinstance(vectors, (list, tuple)) else array(vectors)
    # In float64, for squares of a float32 may be past what it holds, or zero.
    rows = np.asarray(vectors, dtype=np.float64)
    if not single or rows.ndim == 0:
        rows = np.atleast_2d(rows)
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    lengths[lengths == 0] = 1
    scaled: npt.NDArray[np.float32] = (rows / lengths).astype(np.float32)
    return scaled
