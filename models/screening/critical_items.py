"""What a critical-value item is: a row of the one table by which measurements and rhythms become red and yellow alarms.

The standards leave the values to the hospital (T/ISC 0092-2025, 6.1.1: critical-value items, and red and yellow warnings for each
category of examination, are defined, changed and removed by it). What ships is in `critical_table`, what is refused in
`critical_check`; who may change it and how it reaches a gateway is the hub's affair.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from protocols.nomenclature import ASYSTOLE, BRADY_EXTREME, TACHY_EXTREME, V_FIB, V_TACHY
from protocols.record import Priority


class AgeGroup(StrEnum):
    """Patient group; the ages follow those of IEC 60601-2-27."""

    ADULT = "adult"
    CHILD = "child"
    NEONATE = "neonate"


class Examination(StrEnum):
    """Category of examination: what is measured at the bed as it happens, or a resting ECG that a cart hands over as a whole."""

    MONITORING = "monitoring"
    ROUTINE_ECG = "routine-ecg"


class Urgency(StrEnum):
    """How urgent a condition is. Red and yellow are of the patient, the other two of the equipment."""

    RED = "red"
    YELLOW = "yellow"
    UNWATCHED = "unwatched"  # nobody is watched: nothing comes, or nothing of it can be judged
    IMPAIRED = "impaired"  # less is known than could be, and the rest is watched as ever


LEVELS = frozenset({Urgency.RED, Urgency.YELLOW})

# The one mapping to IEC 60601-1-8 (6.1.2, table 1). Red: death or lasting harm within moments if nobody comes, which is what a critical
# value means. Yellow: prompt. Equipment that leaves a patient unwatched is as urgent as yellow, since what it hides is not known.
PRIORITIES: Mapping[Urgency, Priority] = MappingProxyType(
    {
        Urgency.RED: Priority.HIGH,
        Urgency.YELLOW: Priority.MEDIUM,
        Urgency.UNWATCHED: Priority.MEDIUM,
        Urgency.IMPAIRED: Priority.LOW,
    }
)


@dataclass(frozen=True, slots=True)
class Item:
    """A row. Bounds are in `unit`; a value beyond one, not at it, is critical. `hysteresis`: how far inside a bound ends the alarm.

    Of a rhythm there is `level` alone where it is there or not; one that is a rate or a pause has one bound, whose side and colour
    say the rest. `source`: where the values are published, or why they are as they are.
    """

    examination: Examination
    code: str
    age_group: AgeGroup
    unit: str
    source: str
    yellow_low: float | None = None
    yellow_high: float | None = None
    red_low: float | None = None
    red_high: float | None = None
    level: Urgency | None = None
    delay_s: float = 0.0
    hysteresis: float = 0.0

    @property
    def name(self) -> str:
        """What tells it from every other of a table, as it stands in evidence: `monitoring/MDC_PULS_OXIM_SAT_O2/adult`."""
        return f"{self.examination}/{self.code}/{self.age_group}"

    @property
    def bounds(self) -> Mapping[str, float]:
        """The bounds that are set, by the name of their column."""
        found = {column: getattr(self, column) for column in BOUNDS}
        return {column: float(bound) for column, bound in found.items() if bound is not None}

    @property
    def urgency(self) -> Urgency | None:
        """Of a rhythm: its level, or the colour of its bound."""
        if self.level is not None:
            return self.level
        red = self.red_low is not None or self.red_high is not None
        return Urgency.RED if red else Urgency.YELLOW if self.bounds else None


BOUNDS = ("red_low", "yellow_low", "yellow_high", "red_high")


@dataclass(frozen=True, slots=True)
class Table:
    """All items. Version 0 is what ships; others are numbered by the hub whose people made them."""

    version: int
    items: tuple[Item, ...]

    def of(self, examination: Examination, age_group: AgeGroup) -> Mapping[str, Item]:
        """The rows of one examination and age group, by code."""
        return {one.code: one for one in self.items if (one.examination, one.age_group) == (examination, age_group)}


@dataclass(frozen=True, slots=True)
class RhythmRule:
    """How a rhythm that the screening finds can be set. `side` of its one bound (empty: it is there or not), and that bound's range.

    `lethal`: it cannot be left out, nor be less than red, nor wait.
    """

    lethal: bool
    side: str = ""
    unit: str = "1"
    least: float = 0.0
    most: float = 0.0


# What the screening finds by itself. Tachycardia is as lethal as fibrillation, whose coarse waves may keep that name (decision 0117).
RHYTHMS: Mapping[str, RhythmRule] = MappingProxyType(
    {
        V_FIB: RhythmRule(lethal=True),
        V_TACHY: RhythmRule(lethal=True),
        ASYSTOLE: RhythmRule(lethal=True, side="high", unit="s", least=3, most=6),
        BRADY_EXTREME: RhythmRule(lethal=False, side="low", unit="/min", least=15, most=120),
        TACHY_EXTREME: RhythmRule(lethal=False, side="high", unit="/min", least=100, most=300),
    }
)
