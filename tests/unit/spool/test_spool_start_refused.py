"""A spool whose index SQLite refuses at the start: it starts all the same, alarms become durable, and the file is not thrown away."""

import asyncio
import shutil
import sqlite3
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from pathlib import Path

import pytest

from edge.spool import Limits, Spool
from protocols.link import Lane, Position
from protocols.nomenclature import SPOOL_FULL
from protocols.wire import Arrival
from tests.fixtures.opened_spool import opened_spool
from tests.fixtures.spool_records import alarm, heart_rate, noisy_waveform

SEGMENT = 65536
LIMITS = Limits(64 * SEGMENT, SEGMENT, 16384)
BATCHES, SAMPLES = 40, 2000
ARRIVAL = Arrival("cart-7", b"\x01" * 16)


def opened(folder: Path) -> AbstractAsyncContextManager[Spool]:
    return opened_spool(folder, LIMITS)


async def fill(spool: Spool) -> None:
    await spool.append(Lane.ALARM, [alarm()])
    await spool.append(Lane.NUMERIC, [heart_rate(60)], [ARRIVAL])
    for i in range(BATCHES):
        await spool.append(Lane.WAVEFORM, [noisy_waveform(SAMPLES * i, SAMPLES)])
    spool.acknowledged(Lane.NUMERIC, Position([(1, 1)]))


async def test_an_index_that_cannot_be_opened_is_kept_and_alarms_become_durable_without_it(tmp_path: Path):
    async with opened(tmp_path) as spool:
        await fill(spool)
    (tmp_path / "index.sqlite3-wal").mkdir()  # SQLITE_CANTOPEN, as long as it is there
    async with opened(tmp_path) as spool:
        assert spool.held(Lane.WAVEFORM) == [(1, BATCHES)]
        assert len(spool.active_alarms()) == 1
        assert await asyncio.wait_for(spool.append(Lane.ALARM, [alarm()]), 5) == 2
        assert spool.read(Lane.WAVEFORM, 1) is not None
    (tmp_path / "index.sqlite3-wal").rmdir()
    async with opened(tmp_path) as spool:
        assert not spool.recovered.rebuilt
        assert spool.held(Lane.ALARM) == [(1, 2)]
        assert len(spool.active_alarms()) == 2
        assert spool.arrivals()[Lane.NUMERIC] == [ARRIVAL]
        assert list(spool.stored(Lane.NUMERIC)) == [(1, 1)]


class FullDisk:
    """SQLite gets no page more (its own limit), unless the segments take less than they did."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, frees: bool) -> None:
        self._folder, self._frees, self._connect = folder, frees, sqlite3.connect
        self._full_bytes = self.taken_bytes
        monkeypatch.setattr(sqlite3, "connect", self._limited)

    @property
    def taken_bytes(self) -> int:
        return sum(p.stat().st_size for p in (self._folder / "waveform").glob("*.seg"))

    def _limited(self, path: "str | Path", *, check_same_thread: bool, timeout: float) -> sqlite3.Connection:
        database = self._connect(path, check_same_thread=check_same_thread, timeout=timeout)
        if path != ":memory:" and not (self._frees and self.taken_bytes < self._full_bytes):
            (pages,) = database.execute("PRAGMA page_count").fetchone()
            database.execute(f"PRAGMA max_page_count = {pages}")
        return database


@pytest.mark.parametrize("frees", [True, False])
@pytest.mark.req("IOT-5.3a", surface="protocol")
async def test_a_start_on_a_full_disk_lets_one_segment_of_waveforms_go_and_leaves_its_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frees: bool
):
    was, folder = tmp_path / "was", tmp_path / "is"
    async with opened(was) as spool:
        await spool.append(Lane.NUMERIC, [heart_rate(59)], [ARRIVAL])
    async with opened(was) as spool:
        await fill(spool)
        for _ in range(200):  # more of them than go into the pages that are there
            await spool.append(Lane.ALARM, [alarm()])
        shutil.copytree(was, folder)  # power goes before the index has any of it
    segments = sorted(p.name for p in (folder / "waveform").glob("*.seg"))
    FullDisk(folder, monkeypatch, frees=frees)
    async with opened(folder) as spool:
        left = sorted(p.name for p in (folder / "waveform").glob("*.seg"))
        assert left == segments[1:]
        assert spool.held(Lane.ALARM) == [(1, 201)]
        assert await asyncio.wait_for(spool.append(Lane.ALARM, [alarm()]), 5) == 202
        (held,) = spool.held(Lane.WAVEFORM)
        assert held[1] == BATCHES
        gaps = await spool.gaps_for(Lane.WAVEFORM, 1, BATCHES)
        assert {g.reason for g in gaps} == {SPOOL_FULL}
        spans = sorted((g.from_sample or 0, g.to_sample or 0) for g in gaps)
        assert (spans[0][0], spans[-1][1]) == (0, SAMPLES * (held[0] - 1))
        assert all(one[1] == following[0] for one, following in pairwise(spans))
        if frees:
            assert spool.arrivals()[Lane.NUMERIC] == [ARRIVAL]
    monkeypatch.undo()
    async with opened(folder) as spool:
        assert spool.held(Lane.ALARM) == [(1, 202)]
        assert spool.arrivals()[Lane.NUMERIC][0] == ARRIVAL
        assert await spool.gaps_for(Lane.WAVEFORM, 1, BATCHES) == gaps
        assert spool.held(Lane.WAVEFORM) == [held]
