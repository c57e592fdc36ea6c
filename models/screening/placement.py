"""What the screening of a device is told about its patient: age group, pacing, limits, the table of critical-value items. No identity.

Here the two come together: limits of the bed or the patient go before the row of the table (docs/decisions/0184).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from models.screening.alarms import LIVES, Life
from models.screening.critical_items import PRIORITIES, RHYTHMS, AgeGroup, Examination, Item, Table, Urgency
from models.screening.critical_table import SHIPPED
from protocols.nomenclature import ASYSTOLE, BRADY_EXTREME, HEART_RATE, TACHY_EXTREME
from protocols.record import Params, Priority

_DELAY_S, _HYSTERESIS = 5.0, 2.0  # of a limit of what the table does not have


@dataclass(frozen=True, slots=True)
class Limit:
    """Alarm limits of one measure, in its unit: yellow. `hysteresis`: how far inside the limit a value must be to end the alarm.

    Delay and hysteresis are those of the table's row where nothing is said.
    """

    code: str
    low: float | None = None
    high: float | None = None
    delay_s: float | None = None
    hysteresis: float | None = None


@dataclass(frozen=True, slots=True)
class Extremes:
    """Heart rates (/min) at or beyond which life is in danger, and the pause that counts as asystole. Infinite: not watched."""

    low_per_min: float
    high_per_min: float
    asystole_s: float


@dataclass(frozen=True, slots=True)
class Watched:
    """By what a measure is judged. `told`, `red_told`: what an alarm of either level says of its origin."""

    yellow_low: float | None
    yellow_high: float | None
    red_low: float | None
    red_high: float | None
    delay_s: float
    hysteresis: float
    told: Params = ()
    red_told: Params = ()

    @property
    def is_open(self) -> bool:
        """Whether nothing is watched."""
        return all(bound is None for bound in (self.yellow_low, self.yellow_high, self.red_low, self.red_high))


@dataclass(frozen=True, slots=True)
class WatchedRhythm:
    """How a rhythm is alarmed."""

    priority: Priority
    life: Life
    told: Params = ()


@dataclass(frozen=True, slots=True)
class Placement:
    """What the hub pushes for the bed of a device; the defaults watch an unplaced device as an adult.

    `point_of_care`: where it is, empty where that is not known; devices of one place see one patient. `watched` is what each measure is judged by, `of_ecg` the same for what is concluded from an ECG, whose extreme rates are rhythms.
    """

    age_group: AgeGroup = AgeGroup.ADULT
    paced: bool = False
    limits: tuple[Limit, ...] = ()
    version: int = 0
    table: Table = SHIPPED
    point_of_care: str = ""
    extremes: Extremes = field(init=False, compare=False, repr=False)
    rhythms: Mapping[str, WatchedRhythm] = field(init=False, compare=False, repr=False)
    watched: Mapping[str, Watched] = field(init=False, compare=False, repr=False)
    of_ecg: Mapping[str, Watched] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Look everything up once: it is asked for with every reading."""
        rows = self.table.of(Examination.MONITORING, self.age_group)
        watched = _watched(rows, self.limits, self.table.version)
        of_ecg = dict(watched)
        if HEART_RATE in of_ecg:
            rate = of_ecg[HEART_RATE]
            low = None if BRADY_EXTREME in rows else rate.red_low
            of_ecg[HEART_RATE] = replace(rate, red_low=low, red_high=None if TACHY_EXTREME in rows else rate.red_high)
        rhythms = {code: _rhythm(code, rows.get(code), self.table.version) for code in RHYTHMS}
        for name, value in (
            ("extremes", extremes_of(self.table, self.age_group)),
            ("rhythms", MappingProxyType(rhythms)),
            ("watched", MappingProxyType(watched)),
            ("of_ecg", MappingProxyType(of_ecg)),
        ):
            object.__setattr__(self, name, value)


def extremes_of(table: Table, age_group: AgeGroup) -> Extremes:
    """The rates and the pause by which the extremes and asystole are found."""
    rows = table.of(Examination.MONITORING, age_group)

    def bound(code: str, otherwise: float) -> float:
        return next(iter(rows[code].bounds.values()), otherwise) if code in rows else otherwise

    return Extremes(bound(BRADY_EXTREME, -math.inf), bound(TACHY_EXTREME, math.inf), bound(ASYSTOLE, math.inf))


EXTREMES = {age_group: extremes_of(SHIPPED, age_group) for age_group in AgeGroup}


def _watched(rows: Mapping[str, Item], limits: tuple[Limit, ...], version: int) -> dict[str, Watched]:
    found = {code: _by_item(row, version) for code, row in rows.items() if code not in RHYTHMS}
    for limit in limits:
        own = _by_limit(limit, found.get(limit.code))
        if not own.is_open:
            found[limit.code] = own
        else:
            found.pop(limit.code, None)
    return found


def _by_item(item: Item, version: int) -> Watched:
    return Watched(
        item.yellow_low,
        item.yellow_high,
        item.red_low,
        item.red_high,
        item.delay_s,
        item.hysteresis,
        _told(item, Urgency.YELLOW, version),
        _told(item, Urgency.RED, version),
    )


def _by_limit(limit: Limit, row: Watched | None) -> Watched:
    """Own limits are the yellow ones. What is red stays red, except where somebody has set a limit beyond it."""
    red_low, red_high = (None, None) if row is None else (row.red_low, row.red_high)
    if red_low is not None and limit.low is not None and limit.low <= red_low:
        red_low = None
    if red_high is not None and limit.high is not None and limit.high >= red_high:
        red_high = None
    delay_s = _DELAY_S if row is None else row.delay_s
    hysteresis = _HYSTERESIS if row is None else row.hysteresis
    return Watched(
        limit.low,
        limit.high,
        red_low,
        red_high,
        delay_s if limit.delay_s is None else limit.delay_s,
        hysteresis if limit.hysteresis is None else limit.hysteresis,
        (),
        () if row is None else row.red_told,
    )


def _rhythm(code: str, item: Item | None, version: int) -> WatchedRhythm:
    if item is None or item.urgency is None:  # not watched: what held when the row was removed still ends
        return WatchedRhythm(PRIORITIES[Urgency.RED], LIVES[code])
    life = replace(LIVES[code], on_s=item.delay_s)
    return WatchedRhythm(PRIORITIES[item.urgency], life, _told(item, None, version))


def _told(item: Item, level: Urgency | None, version: int) -> Params:
    origin: Params = (("item", item.name), ("table", version))
    return origin if level is None else (("level", level.value), *origin)
