"""Compare readings with the limits of the placement, with hysteresis; what then happens is the alarms' affair."""

from typing import TYPE_CHECKING

from models.screening.alarms import LIMIT_OFF_S, Condition, Life
from protocols.nomenclature import HI_GT_LIM, LO_LT_LIM, TERMS
from protocols.record import AlarmKind, Observation, Quality

if TYPE_CHECKING:
    from models.screening.alarms import AlarmsState
    from models.screening.placement import Limit, Placement

_UNUSABLE = frozenset({Quality.LEAD_OFF, Quality.FLAT, Quality.SATURATED, Quality.UNUSABLE})


def are_judged(reading: Observation, placement: "Placement") -> bool:
    """Whether the reading has a limit, a number, and can be used."""
    if isinstance(reading.value, str) or reading.quality in _UNUSABLE:
        return False
    return any(
        limit.code == reading.code and (limit.high is not None or limit.low is not None) for limit in placement.limits
    )


def conditions(alarms: "AlarmsState", reading: Observation, placement: "Placement") -> tuple[Condition, ...]:
    """Above and below, where this reading is beyond a limit or one before it was; nothing when it is not judged."""
    value = reading.value
    if isinstance(value, str) or reading.quality in _UNUSABLE:
        return ()
    out: list[Condition] = []
    for limit in placement.limits:
        if limit.code != reading.code:
            continue
        if limit.high is not None:
            slack = limit.hysteresis if alarms.holds(reading.source, HI_GT_LIM, limit.code) else 0.0
            present = value > limit.high - slack
            if present or alarms.stands(reading.source, HI_GT_LIM, limit.code):
                out.append(_condition(reading, value, limit, HI_GT_LIM, limit.high, present))
        if limit.low is not None:
            slack = limit.hysteresis if alarms.holds(reading.source, LO_LT_LIM, limit.code) else 0.0
            present = value < limit.low + slack
            if present or alarms.stands(reading.source, LO_LT_LIM, limit.code):
                out.append(_condition(reading, value, limit, LO_LT_LIM, limit.low, present))
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
