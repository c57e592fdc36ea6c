"""Heart rate from beats, and how it falls while none comes.

What is told is the mean of the newest intervals that agree, so that a step is followed after two or three of them; without such a run
of those that most agree with, so that a single early beat or one that was missed does not count, also where short ones make up the
usual one in pairs; and where nothing is regular the mean over whole periods of a pattern (bigeminy), or over the window without its
pauses (IEC 60601-2-27, 201.7.9.2.9.101 b) 3) to 5)). Where watching was interrupted the distance between two beats is no interval:
beats may have been lost in between.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

MAX_INTERVAL_S = 4.0
WINDOW_S = 6.0  # intervals of the last six seconds, the last eight at least
WINDOW_BEATS = 8
KEPT = 33  # beats: six seconds at 320 /min
AGREE = 0.08  # of the mean: intervals of one rhythm
ALIKE_S = 0.021  # or this much: two samples of the slowest device, which is how far an interval may be off
# Intervals that make a run: two when they span 2.5 s; five where the rest is irregular.
RUN, LONG_RUN, RUN_S = 3, 5, 2.5
MOST = 2 / 3
PERIODS = (2, 3, 4)
PATTERN = 0.05
PAUSE, LONGEST, PAUSE_S = 1.5, 1.1, 0.6


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
    kept = tuple(sorted({*state.beats, *beats}))[-KEPT:]
    interrupted = not state.beats or state.beats[-1] < state.watched_from
    behind = [b for b in kept if b >= state.watched_from]
    firsts = {*state.firsts, *(behind[:1] if interrupted else ())}
    return RateState(kept, tuple(b for b in kept if b in firsts), state.watched_from)


def interrupt(state: RateState, until: int) -> RateState:
    """Say that beats may have been lost between the last one known and sample `until`."""
    return RateState(state.beats, state.firsts, max(until, state.watched_from))


def rate_per_min(state: RateState, now: int, fs_hz: float) -> float | None:
    """Beats a minute; None before two intervals or after a pause that says nothing of a rate.

    A running pause that is longer than what is usual counts as an interval, so that the rate falls while nothing comes.
    """
    told = _told(state.beats, state.firsts, fs_hz)
    if told is None:
        return None
    pause = (now - max(state.beats[-1], state.watched_from)) / fs_hz
    if pause > MAX_INTERVAL_S:
        return None
    intervals, usual_s = told
    if pause > max(PAUSE * usual_s, LONGEST * max(intervals), PAUSE_S):
        return 60 * (len(intervals) + 1) / (sum(intervals) + pause)
    return 60 / usual_s


@lru_cache(maxsize=16)  # asked for at every hop, another after a beat only
def _told(beats: tuple[int, ...], firsts: tuple[int, ...], fs_hz: float) -> tuple[list[float], float] | None:
    """The intervals that a rate is told from and the one that stands for them, seconds; None before two."""
    known = [(b - a) / fs_hz for a, b in pairwise(beats) if b not in firsts]
    if len(known) < 2:
        return None
    intervals = _window(known)
    return intervals, _usual(intervals)[0]


def counted(intervals_s: list[float]) -> int:
    """How many of these intervals, the newest, a rate is told from."""
    return _usual(_window(intervals_s))[1]


def _window(known: list[float]) -> list[float]:
    count, span_s = 0, 0.0
    for interval_s in reversed(known):
        span_s += interval_s
        if count >= WINDOW_BEATS and span_s > WINDOW_S:
            break
        count += 1
    return known[-count:]


def _usual(intervals: list[float]) -> tuple[float, int]:
    """The interval, seconds, that stands for these, oldest first, and how many of the newest say so; at least one is given."""
    run = steady_run(intervals)
    middle = sorted(intervals)[len(intervals) // 2]
    near = _near(intervals, middle)
    most = len(near) >= MOST * len(intervals)
    enough = 2 if sum(run) >= RUN_S and most else RUN if _regular(intervals[: -len(run)]) else LONG_RUN
    if len(run) >= enough:
        return _mean(run), len(run)
    if most:
        return _mean(near), len(intervals)
    whole = _whole(intervals, middle)
    near = _near(whole, middle)
    if len(near) >= MOST * len(whole):
        return _mean(near), len(intervals)
    for period in PERIODS:
        pairs = list(zip(intervals, intervals[period:], strict=False))
        if len(pairs) >= period and _mean([abs(a - b) for a, b in pairs]) <= PATTERN * _mean(intervals):
            used = len(intervals) // period * period
            return _mean(intervals[-used:]), used
    unbroken = [i for i in intervals if i <= PAUSE * middle]
    return _mean(unbroken if len(unbroken) >= MOST * len(intervals) else intervals), len(intervals)


def _near(intervals: list[float], middle: float) -> list[float]:
    return [i for i in intervals if abs(i - middle) <= max(AGREE * middle, ALIKE_S)]


def _whole(intervals: list[float], usual: float) -> list[float]:
    """With two next to each other that are one usual interval together made one: what stood between them was no beat of this rhythm."""
    out: list[float] = []
    for interval in intervals:
        if out and out[-1] < usual and abs(out[-1] + interval - usual) <= AGREE * usual:
            out[-1] += interval
        else:
            out.append(interval)
    return out


def steady_run(intervals: list[float]) -> list[float]:
    """The newest intervals that agree with their own mean, oldest first."""
    run: list[float] = []
    for interval in reversed(intervals):
        mean = _mean([*run, interval])
        if any(abs(i - mean) > max(AGREE * mean, ALIKE_S) for i in (*run, interval)):
            break
        run.append(interval)
    return run[::-1]


def _regular(intervals: list[float]) -> bool:
    """Whether most of them agree; a few say nothing against it."""
    if len(intervals) < RUN:
        return True
    middle = sorted(intervals)[len(intervals) // 2]
    return len(_near(intervals, middle)) >= MOST * len(intervals)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
