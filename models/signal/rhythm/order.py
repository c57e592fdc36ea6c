"""How much order there is in the intervals between beats: none in atrial fibrillation, at each beat, from its surroundings.

Coefficient of sample entropy (Lake & Moorman, Am J Physiol Heart Circ Physiol 300:H319, 2011): how seldom an interval like another is followed
by one like the other's next. Early beats with the pause behind them are put where they were expected; a pattern that repeats is order. Atrial
flutter with even intervals cannot be told so: `atrial` asks for more.
"""

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from models.signal.averages import median

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TOLERANCE_S = 0.03  # intervals that differ by less are alike; more where fewer than `MATCHES` pairs would be
MATCHES = 10
EARLY, LATE, EXPECTED, STEADY = 0.85, 1.1, 0.1, 0.12


def expected(intervals: "Floats") -> "Floats":
    """Intervals, seconds, with each early beat in a steady surrounding put in the middle between its neighbours."""
    usual = float(median(intervals))
    out = intervals.copy()
    for i, (short, long) in enumerate(pairwise(intervals.tolist())):
        if (
            short < EARLY * usual
            and long > LATE * usual
            and abs(short + long - 2 * usual) <= 2 * EXPECTED * usual
            and all(abs(intervals[k] - usual) <= STEADY * usual for k in (i - 1, i + 2) if 0 <= k < len(intervals))
        ):
            out[i] = out[i + 1] = (short + long) / 2
    return out


def entropy(intervals: "Floats") -> float:
    """Coefficient of sample entropy of intervals in seconds, at least three: below -2 for order, above -1.4 for none."""
    apart = np.abs(intervals[:, None] - intervals)
    first, next_ones = _pairs(len(intervals))
    one = apart.take(first)
    both = np.maximum(one, apart.take(next_ones))
    tolerance = max(TOLERANCE_S, float(np.partition(both, MATCHES - 1)[MATCHES - 1]))
    alike = int((both <= tolerance).sum())
    return float(
        -np.log(alike / int((one <= tolerance).sum())) + np.log(2 * tolerance) - np.log(float(intervals.mean()))
    )


@lru_cache(maxsize=64)
def _pairs(count: int) -> "tuple[NDArray[np.intp], NDArray[np.intp]]":
    """Where in a flattened (count, count) the pairs of two that both have a next one are, and where the pairs of their next ones."""
    row, column = np.triu_indices(count - 1, 1)
    return row * count + column, (row + 1) * count + column + 1
