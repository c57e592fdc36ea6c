"""Which taps and references the encoder writes: the part that may change without a new version."""

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from protocols.interpolation.prediction import HALF, PAIRS, REFERENCE_SHIFT, SHIFT, Reference, padded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from protocols.interpolation.prediction import Samples

    Floats: TypeAlias = NDArray[np.float32 | np.float64]

_FITTED = 8192  # targets that a fit looks at; four times as many gain 0.02 % and halve the speed
_ROUNDS = 2  # of reweighting: least squares looks at the few steep samples, the bits are in the many flat ones
_FLOOR = 2.0  # units: an error below this costs about as many bits as none
_NEAR = 16  # leads before one that it may refer to, as the encoder searches
_WORTH = 0.02  # of the remaining power that a reference must take away


def fitted(
    pieces: "Sequence[tuple[Samples, Samples]]", leads: int
) -> "tuple[list[NDArray[np.int64]], list[list[Reference]]]":
    """Taps of each level (one row for all leads, or one a lead) and the references of each lead."""
    none: list[list[Reference]] = [[] for _ in range(leads)]
    if not pieces:
        return [], none
    fits = [_Fit(grid, targets) for grid, targets in pieces]
    taps = [fit.taps() for fit in fits]
    references = _references(fits[0].left(taps[0])) if leads > 1 else none
    # References need taps of which leads that depend on each other keep doing so: the same for all.
    if leads > 1 and not any(references) and pieces[0][1].shape[1] >= _FITTED:
        taps = [np.concatenate([_Fit(g[i : i + 1], t[i : i + 1]).taps() for i in range(leads)]) for g, t in pieces]
    return taps, references


class _Fit:
    """Targets of a level, thinned out evenly, beside the sums of their pairs of neighbours."""

    def __init__(self, grid: "Samples", targets: "Samples") -> None:
        step = max(1, targets.size // _FITTED)
        known, count = padded(grid), targets.shape[1]
        sides = range(2 * PAIRS)
        near = [known[:, side : side + count : step].astype(np.float32) for side in sides]
        pairs = [near[PAIRS - 1 - pair] + near[PAIRS + pair] for pair in range(PAIRS)]
        self._start = 0.5 * pairs[0]
        self._pairs = [pair - pairs[0] for pair in pairs[1:]]
        self._error = targets[:, ::step].astype(np.float32) - self._start

    def taps(self) -> "NDArray[np.int64]":
        """One row of PAIRS taps, whose sum is half of one."""
        columns = np.stack([pair.ravel() for pair in self._pairs]).astype(np.float64)
        error = self._error.ravel().astype(np.float64)
        found: NDArray[np.float64] = np.zeros(PAIRS - 1)
        weighted: NDArray[np.float64] = columns
        for _ in range(_ROUNDS + 1):
            normal = _products(weighted, columns)
            normal[np.diag_indices(PAIRS - 1)] += 1e-6 * (1 + normal.trace())
            aim: NDArray[np.float64] = (weighted * error).sum(axis=1)
            found = np.asarray(np.linalg.solve(normal, aim), np.float64)
            guess: NDArray[np.float64] = (found[:, None] * columns).sum(axis=0)
            weighted = columns / (np.abs(error - guess) + _FLOOR)
        others = np.clip(np.round(found * (1 << SHIFT)), -(2**15), 2**15 - 1).astype(np.int64)
        return np.concatenate([[HALF - others.sum()], others])[None]

    def left(self, taps: "NDArray[np.int64]") -> "Floats":
        """What taps leave of the targets."""
        left = self._error.copy()
        for tap, pair in zip(taps[0, 1:], self._pairs, strict=True):
            left -= np.float32(tap / (1 << SHIFT)) * pair
        return left


def _products(rows: "Floats", others: "Floats") -> "NDArray[np.float64]":
    """Of each row with each other one. Not by BLAS, whose threads wait busily for what takes less than a millisecond."""
    return np.einsum("ik,jk->ij", rows, others).astype(np.float64)


def _references(left: "Floats") -> list[list[Reference]]:
    """For each lead the one or two before it that predict best what is left of it."""
    weighted = left / (np.abs(left).mean(axis=0) + np.float32(_FLOOR))
    power = _products(weighted, left)
    return [[], *(_chosen(power, lead) for lead in range(1, len(left)))]


def _chosen(power: "NDArray[np.float64]", lead: int) -> list[Reference]:
    """Greedy: the best one, then the best of those beside it."""
    first = max(0, lead - _NEAR)
    own, shared = power.diagonal()[first:lead], power[lead, first:lead]
    floor = 1e-6 * (1 + own)
    gains = shared**2 / (own + floor)
    best = int(np.argmax(gains))
    if gains[best] < _WORTH * power[lead, lead] or not gains[best]:
        return []
    with_best = power[first + best, first:lead] / (own[best] + floor[best])
    own_beside = own - with_best * power[first + best, first:lead]
    shared_beside = shared - with_best * shared[best]
    gains_beside = np.where(own_beside > floor, shared_beside**2 / np.maximum(own_beside, floor), 0)
    second = int(np.argmax(gains_beside))
    weights = {best: shared[best] / (own[best] + floor[best])}
    if second != best and gains_beside[second] >= _WORTH * (power[lead, lead] - gains[best]) > 0:
        weights[second] = shared_beside[second] / own_beside[second]
        weights[best] -= weights[second] * with_best[second]
    scaled = {other: round(min(max(weight * (1 << REFERENCE_SHIFT), -128), 127)) for other, weight in weights.items()}
    return [(first + other, weight) for other, weight in scaled.items() if weight]
