"""Find the pulses of a plethysmogram or an arterial pressure as they come, their rate, and whether they can be believed.

A pulse is known by its upstroke: the rises of a sixth of a second added up (after the slope sum of Zong et al., Comput Cardiol 2003),
which knows no baseline. Levels follow the last pulses; what rises soon behind a pulse and less is its dicrotic wave. Whether the pulses can
be used is told by how far they look alike (after Orphanidou et al., IEEE J Biomed Health Inform 19:832, 2015, whose limit 0.86 on
whole pulses is used for upstrokes here). The constants are physiology's, none is fitted to recordings.

A pulse is stated `LATENCY_S` and one hop after its upstroke at the latest, those found by search-back later.
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

# In samples of the wave as it is brought here: 32 a hop, 64 a second.
PER_HOP = 32
PER_S = 64
CUTOFF_HZ = 9.0
DELAY_S = 0.14
RISE = 11  # 170 ms: an upstroke lasts 100 to 250
APART = 13  # 200 ms between two pulses: 295 /min
LEARN = 2 * PER_S + PER_HOP
BEFORE, BEHIND = 10, 30  # of the middle of the upstroke: what is compared of a pulse

KEPT = 8
THRESHOLD = 0.35
SEARCH_BACK = 0.2
SEARCH_AFTER = 1.6
NOTCH_SHARE = (
    0.6  # of the usual interval: nearer to a pulse than that, what rises less than NOTCH of it is its dicrotic wave
)
NOTCH_S = 0.6  # nor does one come later than that, however long the interval: systole ends by then
NOTCH = 0.65
GROWTH = 2.5  # by how much one pulse may raise the level: few large ones must not hide all that follow
FADE_S, FADE = 3.0, 0.7  # where none has been found for so long the level sinks, each hop by this factor
LEAST_SHARE = 1e-4  # of the largest value: rises below are the arithmetic's
ALIKE = 0.86
MISSING = 0.2
RAILED = 0.6
RATE_S = 12.0  # what a rate is the mean of; oximeters take 8 to 16
LEAST_INTERVALS = 3
LONGEST_S = 3.0  # no pulse for so long: none
QUALITY_S = 8.0
HOPS = 4  # two seconds

LATENCY_S = DELAY_S + (RISE // 2 + APART) / PER_S
_WEIGHTS = np.hanning(RISE + 2)[1:-1]  # the middle counts most: one largest value an upstroke, however short


LEAST_MMHG = (
    8.0  # a pulse pressure below that ejects next to nothing, or is a damped line; a plethysmogram is in no unit
)


@dataclass(frozen=True, slots=True)
class Pulse:
    """`at`: output at the middle of the upstroke; `height`: its rise; `alike`: correlation with the usual pulse, None until known."""

    at: int
    height: float
    alike: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What one hop added. Sample numbers count from the first sample fed.

    `end`: behind the last sample used; all before `judged` has been searched for pulses. `pulses`: middles of the upstrokes newly found.
    `fault`: why the wave cannot be used, None where it can; `rate_per_min` then only. `quiet_s`: since the last pulse, or since
    the wave has been without a hole. `alike`: mean correlation of the last seconds' pulses with the usual one, 0 where there is none.
    """

    end: int
    judged: int
    pulses: tuple[int, ...]
    fault: Fault | None
    rate_per_min: float | None
    quiet_s: float
    alike: float


@dataclass(frozen=True, eq=False)
class PulseState:
    """Everything between two chunks; bounded by `QUALITY_S`."""

    cut: wave.WaveState
    least: float
    tail: "Floats"  # outputs from `first` on
    first: int = 0
    searched: int = 0  # output before which all candidates were judged
    levels: tuple[float, ...] = ()
    intervals: tuple[int, ...] = ()
    pulses: tuple[Pulse, ...] = ()
    passed: tuple[Pulse, ...] = ()  # candidates since the last pulse that were too low
    usual: "Floats | None" = None
    since: int = 0  # output from which on nothing was missing
    hops: tuple[wave.Hop, ...] = ()


def rule(fs_hz: float) -> wave.Plan:
    """How a wave of this rate is cut; ValueError outside 25-1000 Hz."""
    return wave.plan(fs_hz, PER_HOP, CUTOFF_HZ, DELAY_S)


def begin(fs_hz: float, least: float = 0.0) -> PulseState:
    """State before the first sample. `least`: the smallest swing that is a pulse, in the wave's unit (`LEAST_MMHG`)."""
    return PulseState(wave.begin(rule(fs_hz)), least, np.zeros(0))


def feed(state: PulseState, samples: "Floats", fs_hz: float) -> tuple[PulseState, tuple[Finding, ...]]:
    """Take samples, shape (n,), NaN where missing, upright (systole up), in any unit; a finding a completed hop."""
    plan = rule(fs_hz)
    cut, hops = wave.feed(state.cut, samples, plan)
    state = replace(state, cut=cut)
    out: list[Finding] = []
    for hop in hops:
        state, finding = _hop(state, hop, plan)
        out.append(finding)
    return state, tuple(out)


def _hop(state: PulseState, hop: wave.Hop, plan: wave.Plan) -> tuple[PulseState, Finding]:
    known = {p.at for p in state.pulses}
    end = (hop.number + 1) * PER_HOP
    since = end if hop.missing > MISSING else state.since
    tail = np.concatenate([state.tail, hop.wave])
    state = replace(state, tail=tail, since=since, hops=(*state.hops, hop)[-HOPS:])
    state = _compare(_search(state, end))
    keep = end - round(QUALITY_S * PER_S)
    state = replace(
        state,
        tail=state.tail[max(0, keep - state.first) :],
        first=max(state.first, keep),
        pulses=tuple(p for p in state.pulses if p.at >= end - round(RATE_S * PER_S) - LEARN),
    )
    found = tuple(p.at for p in state.pulses if p.at not in known)
    return state, _finding(state, hop, plan, found)


def _finding(state: PulseState, hop: wave.Hop, plan: wave.Plan, found: tuple[int, ...]) -> Finding:
    judged = state.searched
    recent = [p for p in state.pulses if p.at >= judged - round(QUALITY_S * PER_S) and p.at >= state.since]
    compared = [p.alike for p in recent if p.alike is not None]
    alike = float(np.mean(compared)) if compared else 0.0
    last = max(recent[-1].at if recent else 0, state.since)
    quiet_s = max(0.0, (judged - last) / plan.out_hz)
    fault = _fault(state, recent, compared, alike, quiet_s)
    rate = None if fault else _rate(state, judged, plan.out_hz)
    return Finding(
        end=(hop.number + 1) * plan.hop,
        judged=max(0, plan.sample_of(judged)),
        pulses=tuple(max(0, plan.sample_of(at)) for at in found),
        fault=fault,
        rate_per_min=rate,
        quiet_s=quiet_s,
        alike=alike,
    )


def _fault(state: PulseState, recent: list[Pulse], compared: list[float], alike: float, quiet_s: float) -> Fault | None:
    hops = state.hops
    if hops[-1].missing > MISSING:
        return Fault.MISSING
    low, high = min(h.low for h in hops), max(h.high for h in hops)
    if len(hops) == HOPS and high - low <= LEAST_SHARE * max(abs(low), abs(high)):
        return Fault.FLAT
    if all(h.railed > RAILED for h in hops[-2:]):
        return Fault.SATURATED
    if state.searched - state.since < LEARN:
        return Fault.LEARNING
    if state.least > 0 and len(hops) == HOPS and high - low < state.least:
        return Fault.WEAK
    if quiet_s > LONGEST_S or not recent:
        return Fault.ABSENT
    if len(compared) < LEAST_INTERVALS:
        return Fault.LEARNING
    return Fault.UNLIKE if alike < ALIKE else None


def _rate(state: PulseState, judged: int, out_hz: float) -> float | None:
    """Pulses a minute over the last `RATE_S`; None before `LEAST_INTERVALS`. Intervals in which one was missed or two were made are left out."""
    ends = [p.at for p in state.pulses if p.at >= max(judged - RATE_S * out_hz, state.since)]
    intervals = [b - a for a, b in pairwise(ends)]
    if len(intervals) < LEAST_INTERVALS:
        return None
    median = sorted(intervals)[len(intervals) // 2]
    pause = judged - ends[-1]
    kept = [i for i in intervals if 0.6 * median <= i <= 1.7 * median]
    if pause > 1.7 * median:
        kept.append(pause)
    return 60 * out_hz * len(kept) / sum(kept)


def _search(state: PulseState, end: int) -> PulseState:
    """Judge every candidate that is settled: nothing higher can come within `APART` of it."""
    rise = _rises(state.tail)
    settled = end - APART - RISE // 2
    oldest = max(state.since, state.first) + RISE + APART
    first = max(state.searched, oldest)
    floor = max(state.least / 4, LEAST_SHARE * float(np.abs(state.tail[-4 * PER_HOP :]).max()), 1e-12)
    if not state.levels:
        if end - max(state.since, state.first) < LEARN:
            return replace(state, searched=max(settled, state.searched))
        first = max(oldest, state.pulses[-1].at + APART if state.pulses else 0)
        heights = sorted(p.height for p in _candidates(rise, first, settled, state.first, floor))
        if not heights:
            return replace(state, searched=settled)
        top = heights[-max(1, len(heights) // 3) :]
        state = replace(state, levels=(top[len(top) // 2],))
    for candidate in _candidates(rise, first, settled, state.first, floor):
        state = _judge(_search_back(state, candidate.at), candidate)
    state = _search_back(replace(state, searched=settled), settled)
    last = max(state.pulses[-1].at if state.pulses else 0, state.since)
    if settled - last > FADE_S * PER_S:
        state = replace(state, levels=tuple(h * FADE for h in state.levels) if state.levels[-1] > floor else ())
    return state


def _rises(tail: "Floats") -> "Floats":
    steps = np.maximum(np.diff(tail, prepend=tail[:1]), 0.0)
    return np.convolve(steps, _WEIGHTS, "same")


def _candidates(rise: "Floats", begin_at: int, end: int, offset: int, floor: float) -> list[Pulse]:
    """Largest rises within `APART` to both sides, from output `begin_at` up to `end`; `offset`: output of the first of them."""
    found: list[Pulse] = []
    for i in range(begin_at - offset, end - offset):
        height = rise[i]
        if height > floor and height > rise[i - 1] and height >= rise[i + 1]:
            around = rise[max(0, i - APART) : i + APART + 1]
            if height >= around.max():
                found.append(Pulse(i + offset, float(height)))
    return found


def _level(state: PulseState) -> float:
    return sorted(state.levels)[len(state.levels) // 2]


def _usual_interval(state: PulseState) -> float | None:
    return sorted(state.intervals)[len(state.intervals) // 2] if len(state.intervals) >= 3 else None


def _judge(state: PulseState, candidate: Pulse) -> PulseState:
    if candidate.height < THRESHOLD * _level(state) or _is_notch(state, candidate):
        return replace(state, passed=(*state.passed, candidate)[-KEPT:])
    return _accept(state, candidate)


def _is_notch(state: PulseState, candidate: Pulse) -> bool:
    if not state.pulses:
        return False
    last, usual = state.pulses[-1], _usual_interval(state)
    reach = NOTCH_S * PER_S if usual is None else min(NOTCH_S * PER_S, NOTCH_SHARE * usual)
    return candidate.at - last.at < reach and candidate.height < NOTCH * last.height


def _accept(state: PulseState, pulse: Pulse) -> PulseState:
    intervals = state.intervals
    if state.pulses and state.pulses[-1].at >= state.since:
        intervals = (*intervals, pulse.at - state.pulses[-1].at)[-KEPT:]
    return replace(
        state,
        levels=(*state.levels, min(pulse.height, GROWTH * _level(state)))[-KEPT:],
        intervals=intervals,
        pulses=(*state.pulses, pulse),
        passed=tuple(p for p in state.passed if p.at > pulse.at),
    )


def _search_back(state: PulseState, until: int) -> PulseState:
    """Where a pulse is overdue, the largest of what was passed over is one if it is not too low."""
    usual = _usual_interval(state)
    if usual is None or not state.passed or not state.pulses or until - state.pulses[-1].at < SEARCH_AFTER * usual:
        return state  # without a pulse that is still known none is overdue
    possible = [p for p in state.passed if p.at - state.pulses[-1].at >= NOTCH_SHARE * usual]
    best = max(possible, key=lambda p: p.height, default=None)
    if best is None or best.height < SEARCH_BACK * _level(state):
        return replace(state, passed=())
    return _accept(state, best)


def _compare(state: PulseState) -> PulseState:
    """Say of each pulse that is wholly there how far it looks like the usual one."""
    end = state.first + len(state.tail)
    usual, pulses = state.usual, list(state.pulses)
    for i, pulse in enumerate(pulses):
        begin_at = pulse.at - BEFORE - state.first
        if pulse.alike is not None or begin_at < 0 or pulse.at + BEHIND > end:
            continue
        shape = state.tail[begin_at : begin_at + BEFORE + BEHIND]
        shape = shape - shape.mean()
        size = float(np.sqrt((shape * shape).sum()))
        if size <= 0:
            continue
        shape = shape / size
        if usual is None:
            usual, alike = shape, 1.0
        else:
            alike = float((usual * shape).sum())
            usual = usual + (shape - usual) / KEPT
            usual = usual / max(float(np.sqrt((usual * usual).sum())), 1e-9)
        pulses[i] = replace(pulse, alike=alike)
    return replace(state, usual=usual, pulses=tuple(pulses))
