"""Beats against beats, as ANSI/AAMI EC57:2012 compares them (4.3): one to one within 150 ms, by class.

Written from the standard's rules, not from a program; the public reference program of these rules is `bxb`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Counts = NDArray[np.int64]

MATCH_S = 0.150
LEARNING_S = 300.0  # EC57 3.3: the first five minutes are for learning
_ROUNDING_S = 1e-9
NOBODY = -1

Interval = tuple[float, float]


class BeatClass(IntEnum):
    """The classes of EC57 4.2.1, and NONE: no beat there."""

    N = 0
    S = 1
    V = 2
    F = 3
    Q = 4
    NONE = 5


_SYMBOLS = {BeatClass.N: "NLRBej", BeatClass.S: "AaJSn", BeatClass.V: "VEr", BeatClass.F: "F", BeatClass.Q: "/fQ?"}
# What a beat annotation of the WFDB kind is in EC57; what is not in it is no beat (rhythm, noise, a blocked P wave).
BY_SYMBOL: Mapping[str, BeatClass] = MappingProxyType({s: c for c, symbols in _SYMBOLS.items() for s in symbols})


def _nothing() -> "Counts":
    return np.zeros((len(BeatClass), len(BeatClass)), np.int64)


@dataclass(frozen=True, eq=False)
class BeatScore:
    """`counts`: (6, 6), rows the reference's class, columns the detection's; `offsets_s`: detection minus reference where they match."""

    counts: "Counts" = field(default_factory=_nothing)
    offsets_s: tuple[float, ...] = ()

    def __add__(self, other: "BeatScore") -> "BeatScore":
        return BeatScore(self.counts + other.counts, self.offsets_s + other.offsets_s)

    @property
    def matched(self) -> int:
        """Beats that were found, whatever they were called."""
        return int(self.counts[: BeatClass.NONE, : BeatClass.NONE].sum())

    @property
    def missed(self) -> int:
        """Beats of the reference that were not found."""
        return int(self.counts[: BeatClass.NONE, BeatClass.NONE].sum())

    @property
    def false(self) -> int:
        """Detections where the reference has no beat."""
        return int(self.counts[BeatClass.NONE].sum())

    @property
    def detection(self) -> "Rates":
        """How beats are found, of any class; what is no beat cannot be counted."""
        return Rates(self.matched, self.missed, self.false, 0)

    @property
    def ventricular(self) -> "Rates":
        """Ventricular ectopic beats; F and Q that are called V count neither way (EC57 4.3.3.2)."""
        return self._of(BeatClass.V, excused=(BeatClass.F, BeatClass.Q))

    @property
    def supraventricular(self) -> "Rates":
        """Supraventricular ectopic beats; Q that is called S counts neither way."""
        return self._of(BeatClass.S, excused=(BeatClass.Q,))

    def _of(self, wanted: BeatClass, excused: tuple[BeatClass, ...]) -> "Rates":
        called, is_it = self.counts[:, wanted], self.counts[wanted]
        false = int(called.sum() - called[wanted] - called[list(excused)].sum())
        negative = int(self.counts.sum() - is_it.sum() - called.sum() + called[wanted])
        return Rates(int(called[wanted]), int(is_it.sum() - called[wanted]), false, negative)


@dataclass(frozen=True, slots=True)
class Rates:
    """Counts of a yes and no question and what follows from them, in per cent; NaN where there is nothing to divide by."""

    true_positive: int
    false_negative: int
    false_positive: int
    true_negative: int

    @property
    def sensitivity(self) -> float:
        """Of what is there, how much was found."""
        return percent(self.true_positive, self.true_positive + self.false_negative)

    @property
    def positive_predictivity(self) -> float:
        """Of what was found, how much is there (PPV)."""
        return percent(self.true_positive, self.true_positive + self.false_positive)

    @property
    def negative_predictivity(self) -> float:
        """Of what was not found, how much is not there (NPV)."""
        return percent(self.true_negative, self.true_negative + self.false_negative)

    @property
    def specificity(self) -> float:
        """Of what is not there, how much was not found."""
        return percent(self.true_negative, self.true_negative + self.false_positive)

    @property
    def false_positive_rate(self) -> float:
        """Of what is not there, how much was found all the same (EC57: FPR)."""
        return percent(self.false_positive, self.true_negative + self.false_positive)

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and positive predictivity."""
        return percent(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)


def percent(part: float, whole: float) -> float:
    """A share in per cent; NaN of nothing."""
    return 100 * part / whole if whole else float("nan")


def compare_beats(
    reference_s: Sequence[float],
    detected_s: Sequence[float],
    reference: Sequence[BeatClass] | None = None,
    detected: Sequence[BeatClass] | None = None,
    *,
    from_s: float = LEARNING_S,
    excluded: Sequence[Interval] = (),
) -> BeatScore:
    """Match two ascending lists of beat times and count what each was called; without classes every beat is N.

    Beats of either side before `from_s` or inside an excluded interval (borders widened by the window) are not counted, but
    a beat at the border may be matched by one outside.
    """
    reference = reference or (BeatClass.N,) * len(reference_s)
    detected = detected or (BeatClass.N,) * len(detected_s)
    counts, offsets = _nothing(), list[float]()
    for i, j in pairs(reference_s, detected_s):
        if i == NOBODY:
            counts[BeatClass.NONE, detected[j]] += _counts(detected_s[j], from_s, excluded)
        elif _counts(reference_s[i], from_s, excluded):
            counts[reference[i], BeatClass.NONE if j == NOBODY else detected[j]] += 1
            if j != NOBODY:
                offsets.append(detected_s[j] - reference_s[i])
    return BeatScore(counts, tuple(offsets))


def _counts(t: float, from_s: float, excluded: Sequence[Interval]) -> bool:
    return t >= from_s and not any(a - MATCH_S <= t <= b + MATCH_S for a, b in excluded)


def pairs(reference: Sequence[float], detected: Sequence[float]) -> list[tuple[int, int]]:
    """Who matches whom, in order of time: indices into both lists, NOBODY on the side that has no beat.

    The earlier of the two next beats is matched to the other when that is within the window, unless the one behind it is
    nearer and the other would not do better with its own next (EC57 4.3.1).
    """
    inf = float("inf")
    out: list[tuple[int, int]] = []
    i = j = 0
    while i < len(reference) or j < len(detected):
        here, next_here = (reference[k] if k < len(reference) else inf for k in (i, i + 1))
        there, next_there = (detected[k] if k < len(detected) else inf for k in (j, j + 1))
        apart = abs(here - there)
        rival = abs(here - next_there) if there < here else abs(there - next_here)
        both_next = abs(next_here - next_there) if max(next_here, next_there) < inf else inf
        if apart <= MATCH_S + _ROUNDING_S and (apart < rival or both_next < rival):
            out.append((i, j))
            i, j = i + 1, j + 1
        elif there < here:
            out.append((NOBODY, j))
            j += 1
        else:
            out.append((i, NOBODY))
            i += 1
    return out
