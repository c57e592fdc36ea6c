"""Sealed waveforms: every group and sample is read as before, whatever comes late, whoever seals at once, wherever a worker is killed."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from hub.core.db import Database
from hub.store import whole
from hub.store.sealing import SLOT, drop_empty_chunks, open_waveforms, seal_waveforms
from tests.fixtures.sealer_process import start_sealer
from tests.fixtures.stored_groups import (
    FOREVER,
    Row,
    digest,
    hot_rows,
    make_groups,
    make_stream,
    put,
    read_digest,
    seen_rows,
)
from wardlink.local.database import Database as Local

pytestmark = pytest.mark.integration

BEGIN = datetime(2026, 3, 1, 11, 58, 20, tzinfo=UTC)
LATER = BEGIN + timedelta(days=1)
BLOCKS = "select count(*), coalesce(sum(groups), 0) from waveform_block"


@pytest.fixture
async def worker(hub_database: Local) -> AsyncIterator[Database]:
    """The database with the rights of the role worker."""
    async with Database(hub_database.url_for("wardlink_worker"), "test worker", max_size=4) as database:
        yield database


def ask(database: Local, query: str) -> tuple[object, ...]:
    with closing(database.connect_admin()) as admin:
        row = admin.execute(query.encode()).fetchone()
    assert row is not None
    return row


@pytest.mark.parametrize(("leads", "dtype"), [(2, "<i2"), (12, "<i2"), (9, "<i4")])
async def test_groups_come_out_of_their_blocks_as_they_went_in(
    hub_database: Local, worker: Database, seed: random.Random, leads: int, dtype: str
):
    stream = make_stream(hub_database, leads, dtype=dtype)
    rows = make_groups(stream, BEGIN, 700, seed)
    with closing(hub_database.connect_admin()) as admin:
        put(admin, rows)
    sealed = await seal_waveforms(worker, LATER)
    assert (sealed.rows, ask(hub_database, BLOCKS)) == (700, (sealed.slots, 700))
    assert ask(hub_database, "select count(*) from waveform") == (0,)
    assert read_digest(await seen_rows(hub_database, [stream]), stream) == read_digest(rows, stream)
    async with worker.transaction() as connection:
        assert await open_waveforms(connection, [stream.stream_id], *FOREVER) == 700
    assert digest(hot_rows(hub_database), stream) == digest(rows, stream)
    assert ask(hub_database, BLOCKS) == (0, 0)


async def test_a_stretch_is_read_to_its_edges_from_hot_and_sealed_alike(
    hub_database: Local, worker: Database, seed: random.Random
):
    stream = make_stream(hub_database)
    rows = make_groups(stream, BEGIN, 700, seed, plain=True)
    with closing(hub_database.connect_admin()) as admin:
        put(admin, rows)
    bounds = [
        (BEGIN + timedelta(seconds=a), BEGIN + timedelta(seconds=b))
        for a, b in ((0, 700), (99.5, 100.5), (395, 410), (600, 690), (300, 300.02))
    ]
    hot = [await seen_rows(hub_database, [stream], between) for between in bounds]
    await seal_waveforms(worker, BEGIN + timedelta(seconds=420))
    assert 0 < int(str(ask(hub_database, "select count(*) from waveform")[0])) < 700
    for between, before in zip(bounds, hot, strict=True):
        assert read_digest(await seen_rows(hub_database, [stream], between), stream) == read_digest(before, stream)


async def test_who_compares_what_was_sent_finds_the_same_hot_sealed_and_half_sealed(
    hub_database: Local, worker: Database, seed: random.Random
):
    stream = make_stream(hub_database, 3)
    rows = make_groups(stream, BEGIN, 700, seed, plain=True)
    with closing(hub_database.connect_admin()) as admin:
        put(admin, rows)
        ends = sorted(row[3] + row[2] for row in rows)
        middle, newest = ends[len(ends) // 2], ends[-1]

        def found() -> tuple[list[tuple[int, int]], list[tuple[int, bytes]], list[tuple[int, bytes]]]:
            part = [
                (p.first_sample, p.samples.tobytes()) for p in whole.pieces(admin, "d/ecg", middle - 40, middle + 40)
            ]
            everything = [(p.first_sample, p.samples.tobytes()) for p in whole.pieces(admin, "d/ecg", -(2**41))]
            assert all(first < middle + 40 for first, _ in part)
            assert len(everything) == 700
            assert set(part) < set(everything)
            return sorted(whole.spans(admin, "d/ecg")), part, everything

        hot = found()
        for until in (BEGIN + timedelta(minutes=5), LATER):
            sealed = await seal_waveforms(worker, until)
            assert sealed.rows
            assert found() == hot
        assert admin.execute("select count(*) from waveform").fetchone() == (0,)
        assert max(end for _, end in hot[0]) == newest
        admin.execute("select set_config('wardlink.tenant', '', false)")
        assert whole.spans(admin, "nothing/here") == []


async def test_what_is_not_old_enough_stays_hot(hub_database: Local, worker: Database, seed: random.Random):
    stream = make_stream(hub_database)
    with closing(hub_database.connect_admin()) as admin:
        put(admin, make_groups(stream, BEGIN, 200, seed, plain=True))
    slot_ends = BEGIN.replace(minute=0, second=0, hour=12)
    assert (await seal_waveforms(worker, slot_ends - timedelta(seconds=1))).rows == 0
    assert (await seal_waveforms(worker, slot_ends)).rows == 100


async def test_late_overlapping_and_repeated_groups_are_in_the_block_of_their_slot(
    hub_database: Local, worker: Database, seed: random.Random
):
    stream = make_stream(hub_database)
    rows = make_groups(stream, BEGIN, 600, seed)
    late = seed.sample(rows, 150)
    early = [row for row in rows if row not in late] + make_groups(stream, BEGIN + timedelta(seconds=0.5), 40, seed)
    late += seed.sample(early, 30)  # the same once more: a device that sent it twice
    with closing(hub_database.connect_admin()) as admin:
        put(admin, early)
        await seal_waveforms(worker, LATER)
        put(admin, late)
        assert read_digest(await seen_rows(hub_database, [stream]), stream) == read_digest(early + late, stream)
        await seal_waveforms(worker, LATER)
    assert ask(hub_database, "select count(*) from waveform") == (0,)
    assert ask(hub_database, "select max(count) from (select count(*) from waveform_block group by slot) as c") == (1,)
    assert read_digest(await seen_rows(hub_database, [stream]), stream) == read_digest(early + late, stream)
    async with worker.transaction() as connection:
        await open_waveforms(connection, [stream.stream_id], *FOREVER)
    assert digest(hot_rows(hub_database), stream) == digest(early + late, stream)


@pytest.mark.parametrize("point", ["taken", "sealed", "committed"])
async def test_a_worker_that_is_killed_loses_and_repeats_nothing(
    hub_database: Local, worker: Database, seed: random.Random, point: str
):
    stream = make_stream(hub_database)
    rows = make_groups(stream, BEGIN, 500, seed)
    late = seed.sample(rows, 50)
    with closing(hub_database.connect_admin()) as admin:
        put(admin, [row for row in rows if row not in late])
        process = start_sealer(hub_database, LATER, point, 2)
        assert process.wait(20) == -9
        put(admin, late)
    assert read_digest(await seen_rows(hub_database, [stream]), stream) == read_digest(rows, stream)
    await seal_waveforms(worker, LATER)
    assert ask(hub_database, "select count(*) from waveform") == (0,)
    assert read_digest(await seen_rows(hub_database, [stream]), stream) == read_digest(rows, stream)


async def test_two_workers_and_late_data_at_once_lose_and_repeat_nothing_at_any_moment(
    hub_database: Local, worker: Database, seed: random.Random
):
    streams = [make_stream(hub_database, fs_hz=50.0 + i) for i in range(3)]
    rows = {s.stream_id: make_groups(s, BEGIN, 900, seed, plain=True) for s in streams}
    first = {number: own[:600] for number, own in rows.items()}
    with closing(hub_database.connect_admin()) as admin:
        put(admin, [row for own in first.values() for row in own])
    done = asyncio.Event()

    async def come_late() -> None:
        for at in range(600, 900, 60):
            some = [row for own in rows.values() for row in own[at : at + 60]]
            await asyncio.to_thread(_put, hub_database, some)
        done.set()

    async def seal() -> None:
        while not done.is_set():
            await seal_waveforms(worker, LATER)

    async def look() -> None:
        stream = streams[0]
        wanted = read_digest(first[stream.stream_id], stream)
        while not done.is_set():
            seen = await seen_rows(hub_database, [stream], (BEGIN, BEGIN + timedelta(seconds=600)))
            assert read_digest(seen, stream) == wanted

    async with asyncio.timeout(60):
        await asyncio.gather(come_late(), seal(), seal(), look())
    await seal_waveforms(worker, LATER)
    for stream in streams:
        assert read_digest(await seen_rows(hub_database, [stream]), stream) == read_digest(
            rows[stream.stream_id], stream
        )
    assert ask(hub_database, "select count(*) from waveform") == (0,)


def _put(database: Local, rows: list[Row]) -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        put(connection, rows)


async def test_a_group_that_cannot_be_read_stays_hot_and_holds_up_no_other(
    hub_database: Local, worker: Database, seed: random.Random
):
    stream = make_stream(hub_database)
    rows = make_groups(stream, BEGIN, 700, seed, plain=True)
    with closing(hub_database.connect_admin()) as admin:
        put(admin, rows)
        admin.execute("update waveform set samples = 'x' where start = %s", [BEGIN + timedelta(seconds=20)])
    sealed = await seal_waveforms(worker, LATER)
    assert sealed.rows == 600
    assert ask(hub_database, "select count(*) from waveform") == (100,)


async def test_chunks_from_which_all_was_sealed_go_with_their_files(
    hub_database: Local, worker: Database, seed: random.Random
):
    stream = make_stream(hub_database)
    with closing(hub_database.connect_admin()) as admin:
        put(admin, make_groups(stream, BEGIN, 300, seed, plain=True))  # on both sides of noon, where a chunk ends
    await seal_waveforms(worker, BEGIN + SLOT)
    assert await drop_empty_chunks(worker, LATER, LATER) == 1
    assert ask(hub_database, "select count(*) from waveform") == (200,)
    assert len(await seen_rows(hub_database, [stream])) == 300
