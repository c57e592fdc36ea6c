"""Find heartbeats in one lead as they come: band 5-22 Hz, envelope, adaptive threshold, search-back.

Works on the QRS band of `frames`, one hop at a time; knows neither rates in /min nor alarms. The design follows the family of
Pan and Tompkins (IEEE Trans Biomed Eng 32:230, 1985) with medians of the last peaks as levels (Hamilton, Comput Cardiol 2002);
a beat is stated at most `LATENCY_S` and one hop after its R wave, those found by search-back later.
"""

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from models.signal.frames import BAND_HOP, HALF_KERNEL
from models.signal.qrs.beat import CEILING_MV, FLOOR_MV, SMOOTH, Beat, envelope

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# In samples of the band, 180 Hz.
MIDDLE = SMOOTH // 2 + 1
AROUND = 36  # 200 ms: one candidate at most in this distance
REFRACTORY = 33  # 183 ms: up to 300 /min; between the two, what is as high as its neighbour and as the usual beat
AS_HIGH = 0.95
AS_USUAL = 0.8
T_WAVE = 59  # 330 ms
LEARN = 4 * BAND_HOP  # 2 s before the first decision
KEPT = 8

THRESHOLD = 0.22
SEARCH_BACK = 0.15
SEARCH_AFTER_RR = 1.6
T_SHARP = 0.65  # sharpness: what is left of the band without its mean over 83 ms, waves above 12 Hz
GROWTH = 3.0  # by how much one peak may raise the level: few large ones (steps) must not hide all that follow

LATENCY_S = (HALF_KERNEL + SMOOTH // 2 + AROUND) / 180


@dataclass(frozen=True, slots=True)
class Candidate:
    """A local maximum of the envelope."""

    at: int
    height: float
    sharp: float
    alone: bool = True  # nothing higher within `AROUND`


@dataclass(frozen=True, eq=False)
class QrsState:
    """Levels, tails of the two signals, the last beat and what may still be searched back."""

    band: "Floats"
    envelope: "Floats"
    sharp: "Floats"
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
    envelopes = np.concatenate([state.envelope, envelope(joined)])
    summed = np.cumsum(joined)
    residue = joined[MIDDLE : MIDDLE + BAND_HOP] - (summed[SMOOTH:-1] - summed[: -SMOOTH - 1]) / SMOOTH
    sharp = np.concatenate([state.sharp, np.abs(residue)])
    views = np.lib.stride_tricks.sliding_window_view(envelopes, 2 * AROUND + 1)
    centre = envelopes[AROUND : AROUND + BAND_HOP]
    outer = AROUND - REFRACTORY
    peaks = np.flatnonzero(
        (views[:, outer:-outer].max(axis=1) == centre)
        & (centre > envelopes[AROUND - 1 : AROUND - 1 + BAND_HOP])
        & (centre > AS_HIGH * np.maximum(views[:, :outer].max(axis=1), views[:, -outer:].max(axis=1)))
    )
    found = tuple(
        Candidate(
            state.done + AROUND + int(p),
            float(centre[p]),
            float(sharp[max(0, AROUND + p - 9) : AROUND + p + 10].max()),
            bool(views[p].max() == centre[p]),
        )
        for p in peaks
    )
    now = state.done + AROUND + BAND_HOP
    state = replace(
        state,
        band=joined[BAND_HOP:],
        envelope=envelopes[BAND_HOP:],
        sharp=sharp[BAND_HOP:],
        done=state.done + BAND_HOP,
    )
    return _decide(state, found, now)


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
        state = replace(state, waiting=(), signal=(max(median(tuple(top)), FLOOR_MV),), noise=(0.0,))
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
    signal, noise = median(state.signal), median(state.noise)
    limit = max(noise + THRESHOLD * (signal - noise), FLOOR_MV)
    last = state.last
    if last is not None:
        apart = c.at - last.at
        if apart < REFRACTORY:
            return state, None
        if apart < T_WAVE and c.sharp < T_SHARP * last.sharp:
            return state, None
    usual = AS_USUAL * signal <= c.height <= signal / AS_USUAL and (last is None or c.sharp >= AS_USUAL * last.sharp)
    if not c.alone and not usual:
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
        signal=(*state.signal, min(c.height, GROWTH * median(state.signal)))[-KEPT:],
        intervals=intervals,
        last=c,
        since=tuple(s for s in state.since if s.at > c.at),
    )


def _search_back(state: QrsState, until: int, now: int) -> tuple[QrsState, tuple[Beat, ...]]:
    if state.last is None or len(state.intervals) < 2 or not state.since:
        return state, ()
    usual = median(tuple(float(i) for i in state.intervals))
    if until - state.last.at < SEARCH_AFTER_RR * usual:
        return state, ()
    signal, noise = median(state.signal), median(state.noise)
    limit = max(noise + SEARCH_BACK * (signal - noise), FLOOR_MV)
    best = max(state.since, key=lambda s: s.height)
    if best.height <= limit or best.at - state.last.at < T_WAVE:
        return replace(state, since=()), ()
    return _accept(state, best), (Beat(best.at, now, best.height / signal, late=True),)
