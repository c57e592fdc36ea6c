"""What can be asked for and what is answered, as values with their bounds. Pure."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from hub.beds.domain import Bucket
from hub.core.errors import InvalidError

MOST_TARGETS = 200
MOST_CODES = 24
MOST_SERIES = 500
MOST_BUCKETS = 400_000  # series times pixels of one answer: some 15 MB of JSON
MOST_PIXELS = 4_000
LONGEST = timedelta(days=400)
MOST_FOUND = 100
MOST_WORDS = 6
MOST_QUERIES = 50
DO = "See docs/reference/http-api.md for what can be asked for."


class SearchKind(StrEnum):
    """What is searched by name."""

    DEVICE = "device"
    SOURCE = "source"
    WARD = "ward"
    PATIENT = "patient"


@dataclass(frozen=True, slots=True)
class Targets:
    """Whose readings: devices by name, beds by key; of these the codes, or every code."""

    devices: tuple[str, ...] = ()
    beds: tuple[int, ...] = ()
    codes: tuple[str, ...] = ()

    def check(self) -> None:
        """InvalidError for none, or for too many."""
        count = len(self.devices) + len(self.beds)
        if not 1 <= count <= MOST_TARGETS:
            raise InvalidError(f"{count} devices and beds: expected 1 to {MOST_TARGETS}.", DO, reason="targets")
        if len(self.codes) > MOST_CODES:
            raise InvalidError(f"{len(self.codes)} codes: expected at most {MOST_CODES}.", DO, reason="codes")


@dataclass(frozen=True, slots=True)
class Whence:
    """A stretch of time in which what a device measured may be told, and of which bed it is ("" and None: of none)."""

    device_id: int
    device: str
    start: datetime
    end: datetime
    ward: str = ""
    bed: str = ""
    key: int | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """One thing that a device measures."""

    series_id: int
    device_id: int
    source: str
    code: str
    site: str
    unit: str


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest reading of a series. `value` is None where it is no number."""

    series: Series
    whence: Whence
    at: datetime
    value: float | None
    text: str | None
    comparator: str | None
    quality: int


@dataclass(frozen=True, slots=True)
class Ranged:
    """A series over time, in buckets."""

    series: Series
    whence: Whence
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is asked for between two moments at the width of a picture."""

    start: datetime
    end: datetime
    pixels: int

    @property
    def width_ms(self) -> int:
        """Width of a bucket: a pixel's share; from a minute on whole minutes, from half an hour on whole hours, for which sums are kept ready.

        So a bucket is two pixels wide at most, and a month is read from hours, a sixtieth of its minutes.
        """
        exact = -(-((self.end - self.start) // timedelta(milliseconds=1)) // self.pixels)
        step = next(step for step, least in ((3_600_000, 1_800_000), (60_000, 60_000), (1, 0)) if exact >= least)
        return max(1, -(-exact // step) * step)


@dataclass(frozen=True, slots=True)
class Found:
    """Something that a search has found. `label` is masked where it is a patient's name."""

    kind: SearchKind
    ref_id: int
    label: str
    score: float
    ward: str = ""
    bed: str = ""
    age: int | None = None
    sex: str | None = None


def stretch(start: datetime, end: datetime, pixels: int) -> Stretch:
    """InvalidError when it has no length, or more than LONGEST."""
    if not timedelta(0) < end - start <= LONGEST:
        raise InvalidError(
            f"From {start:%Y-%m-%dT%H:%M:%SZ} to {end:%Y-%m-%dT%H:%M:%SZ}: expected at most {LONGEST.days} days, the end behind the start.",
            DO,
            reason="range",
        )
    return Stretch(start, end, pixels)


def words_of(typed: str) -> list[str]:
    """What was typed, word by word as search_words of the database spreads it; the longest first, by which the index is asked.

    Apostrophes that part syllables go, and ü is v, as keyboards for pinyin have it.
    """
    narrow = unicodedata.normalize("NFKC", typed).lower().replace("ü", "v").replace("'", "").replace("\u2019", "")
    words = [_spread(word) for word in narrow.split()]
    return sorted(dict.fromkeys(word for word in words if word), key=lambda word: -len(word))[:MOST_WORDS]


def pattern_of(word: str) -> str:
    """The word anywhere in a text, for LIKE. A word that begins or ends with a Chinese character does so at the border of a word."""
    escaped = word.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{' ' if _is_chinese(word[0]) else ''}{escaped}{' ' if _is_chinese(word[-1]) else ''}%"


def _spread(word: str) -> str:
    return " ".join("".join(f" {char} " if _is_chinese(char) else char for char in word).split())


def _is_chinese(char: str) -> bool:
    return "\u3400" <= char <= "\u9fff"
