"""Say from the times of beats whether they come as in atrial fibrillation: without any order, at each beat, from its surroundings.

Coefficient of sample entropy of the last `WINDOW` intervals (Lake & Moorman, Am J Physiol Heart Circ Physiol 300:H319, 2011): how seldom
an interval like another is followed by one like the other's next. Early beats with the pause behind them are put where they were
expected; a pattern that repeats is order. Atrial flutter with even intervals cannot be told so. A verdict lies `LAG` beats behind.
The monitor judges by `atrial`, which takes its measures of order from here.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

WINDOW = 24  # intervals: 15 to 30 s
TOLERANCE_S = 0.03  # intervals that differ by less are alike; more where fewer than `MATCHES` pairs would be
MATCHES = 10
IRREGULAR = -1.4  # the paper's limit; above it fibrillation
SMOOTHED = 9  # scores whose median decides
LAG = (WINDOW + SMOOTHED) // 2
EARLY, LATE, EXPECTED, STEADY = 0.85, 1.1, 0.1, 0.12
LONGEST_S = 3.0  # a longer one is a pause, no interval of a rhythm


@dataclass(frozen=True, slots=True)
class FibrillationState:
    """The last beats (sample numbers) without an interruption between them, and the last scores."""

    beats: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """From sample `first` up to `last`, two neighbouring beats: whether the rhythm there is atrial fibrillation, and its entropy."""

    first: int
    last: int
    entropy: float
    fibrillation: bool


def begin() -> FibrillationState:
    """State before the first beat."""
    return FibrillationState()


def step(
    state: FibrillationState, beats: tuple[int, ...], fs_hz: float
) -> tuple[FibrillationState, tuple[Verdict, ...]]:
    """Take beats in their order, as sample numbers; a verdict for each, `LAG` beats behind it, once the window is full."""
    known, scores = state.beats, state.scores
    found: list[Verdict] = []
    for beat in beats:
        if known and not 0 < beat - known[-1] <= LONGEST_S * fs_hz:
            known, scores = (), ()
        known = (*known, beat)[-WINDOW - 1 :]
        if len(known) <= WINDOW:
            continue
        scores = (*scores, entropy(expected(np.diff(np.array(known)) / fs_hz)))[-SMOOTHED:]
        middle = sorted(scores)[len(scores) // 2]
        found.append(Verdict(known[-LAG - 1], known[-LAG], middle, middle > IRREGULAR))
    return FibrillationState(known, scores), tuple(found)


def expected(intervals: "Floats") -> "Floats":
    """Intervals, seconds, with each early beat in a steady surrounding put in the middle between its neighbours."""
    usual = float(np.median(intervals))
    out = intervals.copy()
    for i, (short, long) in enumerate(pairwise(intervals.tolist())):
        steady = all(abs(intervals[k] - usual) <= STEADY * usual for k in (i - 1, i + 2) if 0 <= k < len(intervals))
        if (
            steady
            and short < EARLY * usual
            and long > LATE * usual
            and abs(short + long - 2 * usual) <= 2 * EXPECTED * usual
        ):
            out[i] = out[i + 1] = (short + long) / 2
    return out


def entropy(intervals: "Floats") -> float:
    """Coefficient of sample entropy of intervals in seconds, at least three: below -2 for order, above -1.4 for none."""
    apart = np.abs(intervals[:, None] - intervals[None, :])
    pairs = np.triu_indices(len(intervals) - 1, 1)
    one = apart[:-1, :-1][pairs]
    both = np.maximum(one, apart[1:, 1:][pairs])
    tolerance = max(TOLERANCE_S, float(np.partition(both, MATCHES - 1)[MATCHES - 1]))
    alike = int((both <= tolerance).sum())
    return float(
        -np.log(alike / int((one <= tolerance).sum())) + np.log(2 * tolerance) - np.log(float(intervals.mean()))
    )
