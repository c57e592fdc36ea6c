"""What counts as an episode that was alarmed, on courses of alarms whose answer can be told by hand."""

from collections.abc import Sequence
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


def heard(*changes: Change, length_s: float = LENGTH_S, own: Sequence[tuple[float, str]] = ()) -> Heard:
    """Alarms, and at what seconds which rhythm was found on the episode's own signal."""
    said: list[tuple[float, AlarmCondition]] = [
        (at, alarm(presence, id=name, code=code)) for at, name, code, presence in changes
    ]
    return hear(said, [(at, frozenset({code})) for at, code in own], ONSET_S, length_s)


def test_an_alarm_behind_the_onset_is_its_delay():
    assert heard((34.5, ONE, V_FIB, ON), own=[(34.5, V_FIB)]) == Heard(4.5, fresh=True)
    assert heard((31.0, ONE, V_FIB, ON), own=[(33.0, V_FIB)]) == Heard(1.0, fresh=True)


def test_an_alarm_behind_the_onset_whose_rhythm_is_not_found_on_the_episodes_own_signal_is_none_of_it():
    assert heard((31.0, ONE, V_FIB, ON)) == Heard(None, fresh=True)
    assert heard((31.0, ONE, V_FIB, ON), own=[(34.0, V_TACHY)]) == Heard(None, fresh=True)


def test_an_episode_without_an_alarm_is_missed():
    assert heard() == Heard(None, fresh=True)
    assert heard((31.0, ONE, SIGNAL_LOW, ON), (32.0, OTHER, ASYSTOLE, ON)).delay_s is None


@pytest.mark.parametrize("code", [V_FIB, V_TACHY])
def test_an_alarm_that_stands_at_the_onset_covers_it_from_where_its_rhythm_is_found_anew(code: str):
    assert heard((25.0, ONE, code, ON), own=[(33.0, code), (33.5, code)]) == Heard(3.0, covered=True)
    assert heard((25.0, ONE, code, ON), (41.0, ONE, code, GONE), own=[(36.0, code)]) == Heard(6.0, covered=True)


def test_an_alarm_that_only_stands_detects_nothing_though_it_is_present_nine_seconds_later():
    assert heard((25.0, ONE, V_FIB, ON)) == Heard(None, left=True)
    assert heard((25.0, ONE, V_FIB, ON), (39.5, ONE, V_FIB, GONE)) == Heard(None, left=True)
    assert heard((25.0, ONE, V_FIB, ON), own=[(34.0, V_TACHY)]) == Heard(None, left=True)
    assert heard((25.0, ONE, V_FIB, ON), own=[(39.5, V_FIB)]) == Heard(None, left=True)


def test_an_alarm_that_stands_at_the_onset_and_goes_away_detects_nothing_though_its_signal_stays():
    gone = ((25.0, ONE, V_TACHY, ON), (38.9, ONE, V_TACHY, GONE))
    assert heard(*gone) == Heard(None, left=True)
    again = heard(*gone, (40.0, OTHER, V_FIB, ON), own=[(40.0, V_FIB)])
    assert again == Heard(10.0, left=True)
    assert not again.detected
    assert heard((25.0, ONE, V_FIB, ON), (32.0, ONE, V_FIB, Presence.ENDED)) == Heard(None)


def test_an_episode_that_is_shorter_is_covered_by_what_is_found_of_its_own_signal():
    assert heard((25.0, ONE, V_FIB, ON), own=[(37.0, V_FIB)], length_s=5.0).covered
    assert not heard((25.0, ONE, V_FIB, ON), own=[(38.5, V_FIB)], length_s=5.0).covered


def test_an_alarm_of_another_kind_at_the_onset_covers_nothing_but_takes_the_freshness():
    found = [(33.0, V_FIB)]
    assert heard((25.0, ONE, ASYSTOLE, ON), (33.0, OTHER, V_FIB, ON), own=found) == Heard(3.0)
    assert heard((25.0, ONE, ASYSTOLE, ON), (29.0, ONE, ASYSTOLE, GONE), (33.0, OTHER, V_FIB, ON), own=found).fresh


def test_an_alarm_that_ended_before_the_onset_is_none_of_it():
    ended = ((10.0, ONE, V_FIB, ON), (20.0, ONE, V_FIB, GONE))
    assert heard(*ended, (33.0, OTHER, V_FIB, ON), own=[(33.0, V_FIB)]) == Heard(3.0, fresh=True)
