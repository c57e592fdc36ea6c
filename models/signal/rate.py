"""Heart rate from beats: the median interval of the last beats, and how long there has been none.

`HR_BEATS` is a compromise: IEC 60601-2-27 wants 80 to 120 /min and 80 to 40 /min steps shown within 10 s.
"""

from dataclasses import dataclass

HR_BEATS = 5
MAX_INTERVAL_S = 4.0


@dataclass(frozen=True, slots=True)
class RateState:
    """Sample numbers of the last beats, oldest first."""

    beats: tuple[int, ...] = ()


def add(state: RateState, beats: tuple[int, ...]) -> RateState:
    """Take beats (sample numbers); those found late by search-back fall into their place."""
    if not beats:
        return state
    return RateState(tuple(sorted({*state.beats, *beats}))[-(HR_BEATS + 1) :])


def rate_per_min(state: RateState, now: int, fs_hz: float) -> float | None:
    """Beats a minute by the median interval; None before three beats or after a pause that says nothing of a rate.

    A running pause longer than the median counts as an interval, so that the rate falls while nothing comes.
    """
    if len(state.beats) < 3:
        return None
    intervals = [(b - a) / fs_hz for a, b in zip(state.beats, state.beats[1:], strict=False)]
    pause = (now - state.beats[-1]) / fs_hz
    if pause > MAX_INTERVAL_S:
        return None
    ordered = sorted(intervals)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    if pause > 1.5 * median:
        ordered = sorted([*intervals, pause])
        median = ordered[len(ordered) // 2]
    return 60 / median
