"""What a correction of a segment's times is, and how the segment itself tells one. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import accumulate

from models.screening import envelope

MOST_SHIFT_S = 200 * 366 * 86400.0  # from 1900 to 2099
MOST_DRIFT_PPM = 1000.0
LEARNED_FROM = 20_000  # readings of a segment, the newest
LEAST_READINGS, LEAST_SPAN_S = 10, 60.0
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class Model(StrEnum):
    """Where a correction comes from: somebody states it, or the segment's readings tell it."""

    STATED = "stated"
    LEARNED = "learned"


@dataclass(frozen=True, slots=True)
class Correction:
    """What is added to the times of a segment: `shift_s` at `base` (by the gateway's clock), and `drift_ppm` of the time since."""

    base: datetime
    shift_s: float
    drift_ppm: float = 0.0
    model: Model = Model.STATED

    @property
    def shift_us(self) -> int:
        """The shift in whole microseconds, as the database keeps times."""
        return round(self.shift_s * 1e6)

    def at_s(self, moment: datetime) -> float:
        """What is added to a time that the gateway saw at `moment`."""
        return self.shift_us / 1e6 + self.drift_ppm * 1e-6 * (moment - self.base).total_seconds()


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a device's clock. `rows` and the times are of what lies in it now; `moved_from`: of moved rows, their segment."""

    segment_id: int
    gateway: str
    number: int
    first_seen: datetime
    moved_from: int | None
    observations: int = 0
    waveforms: int = 0
    from_time: datetime | None = None
    to_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Retiming:
    """A move that was done, as the log has it."""

    retiming_id: int
    segment_id: int
    correction: Correction
    reason: str
    who: str
    at: datetime
    observations: int
    waveforms: int
    undone_at: datetime | None
    undone_by: str | None
    undone_reason: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a correction would do."""

    segment: Segment
    correction: Correction
    alarms: int
    new_from: datetime | None
    new_to: datetime | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading as both clocks showed it: arrival by the gateway's, and what was added to the device's time to correct it, seconds."""

    at: datetime
    late_s: float
    corrected_by_s: float


def learned(readings: Sequence[Reading]) -> Correction | None:
    """The correction by which a segment's times lie on the line below all of its arrivals; None when too few tell one.

    What the gateway knew grew with each message; here every reading is judged by all of the segment. The correction is the line through
    the differences, so that it can be taken back exactly.
    """
    if len(readings) < LEAST_READINGS:
        return None
    base = readings[0].at
    at = [(r.at - base).total_seconds() * 1e9 for r in readings]
    if at[-1] < LEAST_SPAN_S * 1e9:
        return None
    late = [(r.late_s - readings[0].late_s) * 1e9 for r in readings]
    line = envelope.begin(at[0], late[0])
    for moment, value in zip(accumulate(at[1:], max), late[1:], strict=True):
        line = envelope.add(line, moment, value)
    fit = line.fit
    wanted = [
        fit.at_time(moment) / 1e9 + readings[0].late_s - r.corrected_by_s
        for moment, r in zip(at, readings, strict=True)
    ]
    mean_at, mean = math.fsum(at) / len(at), math.fsum(wanted) / len(wanted)
    spread = math.fsum((moment - mean_at) ** 2 for moment in at)
    slope = math.fsum((m - mean_at) * (w - mean) for m, w in zip(at, wanted, strict=True)) / spread
    slope = min(MOST_DRIFT_PPM * 1e-15, max(-MOST_DRIFT_PPM * 1e-15, slope))
    return Correction(base, mean - slope * mean_at, slope * 1e15, Model.LEARNED)
