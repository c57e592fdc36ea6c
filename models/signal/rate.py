"""Heart rate from beats: the median interval of the last beats, and how long there has been none.

`HR_BEATS` is a compromise: IEC 60601-2-27 wants 80 to 120 /min and 80 to 40 /min steps shown within 10 s. Where watching was
interrupted the distance between two beats is no interval: beats may have been lost in between.
"""

from dataclasses import dataclass
from itertools import pairwise

HR_BEATS = 5
MAX_INTERVAL_S = 4.0


@dataclass(frozen=True, slots=True)
class RateState:
    """Sample numbers of the last beats, oldest first; which of them have an interruption before them; where the last one ended."""

    beats: tuple[int, ...] = ()
    firsts: tuple[int, ...] = ()
    watched_from: int = 0


def add(state: RateState, beats: tuple[int, ...]) -> RateState:
    """Take beats (sample numbers); those found late by search-back fall into their place."""
    if not beats:
        return state
    kept = tuple(sorted({*state.beats, *beats}))[-(HR_BEATS + 1) :]
    interrupted = not state.beats or state.beats[-1] < state.watched_from
    behind = [b for b in kept if b >= state.watched_from]
    firsts = {*state.firsts, *(behind[:1] if interrupted else ())}
    return RateState(kept, tuple(b for b in kept if b in firsts), state.watched_from)


def interrupt(state: RateState, until: int) -> RateState:
    """Say that beats may have been lost between the last one known and sample `until`."""
    return RateState(state.beats, state.firsts, max(until, state.watched_from))


def rate_per_min(state: RateState, now: int, fs_hz: float) -> float | None:
    """Beats a minute by the median interval; None before two intervals or after a pause that says nothing of a rate.

    A running pause longer than the median counts as an interval, so that the rate falls while nothing comes.
    """
    intervals = [(b - a) / fs_hz for a, b in pairwise(state.beats) if b not in state.firsts]
    if len(intervals) < 2:
        return None
    pause = (now - max(state.beats[-1], state.watched_from)) / fs_hz
    if pause > MAX_INTERVAL_S:
        return None
    ordered = sorted(intervals)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    if pause > 1.5 * median:
        ordered = sorted([*intervals, pause])
        median = ordered[len(ordered) // 2]
    return 60 / median
