"""What counts as an episode that was alarmed, on courses of alarms whose answer can be told by hand."""

from uuid import UUID, uuid4

import pytest

from protocols.nomenclature import ASYSTOLE, SIGNAL_LOW, V_FIB, V_TACHY
from protocols.record import AlarmCondition, Presence
from tests.figures.lethal import Heard, hear
from tests.fixtures.spool_records import alarm

ONE, OTHER = uuid4(), uuid4()
ON, GONE = Presence.PRESENT, Presence.LATCHED
ONSET_S, LENGTH_S = 30.0, 20.0

Change = tuple[float, UUID, str, Presence]


def heard(*changes: Change, length_s: float = LENGTH_S) -> Heard:
    said: list[tuple[float, AlarmCondition]] = [
        (at, alarm(presence, id=name, code=code)) for at, name, code, presence in changes
    ]
    return hear(said, ONSET_S, length_s)


def test_an_alarm_behind_the_onset_is_its_delay():
    assert heard((34.5, ONE, V_FIB, ON)) == Heard(4.5, fresh=True)


def test_an_episode_without_an_alarm_is_missed():
    assert heard() == Heard(None, fresh=True)
    assert heard((31.0, ONE, SIGNAL_LOW, ON), (32.0, OTHER, ASYSTOLE, ON)).delay_s is None


@pytest.mark.parametrize("code", [V_FIB, V_TACHY])
def test_an_alarm_that_stands_at_the_onset_and_nine_seconds_later_covers_it(code: str):
    assert heard((25.0, ONE, code, ON)) == Heard(0.0, covered=True)
    assert heard((25.0, ONE, code, ON), (39.0, ONE, code, GONE)) == Heard(0.0, covered=True)


def test_an_alarm_that_stands_at_the_onset_and_goes_away_detects_nothing_though_its_signal_stays():
    gone = ((25.0, ONE, V_TACHY, ON), (38.9, ONE, V_TACHY, GONE))
    assert heard(*gone) == Heard(None, latched=True)
    assert heard(*gone, (40.0, OTHER, V_FIB, ON)) == Heard(10.0, latched=True)
    assert heard((25.0, ONE, V_FIB, ON), (32.0, ONE, V_FIB, GONE), (36.0, ONE, V_FIB, ON)).delay_s == 6.0
    assert heard((25.0, ONE, V_FIB, ON), (32.0, ONE, V_FIB, Presence.ENDED)) == Heard(None)


def test_an_episode_that_is_shorter_is_covered_to_its_end():
    assert heard((25.0, ONE, V_FIB, ON), (35.0, ONE, V_FIB, GONE), length_s=5.0).covered
    assert not heard((25.0, ONE, V_FIB, ON), (34.0, ONE, V_FIB, GONE), length_s=5.0).covered


def test_an_alarm_of_another_kind_at_the_onset_covers_nothing_but_takes_the_freshness():
    assert heard((25.0, ONE, ASYSTOLE, ON), (33.0, OTHER, V_FIB, ON)) == Heard(3.0)
    assert heard((25.0, ONE, ASYSTOLE, ON), (29.0, ONE, ASYSTOLE, GONE), (33.0, OTHER, V_FIB, ON)).fresh


def test_an_alarm_that_ended_before_the_onset_is_none_of_it():
    assert heard((10.0, ONE, V_FIB, ON), (20.0, ONE, V_FIB, GONE), (33.0, OTHER, V_FIB, ON)) == Heard(3.0, fresh=True)
