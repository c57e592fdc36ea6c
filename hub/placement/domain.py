"""Wards, points of care and who is at them, as values; how a name is masked and an age is told. Pure."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from models.screening.critical_items import AgeGroup

_SEXES: Mapping[str, str] = {"male": "M", "female": "F", "other": "O", "unknown": "U"}
_MAX_STARS = 3
_NEONATE_DAYS = 28
_ADULT_YEARS = 18


@dataclass(frozen=True, slots=True)
class Ward:
    """A ward. `slug` is its id in addresses."""

    ward_id: int
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class Point:
    """A point of care: a bed of a ward."""

    point_of_care_id: int
    ward: Ward
    bed: str


@dataclass(frozen=True, slots=True)
class PlacedDevice:
    """A device that is at a point of care now. `gateway` is empty while none has spoken for it."""

    device_id: int
    point_of_care_id: int
    name: str
    gateway: str


@dataclass(frozen=True, slots=True)
class Who:
    """A patient as a shared screen shows them."""

    masked_name: str
    age: int | None
    sex: str | None


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in which a device measured the patient of a stay."""

    device_id: int
    device: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Watched:
    """A device at a point of care now; what it measured before `since` is of nobody who is there."""

    point: Point
    device_id: int
    device: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Stay:
    """Whose data a bed shows: of the patient who is there now, else of the bed since the last one left.

    `since` is None when nobody was ever there; `patient_id` is for joining, never for showing.
    """

    point: Point
    patient_id: int | None
    since: datetime | None
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Whose:
    """At which point of care a device was at a moment and which patient was there, masked for showing, and of which age then."""

    point: Point
    patient_id: int | None
    who: Who | None
    age_group: AgeGroup = AgeGroup.ADULT


@dataclass(frozen=True, slots=True)
class LimitSet:
    """Limits of one measurement at a point of care, in `unit` (UCUM)."""

    code: str
    unit: str
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class LimitInForce:
    """The limits by which one measurement is screened at a point of care: the patient's own, else the bed's.

    `set_by` (`user:12`) and `set_at` are there when they are the patient's own; then `bed_low` and `bed_high` are what the
    bed has, and what holds again when the patient's own are given back. `unwatched`: the bed's gateway does not watch it, and why, as
    a word (`protocols.link.LimitRefusal`, or of a gateway of a later version).
    """

    code: str
    unit: str
    low: float | None
    high: float | None
    bed_low: float | None = None
    bed_high: float | None = None
    set_by: str | None = None
    set_at: datetime | None = None
    unwatched: str | None = None

    @property
    def is_own(self) -> bool:
        """Whether somebody set it for this patient."""
        return self.set_by is not None


@dataclass(frozen=True, slots=True)
class Patient:
    """Whom to place. `sex`: female, male, other, unknown. `paced`: has a pacemaker; None: as it is known, or not."""

    hospital_number: str
    name: str
    sex: str = "unknown"
    birth_date: date | None = None
    paced: bool | None = None


def natural(bed: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key by which bed 10 comes behind bed 9."""
    parts: list[tuple[int, int | str]] = []
    text = ""
    for char in bed:
        if text and text[-1].isdecimal() != char.isdecimal():
            parts.append(_part(text))
            text = ""
        text += char
    return (*parts, _part(text)) if text else tuple(parts)


def _part(text: str) -> tuple[int, int | str]:
    return (0, int(text)) if text.isdecimal() else (1, text)


def masked(name: str) -> str:
    """Mask a name for a screen that others see: 王小明 -> 王**, Wang Xiaoming -> W*** X***.

    A Chinese name keeps its first character, any other the first letter of each word; the stars tell no length beyond three.
    """
    words = name.split()
    if len(words) == 1 and words[0] and unicodedata.name(words[0][0], "").startswith("CJK"):
        return words[0][0] + "*" * min(_MAX_STARS, max(1, len(words[0]) - 1))
    return " ".join(word[0] + "*" * _MAX_STARS for word in words) or "*" * _MAX_STARS


def age_years(birth_date: date | None, today: date) -> int | None:
    """Completed years; None when the birth date is not known or not yet reached."""
    if birth_date is None or birth_date > today:
        return None
    return today.year - birth_date.year - ((today.month, today.day) < (birth_date.month, birth_date.day))


def who(name: str, sex: str, birth_date: date | None, today: date) -> Who:
    """Make what a shared screen shows of a patient."""
    return Who(masked(name), age_years(birth_date, today), _SEXES.get(sex))


def age_group(birth_date: date | None, today: date) -> AgeGroup:
    """Say neonate (to 28 days), child (under 18 years) or adult, which is also said where the birth date is unknown."""
    if birth_date is None:
        return AgeGroup.ADULT
    if (today - birth_date).days <= _NEONATE_DAYS:
        return AgeGroup.NEONATE
    years = today.year - birth_date.year - ((today.month, today.day) < (birth_date.month, birth_date.day))
    return AgeGroup.CHILD if years < _ADULT_YEARS else AgeGroup.ADULT
