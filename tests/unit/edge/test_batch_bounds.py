"""What is more than a batch of the uplink may hold: several batches, halves of samples, an event; a batch that the hub refuses is never made."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from edge.pipeline.batcher import Batcher
from edge.spool import Spool
from protocols.link import Connection, Lane, LinkSender, Position, SendBatch
from protocols.nomenclature import EVT_FAULT, SPOOL_FULL
from protocols.record import (
    AlarmCondition,
    DeviceEvent,
    Document,
    Evidence,
    Gap,
    Observation,
    Record,
    SourcePath,
    Times,
    WaveformGroup,
)
from protocols.uplink_pb2 import Ack, HubHello, HubMessage
from protocols.wire import MAX_MESSAGE_BYTES, MAX_RECORDS, Arrival, arrivals_of, decode_batch, decode_record
from tests.fixtures.spool_records import ECG, T0_NS, alarm, heart_rate, noisy_waveform

SAMPLES = 500_000  # of 4 bytes that do not compress: two batches


@asynccontextmanager
async def made(folder: Path) -> AsyncGenerator[tuple[Spool, Batcher]]:
    spool = await Spool.open(folder, lambda: T0_NS)
    link = LinkSender("default", "gateway-1", spool.epoch)
    try:
        yield spool, Batcher(spool, link, lambda _: None)
    finally:
        await spool.close()


def batches(spool: Spool, lane: Lane) -> list[list[Record]]:
    """What is on disk; DecodeError when a batch is beyond the bounds."""
    found: list[list[Record]] = []
    for n in range(1, spool.newest(lane) + 1):
        data = spool.read(lane, n)
        assert data is not None
        assert len(data) <= MAX_MESSAGE_BYTES
        found.append([decode_record(envelope.record) for envelope in decode_batch(data).records])
    return found


@pytest.mark.parametrize(("count", "needed"), [(MAX_RECORDS, 1), (MAX_RECORDS + 1, 2), (3 * MAX_RECORDS, 4)])
async def test_more_records_than_a_batch_may_hold_go_into_several_in_their_order(
    tmp_path: Path, count: int, needed: int
):
    async with made(tmp_path) as (spool, batcher):
        batcher.add([heart_rate(i) for i in range(count)])
        await batcher.close_all()
        found = batches(spool, Lane.NUMERIC)
        assert [r.value for batch in found for r in batch if isinstance(r, Observation)] == list(range(count))
        assert len(found) == needed


async def test_the_gaps_of_a_long_loss_are_told_although_no_batch_holds_them_all(tmp_path: Path):
    gaps = [Gap(ECG, T0_NS, T0_NS + n, SPOOL_FULL, False, Times(T0_NS), n, n + 1) for n in range(20_000)]
    async with made(tmp_path) as (spool, batcher):
        durable = batcher.record(gaps)
        assert durable is not None
        assert await durable == spool.newest(Lane.EVENT)
        assert [r for batch in batches(spool, Lane.EVENT) for r in batch] == gaps


async def test_packages_stand_in_the_last_of_the_batches_that_their_records_need(tmp_path: Path):
    package = Arrival("monitor-5", bytes(16))
    large = Document(SourcePath("monitor-5"), "0" * 64, "text/plain", bytes(700_000), Times(T0_NS))
    async with made(tmp_path) as (spool, batcher):
        promises = batcher.add_package([large, large], {Lane.EVENT: package})
        await asyncio.gather(*promises)
        marks: list[list[Arrival]] = []
        for n in (1, 2):
            data = spool.read(Lane.EVENT, n)
            assert data is not None
            marks.append(arrivals_of(decode_batch(data)))
        assert (marks, spool.newest(Lane.EVENT)) == ([[], [package]], 2)


async def test_many_alarms_of_a_device_are_several_batches_and_what_is_beyond_measure_lets_another_device_go_first(
    tmp_path: Path,
):
    spool = await Spool.open(tmp_path, lambda: T0_NS)
    link, package = LinkSender("default", "gateway-1", spool.epoch), Arrival("monitor-5", bytes(16))
    try:
        batcher = Batcher(spool, link, lambda _: None)
        link.connected(Connection.ALARM, 0)
        link.receive(Connection.ALARM, HubMessage(hello=HubHello(version=1)), 0)
        flood = [alarm(id=UUID(int=n), source=SourcePath("monitor-5")) for n in range(1000)]
        await asyncio.gather(*batcher.add_package(flood, {Lane.ALARM: package}))
        other = alarm(id=UUID(int=1000), source=SourcePath("monitor-6"))
        batcher.add([other])
        await batcher.close_all()
        found = batches(spool, Lane.ALARM)
        assert [r for batch in found for r in batch] == [*flood, other]
        sizes = [len(batch) for batch in found[:-1]]
        assert (sizes[:2], max(sizes[2:])) == ([50, 14], 20)
        marked = [n for n in range(1, len(found) + 1) if arrivals_of(decode_batch(spool.read(Lane.ALARM, n) or b""))]
        assert marked == [len(found) - 1], "behind the last of the package"
        assert sorted(sent(link)) == [1, 2, len(found)], "the first of each device"
        link.receive(Connection.ALARM, acknowledged((1, 2), (len(found), len(found))), 0)
        assert sent(link) == [3]
        batcher.add([replace(other, id=UUID(int=1001))])
        await batcher.close_all()
        assert sent(link) == [len(found) + 1]
    finally:
        await spool.close()


def acknowledged(*stored: tuple[int, int]) -> HubMessage:
    return HubMessage(ack=Ack(position=Position(stored).to_proto(Lane.ALARM)))


def sent(link: LinkSender) -> list[int]:
    """The alarm batches that go now."""
    numbers: list[int] = []
    while isinstance(send := link.next(Connection.ALARM), SendBatch):
        link.sent(Connection.ALARM, send, 100, 0)
        numbers.append(send.n)
    return numbers


async def test_a_group_of_samples_too_large_for_a_batch_is_cut_and_loses_no_sample(tmp_path: Path):
    whole = noisy_waveform(0, SAMPLES)
    async with made(tmp_path) as (spool, batcher):
        batcher.add([whole])
        await batcher.close_all()
        parts = [r for batch in batches(spool, Lane.WAVEFORM) for r in batch if isinstance(r, WaveformGroup)]
    assert len(parts) > 1
    assert np.array_equal(np.concatenate([p.array() for p in parts], axis=1), whole.array())
    assert all(one.end_sample == following.first_sample for one, following in pairwise(parts))
    assert all(p.times.best_ns == whole.time_of(p.first_sample) for p in parts)


async def test_an_alarm_whose_evidence_is_too_large_is_sent_without_it_and_that_is_told(tmp_path: Path):
    strip = noisy_waveform(0, SAMPLES)
    raised = alarm(evidence=Evidence("vf", "1", strip, (), 0, 1.0))
    async with made(tmp_path) as (spool, batcher):
        batcher.add([raised])
        await batcher.close_all()
        assert batches(spool, Lane.ALARM) == [[replace(raised, evidence=None)]]
        [[event]] = batches(spool, Lane.EVENT)
    assert isinstance(event, DeviceEvent)
    params = dict(event.params)
    assert (event.code, params["where"]) == (EVT_FAULT, AlarmCondition.__name__)
    assert str(params["expected"]).startswith(f"at most {MAX_MESSAGE_BYTES} bytes")
    assert int(str(params["bytes"])) > 4 * SAMPLES


async def test_a_record_that_no_batch_holds_becomes_an_event_with_its_first_bytes_and_the_rest_goes_on(tmp_path: Path):
    large = Document(SourcePath("cart-1"), "0" * 64, "text/plain", bytes(MAX_MESSAGE_BYTES), Times(T0_NS))
    gap = Gap(ECG, T0_NS, T0_NS + 1, SPOOL_FULL, False, Times(T0_NS))
    async with made(tmp_path) as (spool, batcher):
        batcher.add([gap, large, gap])
        await batcher.close_all()
        first, event, last = [r for batch in batches(spool, Lane.EVENT) for r in batch]
    assert (first, last) == (gap, gap)
    assert isinstance(event, DeviceEvent)
    assert (event.source, event.code, dict(event.params)["where"]) == (SourcePath("cart-1"), EVT_FAULT, "Document")
