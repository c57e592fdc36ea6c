"""Breaths a minute from an ECG lead, where there is no impedance wave.

Breathing moves the height of its complexes, its baseline and its intervals. Each of the three is a series with one value a beat, whose strongest frequency is looked for over the window of `breath`. A rate is told
where at least two of them have one, and the same (the fusion of Karlen et al., IEEE Trans Biomed Eng 60:1946, 2013, which found it
better to say nothing where they do not). A heart that beats less than twice a breath cannot show it. Experimental: it tells
something seldom, and no alarm may follow from it (docs/reference/figures/resp.md).
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from models.signal.vitals import breath, wave
from models.signal.vitals.wave import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.signal.monitor import Finding as Beats

    Floats = NDArray[np.float64]

PER_HOP = 32
CUTOFF_HZ = 25.0
DELAY_S = 0.06
AROUND = 5  # outputs, 80 ms, to both sides of an R wave
BEFORE = (13, 6)  # 200 to 90 ms before it: what its baseline is read from
SERIES_HZ = 4.0
SPECTRUM = 1024  # points: 0.23 /min apart
SLOWEST_PER_MIN = 4.0
PEAK_PER_MIN = 2.5  # to both sides of the strongest frequency, about what the window resolves: what counts as its peak
PEAK_SHARE = 0.5  # of the whole: a series has a frequency of its own
AGREE_PER_MIN = 2.0
LONGEST_RR_S = 2.5  # beats further apart have lost one between them, or show no breath
TAIL = 6 * PER_HOP  # outputs kept: beats found by search-back lie so far behind at most


@dataclass(frozen=True, slots=True)
class Mark:
    """A beat: seconds from the first sample, height of its complex, its baseline."""

    at_s: float
    height: float
    baseline: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What one hop tells. `by`: the rate of each of the three series that can be counted, by its name."""

    end: int
    rate_per_min: float | None
    fault: Fault | None
    by: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, eq=False)
class HeartBreathState:
    """Everything between two chunks; bounded by the window of the count."""

    cut: wave.WaveState
    tail: "Floats"
    hops: int = 0
    marks: tuple[Mark, ...] = ()
    since_s: float = 0.0


def rule(fs_hz: float) -> wave.Plan:
    """How the lead is cut: hops as long as those of `models.signal.monitor`; ValueError outside 25-1000 Hz."""
    return wave.plan(fs_hz, PER_HOP, CUTOFF_HZ, DELAY_S)


def begin(fs_hz: float) -> HeartBreathState:
    """State before the first sample."""
    return HeartBreathState(wave.begin(rule(fs_hz)), np.zeros(0))


def feed(
    state: HeartBreathState, samples: "Floats", findings: "tuple[Beats, ...]", fs_hz: float
) -> tuple[HeartBreathState, tuple[Finding, ...]]:
    """Take the samples of one lead, shape (n,), NaN where missing, and what the monitor found when it took the same samples."""
    plan = rule(fs_hz)
    cut, hops = wave.feed(state.cut, samples, plan)
    state = replace(state, cut=cut)
    out: list[Finding] = []
    for hop, finding in zip(hops, findings, strict=True):
        state, told = _hop(state, hop, finding, plan)
        out.append(told)
    return state, tuple(out)


def _hop(state: HeartBreathState, hop: wave.Hop, finding: "Beats", plan: wave.Plan) -> tuple[HeartBreathState, Finding]:
    end = (hop.number + 1) * plan.hop
    tail = np.concatenate([state.tail, hop.wave])[-TAIL:]
    now_s = end / plan.fs_hz
    if not finding.usable or hop.missing > breath.MISSING:
        state = replace(state, tail=tail, marks=(), since_s=now_s)
        return state, Finding(end, None, Fault.MISSING)
    offset = (hop.number + 1) * PER_HOP - len(tail)
    marks = {m.at_s: m for m in state.marks}
    for beat in finding.beats:
        mark = _mark(tail, round((beat / plan.fs_hz + plan.delay_s) * plan.out_hz) - offset, beat / plan.fs_hz)
        if mark is not None and mark.at_s >= state.since_s:
            marks[mark.at_s] = mark
    kept = tuple(marks[at] for at in sorted(marks) if at > now_s - breath.WINDOW_S)
    state = replace(state, tail=tail, marks=kept)
    rate, fault, by = _told(kept)
    return state, Finding(end, rate, fault, by)


def _mark(tail: "Floats", at: int, at_s: float) -> Mark | None:
    if at < BEFORE[0] or at + AROUND >= len(tail):
        return None
    complex_ = tail[at - AROUND : at + AROUND + 1]
    return Mark(at_s, float(complex_.max() - complex_.min()), float(tail[at - BEFORE[0] : at - BEFORE[1]].mean()))


def _told(marks: tuple[Mark, ...]) -> tuple[float | None, Fault | None, tuple[tuple[str, float], ...]]:
    times = [m.at_s for m in marks]
    if len(times) < 3 or times[-1] - times[0] < breath.LEAST_S:
        return None, Fault.LEARNING, ()
    intervals = [b - a for a, b in pairwise(times)]
    if max(intervals) > LONGEST_RR_S:
        return None, Fault.UNLIKE, ()
    most = 30 / (sum(intervals) / len(intervals))  # a breath of two beats
    series = (
        ("height", times, [m.height for m in marks]),
        ("baseline", times, [m.baseline for m in marks]),
        ("interval", times[1:], intervals),
    )
    by: list[tuple[str, float]] = []
    for name, at, values in series:
        rate = _strongest(np.interp(np.arange(at[0], at[-1], 1 / SERIES_HZ), at, values), most)
        if rate is not None:
            by.append((name, rate))
    if not by:
        return None, Fault.ABSENT, ()
    middle = sorted(rate for _, rate in by)[len(by) // 2]
    agreed = [rate for _, rate in by if abs(rate - middle) <= AGREE_PER_MIN]
    if len(agreed) < 2:
        return None, Fault.UNLIKE, tuple(by)
    return sum(agreed) / len(agreed), None, tuple(by)


def _strongest(series: "Floats", most_per_min: float) -> float | None:
    """The frequency of a series at `SERIES_HZ`, a minute, if it has one of its own."""
    moving = breath.without_baseline(series, round(breath.SLOWEST_S * SERIES_HZ))
    power = np.abs(np.fft.rfft(moving * np.hanning(len(moving)), SPECTRUM)) ** 2
    per_min = np.arange(len(power)) * (60 * SERIES_HZ / SPECTRUM)
    power = np.where((per_min >= SLOWEST_PER_MIN) & (per_min <= most_per_min), power, 0.0)
    total = float(power.sum())
    if total <= (breath.LEAST_SHARE * float(np.abs(series).max()) * len(series)) ** 2:
        return None
    strongest = float(per_min[int(power.argmax())])
    share = float(power[np.abs(per_min - strongest) <= PEAK_PER_MIN].sum()) / total
    return strongest if share >= PEAK_SHARE else None
