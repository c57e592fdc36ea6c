"""Count the breaths of an impedance wave, or of anything else that breathing moves, and say whether they can be believed.

Each second the last `WINDOW_S` are looked at: what is slower than ten seconds is taken away, a breath is a rise and a fall of more than
a share of the usual excursion (in the manner of Schäfer and Kratky, Ann Biomed Eng 36:476, 2008, whose counting Charlton et al., Physiol
Meas 37:610, 2016, found best of those compared), so that heart beats on the wave do not count. Clipped and inverted waves serve as well.

A rate is the mean of the window: it lies half of `WINDOW_S` behind a change.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from models.signal.vitals import wave
from models.signal.vitals.wave import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PER_HOP = 4
PER_S = 8
CUTOFF_HZ = 2.0  # 120 breaths a minute
DELAY_S = 0.6
WINDOW_S = 32.0
LEAST_S = 16.0  # before which nothing is said
SLOWEST_S = 10.0  # a breath: what changes in longer is baseline
EXCURSION = 0.3  # share of the usual excursion that a rise or a fall has at least
LEAST_BREATHS = 3
SIMILAR = (
    0.86  # least mean correlation of the breaths with their mean, as of pulses: noise reaches it in one window of fifty
)
POINTS = 16  # a breath is compared by
LEAST_SHARE = 1e-4  # of the largest value: excursions below are the arithmetic's
LONGEST_S = 15.0  # no breath for so long: none
MISSING = 0.2


@dataclass(frozen=True, slots=True)
class Counted:
    """What a window holds. `at`: the tops of the breaths, in outputs from its begin; `rate_per_min` where `fault` is None."""

    at: tuple[float, ...]
    rate_per_min: float | None
    fault: Fault | None
    similar: float = 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one hop tells. `end`: behind the last sample used. `quiet_s`: since the last breath, or since the wave has been without a hole."""

    end: int
    rate_per_min: float | None
    fault: Fault | None
    breaths: int
    quiet_s: float


@dataclass(frozen=True, eq=False)
class BreathState:
    """Everything between two chunks; bounded by the window."""

    cut: wave.WaveState
    tail: "Floats"
    counted: Counted
    since_s: float = 0.0  # seconds of the tail's end that have no hole


def rule(fs_hz: float) -> wave.Plan:
    """How a wave of this rate is cut; ValueError outside 25-1000 Hz."""
    return wave.plan(fs_hz, PER_HOP, CUTOFF_HZ, DELAY_S)


def begin(fs_hz: float) -> BreathState:
    """State before the first sample."""
    return BreathState(wave.begin(rule(fs_hz)), np.zeros(0), Counted((), None, Fault.LEARNING))


def feed(state: BreathState, samples: "Floats", fs_hz: float) -> tuple[BreathState, tuple[Finding, ...]]:
    """Take samples, shape (n,), NaN where missing, in any unit; a finding a completed hop."""
    plan = rule(fs_hz)
    cut, hops = wave.feed(state.cut, samples, plan)
    state = replace(state, cut=cut)
    out: list[Finding] = []
    for hop in hops:
        state, finding = _hop(state, hop, plan)
        out.append(finding)
    return state, tuple(out)


def _hop(state: BreathState, hop: wave.Hop, plan: wave.Plan) -> tuple[BreathState, Finding]:
    longest = round(WINDOW_S * plan.out_hz)
    tail = np.concatenate([state.tail, hop.wave])[-longest:]
    if hop.missing > MISSING:
        tail = tail[:0]
    counted = count(tail, plan.out_hz)
    state = replace(state, tail=tail, counted=counted)
    fault = Fault.MISSING if hop.missing > MISSING else counted.fault
    last = counted.at[-1] if counted.at else 0
    return state, Finding(
        (hop.number + 1) * plan.hop, counted.rate_per_min, fault, len(counted.at), (len(tail) - last) / plan.out_hz
    )


def count(window: "Floats", rate_hz: float) -> Counted:
    """The breaths of a window, shape (n,), at `rate_hz` (4 or more a second), no sample missing."""
    if len(window) < LEAST_S * rate_hz:
        return Counted((), None, Fault.LEARNING)
    moving = without_baseline(window, round(SLOWEST_S * rate_hz))
    low, high = np.percentile(moving, (10, 90))
    usual = float(high - low)
    if usual <= LEAST_SHARE * float(np.abs(window).max()):
        return Counted((), None, Fault.FLAT)
    tops, bottoms = turns(moving, EXCURSION * usual)
    if len(tops) < LEAST_BREATHS:
        return Counted(tuple(tops), None, Fault.ABSENT)
    if len(window) - max(tops[-1], bottoms[-1] if bottoms else 0) > LONGEST_S * rate_hz:
        return Counted(tuple(tops), None, Fault.ABSENT)
    similar = _similar(moving, tops)
    if similar < SIMILAR:
        return Counted(tuple(tops), None, Fault.UNLIKE, similar)
    marks = max(tops, bottoms, key=len)
    rate = 60 * rate_hz * (len(marks) - 1) / (marks[-1] - marks[0])
    return Counted(tuple(tops), rate, None, similar)


def without_baseline(window: "Floats", width: int) -> "Floats":
    """Less the mean of the `width` samples around each, of fewer at the ends."""
    total = np.concatenate([[0.0], np.cumsum(window)])
    index = np.arange(len(window))
    first, last = np.maximum(index - width // 2, 0), np.minimum(index + width // 2, len(window))
    return window - (total[last] - total[first]) / (last - first)


def turns(moving: "Floats", least: float) -> tuple[list[float], list[float]]:
    """Tops and bottoms between which the wave rises and falls by more than `least`; the middle of what is level."""
    tops: list[float] = []
    bottoms: list[float] = []
    rising: bool | None = None
    high = low = float(moving[0])
    high_at = low_at = (0, 0)
    for i, value in enumerate(moving.tolist()):
        if value > high:
            high, high_at = value, (i, i)
        elif value == high:
            high_at = (high_at[0], i)
        if value < low:
            low, low_at = value, (i, i)
        elif value == low:
            low_at = (low_at[0], i)
        if rising is not False and high - value > least:
            if rising is not None:
                tops.append((high_at[0] + high_at[1]) / 2)
            rising, low, low_at = False, value, (i, i)
        elif rising is not True and value - low > least:
            if rising is not None:
                bottoms.append((low_at[0] + low_at[1]) / 2)
            rising, high, high_at = True, value, (i, i)
    return tops, bottoms


def _similar(moving: "Floats", tops: list[float]) -> float:
    """Mean correlation of the stretches from top to top, each brought to as many points, with their mean."""
    shapes: list[Floats] = []
    index = np.arange(len(moving))
    for a, b in pairwise(tops):
        shape = np.interp(np.linspace(a, b, POINTS), index, moving)
        shape = shape - shape.mean()
        size = float(np.sqrt((shape * shape).sum()))
        if size > 0:
            shapes.append(shape / size)
    if not shapes:
        return 0.0
    mean = np.mean(shapes, axis=0)
    size = float(np.sqrt((mean * mean).sum()))
    return 0.0 if size <= 0 else float(np.mean([float((s * mean).sum()) for s in shapes]) / size)
