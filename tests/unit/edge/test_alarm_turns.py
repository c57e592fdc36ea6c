"""Who has told of many alarms yields, and names that nobody knows cost no memory."""

from dataclasses import replace

from edge.pipeline.alarm_turns import AT_ONCE, DEVICES, AlarmTurns
from protocols.record import SourcePath
from tests.fixtures.spool_records import alarm


def test_what_a_device_tells_beyond_measure_yields_until_it_has_been_quiet():
    now_s = [0.0]
    turns = AlarmTurns(lambda: now_s[0])
    told = [alarm() for _ in range(AT_ONCE + 30)]
    parts = list(turns.parts(told))
    assert [record for part, _ in parts for record in part] == told
    assert sum(len(part) for part, yields in parts if not yields) == AT_ONCE
    other = [replace(told[0], source=SourcePath("other", ("ecg",)))]
    assert list(turns.parts(other)) == [(other, False)]
    now_s[0] = 60.0
    assert [yields for _, yields in turns.parts([told[0]])] == [False]


def test_ever_new_names_are_forgotten_and_the_known_ones_begin_anew():
    turns = AlarmTurns(lambda: 0.0)
    one = alarm()
    for n in range(DEVICES + 10):
        list(turns.parts([replace(one, source=SourcePath(f"stranger-{n}", ("ecg",)))]))
    assert len(turns._told) == DEVICES
