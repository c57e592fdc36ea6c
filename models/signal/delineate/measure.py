"""Measure one beat after the other out of a stream: what `decide` needs to place the boundaries of its waves.

A beat is measured in the first hop that ends `HORIZON_S` behind its R wave, with the R waves known by then; nothing here is fitted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from models.signal.delineate import features, grid, waves
from models.signal.delineate.curves import smooth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

HORIZON_S = 1.6  # the T wave of 0.72 s, and the next P wave where the heart beats faster than 43/min
HORIZON = round(HORIZON_S * grid.RATE_HZ)
NEXT = HORIZON - 2 * waves.NEAR  # an R wave further on is not looked at, whoever knows of it
LATE = 250  # a beat that is told a second too late is still measured
KEPT = waves.BEFORE + HORIZON + LATE + 2 * grid.HOP
WAITING = 64  # R waves that are kept for samples to come, the earliest: more than any heart makes in the time
USUAL_RR = 200.0  # 0.8 s, while there is no interval
PATTERN = 60  # samples before the complex in which P is compared
BEATS = 6
IRREGULAR_MOST = 0.5
ISOELECTRIC = slice(-4, -1)  # samples before the QRS onset


@dataclass(frozen=True, eq=False)
class Place:
    """A boundary's anchor and rows (`features.rows`) for the leads in `leads`; positions in the beat's window."""

    anchor: float
    rows: "Floats"
    leads: "NDArray[np.intp]"


@dataclass(frozen=True, eq=False)
class Measured:
    """One beat. `base`: grid position of its window's first sample; `places`: by boundary, without those that no wave is for.

    `evidence` for a P wave: alike to its neighbours, height over the floor (log2), irregularity of RR, spread of the leads' peaks.
    `window`: millivolt, (leads, samples); `rr`: grid samples from the beat before.
    """

    r: int
    base: float
    middle: int
    window: "Floats"
    places: Mapping[str, Place]
    evidence: tuple[float, float, float, float] | None
    rr: float | None


@dataclass(frozen=True, eq=False)
class MeasureState:
    """The last seconds of the grid, R waves (grid samples, input samples) that wait or were measured, P patterns, the last T end."""

    grid: grid.GridState
    values: "Floats"
    absent: "Bools"
    start: int  # grid number of values[:, 0]
    waiting: tuple[tuple[int, int], ...] = ()
    done: tuple[int, ...] = ()
    patterns: tuple["Floats", ...] = ()
    t_end: float | None = None


def begin(leads: int, fs_hz: float) -> MeasureState:
    """State before the first sample."""
    absent = np.ones((leads, KEPT), np.bool_)
    return MeasureState(grid.begin(leads, fs_hz), np.zeros((leads, KEPT)), absent, -KEPT)


def feed(
    state: MeasureState, samples: "Floats", peaks: Iterable[int], fs_hz: float
) -> tuple[MeasureState, tuple[Measured, ...]]:
    """Take samples, shape (leads, n), and R waves that have become known; give the beats whose time has come."""
    rule, lag = grid.plan(fs_hz), grid.behind(fs_hz)
    known = {r: at for at, r in state.waiting}
    known.update({int(r): round(rule.grid_of(int(r)) + lag) for r in peaks})
    state = replace(state, waiting=tuple(sorted((at, r) for r, at in known.items())))
    cut, hops = grid.feed(state.grid, samples, fs_hz)
    state = replace(state, grid=cut)
    out: list[Measured] = []
    for hop in hops:
        state = replace(
            state,
            values=np.concatenate([state.values[:, grid.HOP :], hop.values], axis=1),
            absent=np.concatenate([state.absent[:, grid.HOP :], hop.absent], axis=1),
            start=state.start + grid.HOP,
        )
        state, beats = _due(state, lag)
        out += beats
    return replace(state, waiting=state.waiting[:WAITING]), tuple(out)


def _due(state: MeasureState, lag: float) -> tuple[MeasureState, list[Measured]]:
    now = state.start + KEPT
    out: list[Measured] = []
    while state.waiting and state.waiting[0][0] + HORIZON <= now:
        at, r = state.waiting[0]
        state = replace(state, waiting=state.waiting[1:])
        if at - waves.BEFORE - 2 * waves.NEAR < state.start or any(abs(at - d) < waves.NEAR for d in state.done):
            continue  # older than what is kept, or the same beat once more
        before = max((d for d in state.done if d < at), default=None)
        later = min((w for w, _ in state.waiting if waves.NEAR <= w - at <= NEXT), default=None)
        state, beat = _beat(state, at, r, before, later, lag)
        state = replace(state, done=tuple(sorted({*state.done, at}))[-BEATS - 2 :])
        if beat is not None:
            out.append(beat)
    return state, out


def _window(state: MeasureState, at: int) -> "tuple[Floats, Bools]":
    part = slice(at - waves.BEFORE - state.start, at + waves.BEHIND - state.start)
    return state.values[:, part], state.absent[:, part]


def _pattern(state: MeasureState, at: int, span: int, good: "Bools") -> "Floats":
    """What stands before the complex whose centre is at `at`, leads that cannot be used as zero; without mean and slope."""
    last = at - span - 5 - state.start
    part = smooth(state.values[:, last - PATTERN : last], 3.0)[:, ::2]
    part = np.where(good[:, None], part, 0.0)
    t = np.linspace(-1.0, 1.0, part.shape[1])
    part = part - part.mean(axis=1, keepdims=True)
    return part - ((part @ t) / (t @ t))[:, None] * t


def _alike(a: "Floats", b: "Floats") -> float:
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-9))


def _beat(
    state: MeasureState, at: int, r: int, before: int | None, later: int | None, lag: float
) -> tuple[MeasureState, Measured | None]:
    window, absent = _window(state, at)
    good = waves.usable(window, absent)
    if not good.any():
        return replace(state, t_end=None), None
    base = at - waves.BEFORE
    middle = waves.centre(window[good])
    complex_ = waves.qrs(window[good], middle)
    onset, offset = complex_.rise[-1, 1], complex_.fall[-1, 1]
    rr = None if before is None or _interrupted(state, before, at) else float(at - before)
    ahead = None if later is None else float(later - at)
    interval = rr or ahead or USUAL_RR
    places: dict[str, Place] = {}
    _add(places, ("qrs_on", "qrs_off"), complex_, window, np.flatnonzero(good), features.QRS, (0, window.shape[1]))

    first = max(0, int(onset) - waves.PR_LONGEST, int(middle - waves.P_OF_RR * interval - 10))
    if state.t_end is not None and before is not None:
        first = max(first, int(state.t_end - base) + 2)
    whole = good & ~absent[:, first : int(onset)].any(axis=1)
    p = waves.p_wave(window[whole], first, int(onset)) if whole.any() else None
    evidence = None
    patterns = state.patterns
    if p is not None:
        beside = float(complex_.rise[-1, features.ANCHOR_LEVEL])
        span = (0, int(onset))
        _add(places, ("p_on", "p_off"), p, window, np.flatnonzero(whole), features.P, span, beside, ahead or interval)
        span_before = middle - round(beside)
        own = _pattern(state, base + middle, span_before, whole)
        others = list(patterns)
        if later is not None:
            first_of = later - waves.BEFORE - state.start
            part = slice(first_of, first_of + waves.BEFORE + 2 * waves.NEAR)
            clear = whole & ~state.absent[:, part].any(axis=1)
            if clear.any():
                centre = later - waves.BEFORE + waves.centre(state.values[clear, part])
                others.append(_pattern(state, centre, span_before, clear))
        evidence = _evidence(state, p, own, others, (at, later))
        patterns = (*patterns, own)[-BEATS:]

    last = waves.BEFORE + waves.QT_LONGEST
    if later is not None:
        last = min(last, waves.BEFORE + later - at - 30)
    behind = int(offset) + 1
    clear = good & ~absent[:, behind:last].any(axis=1)
    t = waves.t_wave(window[clear], behind, last, interval) if clear.any() else None
    t_end = None
    if t is not None:
        beside = float(complex_.fall[-1, features.ANCHOR_LEVEL])
        span = (behind + waves.T_AFTER, window.shape[1])
        _add(places, ("t_on", "t_end"), t, window, np.flatnonzero(clear), features.T, span, beside, ahead or interval)
        t_end = base + float(t.fall[-1, 1])
    state = replace(state, patterns=patterns, t_end=t_end)
    return state, Measured(r, base - lag, middle, window, places, evidence, rr)


def _evidence(
    state: MeasureState, p: waves.Wave, own: "Floats", others: "list[Floats]", beats: tuple[int, int | None]
) -> tuple[float, float, float, float]:
    """What speaks for a P wave: likeness to those of other beats, height beside what is usual there, rhythm, agreement of the leads."""
    at, later = beats
    alike = _alike(own, np.mean(others, axis=0)) if others else 0.5
    rhythm = np.diff(np.array(sorted({*state.done[-BEATS - 1 :], at, *([later] if later else [])}), np.float64))
    irregular = float(np.abs(np.diff(rhythm)).mean() / rhythm.mean()) if len(rhythm) > 1 else 0.05
    height = float(np.log2(p.height[-1] / max(p.floor[-1], 1e-6)))
    spread = float(np.std(np.clip(p.peak[:-1] - p.peak[-1], -15, 15)))
    return alike, float(np.clip(height, -3, 5)), min(irregular, IRREGULAR_MOST), spread


def _interrupted(state: MeasureState, first: int, last: int) -> bool:
    """Whether every lead is missing somewhere between two beats: there may have been others."""
    part = state.absent[:, max(0, first - state.start) : last - state.start]
    return bool(part.all(axis=0).any())


def _add(
    places: dict[str, Place],
    names: tuple[str, str],
    wave: waves.Wave,
    window: "Floats",
    leads: "NDArray[np.intp]",
    shape: features.Shape,
    span: tuple[int, int],
    beside: float | None = None,
    rr: float = USUAL_RR,
) -> None:
    curves, level = features.curves_of(window[leads], shape, *span)
    for name, rising in zip(names, (True, False), strict=True):
        anchor, rows = features.rows(wave, curves, level, shape, rising=rising, beside=beside, rr=rr)
        places[name] = Place(anchor, rows, leads)
