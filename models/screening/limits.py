"""Compare readings with what is watched of them, yellow and red, with hysteresis; what then happens is the alarms' affair."""

from typing import TYPE_CHECKING

from models.screening.alarms import RED, Condition, Life
from models.screening.critical_items import PRIORITIES, Urgency
from models.screening.placement import Watched
from protocols.nomenclature import HI_GT_LIM, LO_LT_LIM, TERMS
from protocols.record import AlarmKind, Observation, Quality

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.screening.alarms import AlarmsState

_UNUSABLE = frozenset({Quality.LEAD_OFF, Quality.FLAT, Quality.SATURATED, Quality.UNUSABLE})
LIMIT_OFF_S = 2.0
NOTHING = Watched(None, None, None, None, 0.0, 0.0)


def are_judged(alarms: "AlarmsState", reading: Observation, watched: "Mapping[str, Watched]") -> bool:
    """Whether the reading has a limit, or an alarm of one that it had; a number; and can be used."""
    if isinstance(reading.value, str) or reading.quality in _UNUSABLE:
        return False
    return reading.code in watched or any(
        source == reading.source and subject.removesuffix(RED) == reading.code for source, _, subject in alarms.standing
    )


def conditions(alarms: "AlarmsState", reading: Observation, watched: "Mapping[str, Watched]") -> tuple[Condition, ...]:
    """Above and below, where this reading is beyond a limit or one before it was; nothing when it is not judged.

    Red before yellow: where both are beyond, the yellow one is not raised beside it (`alarms.TURNS_FROM`).
    """
    if not are_judged(alarms, reading, watched) or isinstance(reading.value, str):
        return ()
    value, by = reading.value, watched.get(reading.code, NOTHING)
    out: list[Condition] = []
    for urgency, high, low in ((Urgency.RED, by.red_high, by.red_low), (Urgency.YELLOW, by.yellow_high, by.yellow_low)):
        subject = f"{reading.code}{RED}" if urgency is Urgency.RED else reading.code
        for code, bound in ((HI_GT_LIM, high), (LO_LT_LIM, low)):
            stands = alarms.stands(reading.source, code, subject)
            if bound is None:
                if stands:  # it was set when the alarm was raised, and is not any more
                    out.append(_condition(reading, value, by, (code, subject), urgency, value, present=False))
                continue
            slack = by.hysteresis if alarms.holds(reading.source, code, subject) else 0.0
            present = value > bound - slack if code == HI_GT_LIM else value < bound + slack
            if present or stands:
                out.append(_condition(reading, value, by, (code, subject), urgency, bound, present=present))
    return tuple(out)


def _condition(
    reading: Observation,
    value: float,
    by: Watched,
    what: tuple[str, str],
    urgency: Urgency,
    bound: float,
    *,
    present: bool,
) -> Condition:
    now = reading.times.best_ns
    term = TERMS.get(reading.code)
    told = by.told if urgency is Urgency.YELLOW else by.red_told
    return Condition(
        source=reading.source,
        code=what[0],
        present=present,
        priority=PRIORITIES[urgency],
        kind=AlarmKind.PHYSIOLOGICAL,
        onset_ns=now,
        at_ns=now,
        rule="limit",
        subject=what[1],
        params=(
            ("measure", reading.code),
            ("value", value),
            ("limit", bound),
            ("unit", reading.unit if term is None else term.unit),
            *told,
        ),
        # What one reading may raise, one reading ends.
        life=Life(by.delay_s, min(LIMIT_OFF_S, by.delay_s), latching=False),
    )
