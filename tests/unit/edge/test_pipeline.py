"""A device's pipeline with a link in memory: faults and wrong clocks are told, lanes are chosen, gaps keep their reasons."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np

from edge.pipeline.batcher import lane_for
from edge.pipeline.device import DevicePipeline, Sink
from edge.pipeline.queues import QUEUES
from firmware_adapters.adapter import API_VERSION, Adapter, Chunk, DeviceConfig, Family, LinkError, Resume
from firmware_adapters.cyton import CytonAdapter
from firmware_adapters.simulate.cyton import Board
from models.screening.placement import Placement
from protocols.errors import Fault
from protocols.link import Lane
from protocols.nomenclature import (
    EVT_CLOCK_WRONG,
    EVT_CONNECTED,
    EVT_DEVICE_SEEN,
    EVT_DISCONNECTED,
    EVT_FAULT,
    HEART_RATE,
)
from protocols.record import (
    NS_PER_S,
    DeviceEvent,
    Gap,
    Observation,
    Record,
    SourcePath,
    Times,
    WaveformGroup,
)
from tests.fixtures.spool_records import T0_NS, alarm, heart_rate, waveform

# Without a bound, and why: an alarm that was given up is one that nobody hears.
UNBOUNDED = {"spool-alarm"}
CONFIG = DeviceConfig("amp", "cyton", "memory")


@dataclass
class MemoryLink:
    """Gives out pieces of bytes, then breaks."""

    pieces: list[bytes]
    commands: list[bytes] = field(default_factory=list)

    async def receive(self) -> Chunk:
        await asyncio.sleep(0)
        if not self.pieces:
            raise LinkError("the cable was pulled")
        return Chunk(self.pieces.pop(0))

    async def send(self, data: bytes) -> None:
        self.commands.append(data)


@dataclass
class MemoryTransport:
    """A link for each opening; then nothing can be opened."""

    links: list[MemoryLink]

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[MemoryLink]:
        if not self.links:
            raise LinkError("no such port")
        yield self.links.pop(0)


class MemoryCyton(CytonAdapter):
    """The adapter that ships, over links in memory."""

    def __init__(self, *links: MemoryLink) -> None:
        self._transport = MemoryTransport(list(links))

    def transport(self, config: DeviceConfig) -> MemoryTransport:
        del config
        return self._transport


class ThermometerAdapter:
    """A device with a clock of its own: each byte is a reading; its clock says what it was given."""

    api_version = API_VERSION
    silence_ns = NS_PER_S
    family = Family("thermometer", "nobody", "test", ("MDC_TEMP_BODY",), "none")

    def __init__(self, device_ns: int) -> None:
        self._device_ns = device_ns
        self._transport = MemoryTransport([MemoryLink([b"\x25", b"\x26"])])

    def check(self, config: DeviceConfig) -> None: ...

    def transport(self, config: DeviceConfig) -> MemoryTransport:
        del config
        return self._transport

    def decoder(self, config: DeviceConfig, resume: Mapping[SourcePath, Resume]) -> "ThermometerAdapter":
        del config, resume
        return self

    def wake(self, config: DeviceConfig) -> Sequence[bytes]:
        del config
        return ()

    def feed(self, data: bytes, at: int, channel: str = "") -> list[Record | Fault]:
        del channel
        source = SourcePath("amp", ("probe-1",))
        return [Observation(source, "MDC_TEMP_BODY", float(b), "Cel", Times(at, self._device_ns)) for b in data]

    def flush(self, at: int) -> list[Record | Fault]:
        del at
        return []


def packets(first: int, n: int) -> bytes:
    board = Board(np.arange(first + n, dtype=float)[None, :])
    return b"".join(board.next_packet() for _ in range(first + n))[33 * first :]


async def run(adapter: Adapter, resume: Mapping[SourcePath, Resume] | None = None) -> list[Record]:
    """What the pipeline hands on until it has nothing left to open. The clock runs with the samples that were sent."""
    out: list[Record] = []
    now = [T0_NS]

    def clock() -> int:
        now[0] += NS_PER_S // 250
        return now[0]

    def add(records: Iterable[Record]) -> None:
        out.extend(records)

    pipeline = DevicePipeline(adapter, CONFIG, Sink(add, clock), placement=Placement(), resume=resume or {})
    task = asyncio.create_task(pipeline.run())
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return out


def events(out: list[Record]) -> list[str]:
    return [r.code for r in out if isinstance(r, DeviceEvent)]


async def test_what_a_link_brings_is_screened_and_its_beginning_and_end_are_events():
    out = await run(MemoryCyton(MemoryLink([packets(0, 50)])))
    assert events(out) == [EVT_CONNECTED, EVT_DEVICE_SEEN, EVT_DISCONNECTED]
    groups = [r for r in out if isinstance(r, WaveformGroup) and r.source.path == ("ecg",)]
    assert [(g.first_sample, g.end_sample) for g in groups] == [(0, 25), (25, 50)]
    assert all(g.times.corrected_ns is not None and g.quality for g in groups)


async def test_bytes_that_make_no_packet_become_an_event_with_the_bytes_and_the_rest_goes_on():
    out = await run(MemoryCyton(MemoryLink([packets(0, 25), b"\xde\xad\xbe\xef", packets(25, 25)])))
    [event] = [r for r in out if isinstance(r, DeviceEvent) and r.code == EVT_FAULT]
    assert event.text == "de ad be ef"
    assert dict(event.params)["bytes"] == 4
    groups = [r for r in out if isinstance(r, WaveformGroup) and r.source.path == ("ecg",)]
    assert [(g.first_sample, g.end_sample) for g in groups] == [(0, 25), (25, 50)]


async def test_a_link_that_was_lost_leaves_a_gap_of_that_reason():
    out = await run(MemoryCyton(MemoryLink([packets(0, 50)]), MemoryLink([packets(75, 50)])))
    gaps = [(g.source.path, g.from_sample, g.to_sample, g.reason) for g in out if isinstance(g, Gap)]
    # acceleration comes with packets 0, 10, and so on
    assert gaps == [(("ecg",), 50, 75, "link_loss"), (("accelerometer",), 5, 8, "link_loss")]


async def test_an_agent_that_begins_again_goes_on_behind_the_last_stored_sample():
    ecg = SourcePath("amp", ("ecg",))
    resume = {ecg: Resume(1024 + 50, T0_NS - NS_PER_S // 10)}
    out = await run(MemoryCyton(MemoryLink([packets(75, 50)])), resume)
    [gap] = [r for r in out if isinstance(r, Gap)]
    assert (gap.from_sample, gap.to_sample, gap.reason) == (1024 + 50, 1024 + 75, "agent_restart")


async def test_a_device_time_of_2099_is_kept_as_seen_and_told_once_and_the_gateways_is_used():
    in_2099 = 4_070_908_800 * NS_PER_S
    out = await run(ThermometerAdapter(in_2099))
    readings = [r for r in out if isinstance(r, Observation)]
    assert len(readings) == 2
    for reading in readings:
        assert reading.times.device_ns == in_2099
        assert reading.times.best_ns == reading.times.gateway_ns
    assert [c for c in events(out) if c == EVT_CLOCK_WRONG] == [EVT_CLOCK_WRONG]


def test_a_gap_in_samples_travels_with_the_samples_and_others_with_the_events():
    in_samples = Gap(SourcePath("amp", ("ecg",)), 0, 1, "link_loss", False, Times(0), 1, 2)
    in_time = Gap(SourcePath("amp"), 0, 1, "link_loss", False, Times(0))
    lanes = [lane_for(r) for r in (in_samples, in_time, alarm(), heart_rate(60), waveform(0))]
    assert lanes == [Lane.WAVEFORM, Lane.EVENT, Lane.ALARM, Lane.NUMERIC, Lane.WAVEFORM]
    assert heart_rate(60).code == HEART_RATE


def test_every_queue_says_its_bound_what_happens_when_it_is_full_and_where_it_shows():
    for name, row in QUEUES.items():
        assert row.name == name
        assert row.metric.startswith("edge_")
        assert row.why
        assert row.bound > 0 or name in UNBOUNDED
    assert all(QUEUES[name].why.startswith("no bound: ") for name in UNBOUNDED)
