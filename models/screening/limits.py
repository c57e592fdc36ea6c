"""Compare readings with the limits of the placement, with hysteresis; what then happens is the alarms' affair."""

from typing import TYPE_CHECKING

from models.screening.alarms import LIMIT_OFF_S, Condition, Life
from protocols.nomenclature import HI_GT_LIM, LO_LT_LIM, TERMS
from protocols.record import AlarmKind, Observation, Quality

if TYPE_CHECKING:
    from models.screening.alarms import AlarmsState
    from models.screening.placement import Limit, Placement

_UNUSABLE = frozenset({Quality.LEAD_OFF, Quality.FLAT, Quality.SATURATED, Quality.UNUSABLE})


def conditions(alarms: "AlarmsState", reading: Observation, placement: "Placement") -> tuple[Condition, ...]:
    """Above and below, as they stand with this reading; nothing when it has no limit, no number or cannot be used."""
    if isinstance(reading.value, str) or reading.quality in _UNUSABLE:
        return ()
    out: list[Condition] = []
    for limit in placement.limits:
        if limit.code != reading.code:
            continue
        if limit.high is not None:
            slack = limit.hysteresis if alarms.holds(reading.source, HI_GT_LIM, limit.code) else 0.0
            out.append(
                _condition(reading, reading.value, limit, HI_GT_LIM, limit.high, reading.value > limit.high - slack)
            )
        if limit.low is not None:
            slack = limit.hysteresis if alarms.holds(reading.source, LO_LT_LIM, limit.code) else 0.0
            out.append(
                _condition(reading, reading.value, limit, LO_LT_LIM, limit.low, reading.value < limit.low + slack)
            )
    return tuple(out)


def _condition(reading: Observation, value: float, limit: "Limit", code: str, bound: float, present: bool) -> Condition:
    now = reading.times.best_ns
    term = TERMS.get(reading.code)
    return Condition(
        source=reading.source,
        code=code,
        present=present,
        priority=limit.priority,
        kind=AlarmKind.PHYSIOLOGICAL,
        onset_ns=now,
        at_ns=now,
        rule="limit",
        subject=reading.code,
        params=(
            ("measure", reading.code),
            ("value", value),
            ("limit", bound),
            ("unit", reading.unit if term is None else term.unit),
        ),
        life=Life(limit.delay_s, LIMIT_OFF_S, latching=False),
    )
