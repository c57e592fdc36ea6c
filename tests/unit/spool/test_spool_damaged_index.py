"""An index that is damaged while the spool runs is made anew from the segments; nothing of the spool stops or is lost for it."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import replace
from pathlib import Path

import pytest

from edge.spool import Limits, Spool, WriterEndedError, places
from edge.spool.core import NotNowError
from edge.spool.recent import Recent
from protocols.link import Lane, Position
from protocols.nomenclature import EVT_FAULT
from protocols.record import DeviceEvent, Presence, Times
from tests.fixtures.opened_spool import opened_spool
from tests.fixtures.spool_records import ECG, T0_NS, alarm, heart_rate, waveform
from tests.fixtures.waiting import until

SMALL = Limits(64 * 65536, 65536, 32768)
EVENTS, RATES = 900, 40


def opened(folder: Path) -> AbstractAsyncContextManager[Spool]:
    return opened_spool(folder, SMALL)


def event(i: int) -> DeviceEvent:
    return DeviceEvent(ECG, EVT_FAULT, Times(T0_NS + i), (("pad", "x" * 300),))


def overwrite(index: Path) -> None:
    """As a medium does: all pages but the first hold something else; who has the file open finds out when it next reads one."""
    with closing(sqlite3.connect(index)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = index.stat().st_size
        with index.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (size - 4096))
        other.execute("PRAGMA user_version = 2")  # so that no connection trusts the pages that it has in memory
        other.commit()


def empty(index: Path) -> None:
    with closing(sqlite3.connect(index)) as other:
        for (table,) in other.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            other.execute(f"DROP TABLE {table}")
        other.commit()


@pytest.mark.parametrize("damage", [overwrite, empty])
async def test_an_index_that_is_damaged_at_run_time_is_made_anew_and_no_alarm_waits_for_it(
    tmp_path: Path, damage: Callable[[Path], None]
):
    going = alarm()
    async with opened(tmp_path) as spool:
        await spool.append(Lane.ALARM, [going, alarm()])
        await asyncio.gather(*(spool.append(Lane.EVENT, [event(i)]) for i in range(EVENTS)))
        await asyncio.gather(*(spool.append(Lane.WAVEFORM, [waveform(25 * i)]) for i in range(RATES)))
        spool.acknowledged(Lane.EVENT, Position([(1, 5)]))
    async with opened(tmp_path) as spool:
        await spool.append(Lane.WAVEFORM, [waveform(25 * RATES)])
        before = {n: spool.read(Lane.EVENT, n) for n in range(1, EVENTS + 1)}
        damage(tmp_path / "index.sqlite3")
        spool._retired_s = float("-inf")  # what keeps house asks the index now
        spool._store.index.fresh = False
        async with asyncio.timeout(5):
            assert await spool.append(Lane.ALARM, [alarm(Presence.ENDED, id=going.id)]) == 2
            assert await spool.append(Lane.NUMERIC, [heart_rate(60)]) == 1
        await asyncio.to_thread(lambda: _closed(spool))
        await until(lambda: spool._store.index.fresh and spool._store.places.is_whole, within_s=20)
        assert spool.dead_writers() == []
        assert None not in before.values()
        assert {n: spool.read(Lane.EVENT, n) for n in range(1, EVENTS + 1)} == before
        assert await spool.append(Lane.EVENT, [event(EVENTS)]) == EVENTS + 1
    async with opened(tmp_path) as spool:
        assert not spool.recovered.rebuilt, "what was made anew is good for the next start"
        assert spool.held(Lane.EVENT) == [(1, EVENTS + 1)]
        assert spool.held(Lane.ALARM) == [(1, 2)]
        assert list(spool.stored(Lane.EVENT)) == [(1, 5)]
        assert [a.presence for a in spool.active_alarms()] == [Presence.PRESENT]
        assert spool.active_alarms()[0].id != going.id
        assert spool.last_waveforms()[str(ECG)].end_sample == 25 * (RATES + 1)


def _closed(spool: Spool) -> None:
    """Ask for something that only the index knows, as a hub may at any time."""
    try:
        spool._store.closed_between(Lane.EVENT, 0, T0_NS * 2)
    except OSError:
        return


async def test_a_writer_that_has_ended_is_told_where_no_watchdog_is(tmp_path: Path):
    async with opened(tmp_path) as spool:
        watch = asyncio.create_task(spool.watch())
        await asyncio.sleep(0.1)
        assert not watch.done()
        await asyncio.to_thread(spool._alarm_writer.stop)
        with pytest.raises(WriterEndedError, match=r"^spool-alarm has ended"):
            await asyncio.wait_for(watch, 10)


async def test_an_alarm_waits_for_nothing_that_is_done_with_the_index(tmp_path: Path):
    async with opened(tmp_path) as spool:
        await spool.append(Lane.EVENT, [event(0)])
        with spool._store.index._lock:  # as the other thread has it over a commit
            spool._retired_s = float("-inf")
            for n in range(1, 4):
                assert await asyncio.wait_for(spool.append(Lane.ALARM, [alarm()]), 5) == n


def refuse(spool: Spool) -> None:
    """SQLite writes nothing more (SQLITE_READONLY), as on a medium that has gone read-only, until the file is opened anew."""
    with spool._store.index._lock:
        spool._store.index._db.execute("PRAGMA query_only = ON")


async def test_an_index_that_refuses_for_minutes_is_put_aside_and_made_anew(tmp_path: Path):
    now_ns = 0
    spool = await Spool.open(tmp_path, lambda: T0_NS, replace(SMALL, index_every_batches=1), None, lambda: now_ns)
    try:
        await spool.append(Lane.EVENT, [event(0)])
        await until(lambda: not spool._store.places.behind)
        spool._store.index.fresh = False
        refuse(spool)
        for i in range(1, 40):
            await spool.append(Lane.EVENT, [event(i)])
            now_ns += 20_000_000_000
            await asyncio.sleep(0.05)
        await until(lambda: spool._store.index.fresh and not spool._store.places.behind, within_s=15)
        assert (tmp_path / "index.sqlite3.refused").exists()
        assert all(spool.read(Lane.EVENT, n) for n in range(1, 41))
    finally:
        await spool.close()


async def test_what_waits_for_an_index_that_refuses_has_a_bound_and_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(places, "MOST_BEHIND", 100)
    async with opened(tmp_path) as spool:
        refuse(spool)
        spool._store.places._begun_s = time.monotonic()  # so that it is not made anew within the minute
        spool._store.places._most = 100
        for i in range(350):
            await spool.append(Lane.EVENT, [event(i)])
            assert spool._store.places.behind <= 102
        assert await spool.append(Lane.ALARM, [alarm()]) == 1
        spool._store._recent = Recent()  # as when more has come since
        assert spool.read(Lane.ALARM, 1)
        with pytest.raises(NotNowError):
            spool.read(Lane.EVENT, 1)
        spool._store.places._begun_s = float("-inf")
        await until(lambda: spool._store.places.is_whole, within_s=15)
        assert all(spool.read(Lane.EVENT, n) for n in range(1, 351))
        assert spool.held(Lane.EVENT) == [(1, 350)]
