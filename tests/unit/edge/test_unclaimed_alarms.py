"""Alarms whose device has not come again since the agent started, and what becomes of their acknowledgement."""

from uuid import uuid4

from edge.pipeline.unclaimed import Unclaimed
from protocols.record import Presence, SourcePath, Times
from tests.fixtures.spool_records import T0_NS, alarm

NOW = Times(T0_NS + 5)


def test_a_latched_alarm_ends_although_its_device_is_away():
    one = alarm(Presence.LATCHED)
    unclaimed = Unclaimed([one])
    [ended] = unclaimed.acknowledge(one.id, NOW)
    assert (ended.id, ended.presence, ended.detected_ns) == (one.id, Presence.ENDED, NOW.gateway_ns)
    assert unclaimed.acknowledge(one.id, NOW) == ()
    assert unclaimed.take(one.source.device) == ((), frozenset())


def test_the_device_takes_its_alarms_over_with_what_was_acknowledged_meanwhile():
    seen, open_, other = alarm(), alarm(), alarm(source=SourcePath("other"))
    unclaimed = Unclaimed([seen, open_, other])
    assert unclaimed.acknowledge(seen.id, NOW) == ()
    alarms, acknowledged = unclaimed.take(seen.source.device)
    assert set(alarms) == {seen, open_}
    assert acknowledged == {seen.id}
    assert unclaimed.take("other") == ((other,), frozenset())


def test_an_alarm_that_nobody_knows_changes_nothing():
    one = alarm(Presence.LATCHED)
    unclaimed = Unclaimed([one])
    assert unclaimed.acknowledge(uuid4(), NOW) == ()
    assert unclaimed.take(one.source.device)[0] == (one,)
