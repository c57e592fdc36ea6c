"""What becomes of messages behind a door, on a real spool: taken once, refused with their bytes kept, known again after a restart."""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from edge.doors import DoorPolicy, Intake
from edge.doors.intake import MAX_STRANGERS
from edge.doors.known import Known
from edge.doors.visitor import Visitor
from edge.pipeline.batcher import Batcher
from edge.pipeline.device import Sink
from edge.pipeline.queues import QUEUES
from edge.pipeline.traced import Tracer
from edge.spool import Spool
from firmware_adapters.adapter import Resume
from firmware_adapters.door import Message, Pace, Reply, Verdict
from models.screening.placement import Limit, Placement
from protocols.link import Lane, LinkSender, Position, TraceReceived
from protocols.nomenclature import EVT_DEVICE_SEEN, EVT_FAULT, EVT_THROTTLED, FLOOD, HEART_RATE, HI_GT_LIM, V_FIB, lead
from protocols.record import (
    AlarmCondition,
    AlarmKind,
    DeviceEvent,
    Gap,
    Observation,
    Presence,
    Priority,
    Record,
    Scale,
    SourcePath,
    Times,
    WaveformGroup,
    alarm_id,
)
from protocols.uplink_pb2 import Batch
from protocols.wire import decode_record, encode_package

T0_NS = 1_790_000_000 * 10**9
PROTOBUF = "application/vnd.wardlink.package+protobuf"
ECG = SourcePath("monitor-5", ("ecg",))
ALARM = AlarmCondition(
    alarm_id(ECG, V_FIB, 1), ECG, V_FIB, Priority.HIGH, AlarmKind.PHYSIOLOGICAL, Presence.PRESENT, 1, T0_NS, Times(1)
)


@dataclass
class Gateway:
    """The parts of an agent behind its doors, on a spool that outlives them."""

    spool: Spool
    batcher: Batcher
    intake: Intake
    tracer: Tracer
    slow: list[bool] = field(default_factory=lambda: [False])

    async def send(
        self,
        body: bytes,
        *,
        device: str = "monitor-5",
        policy: str = "https",
        kind: str = PROTOBUF,
        at_s: int = 0,
        pace: Pace = Pace.SENDER_WAITS,
    ) -> Reply:
        kinds = {"https": "http", "coaps": "coap"}
        known = frozenset({"monitor-5"}) if policy == "https" else frozenset[str]()
        take = self.intake.at(DoorPolicy(policy, kinds.get(policy, policy), known))
        return await take(Message(device, kind, body, "/packages", T0_NS + at_s * 10**9, pace=pace))

    def stored(self) -> list[Record]:
        """All records on disk, lane by lane."""
        found: list[Record] = []
        for lane in Lane:
            for first, last in self.spool.held(lane):
                for n in range(first, last + 1):
                    data = self.spool.read(lane, n)
                    assert data is not None
                    found += [decode_record(e.record) for e in Batch.FromString(data).records]
        return found

    def observations(self) -> list[float | str]:
        return [r.value for r in self.stored() if isinstance(r, Observation) and r.code == HEART_RATE]


@asynccontextmanager
async def gateway(folder: Path, placement: Placement | None = None) -> AsyncGenerator[Gateway]:
    spool = await Spool.open(folder / "spool", lambda: T0_NS)
    link = LinkSender("ward", "gateway-1", spool.epoch, agent_version="test")
    tracer = Tracer(time.time_ns)
    batcher = Batcher(spool, link, lambda _: None, close_after_s=0.02, closed=tracer.closed)
    ends = {SourcePath.parse(e.source): Resume(e.end_sample, e.end_ns) for e in spool.last_waveforms().values()}
    slow = [False]

    def meet(device: str) -> Visitor:
        own = {s: e for s, e in ends.items() if s.device == device}
        return Visitor(device, placement or Placement(), own, sink=Sink(batcher.add, lambda: T0_NS))

    intake = Intake("gateway-1", batcher, Known(spool.arrivals()), meet, linked=["amp"], is_slow=lambda: slow[0], tracer=tracer)  # fmt: skip
    try:
        yield Gateway(spool, batcher, intake, tracer, slow)
    finally:
        await batcher.close_all()
        await intake.finish()
        await spool.close()


def rate(value: float) -> Observation:
    return Observation(ECG, HEART_RATE, value, "/min", Times(1))


def wave(first: int, n: int = 250, fs_hz: float = 250.0) -> WaveformGroup:
    samples = (np.arange(first, first + n) % 1000).astype("<i2").tobytes()
    return WaveformGroup(ECG, (lead("II"),), fs_hz, first, samples, "<i2", (Scale(2.0, 0, "uV"),), Times(1))


def spoken_by(device: str) -> bytes:
    return encode_package(device, 1, [replace(rate(72.0), source=SourcePath(device))])


def package(number: int, *records: Record) -> bytes:
    return encode_package("monitor-5", number, records)


async def test_a_message_is_on_disk_when_it_is_accepted(tmp_path: Path):
    async with gateway(tmp_path) as agent:
        reply = await agent.send(package(1, rate(72.0), wave(0)))
        assert reply == Reply(Verdict.ACCEPTED)
        assert agent.observations() == [72.0]
        assert [r.n for r in agent.stored() if isinstance(r, WaveformGroup)] == [250]


async def test_a_package_that_comes_again_is_acknowledged_and_dropped(tmp_path: Path):
    async with gateway(tmp_path) as agent:
        replies = [await agent.send(package(1, rate(72.0), wave(0))) for _ in range(3)]
        assert {r.verdict for r in replies} == {Verdict.ACCEPTED}
        assert agent.observations() == [72.0]
        assert sum(isinstance(r, WaveformGroup) for r in agent.stored()) == 1


async def test_a_package_that_comes_twice_at_once_is_taken_once(tmp_path: Path):
    async with gateway(tmp_path) as agent:
        await asyncio.gather(*(agent.send(package(1, rate(72.0))) for _ in range(5)))
        assert agent.observations() == [72.0]


async def test_the_same_bytes_that_cannot_be_read_are_one_fault_however_often_they_come_at_once(tmp_path: Path):
    async with gateway(tmp_path) as agent:
        replies = await asyncio.gather(*(agent.send(b"\xff garbage") for _ in range(5)))
        replies += [await agent.send(b"\xff garbage")]
        assert {r.verdict for r in replies} == {Verdict.REFUSED}
        assert len([r for r in agent.stored() if isinstance(r, DeviceEvent) and r.code == EVT_FAULT]) == 1


async def test_a_package_is_known_again_after_a_restart(tmp_path: Path):
    async with gateway(tmp_path) as agent:
        await agent.send(package(1, rate(72.0), wave(0)))
    async with gateway(tmp_path) as agent:
        assert (await agent.send(package(1, rate(72.0), wave(0)))).verdict is Verdict.ACCEPTED
        await agent.send(package(2, rate(73.0), wave(250)))
        assert agent.observations() == [72.0, 73.0]
        assert [r.first_sample for r in agent.stored() if isinstance(r, WaveformGroup)] == [0, 250]
        assert not [r for r in agent.stored() if isinstance(r, Gap)]


async def test_only_the_lanes_that_a_crash_left_out_are_taken_from_a_repetition(tmp_path: Path):
    """The numbers of a package were on disk and its samples were not when the power went."""
    async with gateway(tmp_path) as agent:
        await agent.send(package(1, rate(72.0), wave(0)))
    for path in (tmp_path / "spool" / "waveform").glob("*.seg"):
        path.unlink()
    (tmp_path / "spool" / "index.sqlite3").unlink()
    async with gateway(tmp_path) as agent:
        await agent.send(package(1, rate(72.0), wave(0)))
        assert agent.observations() == [72.0]
        assert [r.first_sample for r in agent.stored() if isinstance(r, WaveformGroup)] == [0]


async def test_a_device_that_counts_anew_is_not_taken_for_a_repetition(tmp_path: Path):
    async with gateway(tmp_path) as agent:
        await agent.send(package(1, rate(72.0)))
        await agent.send(package(1, rate(75.0)))
        assert agent.observations() == [72.0, 75.0]


async def test_the_reading_that_raises_an_alarm_is_answered_with_the_alarm_on_disk(tmp_path: Path):
    high = Placement(limits=(Limit(HEART_RATE, None, 150.0),))
    async with gateway(tmp_path, high) as agent:
        for number in range(1, 5):
            await agent.send(package(number, rate(180.0 + number)), at_s=20 * number)
        assert [r.code for r in agent.stored() if isinstance(r, AlarmCondition)] == [HI_GT_LIM]


def raised(number: int, count: int) -> bytes:
    """A package of alarms that no other package has."""
    onsets = range(number * 1000 + 1, number * 1000 + 1 + count)
    return package(number, *(replace(ALARM, id=alarm_id(ECG, V_FIB, onset), onset_ns=onset) for onset in onsets))


def told(agent: Gateway, code: str) -> list[Record]:
    return [r for r in agent.stored() if isinstance(r, AlarmCondition | DeviceEvent) and r.code == code]


async def test_a_device_with_alarms_beyond_its_pace_is_told_to_come_again_and_another_is_not(tmp_path: Path):
    async with gateway(tmp_path) as agent:
        assert (await agent.send(raised(1, 300))).verdict is Verdict.ACCEPTED, "the first, however many it has"
        held = await agent.send(raised(2, 1))
        assert (held.verdict, held.retry_after_s) == (Verdict.BUSY, 1)
        assert (await agent.send(raised(1, 300))).verdict is Verdict.ACCEPTED, "it was taken before"
        assert (await agent.send(package(3, rate(72.0)))).verdict is Verdict.ACCEPTED, "what it measures goes on"
        other = replace(ALARM, source=SourcePath("monitor-6"))
        reply = await agent.send(encode_package("monitor-6", 1, [other]), device="monitor-6", policy="coaps")
        assert reply.verdict is Verdict.ACCEPTED
        await agent.batcher.close_all()
        assert len(told(agent, V_FIB)) == 301
        assert (len(told(agent, EVT_THROTTLED)), len(told(agent, FLOOD))) == (1, 1)


@pytest.mark.parametrize(("pace", "is_told"), [(Pace.CANNOT_WAIT, 1), (Pace.KEPT_BEFORE, 0)])
async def test_where_nobody_can_be_held_back_no_alarm_is_given_up(tmp_path: Path, pace: Pace, is_told: int):
    async with gateway(tmp_path) as agent:
        for number in range(4):
            assert (await agent.send(raised(number, 300), pace=pace)).verdict is Verdict.ACCEPTED
        await agent.batcher.close_all()
        assert len(told(agent, V_FIB)) == 1200
        assert len(told(agent, EVT_THROTTLED)) == is_told


async def test_what_cannot_be_read_is_kept_with_its_bytes_before_it_is_refused(tmp_path: Path):
    body = b"\x00garbage" * 1000
    async with gateway(tmp_path) as agent:
        first, again = await agent.send(body), await agent.send(body)
        assert first == again
        assert first.verdict is Verdict.REFUSED
        assert "expected" in first.reason
        (event,) = [r for r in agent.stored() if isinstance(r, DeviceEvent)]
        params = dict(event.params)
        assert (event.code, params["bytes"], params["sender"]) == (EVT_FAULT, len(body), "monitor-5")
        assert base64.b64decode(event.text + str(params["rest"])) == body[:4096]


async def test_a_bad_record_is_told_and_the_good_ones_are_taken(tmp_path: Path):
    bad = replace(rate(72.0), unit="Cel")
    async with gateway(tmp_path) as agent:
        reply = await agent.send(package(1, rate(71.0), bad))
        assert reply.verdict is Verdict.ACCEPTED
        assert reply.reason.startswith("record 1, observation, unit: expected")
        assert agent.observations() == [71.0]


async def test_a_package_of_nothing_readable_is_refused(tmp_path: Path):
    async with gateway(tmp_path) as agent:
        reply = await agent.send(package(1, replace(rate(72.0), unit="Cel")))
        assert reply.verdict is Verdict.REFUSED


@pytest.mark.req("IOT-5.4a", surface="protocol")
@pytest.mark.parametrize(
    ("device", "policy", "body"),
    [
        ("monitor-6", "https", package(1, rate(72.0))),  # authenticated, and speaks for another
        ("", "coap", package(1, rate(72.0))),  # a device that authenticates elsewhere
        ("monitor-5", "mqtt", package(1, rate(72.0))),  # by another door's word
        ("amp", "https", spoken_by("amp")),  # comes over a serial line
        ("gateway-1", "https", spoken_by("gateway-1")),
    ],
    ids=["another device", "no authentication", "another door", "a device on a link", "the gateway"],
)
async def test_nobody_speaks_for_another(tmp_path: Path, device: str, policy: str, body: bytes):
    async with gateway(tmp_path) as agent:
        agent.intake.at(DoorPolicy("https", "http", frozenset({"monitor-5"})))
        assert (await agent.send(body, device=device, policy=policy)).verdict is Verdict.REFUSED
        assert agent.observations() == []


async def test_a_stranger_is_taken_in_and_marked_for_admission(tmp_path: Path):
    body = spoken_by("visitor")
    async with gateway(tmp_path) as agent:
        assert (await agent.send(body, device="", policy="coaps")).verdict is Verdict.ACCEPTED
        (seen,) = [r for r in agent.stored() if isinstance(r, DeviceEvent)]
        assert (seen.code, str(seen.source)) == (EVT_DEVICE_SEEN, "visitor")
        assert dict(seen.params) == {"door": "coap", "listed": False}
        assert agent.observations() == [72.0]


async def test_a_media_type_that_is_not_read_is_named_with_those_that_are(tmp_path: Path):
    async with gateway(tmp_path) as agent:
        reply = await agent.send(b"", kind="text/csv")
        assert reply.verdict is Verdict.UNSUPPORTED
        assert "application/senml+cbor" in reply.reason


async def test_a_sender_is_told_to_come_again_while_the_disk_is_behind(tmp_path: Path):
    async with gateway(tmp_path) as agent:
        agent.slow[0] = True
        reply = await agent.send(package(1, rate(72.0)))
        assert (reply.verdict, reply.retry_after_s > 0) == (Verdict.BUSY, True)
        agent.slow[0] = False
        assert (await agent.send(package(1, rate(72.0)))).verdict is Verdict.ACCEPTED
        assert agent.observations() == [72.0]


async def test_readings_that_a_device_kept_back_are_stored_at_the_time_at_which_they_were_measured(tmp_path: Path):
    def measured(value: float, at_s: int) -> Observation:
        behind_ns = 40 * 10**9  # the device's clock is behind the gateway's
        return replace(rate(value), times=Times(1, T0_NS + at_s * 10**9 - behind_ns))

    async with gateway(tmp_path) as agent:
        for number, at_s in enumerate((0, 10, 20), start=1):
            await agent.send(package(number, measured(60.0, at_s)), at_s=at_s)
        kept = [measured(80.0 + minute, 60 * minute) for minute in range(1, 30)]
        await agent.send(package(4, *kept, measured(60.0, 1800)), at_s=1800)
        rows = [r for r in agent.stored() if isinstance(r, Observation) and r.value != 60.0]
        assert [(r.times.best_ns - T0_NS) // 10**9 for r in rows] == [60 * minute for minute in range(1, 30)]
        assert {r.times.gateway_ns for r in rows} == {T0_NS + 1800 * 10**9}


async def test_samples_that_are_missing_between_packages_become_a_gap(tmp_path: Path):
    async with gateway(tmp_path) as agent:
        await agent.send(package(1, wave(0)))
        await agent.send(package(3, wave(500)))
        (gap,) = [r for r in agent.stored() if isinstance(r, Gap)]
        assert (gap.from_sample, gap.to_sample, gap.recoverable) == (250, 500, True)
        await agent.send(package(2, wave(250)))  # it comes late, and lies in the gap
        assert sorted(r.first_sample for r in agent.stored() if isinstance(r, WaveformGroup)) == [0, 250, 500]


async def test_samples_sent_again_under_another_number_are_cut(tmp_path: Path):
    async with gateway(tmp_path) as agent:
        await agent.send(package(1, wave(0)))
        await agent.send(package(2, wave(125)))
        groups = [r for r in agent.stored() if isinstance(r, WaveformGroup)]
        assert [(g.first_sample, g.end_sample) for g in groups] == [(0, 250), (250, 375)]
        assert groups[1].array()[0, 0] == 250


async def test_a_device_that_numbers_its_samples_anew_goes_on_behind_what_is_stored(tmp_path: Path):
    async with gateway(tmp_path) as agent:
        await agent.send(package(1, wave(10_000)))
        await agent.send(package(2, wave(0)))
        groups = [r for r in agent.stored() if isinstance(r, WaveformGroup)]
        assert groups[1].first_sample >= groups[0].end_sample


async def test_a_sender_is_told_to_come_again_when_too_much_waits_for_the_disk(tmp_path: Path):
    filler = "x" * 4000
    many = [
        encode_package(f"m-{i}", 1, [DeviceEvent(SourcePath(f"m-{i}"), "MDC_X", Times(1), (), filler)] * 60)
        for i in range(24)
    ]
    async with gateway(tmp_path) as agent:
        replies = await asyncio.gather(*(agent.send(b, device="", policy="coap") for b in many))
        room = QUEUES["door"].bound // len(many[0])
        assert [r.verdict for r in replies] == [Verdict.ACCEPTED] * room + [Verdict.BUSY] * (len(many) - room)
        assert {r.verdict for r in [await agent.send(b, device="", policy="coap") for b in many[room:]]} == {
            Verdict.ACCEPTED
        }
        events = [r for r in agent.stored() if isinstance(r, DeviceEvent) and r.code == "MDC_X"]
        assert len(events) == 60 * len(many)


async def test_a_crowd_of_strangers_keeps_no_known_device_out(tmp_path: Path):
    async with gateway(tmp_path) as agent:
        agent.intake.at(DoorPolicy("https", "http", frozenset({"monitor-5"})))
        crowd = [spoken_by(f"s-{i}") for i in range(MAX_STRANGERS + 1)]
        replies = await asyncio.gather(*(agent.send(b, device="", policy="coap") for b in crowd))
        assert [r.verdict for r in replies].count(Verdict.REFUSED) == 1
        assert (await agent.send(package(1, rate(72.0)))).verdict is Verdict.ACCEPTED


async def test_a_device_that_authenticated_once_is_not_believed_without(tmp_path: Path):
    async with gateway(tmp_path) as agent:
        assert (await agent.send(spoken_by("m-9"), device="", policy="coap")).verdict is Verdict.ACCEPTED
        again = encode_package("m-9", 2, [replace(rate(73.0), source=SourcePath("m-9"))])
        assert (await agent.send(again, device="m-9", policy="mqtt")).verdict is Verdict.ACCEPTED
        more = encode_package("m-9", 3, [replace(rate(74.0), source=SourcePath("m-9"))])
        assert (await agent.send(more, device="", policy="coap")).verdict is Verdict.REFUSED


async def test_a_message_at_a_door_that_somebody_asks_for_is_followed_to_its_acknowledgement_and_the_next_is_not(
    tmp_path: Path,
):
    async with gateway(tmp_path) as agent:
        agent.tracer.ask(TraceReceived(7, "monitor-5", 30))
        before_ns = time.time_ns()
        await agent.send(spoken_by("monitor-6"))  # of another device
        await agent.send(b"\x07 no package")
        await agent.send(encode_package("monitor-5", 1, [rate(72.0)]))
        await agent.send(encode_package("monitor-5", 2, [rate(73.0)]))
        plain = {
            n: data
            for first, last in agent.spool.held(Lane.NUMERIC)
            for n in range(first, last + 1)
            if (data := agent.spool.read(Lane.NUMERIC, n)) is not None
        }
        sent = {n: Batch.FromString(agent.tracer.sent(Lane.NUMERIC, n, data)) for n, data in plain.items()}
        marked = {n: batch for n, batch in sent.items() if batch.HasField("traced")}
        [(n, batch)] = marked.items()
        followed = batch.traced
        assert [e.record.observation.number for e in batch.records] == [72.0]
        assert (followed.trace, followed.source, followed.kind) == (7, str(ECG), "observation")
        assert followed.door_ns == T0_NS
        assert before_ns < followed.decoded_ns <= followed.screened_ns < followed.durable_ns < followed.sent_ns
        batch.ClearField("traced")
        assert batch == Batch.FromString(plain[n])
        assert not agent.tracer.acknowledged(Lane.NUMERIC, Position([(1, n - 1)] if n > 1 else []))
        assert agent.tracer.acknowledged(Lane.NUMERIC, Position([(1, n)]))
        [told] = agent.tracer.to_tell()
        assert told.trace_acknowledged.trace == 7
        assert agent.tracer.to_tell() == []
        assert agent.tracer.sent(Lane.NUMERIC, n, plain[n]) == plain[n]
