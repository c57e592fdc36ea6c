"""A device that is silent: when it is told, what it is taken for, and how it ends; the clock of the loop is virtual."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from edge.pipeline.device import DevicePipeline, Sink
from edge.pipeline.silence import FIRST_HEARD_S, Silence
from edge.supervisor import Supervisor
from firmware_adapters.adapter import API_VERSION, Chunk, Decoder, DeviceConfig, Family, LinkError, Resume
from models.screening.placement import Placement
from protocols.errors import Fault
from protocols.nomenclature import EVT_CONNECTED, EVT_HEARD_AGAIN, EVT_SILENT, LINK_LOST
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    AlarmKind,
    DeviceEvent,
    Observation,
    Presence,
    Priority,
    Record,
    SourcePath,
    Times,
)
from tests.fixtures.virtual_time import in_virtual_time

T0_NS = 1_790_000_000 * NS_PER_S
SILENCE_S = 2.0
NOISE, READING, POISON = b"\xff", b"\x25", b"\x00"


def now_ns() -> int:
    return T0_NS + round(asyncio.get_running_loop().time() * NS_PER_S)


class Thermometer:
    """A device whose link is a list of (seconds to wait, bytes); None instead of bytes pulls the cable, and the end waits for ever."""

    api_version = API_VERSION
    family = Family("thermometer", "nobody", "test", ("MDC_TEMP_BODY",), "none")

    def __init__(self, *links: list[tuple[float, bytes | None]], silence_s: float = SILENCE_S) -> None:
        self.silence_ns = round(silence_s * NS_PER_S)
        self._links = list(links)
        self._script: list[tuple[float, bytes | None]] = []

    def check(self, config: DeviceConfig) -> None: ...

    def transport(self, config: DeviceConfig) -> "Thermometer":
        return self

    def decoder(self, config: DeviceConfig, resume: Mapping[SourcePath, Resume]) -> Decoder:
        return self

    def wake(self, config: DeviceConfig) -> Sequence[bytes]:
        return ()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["Thermometer"]:
        if not self._links:
            raise LinkError("no such port")
        self._script = self._links.pop(0)
        yield self

    async def receive(self) -> Chunk:
        if not self._script:
            await asyncio.Event().wait()
        wait_s, data = self._script[0]
        self._script[0] = (0, data)  # what a wake interrupted was waited for
        due_s = asyncio.get_running_loop().time() + wait_s
        try:
            await asyncio.sleep(wait_s)
        except asyncio.CancelledError:
            self._script[0] = (due_s - asyncio.get_running_loop().time(), data)
            raise
        del self._script[0]
        if data is None:
            raise LinkError("the cable was pulled")
        return Chunk(data)

    async def send(self, data: bytes) -> None: ...

    def feed(self, data: bytes, at: int, channel: str = "") -> list[Record | Fault]:
        assert data != POISON
        if data == NOISE:
            return [Fault("amp", "byte 0", "a reading", "noise", data, at)]
        return [Observation(SourcePath("amp"), "MDC_TEMP_BODY", float(b), "Cel", Times(at)) for b in data]

    def flush(self, at: int) -> list[Record | Fault]:
        return []


class Watched:
    """A pipeline, what it told, and when."""

    def __init__(self, adapter: Thermometer, active: tuple[AlarmCondition, ...] = ()) -> None:
        self.told: list[tuple[float, Record]] = []
        config = DeviceConfig("amp", "thermometer", "memory")
        sink = Sink(self._add, now_ns)
        self.pipeline = DevicePipeline(adapter, config, sink, placement=Placement(), resume={}, active=active)

    def _add(self, records: Iterable[Record]) -> None:
        self.told += [(asyncio.get_running_loop().time(), record) for record in records]

    async def run_for(self, seconds: float) -> None:
        async with Supervisor() as tasks:
            tasks.start("device-amp", self.pipeline.run)
            await asyncio.sleep(seconds)
        self.pipeline.end()

    def alarms(self) -> list[tuple[float, Presence]]:
        return [(round(at, 3), r.presence) for at, r in self.told if isinstance(r, AlarmCondition)]

    def alarm(self) -> AlarmCondition:
        return next(r for _, r in self.told if isinstance(r, AlarmCondition))

    def events(self, *codes: str) -> list[tuple[float, str]]:
        return [(round(at, 3), r.code) for at, r in self.told if isinstance(r, DeviceEvent) and r.code in codes]


def streaming(seconds: float) -> list[tuple[float, bytes | None]]:
    """Two readings a second."""
    return [(0.5, READING)] * round(2 * seconds)


def again(step: tuple[float, bytes | None]) -> list[list[tuple[float, bytes | None]]]:
    """Links that each do one thing."""
    return [[step] for _ in range(20)]


def test_silence_begins_once_so_long_after_the_last_word_and_ends_with_the_next():
    async def story() -> None:
        told: list[tuple[float, str]] = []
        loop = asyncio.get_running_loop()
        silence = Silence(2, lambda: told.append((loop.time(), "began")), lambda: told.append((loop.time(), "ended")))
        silence.watch()
        for _ in range(3):
            await asyncio.sleep(1.5)
            silence.heard()
        assert told == []
        await asyncio.sleep(60)
        assert (told, silence.holds) == ([(6.5, "began")], True)
        silence.heard()
        silence.heard()
        assert (told, silence.holds) == ([(6.5, "began"), (64.5, "ended")], False)
        await asyncio.sleep(2)
        assert told[2:] == [(66.5, "began")]

    in_virtual_time(story)


def test_who_says_nothing_from_the_start_has_a_few_seconds_and_a_second_watch_gives_no_more():
    async def story() -> None:
        told: list[float] = []
        silence = Silence(2, lambda: told.append(asyncio.get_running_loop().time()), lambda: None)
        silence.watch()
        await asyncio.sleep(3)
        silence.watch()
        await asyncio.sleep(60)
        assert told == [FIRST_HEARD_S]
        silence.watch()
        await asyncio.sleep(60)
        assert told == [FIRST_HEARD_S]

    in_virtual_time(story)


def test_nothing_is_told_when_nobody_listens_any_more_or_of_a_device_that_measures_now_and_then():
    async def story() -> None:
        told: list[str] = []
        ended, seldom = (Silence(after_s, lambda: told.append("began"), lambda: None) for after_s in (2, 0))
        for silence in (ended, seldom):
            silence.watch()
            silence.heard()
        ended.end()
        await asyncio.sleep(3600)
        assert told == []

    in_virtual_time(story)


def test_a_link_that_is_open_and_silent_is_a_technical_alarm_until_the_device_is_heard_again():
    async def story() -> None:
        watched = Watched(Thermometer([*streaming(3), (7.0, READING), *streaming(4)]))
        task = asyncio.create_task(watched.run_for(13.9))
        await asyncio.sleep(4)
        assert watched.pipeline.is_up
        assert REGISTRY.get_sample_value("edge_link_up", {"device": "amp"}) == 1
        await asyncio.sleep(2)
        assert not watched.pipeline.is_up
        assert REGISTRY.get_sample_value("edge_link_up", {"device": "amp"}) == 0
        await asyncio.sleep(6)
        assert watched.pipeline.is_up
        assert REGISTRY.get_sample_value("edge_link_up", {"device": "amp"}) == 1
        await task
        assert watched.events(EVT_SILENT, EVT_HEARD_AGAIN) == [(5.0, EVT_SILENT), (10.0, EVT_HEARD_AGAIN)]
        assert watched.alarms() == [(5.0, Presence.PRESENT), (12.0, Presence.ENDED)]
        alarm = watched.alarm()
        assert (alarm.source, alarm.code) == (SourcePath("amp"), LINK_LOST)
        assert (alarm.kind, alarm.priority) == (AlarmKind.TECHNICAL, Priority.MEDIUM)
        assert (alarm.onset_ns, alarm.detected_ns) == (T0_NS + 3 * NS_PER_S, T0_NS + 5 * NS_PER_S)
        assert {r.id for _, r in watched.told if isinstance(r, AlarmCondition)} == {alarm.id}

    in_virtual_time(story)


def test_a_cable_that_was_pulled_is_the_same_alarm_once_however_often_the_port_is_tried():
    async def story() -> None:
        watched = Watched(Thermometer([*streaming(3), (0.5, None)]))
        await watched.run_for(600)
        assert watched.alarms() == [(5.0, Presence.PRESENT)]
        assert watched.alarm().onset_ns == T0_NS + 3 * NS_PER_S

    in_virtual_time(story)


def test_a_port_that_opens_and_breaks_again_and_again_without_a_word_is_the_same_alarm_once():
    async def story() -> None:
        watched = Watched(Thermometer([*streaming(3), (0.1, None)], *again((0.1, None))))
        await watched.run_for(60)
        assert len(watched.events(EVT_CONNECTED)) > 5
        assert watched.alarms() == [(5.0, Presence.PRESENT)]

    in_virtual_time(story)


def test_a_device_that_was_never_heard_since_the_start_is_an_alarm_too():
    async def story() -> None:
        watched = Watched(Thermometer())
        await watched.run_for(60)
        assert watched.alarms() == [(FIRST_HEARD_S, Presence.PRESENT)]
        assert watched.alarm().onset_ns == T0_NS
        assert watched.events(EVT_SILENT, EVT_CONNECTED) == [(FIRST_HEARD_S, EVT_SILENT)]

    in_virtual_time(story)


def test_a_line_that_brings_noise_alone_is_silent():
    async def story() -> None:
        watched = Watched(Thermometer([*streaming(3), *[(0.5, NOISE)] * 20]))
        await watched.run_for(12)
        assert watched.alarms() == [(5.0, Presence.PRESENT)]

    in_virtual_time(story)


def test_a_pipeline_that_fails_at_each_start_is_silent():
    async def story() -> None:
        watched = Watched(Thermometer([*streaming(3), (0.1, POISON)], *again((0.1, POISON))))
        await watched.run_for(60)
        assert watched.alarms() == [(5.0, Presence.PRESENT)]

    in_virtual_time(story)


def test_one_word_between_two_silences_does_not_end_the_alarm():
    async def story() -> None:
        watched = Watched(Thermometer([*streaming(3), *[(3.0, READING)] * 5]))
        await watched.run_for(20)
        assert watched.alarms() == [(5.0, Presence.PRESENT)]

    in_virtual_time(story)


def test_an_alarm_from_before_the_start_goes_on_under_its_id_and_ends_when_the_device_is_heard():
    async def story() -> None:
        before = Watched(Thermometer())
        await before.run_for(10)
        alarm = before.alarm()
        silent = Watched(Thermometer(), (alarm,))
        await silent.run_for(10)
        assert silent.alarms() == []
        heard = Watched(Thermometer(streaming(5)), (alarm,))
        await heard.run_for(4)
        assert [(r.id, r.presence) for _, r in heard.told if isinstance(r, AlarmCondition)] == [
            (alarm.id, Presence.ENDED)
        ]

    in_virtual_time(story)


def test_a_device_that_measures_now_and_then_raises_no_alarm():
    async def story() -> None:
        watched = Watched(Thermometer([(1.0, READING), (900.0, READING)], silence_s=0))
        await watched.run_for(3600)
        assert watched.alarms() == watched.events(EVT_SILENT) == []

    in_virtual_time(story)


def test_that_a_device_is_away_which_measures_now_and_then_is_logged_once_a_change_and_of_any_other_each_time():
    async def story() -> None:
        with capture_logs() as log:
            await Watched(Thermometer([(1.0, READING), (1.0, None)], silence_s=0)).run_for(600)
        assert [line["error"] for line in log if line["event"] == "link-lost"] == [
            "the cable was pulled",
            "no such port",
        ]
        with capture_logs() as log:
            await Watched(Thermometer()).run_for(600)
        assert sum(line["event"] == "link-lost" for line in log) > 100

    in_virtual_time(story)
