"""A device behind a door that stops sending: by its own promise or by the settings; the clock of the loop is virtual."""

import asyncio
from collections.abc import Iterable

from prometheus_client import REGISTRY

from edge.doors.visitor import LEAST_PATIENCE_S, PATIENCE, Visitor
from edge.pipeline.device import Sink
from edge.pipeline.silence import FIRST_HEARD_S
from models.screening.placement import Placement
from protocols.nomenclature import EVT_HEARD_AGAIN, EVT_SILENT, LINK_LOST
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    AlarmKind,
    DeviceEvent,
    Presence,
    Priority,
    Record,
    SourcePath,
)
from tests.fixtures.virtual_time import in_virtual_time

T0_NS = 1_790_000_000 * NS_PER_S
MINUTE_S = 60.0


def now_ns() -> int:
    return T0_NS + round(asyncio.get_running_loop().time() * NS_PER_S)


class Watched:
    """A device at a door, what was told of it, and when."""

    def __init__(
        self, silence_s: float | None = None, active: tuple[AlarmCondition, ...] = (), *, authenticated: bool = True
    ) -> None:
        self.told: list[tuple[float, Record]] = []
        sink = Sink(self._add, now_ns)
        self.visitor = Visitor("monitor-5", Placement(), {}, active, sink=sink, silence_s=silence_s)
        self.visitor.authenticated = authenticated
        self.visitor.watch()

    def _add(self, records: Iterable[Record]) -> None:
        self.told += [(asyncio.get_running_loop().time(), record) for record in records]

    async def sends(self, times: int, every_s: float, promise_s: float = 0.0) -> None:
        for _ in range(times):
            self.visitor.heard(now_ns(), promise_s)
            await asyncio.sleep(every_s)

    def alarms(self) -> list[tuple[float, Presence]]:
        return [(at, r.presence) for at, r in self.told if isinstance(r, AlarmCondition)]

    def alarm(self) -> AlarmCondition:
        return next(r for _, r in self.told if isinstance(r, AlarmCondition))

    def events(self) -> list[tuple[float, str]]:
        return [(at, r.code) for at, r in self.told if isinstance(r, DeviceEvent)]


def test_a_device_that_breaks_its_word_is_the_same_technical_alarm_as_a_lost_link():
    async def story() -> None:
        watched = Watched()
        await watched.sends(5, MINUTE_S, promise_s=MINUTE_S)
        assert watched.told == []
        assert watched.visitor.is_up
        await asyncio.sleep(600)
        assert watched.visitor.is_up is False
        assert REGISTRY.get_sample_value("edge_link_up", {"device": "monitor-5"}) == 0
        last_s = 4 * MINUTE_S
        assert watched.alarms() == [(last_s + PATIENCE * MINUTE_S, Presence.PRESENT)]
        alarm = watched.alarm()
        assert (alarm.source, alarm.code) == (SourcePath("monitor-5"), LINK_LOST)
        assert (alarm.kind, alarm.priority) == (AlarmKind.TECHNICAL, Priority.MEDIUM)
        assert alarm.onset_ns == T0_NS + round(last_s * NS_PER_S)
        again_s = asyncio.get_running_loop().time()
        await watched.sends(1, 1, promise_s=MINUTE_S)
        assert watched.alarms()[1:] == [(again_s, Presence.ENDED)]
        assert [code for _, code in watched.events()] == [EVT_SILENT, EVT_HEARD_AGAIN]
        assert watched.visitor.is_up
        assert REGISTRY.get_sample_value("edge_link_up", {"device": "monitor-5"}) == 1

    in_virtual_time(story)


def test_one_message_that_is_lost_on_its_way_is_no_alarm():
    async def story() -> None:
        watched = Watched()
        await watched.sends(3, 10, promise_s=10)
        await asyncio.sleep(9)
        await watched.sends(3, 10, promise_s=10)
        assert watched.told == []

    in_virtual_time(story)


def test_a_promise_shorter_than_a_network_can_keep_is_given_some_seconds():
    async def story() -> None:
        watched = Watched()
        await watched.sends(1, 60, promise_s=0.1)
        assert watched.alarms() == [(LEAST_PATIENCE_S, Presence.PRESENT)]

    in_virtual_time(story)


def test_who_promises_nothing_or_takes_the_promise_back_is_not_expected():
    async def story() -> None:
        quiet, gone = Watched(), Watched()
        await quiet.sends(3, 10)
        await gone.sends(3, 10, promise_s=10)
        await gone.sends(1, 10)
        await asyncio.sleep(86_400)
        assert quiet.told == gone.told == []
        assert quiet.visitor.is_up is gone.visitor.is_up is None

    in_virtual_time(story)


def test_settings_count_before_what_the_device_says_of_itself():
    async def story() -> None:
        strict, never = Watched(silence_s=20), Watched(silence_s=0)
        strict.visitor.heard(now_ns(), 3600)
        never.visitor.heard(now_ns(), 10)
        await asyncio.sleep(86_400)
        assert strict.alarms() == [(20.0, Presence.PRESENT)]
        assert never.told == []

    in_virtual_time(story)


def test_a_device_that_settings_expect_and_that_never_comes_is_an_alarm_from_the_start():
    async def story() -> None:
        watched, quick = Watched(silence_s=30), Watched(silence_s=1)
        await asyncio.sleep(86_400)
        assert watched.alarms() == [(30.0, Presence.PRESENT)]
        assert watched.alarm().onset_ns == T0_NS
        assert quick.alarms() == [(FIRST_HEARD_S, Presence.PRESENT)]

    in_virtual_time(story)


def test_the_promise_of_a_stranger_raises_no_alarm():
    async def story() -> None:
        watched = Watched(authenticated=False)
        await watched.sends(3, 10, promise_s=10)
        await asyncio.sleep(86_400)
        assert watched.told == []

    in_virtual_time(story)


def test_an_alarm_from_before_the_start_ends_with_the_first_message():
    async def story() -> None:
        before = Watched(silence_s=20)
        await asyncio.sleep(60)
        after = Watched(active=(before.alarm(),))
        await after.sends(1, 1)
        [ended] = [r for _, r in after.told if isinstance(r, AlarmCondition)]
        assert (ended.id, ended.presence) == (before.alarm().id, Presence.ENDED)

    in_virtual_time(story)


def test_nothing_is_told_when_nobody_listens_any_more():
    async def story() -> None:
        watched = Watched(silence_s=20)
        await watched.sends(1, 1)
        watched.visitor.end()
        await asyncio.sleep(3600)
        assert watched.told == []

    in_virtual_time(story)
