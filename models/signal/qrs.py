"""Find heartbeats in one lead as they come: band 5-22 Hz, envelope, adaptive threshold, search-back.

Works on the QRS band of `frames`, one hop at a time; knows neither rates in /min nor alarms. The design follows the family of
Pan and Tompkins (IEEE Trans Biomed Eng 32:230, 1985) with medians of the last peaks as levels (Hamilton, Comput Cardiol 2002);
a beat is stated at most `LATENCY_S` and one hop after its R wave, those found by search-back later.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from models.signal.frames import BAND_HOP, HALF_KERNEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# In samples of the band, 180 Hz.
SMOOTH = 15  # 83 ms
AROUND = 36  # 200 ms: one candidate at most in this distance
REFRACTORY = 36  # 200 ms
T_WAVE = 59  # 330 ms
LEARN = 4 * BAND_HOP  # 2 s before the first decision
KEPT = 8

SLOPE_WEIGHT = 3.0  # makes the slope of a 10 Hz wave as large as the wave
THRESHOLD = 0.22
SEARCH_BACK = 0.15
SEARCH_AFTER_RR = 1.6
T_SLOPE = 0.65
CEILING_MV = 6.0  # envelope of a complex of 40 mV, or of a step of 16 mV: an amplifier at its end, no heart
GROWTH = 3.0  # by how much one peak may raise the level: few large ones (steps) must not hide all that follow
FLOOR_MV = 0.03  # envelope of a complex of 0.2 mV: smaller waves are no beats (asystole with noise)

LATENCY_S = (HALF_KERNEL + SMOOTH // 2 + AROUND) / 180


@dataclass(frozen=True, slots=True)
class Beat:
    """`at`: band sample of the R wave; `decided`: band sample that was needed to say so; `strength`: share of the usual."""

    at: int
    decided: int
    strength: float
    late: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A local maximum of the envelope."""

    at: int
    height: float
    slope: float


@dataclass(frozen=True, eq=False)
class QrsState:
    """Levels, tails of the two signals, the last beat and what may still be searched back."""

    band: "Floats"
    envelope: "Floats"
    slope: "Floats"
    done: int = -HALF_KERNEL - SMOOTH // 2 - 1 - AROUND - AROUND  # band number of envelope[0]
    signal: tuple[float, ...] = ()
    noise: tuple[float, ...] = ()
    intervals: tuple[int, ...] = ()
    last: Candidate | None = None
    since: tuple[Candidate, ...] = ()
    waiting: tuple[Candidate, ...] = ()
    jumped: int | None = None  # band sample of the last step that no heart makes: beats near it are lost


def begin() -> QrsState:
    """State before the first hop."""
    return QrsState(np.zeros(SMOOTH + 1), np.zeros(2 * AROUND), np.zeros(2 * AROUND))


def judged(state: QrsState) -> int:
    """Band sample before which every beat has been decided, those of a later search-back aside."""
    return state.done + AROUND


def step(state: QrsState, band: "Floats") -> tuple[QrsState, tuple[Beat, ...]]:
    """Take the band of one hop, shape (90,), in millivolt; give the beats that it decides."""
    joined = np.concatenate([state.band, band])
    slope = joined[2:] - joined[:-2]
    power = np.sqrt(joined[1:-1] ** 2 + (SLOPE_WEIGHT / 2) ** 2 * slope**2)
    running = np.cumsum(np.concatenate([[0.0], power]))
    envelope = np.concatenate([state.envelope, (running[SMOOTH:] - running[:-SMOOTH]) / SMOOTH])
    steep = np.concatenate([state.slope, np.abs(slope[SMOOTH // 2 : SMOOTH // 2 + BAND_HOP])])
    views = np.lib.stride_tricks.sliding_window_view(envelope, 2 * AROUND + 1)
    centre = envelope[AROUND : AROUND + BAND_HOP]
    peaks = np.flatnonzero((views.max(axis=1) == centre) & (centre > envelope[AROUND - 1 : AROUND - 1 + BAND_HOP]))
    found = tuple(
        Candidate(
            state.done + AROUND + int(p),
            float(centre[p]),
            float(steep[max(0, AROUND + p - 9) : AROUND + p + 10].max()),
        )
        for p in peaks
    )
    now = state.done + AROUND + BAND_HOP
    state = replace(
        state,
        band=joined[BAND_HOP:],
        envelope=envelope[BAND_HOP:],
        slope=steep[BAND_HOP:],
        done=state.done + BAND_HOP,
    )
    return _decide(state, found, now)


def _median(values: tuple[float, ...]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _decide(state: QrsState, found: tuple[Candidate, ...], now: int) -> tuple[QrsState, tuple[Beat, ...]]:
    jumps = [c.at for c in found if c.height > CEILING_MV]
    if jumps:
        state = replace(state, jumped=jumps[-1])
        found = tuple(c for c in found if c.height <= CEILING_MV)
    if not state.signal:
        waiting = state.waiting + found
        if now < LEARN:
            return replace(state, waiting=waiting), ()
        heights = sorted(c.height for c in waiting)
        top = heights[-max(1, len(heights) // 3) :] if heights else [FLOOR_MV]
        state = replace(state, waiting=(), signal=(max(_median(tuple(top)), FLOOR_MV),), noise=(0.0,))
        found = waiting
    beats: list[Beat] = []
    for candidate in found:
        state, beat = _judge(state, candidate, now)
        if beat:
            beats.append(beat)
        state, more = _search_back(state, candidate.at, now)
        beats += more
    state, more = _search_back(state, now, now)
    beats += more
    return state, tuple(beats)


def _judge(state: QrsState, c: Candidate, now: int) -> tuple[QrsState, Beat | None]:
    signal, noise = _median(state.signal), _median(state.noise)
    limit = max(noise + THRESHOLD * (signal - noise), FLOOR_MV)
    last = state.last
    if last is not None:
        apart = c.at - last.at
        if apart < REFRACTORY:
            return state, None
        if apart < T_WAVE and c.slope < T_SLOPE * last.slope:
            return state, None
    if c.height <= limit:
        return replace(state, noise=(*state.noise, c.height)[-KEPT:], since=(*state.since, c)), None
    return _accept(state, c), Beat(c.at, now, c.height / signal, late=False)


def _accept(state: QrsState, c: Candidate) -> QrsState:
    intervals = state.intervals
    if state.last is not None and (state.jumped is None or not state.last.at < state.jumped < c.at):
        intervals = (*intervals, c.at - state.last.at)[-KEPT:]
    return replace(
        state,
        signal=(*state.signal, min(c.height, GROWTH * _median(state.signal)))[-KEPT:],
        intervals=intervals,
        last=c,
        since=tuple(s for s in state.since if s.at > c.at),
    )


def _search_back(state: QrsState, until: int, now: int) -> tuple[QrsState, tuple[Beat, ...]]:
    if state.last is None or len(state.intervals) < 2 or not state.since:
        return state, ()
    usual = _median(tuple(float(i) for i in state.intervals))
    if until - state.last.at < SEARCH_AFTER_RR * usual:
        return state, ()
    signal, noise = _median(state.signal), _median(state.noise)
    limit = max(noise + SEARCH_BACK * (signal - noise), FLOOR_MV)
    best = max(state.since, key=lambda s: s.height)
    if best.height <= limit or best.at - state.last.at < T_WAVE:
        return replace(state, since=()), ()
    return _accept(state, best), (Beat(best.at, now, best.height / signal, late=True),)
