"""A disk that is full and stays so: the oldest waveforms go and leave their gaps, an alarm never goes and never waits.

The disk is what `posix_fallocate` gives, since segments are preallocated and nothing else of the spool grows but the index; that one is held
by SQLite's own limit of pages. `tests/faults` fills a real file system.
"""

import asyncio
import errno
import os
import time
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from pathlib import Path

import pytest

from edge.spool import Limits, Spool
from protocols.link import Lane
from protocols.nomenclature import EVT_FAULT, SPOOL_FULL
from protocols.record import DeviceEvent, Gap, Times
from tests.fixtures.opened_spool import opened_spool
from tests.fixtures.spool_records import ECG, T0_NS, alarm, heart_rate, noisy_waveform
from tests.fixtures.waiting import until

SEGMENT = 65536
LIMITS = Limits(1024 * SEGMENT, SEGMENT, 16384, index_every_batches=1)
FULL_BYTES = 12 * SEGMENT
SAMPLES = 2000  # 8 KB, seven or eight to a segment


class Disk:
    """Gives `free_bytes` to files below a folder, less what they have."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._real, self.asked = folder, os.posix_fallocate, 0
        self.size_bytes = 1 << 40
        monkeypatch.setattr(os, "posix_fallocate", self._allocate)

    @property
    def taken_bytes(self) -> int:
        return sum(p.stat().st_size for d in ("alarm", "record", "waveform") for p in (self._folder / d).glob("*"))

    def fill(self, spool: Spool, but_bytes: int = 0) -> None:
        """Somebody else takes the rest but so much: no segment more, and no page of the index."""
        self.size_bytes = self.taken_bytes + but_bytes
        database = spool._store.index._db
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages}")

    def _allocate(self, fd: int, offset: int, size: int) -> None:
        self.asked += 1
        if self.taken_bytes + size > self.size_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._real(fd, offset, size)


def opened(folder: Path) -> AbstractAsyncContextManager[Spool]:
    return opened_spool(folder, LIMITS)


async def waveforms(spool: Spool, batches: range) -> None:
    for i in batches:
        await asyncio.wait_for(spool.append(Lane.WAVEFORM, [noisy_waveform(SAMPLES * i, SAMPLES)]), 20)


def event(i: int) -> DeviceEvent:
    return DeviceEvent(ECG, EVT_FAULT, Times(T0_NS + i), (("bytes", os.urandom(1000).hex()),))


async def covered(spool: Spool, newest: int) -> None:
    """Each sample is there, or in the Gap of a batch that is not."""
    spans: list[tuple[int, int]] = []
    held = {n for a, b in spool.held(Lane.WAVEFORM) for n in range(a, b + 1)}
    spans += [(SAMPLES * (n - 1), SAMPLES * n) for n in held]
    gaps: list[Gap] = await spool.gaps_for(Lane.WAVEFORM, 1, newest)
    assert {g.reason for g in gaps} <= {SPOOL_FULL}
    spans += [(g.from_sample or 0, g.to_sample or 0) for g in gaps]
    spans.sort()
    assert (spans[0][0], spans[-1][1]) == (0, SAMPLES * newest)
    assert all(one[1] == following[0] for one, following in pairwise(spans)), spans


@pytest.mark.req("IOT-5.3a", surface="protocol")
async def test_on_a_disk_that_stays_full_the_oldest_waveforms_go_and_no_alarm_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    disk = Disk(tmp_path, monkeypatch)
    async with opened(tmp_path) as spool:
        dropped: list[tuple[Lane, int, int]] = []
        spool.on_dropped = lambda *what: dropped.append(what)
        await waveforms(spool, range(80))
        await spool.append(Lane.NUMERIC, [heart_rate(60)])
        await until(lambda: not spool._store.places.behind)
        disk.fill(spool)
        slowest_s = 0.0
        for _ in range(150):  # many alarm segments, one behind the other
            begun_s = time.monotonic()
            await asyncio.wait_for(spool.append(Lane.ALARM, [alarm(params=(("bytes", os.urandom(400).hex()),))]), 20)
            slowest_s = max(slowest_s, time.monotonic() - begun_s)
        assert slowest_s < 2, (
            "the time of a look at a disk that two of these tests share, and not of one that is waited for"
        )
        assert len(list((tmp_path / "alarm").glob("*.seg"))) > 5
        assert dropped[0][:2] == (Lane.WAVEFORM, 1)
        await waveforms(spool, range(80, 120))
        for i in range(200):
            await asyncio.wait_for(spool.append(Lane.EVENT, [event(i)]), 20)
        assert {lane for lane, _, _ in dropped} == {Lane.WAVEFORM}
        assert disk.taken_bytes <= disk.size_bytes
        assert spool.held(Lane.ALARM) == [(1, 150)]
        assert spool.held(Lane.EVENT) == [(1, 200)]
        await until(lambda: not spool._store._owed)
        assert spool._store.places.behind, "the index has taken nothing all the time"
        await covered(spool, 120)
        assert spool.dead_writers() == []
    async with opened(tmp_path) as spool:  # with the old index, and what it has not seen from the segments
        assert spool.held(Lane.ALARM) == [(1, 150)]
        assert spool.held(Lane.EVENT) == [(1, 200)]
        await covered(spool, 120)


async def test_an_alarm_takes_the_segment_that_is_written_to_when_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    disk = Disk(tmp_path, monkeypatch)
    async with opened(tmp_path) as spool:
        await waveforms(spool, range(3))
        disk.fill(spool)
        for _ in range(60):
            await asyncio.wait_for(spool.append(Lane.ALARM, [alarm(params=(("bytes", os.urandom(400).hex()),))]), 10)
        assert spool.held(Lane.ALARM) == [(1, 60)]
        assert spool.held(Lane.WAVEFORM) == []
        await until(lambda: not spool._store._owed)
        await covered(spool, 3)
        disk.size_bytes = 1 << 40
        await waveforms(spool, range(3, 9))
    async with opened(tmp_path) as spool:  # the index speaks of the segment that went, if of any
        assert spool.held(Lane.WAVEFORM) == [(4, 9)]
        assert all(spool.read(Lane.WAVEFORM, n) for n in range(4, 10))
        await covered(spool, 9)


async def test_what_a_refused_write_left_in_a_segment_takes_no_batch_along_when_that_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with opened(tmp_path) as spool:
        await waveforms(spool, range(3))
        real = os.fdatasync

        def refuse(fd: int) -> None:
            monkeypatch.setattr(os, "fdatasync", real)
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fdatasync", refuse)
        await waveforms(spool, range(3, 5))
        assert len(list((tmp_path / "waveform").glob("*.seg"))) == 2, "the fourth lies in both"
        went: list[bool] = []
        await asyncio.wrap_future(
            spool._in_writer(spool._bulk_writer, lambda: went.append(spool._store._drop_victim()))
        )
        assert went == [True]
        assert spool.held(Lane.WAVEFORM) == [(4, 5)]
        assert all(spool.read(Lane.WAVEFORM, n) for n in (4, 5))
        await covered(spool, 5)


async def test_what_a_full_disk_has_left_is_used_though_it_is_no_whole_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    disk = Disk(tmp_path, monkeypatch)
    async with opened(tmp_path) as spool:
        await spool.append(Lane.NUMERIC, [heart_rate(60)])
        disk.fill(spool, SEGMENT - 1)
        await waveforms(spool, range(12))
        await asyncio.wait_for(spool.append(Lane.NUMERIC, [heart_rate(61)]), 20)
        assert {p.stat().st_size for p in (tmp_path / "waveform").glob("*.seg")} == {SEGMENT // 2}
        assert disk.taken_bytes <= disk.size_bytes
        await covered(spool, 12)
        # all that waited is one group, larger than what is left: it waits for room, and the loop of tries rests
        many = [spool.append(Lane.WAVEFORM, [noisy_waveform(SAMPLES * i, SAMPLES)]) for i in range(12, 24)]
        await asyncio.sleep(1.5)
        tried = disk.asked
        await asyncio.sleep(1.0)
        assert disk.asked - tried < 20
        disk.size_bytes = 1 << 40
        await asyncio.wait_for(asyncio.gather(*many), 20)
        await waveforms(spool, range(24, 30))
        assert SEGMENT in {p.stat().st_size for p in (tmp_path / "waveform").glob("*.seg")}
        assert spool.dead_writers() == []


async def test_numbers_and_events_do_not_wait_for_waveforms_that_a_full_disk_has_no_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    disk = Disk(tmp_path, monkeypatch)
    async with opened(tmp_path) as spool:
        await spool.append(Lane.NUMERIC, [heart_rate(60)])
        disk.fill(spool)
        waiting = [spool.append(Lane.WAVEFORM, [noisy_waveform(SAMPLES * i, SAMPLES)]) for i in range(3)]
        for n in range(2, 5):
            both = [spool.append(Lane.NUMERIC, [heart_rate(60 + n)]), spool.append(Lane.EVENT, [event(n)])]
            assert await asyncio.wait_for(asyncio.gather(*both), 10) == [n, n - 1]
        assert not any(future.done() for future in waiting)
        disk.size_bytes = 1 << 40
        assert await asyncio.wait_for(asyncio.gather(*waiting), 20) == [1, 2, 3]
        assert spool.held(Lane.NUMERIC) == [(1, 4)]
    async with opened(tmp_path) as spool:
        assert (spool.held(Lane.NUMERIC), spool.held(Lane.WAVEFORM)) == ([(1, 4)], [(1, 3)])
