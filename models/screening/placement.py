"""What the screening of a device is told about its patient: age group, pacing, limits. No identity.

The extremes are starting values that a ward is expected to set; the ages follow IEC 60601-2-27's patient groups.
"""

from dataclasses import dataclass
from enum import StrEnum

from protocols.nomenclature import HEART_RATE
from protocols.record import Priority


class AgeGroup(StrEnum):
    """Patient group."""

    ADULT = "adult"
    CHILD = "child"
    NEONATE = "neonate"


@dataclass(frozen=True, slots=True)
class Limit:
    """Alarm limits of one measure, in its unit. `hysteresis`: how far inside the limit a value must be to end the alarm."""

    code: str
    low: float | None = None
    high: float | None = None
    priority: Priority = Priority.MEDIUM
    delay_s: float = 5.0
    hysteresis: float = 2.0


@dataclass(frozen=True, slots=True)
class Extremes:
    """Heart rates (/min) at or beyond which life is in danger, and the pause that counts as asystole."""

    low_per_min: float
    high_per_min: float
    asystole_s: float


EXTREMES = {
    AgeGroup.ADULT: Extremes(40, 150, 4.0),
    AgeGroup.CHILD: Extremes(50, 190, 4.0),
    AgeGroup.NEONATE: Extremes(70, 220, 3.0),
}


@dataclass(frozen=True, slots=True)
class Placement:
    """What the hub pushes for the bed of a device; the defaults watch an unplaced device as an adult."""

    age_group: AgeGroup = AgeGroup.ADULT
    paced: bool = False
    limits: tuple[Limit, ...] = (Limit(HEART_RATE, 50, 130),)
    version: int = 0

    @property
    def extremes(self) -> Extremes:
        """The extremes of the age group."""
        return EXTREMES[self.age_group]
