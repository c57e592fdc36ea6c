"""What the bed page is made of, as values: windows of time, buckets of readings, gaps, notes. Pure.

A bed shows the stay of the patient who is there (`hub.placement.domain.Stay`), never the data of whoever was there before.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hub.alarms.domain import Past
from hub.beds.posture import Turn
from hub.core.errors import InvalidError
from hub.devices.domain import Device
from hub.placement.domain import Stay
from hub.wards.domain import Bed, Stream, leads_of

KEPT = timedelta(hours=72)
STRIP_LONGEST = timedelta(seconds=60)
ANSWER_DO = "See docs/reference/http-api.md for what can be asked for."
# Widths of buckets that people can read at an axis.
_WIDTHS_MS = (*(1000 * s for s in (1, 2, 5, 10, 15, 30)), *(60_000 * m for m in (1, 2, 5, 10, 15, 30, 60, 120, 240)))


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time that was asked for, within the last 72 hours."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Bucket:
    """Readings of one series in a bucket that begins at `at_ms`. least, most, mean are None when all `unusable` ones were."""

    at_ms: int
    least: float | None
    most: float | None
    mean: float | None
    n: int
    unusable: int


@dataclass(frozen=True, slots=True)
class Trend:
    """One series over time."""

    code: str
    unit: str
    source: str
    site: str
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True)
class Hole:
    """What is missing and why: a gap that was told, less what came later."""

    source: str
    from_ms: int
    to_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote about the patient. `who` as in the audit, `user:12`."""

    note_id: int
    at_ms: int
    written_ms: int
    who: str
    text: str


@dataclass(frozen=True, slots=True)
class Doubted:
    """An alarm that a pulse spoke against: `alarm` is its code; `held` back then, or raised all the same.

    `why` is a word of `models.screening.fusion.Why`; `device` is empty where the ECG's own device saw the pulse.
    """

    at_ms: int
    source: str
    alarm: str
    held: bool
    why: str
    pulse_per_min: float | None
    device: str


@dataclass(frozen=True, slots=True)
class Episode:
    """What the rhythm did for a while: `code` of `protocols.nomenclature.RHYTHM_EPISODES`, and how often it came, once its end was told.

    `until_ms`: None without a told end; then `goes_on` where nothing says otherwise. `experimental`: as its gateway told it. The others are the most that was seen.
    """

    at_ms: int
    source: str
    code: str
    until_ms: int | None
    goes_on: bool
    experimental: bool = False
    times: int | None = None
    beats: int | None = None
    beats_per_min: int | None = None
    pause_s: float | None = None


@dataclass(frozen=True, slots=True)
class Trends:
    """What one picture of trends is drawn from."""

    bed: str
    window: Window
    bucket_ms: int
    trends: tuple[Trend, ...]
    holes: tuple[Hole, ...]
    alarms: tuple[Past, ...]
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that is known of a patient in a window, each kind newest first."""

    bed: str
    window: Window
    step_ms: int
    vital_signs: tuple[Trend, ...]
    alarms: tuple[Past, ...]
    doubted: tuple[Doubted, ...]
    episodes: tuple[Episode, ...]
    turns: tuple[Turn, ...]
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class BedDetail:
    """A bed with what its page needs besides the ward's state."""

    bed: Bed
    stay: Stay
    measures: tuple[str, ...]
    devices: tuple[Device, ...]


def window(start: datetime | None, end: datetime | None, now: datetime, longest: timedelta = KEPT) -> Window:
    """Check what was asked for; without an end until `now`, without a start as long as may be. InvalidError."""
    end = now if end is None else end
    start = end - longest if start is None else start
    if start >= end:
        raise InvalidError(f"The stretch from {start} to {end} is empty.", ANSWER_DO, reason="window")
    if end - start > longest:
        raise InvalidError(
            f"The stretch is {(end - start).total_seconds():.0f} s long, the most is {longest.total_seconds():.0f} s.",
            ANSWER_DO,
            reason="window",
        )
    oldest = now - KEPT
    if end <= oldest or start > now + timedelta(minutes=1):
        raise InvalidError("The stretch lies outside the last 72 hours.", ANSWER_DO, reason="window")
    return Window(max(start, oldest), end)


def bucket_width_ms(of: Window, points: int) -> int:
    """The width of buckets by which at most about `points` fill the window: a round one."""
    least_ms = (of.end - of.start).total_seconds() * 1000 / points
    return next((width for width in _WIDTHS_MS if width >= least_ms), _WIDTHS_MS[-1])


def review_bed(bed: Bed, streams: Iterable[Stream]) -> Bed:
    """The bed with the leads of the past too: those of now keep their numbers, what is no longer there follows."""
    known = {(lead.source, lead.code) for lead in bed.leads}
    more = [(s.source, code) for s in streams for code in s.leads if s.is_shown and (s.source, code) not in known]
    return replace(bed, leads=(*bed.leads, *leads_of(dict.fromkeys(more), first=len(bed.leads))))
