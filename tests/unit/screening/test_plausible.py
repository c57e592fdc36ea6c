"""Readings that no sensor can report are marked, once, in front of everything that is kept or concluded."""

from dataclasses import replace

import pytest

from edge.pipeline.screened import Screened
from models.screening.placement import Limit, Placement
from models.screening.plausible import judged
from protocols.nomenclature import HEART_RATE, HI_GT_LIM, SPO2
from protocols.record import NS_PER_S, AlarmCondition, Observation, Quality, SourcePath, Times

SOURCE = SourcePath("monitor-3", ("ecg",))
AT_NS = 1_790_000_000 * NS_PER_S


def reading(code: str, value: float | str, unit: str = "/min", at_s: int = 0) -> Observation:
    return Observation(SOURCE, code, value, unit, Times(AT_NS + at_s * NS_PER_S))


@pytest.mark.req("IOT-5.4d", surface="protocol")
@pytest.mark.parametrize(
    ("said", "marked"),
    [
        (reading(HEART_RATE, 0.0), Quality.GOOD),  # a standstill can be reported
        (reading(HEART_RATE, 350.0), Quality.GOOD),
        (reading(HEART_RATE, 350.5), Quality.QUESTIONABLE),
        (reading(HEART_RATE, -1.0), Quality.QUESTIONABLE),
        (reading(SPO2, 100.0, "%"), Quality.GOOD),
        (reading(SPO2, 101.0, "%"), Quality.QUESTIONABLE),
        (reading("MDC_X_VENDOR_INDEX", 1e9, "1"), Quality.GOOD),  # nothing to hold it against
        (reading(HEART_RATE, "no signal"), Quality.GOOD),
        (replace(reading(HEART_RATE, 400.0), quality=Quality.UNUSABLE), Quality.UNUSABLE),  # the device knows better
    ],
)
def test_only_the_quality_changes_and_only_outside_what_a_sensor_can_report(said: Observation, marked: Quality):
    assert judged(said) == replace(said, quality=marked)


def test_what_is_live_and_what_was_recorded_is_marked_and_the_alarm_of_the_limit_comes_all_the_same():
    screened = Screened("monitor-3", Placement(limits=(Limit(HEART_RATE, high=150.0, delay_s=5.0),)))
    out = [record for at_s in range(8) for record in screened.step([reading(HEART_RATE, 400.0, at_s=at_s)])]
    readings = [record for record in out if isinstance(record, Observation)]
    assert [(r.value, r.quality) for r in readings] == [(400.0, Quality.QUESTIONABLE)] * 8
    assert [alarm.code for alarm in out if isinstance(alarm, AlarmCondition)] == [HI_GT_LIM]
    [kept] = screened.keep([reading(HEART_RATE, 400.0)])
    assert kept == replace(reading(HEART_RATE, 400.0), quality=Quality.QUESTIONABLE)
