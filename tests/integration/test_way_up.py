"""The way up by itself: what is too large with its origin, what nobody takes, and whose it is. Real outbox, real spool."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.spool import Spool
from hub.app import sharing_rules
from hub.core.db import Database
from hub.core.errors import ConflictError
from hub.core.principal import operator
from hub.core.sql import load_queries
from hub.settings import HubSettings
from hub.upstream.bound import hold_bound
from hub.upstream.domain import RecordClass, Rule, Rules
from hub.upstream.intake import shared
from hub.upstream.outbox import Outbox
from protocols.link import Lane, LinkSender
from protocols.nomenclature import HEART_RATE, QUEUE_OVERFLOW
from protocols.record import DeviceEvent, Evidence, Gap, Record, SourcePath, WaveformGroup
from protocols.uplink_pb2 import Batch, Envelope
from protocols.wire import MAX_MESSAGE_BYTES, encode_record, records_of
from protocols.wire.batch import Received
from tests.fixtures.spool_records import T0_NS, alarm, heart_rate, noisy_waveform, waveform
from tests.fixtures.waiting import until_asked
from wardlink.local.database import Database as Local
from wardlink.upstream.forwarder import Forwarder
from wardlink.upstream.passed import Passed

pytestmark = pytest.mark.integration
EPOCH = secrets.token_bytes(16)
GATEWAY = "a gateway whose name is as long as a name may be ".ljust(256, "g")
EVERYTHING = Rules([Rule(name, "", share=True) for name in RecordClass])
PUT = "insert into upstream_outbox (tenant_id, gateway, epoch, lane, first, last, records) values (1, %s, %s, %s, %s, %s, %s)"


@pytest.fixture
async def worker(hub_database: Local) -> AsyncIterator[Database]:
    """The database with the rights of the role worker."""
    async with Database(hub_database.url_for("wardlink_worker"), "test worker", max_size=2) as database:
        yield database


def put(database: Local, lane: Lane, n: int, *records: Record) -> int:
    """As ingest does, a batch; returns how many bytes it has."""
    batch = Batch(lane=lane.wire, n=n, closed_ns=T0_NS)
    batch.records.extend(Envelope(record=encode_record(record)) for record in records)
    data = shared(EVERYTHING, batch, (), GATEWAY, EPOCH)
    with database.connect_admin() as admin:
        admin.execute(PUT, (GATEWAY, EPOCH, int(lane), n, n, data))
    return len(data)


def waiting(database: Local) -> list[tuple[Lane, list[Record]]]:
    """What the outbox holds."""
    with database.connect_admin() as admin:
        rows = admin.execute("select lane, records from upstream_outbox order by outbox_id").fetchall()
    assert all(isinstance(records, bytes) for _, records in rows)
    return [(Lane(int(str(lane))), read(records)) for lane, records in rows if isinstance(records, bytes)]


def read(batch: bytes) -> list[Record]:
    items = records_of(Batch.FromString(batch))
    assert all(isinstance(item, Received) and item.origin == (GATEWAY, EPOCH) for item in items)
    return [item.record for item in items if isinstance(item, Received)]


async def test_a_group_that_its_origin_makes_too_large_goes_up_in_halves_and_holds_up_nothing(
    hub_database: Local, worker: Database, tmp_path: Path
):
    group = noisy_waveform(0, (MAX_MESSAGE_BYTES - 250) // 4)  # a gateway could send it: nothing names its origin yet
    assert len(encode_record(group).SerializeToString()) < MAX_MESSAGE_BYTES
    assert put(hub_database, Lane.WAVEFORM, 1, group) > MAX_MESSAGE_BYTES
    put(hub_database, Lane.WAVEFORM, 2, waveform(group.n))
    outbox, spool = Outbox(worker), await Spool.open(tmp_path / "spool", lambda: T0_NS)
    passed = Passed(tmp_path / "passed.sqlite3")
    try:
        link = LinkSender("t", "hospital-a", spool.epoch, agent_version="1", features=())
        for lane in Lane:
            link.spool_opened(lane, spool.held(lane), spool.newest(lane))
        forwarding = asyncio.create_task(
            Forwarder(outbox, spool, link, lambda _connection: None, passed).run(alarms=False)
        )

        async def is_empty() -> bool:
            return not await outbox.look(alarms=False, most=1)

        await until_asked(is_empty, 30)
        forwarding.cancel()
        parts = [
            record
            for n in range(1, spool.newest(Lane.WAVEFORM) + 1)
            for record in read(spool.read(Lane.WAVEFORM, n) or b"")
        ]
    finally:
        await spool.close()
        passed.close()
    assert [type(part) for part in parts] == [WaveformGroup] * 3
    assert [part.first_sample for part in parts if isinstance(part, WaveformGroup)] == [0, group.n // 2, group.n]
    samples = np.concatenate([part.array() for part in parts[:2] if isinstance(part, WaveformGroup)], axis=1)
    assert (samples == group.array()).all()


async def test_an_alarm_that_its_origin_makes_too_large_goes_up_once_though_a_kill_comes_before_its_row_is_done(
    hub_database: Local, worker: Database, tmp_path: Path
):
    strip = noisy_waveform(0, (MAX_MESSAGE_BYTES - 450) // 4)
    large = alarm(evidence=Evidence("vf", "1", strip))
    assert len(encode_record(large).SerializeToString()) < MAX_MESSAGE_BYTES
    outbox = Outbox(worker)

    async def is_empty() -> bool:
        return not await outbox.look(alarms=True, most=1)

    made: list[list[int]] = []
    for life in ("killed", "next"):  # the row is there again, and nothing of it was noted as passed
        assert put(hub_database, Lane.ALARM, 1, large) > MAX_MESSAGE_BYTES
        spool, passed = await Spool.open(tmp_path / "spool", lambda: T0_NS), Passed(tmp_path / f"{life}.sqlite3")
        try:
            link = LinkSender("t", "hospital-a", spool.epoch, agent_version="1", features=())
            for lane in Lane:
                link.spool_opened(lane, spool.held(lane), spool.newest(lane))
            forwarder = Forwarder(outbox, spool, link, lambda _connection: None, passed)
            forwarding = asyncio.create_task(forwarder.run(alarms=True))
            await until_asked(is_empty, 30)
            forwarding.cancel()
            made.append([spool.newest(lane) for lane in (Lane.ALARM, Lane.EVENT)])
            bare, told = (read(spool.read(lane, 1) or b"") for lane in (Lane.ALARM, Lane.EVENT))
        finally:
            await spool.close()
            passed.close()
        assert bare == [replace(large, evidence=None)]
        assert [type(record) for record in told] == [DeviceEvent]
    assert made == [[1, 1]] * 2


@pytest.mark.req("IOT-5.3b", surface="protocol")
async def test_beyond_its_bound_the_oldest_samples_become_gaps_and_alarms_and_numbers_stay(
    hub_database: Local, worker: Database
):
    put(hub_database, Lane.ALARM, 1, alarm())
    sizes = [
        put(hub_database, Lane.WAVEFORM, n + 1, *(noisy_waveform(1000 * (2 * n + i), 1000) for i in (0, 1)))
        for n in range(20)
    ]
    put(hub_database, Lane.NUMERIC, 1, heart_rate(60))
    assert (await hold_bound(worker, sum(sizes) * 2)).given_up == 0
    seen = await hold_bound(worker, sum(sizes) // 2)
    assert sum(sizes) * 0.4 < seen.size_bytes <= sum(sizes) * 0.45
    rows = waiting(hub_database)
    assert [lane for lane, _ in rows] == [Lane.ALARM, *[Lane.WAVEFORM] * 20, Lane.NUMERIC]
    assert [getattr(record, "code", "") for record in rows[-1][1]] == [HEART_RATE]
    assert len(rows[0][1]) == 1
    for n, (_, records) in enumerate(rows[1:-1]):
        if n < seen.given_up:
            (gap,) = records
            assert isinstance(gap, Gap)
            assert (gap.reason, gap.from_sample, gap.to_sample) == (QUEUE_OVERFLOW, 2000 * n, 2000 * (n + 1))
            assert gap.source == SourcePath("cyton-1", ("ecg",))
        else:
            assert [type(record) for record in records] == [WaveformGroup] * 2
    assert (await hold_bound(worker, 1)).given_up == 20 - seen.given_up
    assert (await hold_bound(worker, 1)).given_up == 0, "a gap is not given up again"


async def test_a_run_gives_up_so_many_batches_and_finds_them_without_reading_those_that_were(
    hub_database: Local, worker: Database
):
    for n in range(12):
        put(hub_database, Lane.WAVEFORM, n + 1, noisy_waveform(1000 * n, 1000))
    assert [(await hold_bound(worker, 1, most=5)).given_up for _ in range(4)] == [5, 5, 2, 0]
    with hub_database.connect_admin() as admin:
        admin.execute(
            "insert into upstream_outbox (tenant_id, gateway, epoch, lane, first, last, records, thinned)"
            " select 1, 'g', '', 4, n, n, case when n % 2 = 0 then 'gap'::bytea else '' end, n % 2 = 0 from generate_series(100, 3000) as n"
        )
        admin.execute("analyze upstream_outbox")
        query = load_queries("hub.upstream")["oldest_samples"]
        plan = "\n".join(str(line) for (line,) in admin.execute(b"explain analyze " + query, {"most": 100}).fetchall())
    assert "upstream_outbox_samples" in plan
    assert "Removed by Filter" not in plan


@pytest.mark.req("IOT-5.3b", surface="protocol")
async def test_one_tenant_shares_as_it_is_one_at_the_hub_above(hub_database: Local):
    with hub_database.connect_admin() as admin:
        admin.execute("insert into tenant (name) values ('other')")
    settings = HubSettings.model_validate({"web_url": hub_database.url_for("wardlink_web")})
    rule = Rule(RecordClass.ALARM, "", share=True)
    async with sharing_rules(settings, "default") as (rules, first), sharing_rules(settings, "other") as (_, other):
        await rules.set(operator("test", first), rule)
        await rules.set(operator("test", first), Rule(RecordClass.NUMERIC, "", share=True))
        with pytest.raises(ConflictError, match="Another tenant of this hub shares already"):
            await rules.set(operator("test", other), rule)
        await rules.set(operator("test", other), Rule(RecordClass.ALARM, "", share=False))
        await rules.set(operator("test", first), Rule(RecordClass.ALARM, "", share=False))
        await rules.set(operator("test", first), Rule(RecordClass.NUMERIC, "", share=False))
        await rules.set(operator("test", other), rule)
