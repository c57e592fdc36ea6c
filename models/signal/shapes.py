"""The shapes that a patient's beats have: clusters of those that are alike, which of them is the usual one, and which are paced.

A beat is moved to where it lies best on a shape before it joins. A window is of both leads, `WINDOW` samples about the fiducial point.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.signal.averages import mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BEFORE, AFTER = 36, 54  # samples: 0.3 s and 0.45 s about the fiducial point
WINDOW = BEFORE + AFTER
QRS = slice(BEFORE - 12, BEFORE + 18)
P_WAVE = slice(BEFORE - 32, BEFORE - 11)
T_WAVE = slice(BEFORE + 20, WINDOW)
CLUSTERS = 10
JOINS = 0.8  # correlation from which a beat is of a cluster
LARGER = 1.8  # and heights that differ by no more
FORGET = 1 / 300  # of a cluster's weight for each beat
SHIFT = 4  # samples: a beat may lie so far from its fiducial point
NOT_EARLY = 0.85  # of the usual interval
TINY = 1e-6
_SHIFTED = np.arange(0, 2 * SHIFT + 1, 2)[:, None] + np.arange(WINDOW)  # windows of a wide one
# Of the beats of a shape so many, and this share of them, were answers to a pulse; faster than 100 /min nothing is taken for paced by its shape.
PACED_BEATS, PACED_SHARE, PACED_S = 3, 0.05, 0.6


@dataclass(frozen=True, slots=True, eq=False)
class Cluster:
    """A shape: mean window (leads, WINDOW), how many beats by a forgetting count, their mean interval beside the usual.

    `tall`: height of its complex, on the lead where it is greatest (mV).
    """

    shape: "Floats"
    weight: float
    ratio: float
    tall: float
    unit: "Floats"  # of its complex, as `unit` makes it
    paced: float = 0.0  # of the weight


def as_paced(shape: Cluster, ratio: float, before_s: float) -> bool:
    """Whether a beat without a pulse looks as paced ones do and comes as these: a device at a low rate shows some pulses only."""
    some = shape.paced >= PACED_BEATS and shape.paced >= PACED_SHARE * shape.weight
    return some and ratio > NOT_EARLY and before_s >= PACED_S


def joined(
    clusters: tuple[Cluster, ...], wide: "Floats", ratio: float, *, paced: bool
) -> "tuple[tuple[Cluster, ...], int, Floats]":
    """The clusters with this beat in one of them, which, and its window as it lies best on that cluster's shape."""
    best, at, cuts, window = -1.0, -1, wide[:, _SHIFTED], wide[:, SHIFT : SHIFT + WINDOW]
    if clusters:
        complexes = cuts[:, :, QRS]
        heights = span(complexes).max(axis=0)
        like = np.array([c.unit for c in clusters]) @ unit(complexes.transpose(1, 0, 2).reshape(len(_SHIFTED), -1)).T
        larger = heights / np.array([[c.tall] for c in clusters])
        like[(larger <= 1 / LARGER) | (larger >= LARGER)] = -1
        at, shifted = divmod(int(like.argmax()), len(_SHIFTED))
        best, window = float(like[at, shifted]), cuts[:, shifted]
    kept = [
        Cluster(c.shape, c.weight * (1 - FORGET), c.ratio, c.tall, c.unit, c.paced * (1 - FORGET)) for c in clusters
    ]
    if best >= JOINS:
        own = kept[at]
        share = max(1 / (own.weight + 1), 0.04)
        shape = own.shape + share * (window - own.shape)
        kept[at] = _made(shape, own.weight + 1, own.ratio + max(share, 0.1) * (ratio - own.ratio), own.paced + paced)
        return tuple(kept), at, window
    if len(kept) == CLUSTERS:
        kept.remove(min(kept, key=lambda c: c.weight))
    return (*kept, _made(window, 1.0, ratio, float(paced))), len(kept), window


def dominant(clusters: tuple[Cluster, ...]) -> int:
    """The most frequent that does not come early; where all do, the most frequent."""
    return max(range(len(clusters)), key=lambda i: clusters[i].weight * (1.0 if clusters[i].ratio > NOT_EARLY else 0.1))


def _made(shape: "Floats", weight: float, ratio: float, paced: float) -> Cluster:
    """A cluster of this shape."""
    complexes = shape[:, QRS]
    return Cluster(shape, weight, ratio, float(span(complexes).max()) + TINY, unit(complexes.reshape(1, -1))[0], paced)


def span(x: "Floats") -> "Floats":
    """Greatest less least of each row, (..., n) -> (...)."""
    return x.max(axis=-1) - x.min(axis=-1)


def unit(rows: "Floats") -> "Floats":
    """Each row without its mean, of length 1: products of two are their correlations."""
    return of_unit(level(rows))


def of_unit(rows: "Floats") -> "Floats":
    """Each row, which has no mean, of length 1."""
    return rows / (np.sqrt(np.einsum("ij,ij->i", rows, rows)) + TINY)[:, None]


def level(x: "Floats") -> "Floats":
    """Each row without its mean, (..., n)."""
    return x - mean(x)[..., None]
