"""The table of critical-value items: what ships, what is refused, and what a nurse is told by it of readings and rhythms."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models.screening
from models.screening import chain
from models.screening.alarms import TURNED_INTO
from models.screening.critical_check import Wrong, problems
from models.screening.critical_items import PRIORITIES, AgeGroup, Examination, Item, Table, Urgency
from models.screening.critical_table import SHIPPED
from models.screening.placement import Limit, Placement
from protocols.nomenclature import (
    ART_MEAN,
    ASYSTOLE,
    BODY_TEMPERATURE,
    BRADY_EXTREME,
    GLUCOSE,
    HEART_RATE,
    HI_GT_LIM,
    LO_LT_LIM,
    NONINV_SYS,
    POTASSIUM,
    QTC,
    RESPIRATION_RATE,
    SPO2,
    TACHY_EXTREME,
    TERMS,
    V_FIB,
    V_TACHY,
)
from protocols.record import NS_PER_S, AlarmCondition, Observation, Presence, Priority, SourcePath, Times
from tests.unit.screening.played import SOURCE, T0, groups, play, seconds
from tests.unit.signal.signals import heartbeats, regular

PROBE = SourcePath("monitor-1", ("spo2",))
ADULT, CHILD, NEONATE = AgeGroup.ADULT, AgeGroup.CHILD, AgeGroup.NEONATE
BED, CART = Examination.MONITORING, Examination.ROUTINE_ECG
PRESENT, ENDED = Presence.PRESENT, Presence.ENDED


def row(code: str, group: AgeGroup = ADULT, table: Table = SHIPPED, examination: Examination = BED) -> Item:
    return table.of(examination, group)[code]


def with_row(new: Item, version: int = 7) -> Table:
    """The shipped table with one row in place of that of its name, or beside the others."""
    return Table(version, (*(one for one in SHIPPED.items if one.name != new.name), new))


def without(code: str) -> Table:
    return Table(8, tuple(one for one in SHIPPED.items if one.code != code))


def read(code: str, *values: float, every_s: float = 1, from_s: float = 0) -> list[Observation]:
    unit = TERMS[code].unit
    at = [T0 + round((from_s + i * every_s) * NS_PER_S) for i in range(len(values))]
    return [Observation(PROBE, code, value, unit, Times(ns)) for value, ns in zip(values, at, strict=True)]


def alarms_of(readings: list[Observation], placement: Placement | None = None) -> list[AlarmCondition]:
    return play(readings, chain.begin(placement)).alarms


def told(found: list[AlarmCondition]) -> list[tuple[str, Priority, Presence, float]]:
    return [(a.code, a.priority, a.presence, seconds(a.detected_ns)) for a in found]


# --- what ships


def test_what_ships_can_be_gone_by_and_each_row_says_where_it_comes_from():
    assert problems(SHIPPED) == ()
    assert SHIPPED.version == 0
    assert all(len(one.source) > 10 for one in SHIPPED.items)


@pytest.mark.parametrize("group", AgeGroup)
def test_every_age_group_has_what_the_ward_watches(group: AgeGroup):
    rows = SHIPPED.of(BED, group)
    vital = {HEART_RATE, SPO2, RESPIRATION_RATE, BODY_TEMPERATURE, NONINV_SYS, ART_MEAN, GLUCOSE, POTASSIUM}
    assert vital | {V_FIB, V_TACHY, ASYSTOLE, BRADY_EXTREME, TACHY_EXTREME} <= set(rows)
    assert {HEART_RATE, QTC} <= set(SHIPPED.of(CART, group))


@pytest.mark.parametrize(
    ("code", "examination", "expected"),
    [
        # NEWS2: 3 points at 40 or less, 8 or less, 90 or less; from 131, 25, 220. MERIT: breaths below 5 and above 36, pressure below 90.
        (RESPIRATION_RATE, BED, {"red_low": 5, "yellow_low": 9, "yellow_high": 24, "red_high": 36}),
        (NONINV_SYS, BED, {"red_low": 70, "yellow_low": 90, "yellow_high": 180, "red_high": 219}),
        # Kost 1990: 2.8 and 6.2 mmol/L; 484 mg/dL. ADA: below 54 and 70 mg/dL.
        (POTASSIUM, BED, {"red_low": 2.8, "yellow_low": 3.5, "yellow_high": 5.5, "red_high": 6.2}),
        (GLUCOSE, BED, {"red_low": 54, "yellow_low": 70, "yellow_high": 250, "red_high": 484}),
        (ASYSTOLE, BED, {"red_high": 4}),
        # The consensus of 2017: 35 or less, QTc of 550 ms and more; a value beyond a bound is critical.
        (HEART_RATE, CART, {"red_low": 36, "yellow_low": 41, "yellow_high": 130, "red_high": 179}),
        (QTC, CART, {"yellow_high": 500, "red_high": 549}),
    ],
)
def test_adult_values_are_the_published_ones(code: str, examination: Examination, expected: dict[str, float]):
    assert row(code, examination=examination).bounds == expected


def test_red_and_yellow_become_priorities_in_one_table_only():
    assert dict(PRIORITIES) == {
        Urgency.RED: Priority.HIGH,
        Urgency.YELLOW: Priority.MEDIUM,
        Urgency.UNWATCHED: Priority.MEDIUM,
        Urgency.IMPAIRED: Priority.LOW,
    }
    folder = Path(models.screening.__file__).parent
    naming = [p.name for p in folder.glob("*.py") if "Priority." in p.read_text(encoding="utf-8")]
    assert naming == ["critical_items.py"]


# --- what is refused


@pytest.mark.parametrize(
    ("item", "column", "why"),
    [
        (replace(row(SPO2), red_low=92), "yellow_low", Wrong.RED_INSIDE),
        (replace(row(SPO2), red_low=90), "yellow_low", Wrong.RED_INSIDE),
        (replace(row(HEART_RATE), red_high=120), "red_high", Wrong.RED_INSIDE),
        (replace(row(HEART_RATE), yellow_low=140), "yellow_high", Wrong.ORDER),
        (replace(row(HEART_RATE), yellow_low=None, yellow_high=None, red_low=160), "red_high", Wrong.ORDER),
        (replace(row(SPO2), yellow_high=101), "yellow_high", Wrong.RANGE),
        (replace(row(POTASSIUM), red_high=62), "red_high", Wrong.RANGE),  # the decimal point was lost
        (replace(row(POTASSIUM), unit="mg/dL"), "unit", Wrong.UNIT),
        (replace(row(BODY_TEMPERATURE), red_high=math.nan), "red_high", Wrong.NOT_FINITE),
        (replace(row(SPO2), yellow_low=math.inf), "yellow_low", Wrong.NOT_FINITE),
        (replace(row(HEART_RATE), delay_s=-1), "delay_s", Wrong.DELAY),
        (replace(row(HEART_RATE), delay_s=31), "delay_s", Wrong.DELAY),
        (replace(row(HEART_RATE), delay_s=61, red_low=None, red_high=None), "delay_s", Wrong.DELAY),
        (replace(row(HEART_RATE), hysteresis=-1), "hysteresis", Wrong.HYSTERESIS),
        (replace(row(HEART_RATE), hysteresis=40), "hysteresis", Wrong.HYSTERESIS),  # an alarm that could never end
        (replace(row(SPO2), red_low=None, yellow_low=None), "", Wrong.EMPTY),
        (replace(row(SPO2), level=Urgency.RED), "level", Wrong.LEVEL),
        (replace(row(SPO2), source="  "), "source", Wrong.SOURCE),
        (replace(row(SPO2), code="MDC_NO_SUCH"), "code", Wrong.UNKNOWN_CODE),
        (replace(row(SPO2), code=HI_GT_LIM), "code", Wrong.UNKNOWN_CODE),
        (replace(row(V_FIB), level=Urgency.YELLOW), "level", Wrong.LETHAL),
        (replace(row(V_TACHY), level=Urgency.YELLOW), "level", Wrong.LETHAL),
        (replace(row(V_FIB), level=Urgency.IMPAIRED), "level", Wrong.LEVEL),
        (replace(row(V_FIB), delay_s=5), "delay_s", Wrong.DELAY),
        (replace(row(V_FIB), red_high=1), "red_high", Wrong.EMPTY),
        (replace(row(ASYSTOLE), red_high=None, yellow_high=4), "level", Wrong.LETHAL),
        (replace(row(ASYSTOLE), red_high=20), "red_high", Wrong.RANGE),
        (replace(row(ASYSTOLE), red_high=None), "red_high", Wrong.EMPTY),
        (replace(row(BRADY_EXTREME), yellow_low=45), "red_low", Wrong.EMPTY),
        (replace(row(TACHY_EXTREME), red_high=None, red_low=150), "red_low", Wrong.EMPTY),
    ],
)
def test_nonsense_is_refused_with_its_row_and_column(item: Item, column: str, why: Wrong):
    found = problems(with_row(item))
    assert (item.name, column, why) in {(one.item, one.column, one.why) for one in found}
    assert all(one.expected and one.found for one in found)


@pytest.mark.parametrize("code", [V_FIB, V_TACHY, ASYSTOLE])
def test_what_is_lethal_cannot_be_left_out(code: str):
    assert [(one.item, one.why) for one in problems(without(code))] == [
        (f"{BED}/{code}/{group}", Wrong.LETHAL) for group in AgeGroup
    ]


def test_other_rows_can_be_left_out_and_none_stands_twice():
    for code in (BRADY_EXTREME, TACHY_EXTREME, HEART_RATE, GLUCOSE):
        assert problems(without(code)) == ()
    twice = Table(3, (*SHIPPED.items, row(SPO2)))
    assert [one.why for one in problems(twice)] == [Wrong.TWICE]
    assert [one.why for one in problems(Table(3, (row(SPO2),) * 501))] == [Wrong.SIZE]


BOUND = st.none() | st.floats(-50, 400)


@settings(deadline=None, max_examples=150)
@given(BOUND, BOUND, BOUND, BOUND, st.floats(-5, 40), st.floats(0, 100))
def test_whatever_is_accepted_can_be_screened_by_and_agrees_with_its_words(
    red_low: float | None,
    yellow_low: float | None,
    yellow_high: float | None,
    red_high: float | None,
    hysteresis: float,
    value: float,
):
    bounds = replace(row(SPO2), red_low=red_low, yellow_low=yellow_low, yellow_high=yellow_high, red_high=red_high)
    table = with_row(replace(bounds, hysteresis=hysteresis, delay_s=0))
    if problems(table):
        return
    red = (red_low is not None and value < red_low) or (red_high is not None and value > red_high)
    yellow = (yellow_low is not None and value < yellow_low) or (yellow_high is not None and value > yellow_high)
    found = alarms_of(read(SPO2, value), Placement(table=table))
    expected = [Priority.HIGH] if red else [Priority.MEDIUM] if yellow else []
    assert [a.priority for a in found] == expected


# --- what is told of readings


@pytest.mark.req("IOT-6.3f", surface="protocol")
def test_a_fall_through_yellow_into_red_is_one_event_whose_second_alarm_is_the_urgent_one():
    values = [97] * 3 + [88] * 10 + [82] * 10
    found = alarms_of(read(SPO2, *values))
    assert told(found) == [
        (LO_LT_LIM, Priority.MEDIUM, PRESENT, 8),
        (LO_LT_LIM, Priority.HIGH, PRESENT, 18),
        (LO_LT_LIM, Priority.MEDIUM, ENDED, 18),
    ]
    yellow, red, ended = found
    assert red.id != yellow.id == ended.id
    assert dict(ended.params)[TURNED_INTO] == LO_LT_LIM
    assert dict(red.params) == {
        "measure": SPO2, "value": 82.0, "limit": 85, "unit": "%",
        "level": "red", "item": f"monitoring/{SPO2}/adult", "table": 0,
    }  # fmt: skip


def test_a_sudden_fall_raises_the_red_alarm_alone():
    assert told(alarms_of(read(SPO2, *[97] * 3, *[80] * 30))) == [(LO_LT_LIM, Priority.HIGH, PRESENT, 8)]


def test_a_recovery_through_yellow_is_quiet_when_it_is_quick_and_yellow_when_it_stays():
    quick = [80] * 10 + [88] * 4 + [97] * 10
    assert [(p, e) for _, p, e, _ in told(alarms_of(read(SPO2, *quick)))] == [
        (Priority.HIGH, PRESENT),
        (Priority.HIGH, ENDED),
    ]
    stays = [80] * 10 + [88] * 20
    assert [(p, e) for _, p, e, _ in told(alarms_of(read(SPO2, *stays)))] == [
        (Priority.HIGH, PRESENT),
        (Priority.HIGH, ENDED),
        (Priority.MEDIUM, PRESENT),
    ]


def test_a_value_that_trembles_about_the_red_bound_is_one_red_alarm():
    values = [84, 86, 84, 86, 86.9, 84] * 10
    # It takes the delay to be raised, which a value that comes back does not pass; once raised it holds within the hysteresis.
    assert told(alarms_of(read(SPO2, *[84] * 6, *values))) == [(LO_LT_LIM, Priority.HIGH, PRESENT, 5)]


@pytest.mark.parametrize(
    ("code", "normal", "critical", "side"),
    [
        (GLUCOSE, 110, 41, LO_LT_LIM),
        (GLUCOSE, 110, 500, HI_GT_LIM),
        (POTASSIUM, 4.2, 6.9, HI_GT_LIM),
        (NONINV_SYS, 120, 62, LO_LT_LIM),
        (BODY_TEMPERATURE, 36.9, 41.4, HI_GT_LIM),
    ],
)
def test_what_is_measured_once_an_hour_alarms_by_its_first_reading_and_ends_by_the_next(
    code: str, normal: float, critical: float, side: str
):
    found = alarms_of(read(code, normal, critical, normal, every_s=3600))
    assert told(found) == [(side, Priority.HIGH, PRESENT, 3600), (side, Priority.HIGH, ENDED, 7200)]


@pytest.mark.parametrize(
    ("group", "rate", "expected"),
    [
        (ADULT, 145, Priority.MEDIUM),
        (ADULT, 175, Priority.HIGH),
        (CHILD, 145, None),
        (CHILD, 175, Priority.MEDIUM),
        (NEONATE, 175, None),
        (NEONATE, 75, Priority.MEDIUM),
    ],
)
def test_the_age_group_says_what_a_rate_means(group: AgeGroup, rate: float, expected: Priority | None):
    found = alarms_of(read(HEART_RATE, *[rate] * 10), Placement(age_group=group))
    assert [a.priority for a in found] == ([] if expected is None else [expected])


def test_a_patients_own_limit_is_the_yellow_one_and_red_stays_where_nobody_has_set_a_limit_beyond_it():
    own = Placement(limits=(Limit(SPO2, low=92),))
    assert told(alarms_of(read(SPO2, *[91] * 10, *[80] * 10), own)) == [
        (LO_LT_LIM, Priority.MEDIUM, PRESENT, 5),
        (LO_LT_LIM, Priority.HIGH, PRESENT, 15),
        (LO_LT_LIM, Priority.MEDIUM, ENDED, 15),
    ]
    # A patient who lives with 84 %: somebody has set so, and the table's 85 % is inside what is normal for them.
    chronic = Placement(limits=(Limit(SPO2, low=80),))
    assert alarms_of(read(SPO2, *[83] * 20), chronic) == []
    found = alarms_of(read(SPO2, *[79] * 20), chronic)
    assert told(found) == [(LO_LT_LIM, Priority.MEDIUM, PRESENT, 5)]
    assert "item" not in dict(found[0].params)  # it is not the table's


def test_an_own_limit_of_a_temperature_ends_within_the_hysteresis_of_a_temperature():
    own = Placement(limits=(Limit(BODY_TEMPERATURE, high=38.0),))
    found = alarms_of(read(BODY_TEMPERATURE, 38.4, 37.9, 37.7, every_s=600), own)
    assert told(found) == [(HI_GT_LIM, Priority.MEDIUM, PRESENT, 0), (HI_GT_LIM, Priority.MEDIUM, ENDED, 1200)]


def test_a_row_that_is_removed_while_its_alarm_stands_ends_it():
    first = play(read(SPO2, *[88] * 10))
    state = chain.configure(first.state, Placement(table=without(SPO2)))
    found = play(read(SPO2, 88, 88, from_s=10), state).alarms
    assert [(a.id, a.presence) for a in found] == [(first.alarms[0].id, ENDED)]


def test_a_red_alarm_goes_on_under_its_id_behind_a_restart_and_no_yellow_one_comes_beside_it():
    red = alarms_of(read(SPO2, *[80] * 10))[0]
    again = play(read(SPO2, *[80] * 20, *[97] * 5, from_s=60), chain.begin(active=(red,))).alarms
    assert [(a.id, a.presence) for a in again] == [(red.id, ENDED)]


# --- what is told of rhythms


def ecg(rate: float, s: float = 60) -> np.ndarray:
    lead = np.concatenate([heartbeats(250, regular(75, 20), 20), heartbeats(250, regular(rate, s), s)])
    return np.stack([lead, 0.6 * lead])


def test_a_heart_that_races_is_one_event_too():
    found = play(groups(ecg(190))).alarms
    assert [(a.code, a.priority) for a in found if a.presence is PRESENT][-1] == (TACHY_EXTREME, Priority.HIGH)
    limit = [a for a in found if a.code == HI_GT_LIM]
    assert [a.presence for a in limit] in ([], [PRESENT, ENDED])
    assert dict(found[0].params) | {"item": f"monitoring/{TACHY_EXTREME}/adult", "table": 0} == dict(found[0].params)


@pytest.mark.parametrize(("leads_on", "expected"), [(True, [TACHY_EXTREME]), (False, [HI_GT_LIM])])
def test_a_rate_that_the_device_tells_is_red_only_while_its_ecg_cannot_be_judged(leads_on: bool, expected: list[str]):
    samples = ecg(190) if leads_on else np.zeros_like(ecg(190))
    told_by_device = [
        Observation(SourcePath(SOURCE.device, ("strap",)), HEART_RATE, 190.0, "/min", Times(T0 + s * NS_PER_S))
        for s in range(30, 75)
    ]
    records = sorted([*groups(samples), *told_by_device], key=lambda one: one.times.gateway_ns)
    red = [a for a in play(records).alarms if a.priority is Priority.HIGH]
    assert [(a.code, a.presence) for a in red] == [(code, PRESENT) for code in expected]


def test_a_heart_that_quickens_slowly_turns_yellow_into_red():
    lead = np.concatenate([heartbeats(250, regular(rate, 15), 15) for rate in (75, 140, 185, 185)])
    found = play(groups(np.stack([lead, 0.6 * lead]))).alarms
    assert [(a.code, a.presence) for a in found] == [
        (HI_GT_LIM, PRESENT),
        (TACHY_EXTREME, PRESENT),
        (HI_GT_LIM, ENDED),
    ]
    assert dict(found[-1].params)[TURNED_INTO] == TACHY_EXTREME


def test_the_table_says_how_urgent_an_extreme_is_when_it_begins_and_whether_it_is_watched():
    yellow = with_row(replace(row(TACHY_EXTREME), red_high=None, yellow_high=150.0, delay_s=12.0))
    quick, slow = (play(groups(ecg(190)), chain.begin(Placement(table=one))) for one in (SHIPPED, yellow))
    (first,), (second,) = quick.raised(TACHY_EXTREME), slow.raised(TACHY_EXTREME)
    assert (first.priority, second.priority) == (Priority.HIGH, Priority.MEDIUM)
    assert (second.detected_ns - first.detected_ns) / NS_PER_S == pytest.approx(7, abs=0.6)
    assert dict(second.params)["table"] == 7
    none = play(groups(ecg(190)), chain.begin(Placement(table=without(TACHY_EXTREME))))
    assert not none.raised(TACHY_EXTREME)
    assert [a.priority for a in none.raised(HI_GT_LIM)] == [Priority.HIGH]  # the limit of the rate is red instead


def test_the_pause_of_the_table_is_the_one_that_counts():
    lead = heartbeats(250, regular(75, 30), 45)
    after = play(
        groups(np.stack([lead, 0.6 * lead])),
        chain.begin(Placement(table=with_row(replace(row(ASYSTOLE), red_high=6.0)))),
    )
    (alarm,) = after.raised(ASYSTOLE)
    assert 6 <= seconds(alarm.detected_ns) - regular(75, 30)[-1] <= 8
