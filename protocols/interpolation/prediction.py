"""Samples from those around them and from other leads at the same instants, and the inverse; docs/reference/codec.md, "Decoding".

All arithmetic is of integers that wrap around, so that a decoder gets what the encoder had on any machine.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples: TypeAlias = NDArray[np.int16 | np.int32]
    Work: TypeAlias = NDArray[np.int32 | np.int64]

PAIRS = 4  # of neighbours, one on each side; 6 gain 0.1 %
SHIFT = 12  # of the taps: 4096 is 1
HALF = 1 << (SHIFT - 1)
REFERENCE_SHIFT = 6
MAX_REFERENCES = 2
WORK = {"<i2": np.dtype("<i4"), "<i4": np.dtype("<i8")}
_BLOCK = 32_768  # targets at a time, so that they stay in the cache

Reference: TypeAlias = tuple[int, int]  # lead, weight in 1/64


class Level:
    """One grid of known samples and the prediction of those midway between them."""

    def __init__(self, grid: "Samples", taps: "NDArray[np.int64]", references: Sequence[Sequence[Reference]]) -> None:
        self._known = padded(grid)
        self._work = WORK[grid.dtype.str]
        self._taps = taps.astype(self._work)
        self._references = references

    def residuals(self, targets: "Samples") -> "Samples":
        """What the prediction leaves of the targets."""
        out = np.empty_like(targets)
        for at, end, scaled in self._blocks(targets.shape[1]):
            out[:, at:end] = left_of(targets[:, at:end], scaled, self._references)
        return out

    def targets(self, residuals: "Samples") -> "Samples":
        """The inverse."""
        out = np.empty_like(residuals)
        for at, end, scaled in self._blocks(residuals.shape[1]):
            restore(residuals[:, at:end], scaled, self._references, out[:, at:end])
        return out

    def _blocks(self, count: int) -> "Iterator[tuple[int, int, Work]]":
        """Ranges of targets, and their prediction in units of 2^-SHIFT."""
        step = max(256, _BLOCK // len(self._known))
        for at in range(0, count, step):
            end = min(at + step, count)
            near = self._known[:, at : end + 2 * PAIRS - 1].astype(self._work)
            scaled = pair_sums(near, 0, end - at)
            scaled *= self._taps[:, :1]
            for pair in range(1, PAIRS):
                more = pair_sums(near, pair, end - at)
                more *= self._taps[:, pair : pair + 1]
                scaled += more
            yield at, end, scaled


def left_of(values: "Samples", scaled: "Work", references: Sequence[Sequence[Reference]]) -> "Work":
    """What a prediction `scaled` by 2^SHIFT (which is used up) and the leads referred to leave of values."""
    wide = values.astype(scaled.dtype)
    if any(references):
        remains = (wide << SHIFT) - scaled
        for lead, chosen in enumerate(references):
            if chosen:
                scaled[lead] += _referred(remains, chosen)
    wide -= _rounded(scaled)
    return wide


def restore(residuals: "Samples", scaled: "Work", references: Sequence[Sequence[Reference]], out: "Samples") -> None:
    """The inverse, lead after lead into `out`."""
    if not any(references):
        out[:] = _rounded(scaled)
        out += residuals
        return
    referred = {lead for chosen in references for lead, _ in chosen}
    remains = np.empty_like(scaled)
    for lead, chosen in enumerate(references):
        out[lead] = _rounded(scaled[lead] + _referred(remains, chosen) if chosen else scaled[lead].copy())
        out[lead] += residuals[lead]
        if lead in referred:
            remains[lead] = (out[lead].astype(scaled.dtype) << SHIFT) - scaled[lead]


def padded(grid: "Samples") -> "Samples":
    """A grid with its ends repeated as often as the taps look beyond them."""
    return np.pad(grid, ((0, 0), (PAIRS - 1, PAIRS)), mode="edge")


def pair_sums(near: "Work", pair: int, count: int) -> "Work":
    """The sum of the two neighbours at distance `pair` on each side of each target."""
    left, right = PAIRS - 1 - pair, PAIRS + pair
    return near[:, left : left + count] + near[:, right : right + count]


def _rounded(scaled: "Work") -> "Work":
    scaled += HALF
    scaled >>= SHIFT
    return scaled


def _referred(left: "Work", chosen: Sequence[Reference]) -> "Work":
    """What the leads referred to have left, weighted, in units of 2^-SHIFT."""
    (lead, weight), *others = chosen
    total = left[lead] * weight
    for other, its_weight in others:
        total += left[other] * its_weight
    total >>= REFERENCE_SHIFT
    return total
