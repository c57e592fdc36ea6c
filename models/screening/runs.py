"""Ventricular tachycardia by count: ventricular beats in a row, faster than 100 a minute.

Short runs are over before the window of a lethal score has seen enough of them; beats have classes one beat after they come. Why the
count is what it is: docs/decisions/0174.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from models.signal.beats import Kind

BEATS = 5  # as monitors are set when they are delivered
FASTER_PER_MIN = 100.0
LASTS_S = 3.0  # behind its last beat: what is over by then is told by the alarm that has begun


@dataclass(frozen=True, slots=True)
class Run:
    """Sample numbers of its first and last beat, how many there are, and the rate of the newest `BEATS`."""

    first: int
    last: int
    beats: int
    rate_per_min: float


def newest(beats: tuple[int, ...], classes: Mapping[int, str], end: int, fs_hz: float) -> Run | None:
    """The run whose fast beats ended less than `LASTS_S` before sample `end`. Beats without a class yet are passed over."""
    row: list[int] = []
    found: Run | None = None
    for at in beats:
        if at not in classes:
            continue
        row = [*row, at] if classes[at] == str(Kind.V) else []
        if len(row) >= BEATS:
            rate = 60 * fs_hz * (BEATS - 1) / (row[-1] - row[-BEATS])
            if rate > FASTER_PER_MIN:
                found = Run(row[0], row[-1], len(row), rate)
    return found if found is not None and end - found.last < LASTS_S * fs_hz else None
