"""Hold a cardiac condition against the pulse: a table of rules, by which a usable pulse speaks against what the ECG seems to show.

The safe side goes first: without a usable pulse nothing is held, every usable wave must speak against the condition, fibrillation is
never held, and what is held is raised when its time is over. Why the numbers are as they are: docs/decisions/0174.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

from protocols.nomenclature import ASYSTOLE, BRADY_EXTREME, TACHY_EXTREME, V_FIB, V_TACHY
from protocols.record import NS_PER_S

if TYPE_CHECKING:
    from models.screening.alarms import Condition
    from models.screening.placement import Extremes
    from models.screening.recent import Pulsing

# How long a condition may be held, in seconds. Asystole is what cannot wait: an ECG without beats for that long needs somebody anyway.
MOST_HELD_S: Mapping[str, float] = MappingProxyType({
    V_FIB: 0.0, ASYSTOLE: 10.0, V_TACHY: 60.0, TACHY_EXTREME: 60.0, BRADY_EXTREME: 60.0,
})  # fmt: skip
WINDOW_NS = 4 * NS_PER_S  # behind which a pulse says nothing of a rate at this moment
SLOW_WINDOW_NS = 6 * NS_PER_S  # of one that may be as slow as 45 a minute
LEAST_INTERVALS = 3
REGULAR = 1.6  # longest to shortest interval; a premature beat and its pause have more
SLOWEST_PER_MIN = 40.0  # a pulse below is no reason to be at ease
FASTEST_PER_MIN = 100.0  # of a pulse that speaks against ventricular tachycardia, which is defined by more
CLEARLY = 0.1  # by what share a pulse must lie inside the limit of an extreme
# The wave of the last beat reaches finger and wrist so late (pulse arrival time, 0.15 to 0.4 s): it is no pulse in the pause.
ARRIVAL_NS = NS_PER_S // 2
# Another device may show it later than it says, by what its link and its own filter take: so much more is passed over. And a wave whose
# time is not known to a quarter of a second cannot be laid beside an ECG.
ELSEWHERE_NS = NS_PER_S
KNOWN_TO_NS = NS_PER_S // 4
IN_PAUSE = 2
HALVED = 0.12  # every second pulse too weak to be seen looks regular: a pulse near half the ECG's rate speaks against nothing


class Why(StrEnum):
    """What a pulse says against a condition."""

    GOES_ON = "pulse-goes-on"
    SLOWER = "pulse-slower"
    FASTER = "pulse-faster"


@dataclass(frozen=True, slots=True)
class Against:
    """What speaks against a condition: why, the pulse's rate, how many pulses were counted and how alike they look (0 to 1)."""

    why: Why
    rate_per_min: float
    pulses: int
    alike: float
    code: str
    device: str = ""


def weigh(condition: "Condition", pulses: "tuple[Pulsing, ...]", extremes: "Extremes") -> Against | None:
    """What the usable waves say against a condition that is present; None where one of them does not, or there is none."""
    found = [
        _against(condition, one, extremes) for one in pulses if not one.device or one.uncertainty_ns <= KNOWN_TO_NS
    ]
    said = [one for one in found if one is not None]
    return max(said, key=lambda one: one.alike) if said and len(said) == len(found) else None


def _against(condition: "Condition", pulsing: "Pulsing", extremes: "Extremes") -> Against | None:
    if condition.code == ASYSTOLE:
        return _in_pause(condition, pulsing)
    window_ns = SLOW_WINDOW_NS if condition.code == BRADY_EXTREME else WINDOW_NS
    counted = [at for at in pulsing.beats if at > pulsing.judged_ns - window_ns]
    intervals = [(b - a) / NS_PER_S for a, b in pairwise(counted)]
    if len(intervals) < LEAST_INTERVALS or not _runs_on(intervals, counted[-1], pulsing.judged_ns):
        return None
    slowest, fastest = 60 / max(intervals), 60 / min(intervals)
    if condition.code == BRADY_EXTREME:
        is_faster = slowest > extremes.low_per_min * (1 + CLEARLY)
        return _told(Why.FASTER, pulsing, counted) if is_faster else None
    most = extremes.high_per_min * (1 - CLEARLY) if condition.code == TACHY_EXTREME else FASTEST_PER_MIN
    is_slower = slowest >= SLOWEST_PER_MIN and fastest < most and not _is_halved(condition, pulsing)
    return _told(Why.SLOWER, pulsing, counted) if is_slower else None


def _in_pause(condition: "Condition", pulsing: "Pulsing") -> Against | None:
    """Regular pulses before and all through the pause, the newest of them no longer ago than they are apart."""
    from_ns = condition.onset_ns + ARRIVAL_NS + (ELSEWHERE_NS if pulsing.device else 0)
    inside = [at for at in pulsing.beats if at > from_ns]
    before = [at for at in pulsing.beats if at <= from_ns][-2:]
    counted = [*before, *inside]
    intervals = [(b - a) / NS_PER_S for a, b in pairwise(counted)]
    if len(inside) < IN_PAUSE or len(intervals) < LEAST_INTERVALS:
        return None
    goes_on = _runs_on(intervals, counted[-1], pulsing.judged_ns) and 60 / max(intervals) >= SLOWEST_PER_MIN
    return _told(Why.GOES_ON, pulsing, inside) if goes_on else None


def _runs_on(intervals: list[float], last_ns: int, judged_ns: int) -> bool:
    """Whether the pulses are regular and none is overdue."""
    since_s = (judged_ns - last_ns) / NS_PER_S
    return max(intervals) <= REGULAR * min(intervals) and since_s <= REGULAR * max(intervals)


def _is_halved(condition: "Condition", pulsing: "Pulsing") -> bool:
    rate = dict(condition.params).get("heart_rate")
    return isinstance(rate, int | float) and abs(rate / pulsing.rate_per_min - 2) <= 2 * HALVED


def _told(why: Why, pulsing: "Pulsing", counted: list[int]) -> Against:
    return Against(why, pulsing.rate_per_min, len(counted), pulsing.alike, pulsing.code, pulsing.device)
