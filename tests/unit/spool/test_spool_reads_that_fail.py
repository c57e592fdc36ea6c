"""A batch is given up when its bytes are damaged or its place is lost, and not when it only cannot be read just now."""

import asyncio
import errno
import os
import resource
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from edge.spool import Limits, NotNowError, Spool
from edge.spool.medium import Medium
from edge.spool.succession import succeed
from protocols.link import Lane
from protocols.nomenclature import SPOOL_CORRUPT
from protocols.record import Gap
from protocols.wire import decode_batch, decode_record
from tests.fixtures.spool_records import ECG, T0_NS, noisy_waveform, waveform
from tests.fixtures.waiting import until

SMALL = Limits(16 * 65536, 65536, 32768)
BATCHES = 9


@asynccontextmanager
async def backlog(directory: Path, samples: int = 25) -> AsyncGenerator[Spool]:
    """A spool with batches that are on the disk only."""
    spool = await Spool.open(directory, lambda: T0_NS, SMALL)
    for i in range(BATCHES):
        await spool.append(Lane.WAVEFORM, [noisy_waveform(samples * i, samples)])
    await spool.close()
    spool = await Spool.open(directory, lambda: T0_NS, SMALL)
    try:
        yield spool
    finally:
        await spool.close()


@contextmanager
def no_more_files() -> Generator[None]:
    """The process may open none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 8, hard))
    try:
        with suppress(OSError):
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        yield
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def medium_that_refuses(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The next reads of anything at a place end with EIO, as those of a card that loses its contact, or a sector."""
    real, refused = os.pread, count()

    def pread(fd: int, size: int, offset: int) -> bytes:
        if next(refused) < times:
            raise OSError(errno.EIO, "Input/output error")
        return real(fd, size, offset)

    monkeypatch.setattr(os, "pread", pread)


async def test_a_process_without_files_to_open_gives_up_no_batch(tmp_path: Path):
    async with backlog(tmp_path) as spool:
        dropped: list[tuple[Lane, int, int]] = []
        spool.on_dropped = lambda *what: dropped.append(what)
        whole = [spool.read(Lane.WAVEFORM, n) for n in range(1, BATCHES + 1)]
        with no_more_files():
            for n in range(1, BATCHES + 1):
                with pytest.raises(
                    NotNowError, match=rf"^batch {n} of lane waveform cannot be read now: .*Too many open files"
                ):
                    spool.read(Lane.WAVEFORM, n)
        await spool.append(Lane.NUMERIC, [waveform(0)])  # behind whatever the writer had been told to do
        assert [spool.read(Lane.WAVEFORM, n) for n in range(1, BATCHES + 1)] == whole
        assert (dropped, spool.held(Lane.WAVEFORM)) == ([], [(1, BATCHES)])


async def test_one_error_of_the_medium_passes_and_a_place_that_refuses_for_long_becomes_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with backlog(tmp_path) as spool:
        dropped: list[tuple[Lane, int, int]] = []
        spool.on_dropped = lambda *what: dropped.append(what)
        now_s = [0.0]
        spool._medium = Medium(lambda: now_s[0])
        medium_that_refuses(monkeypatch, 3)
        for _ in range(3):
            with pytest.raises(NotNowError, match="Input/output error"):
                spool.read(Lane.WAVEFORM, 5)
        assert spool.read(Lane.WAVEFORM, 5) is not None
        medium_that_refuses(monkeypatch, 5)
        for now_s[0] in (20.0, 24.0, 28.0):
            with pytest.raises(NotNowError):
                spool.read(Lane.WAVEFORM, 4)
        now_s[0] = 31.0
        assert spool.read(Lane.WAVEFORM, 4) is None
        await until(lambda: bool(dropped))
        assert dropped == [(Lane.WAVEFORM, 4, 4)]
        [gap] = await spool.gaps_for(Lane.WAVEFORM, 4, 4)
        assert (gap.source, gap.reason, gap.from_sample, gap.to_sample) == (ECG, SPOOL_CORRUPT, 75, 100)


async def test_a_spool_that_is_begun_anew_waits_for_a_batch_that_cannot_be_read_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with backlog(tmp_path / "spool"):
        pass
    real, refused = os.pread, count()

    def pread(fd: int, size: int, offset: int) -> bytes:
        if size < 4096 and next(refused) == 2:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return real(fd, size, offset)

    monkeypatch.setattr(os, "pread", pread)
    assert await succeed(tmp_path / "spool", lambda: T0_NS, SMALL) == BATCHES


@pytest.mark.parametrize("is_known", [True, False])
async def test_what_a_spool_lost_and_has_not_told_is_told_by_the_one_that_is_begun_anew(tmp_path: Path, is_known: bool):
    lost = {2, 7}
    async with backlog(tmp_path / "spool"):
        pass
    [segment] = (tmp_path / "spool" / "waveform").glob("*.seg")
    data = bytearray(segment.read_bytes())
    starts = [i for i in range(len(data)) if data.startswith(b"WLF1", i)]
    for n in lost:
        data[starts[n - 1] + 60] ^= 0xFF
    segment.write_bytes(data)
    if not is_known:  # the start finds no damage: its index says where each batch lies
        (tmp_path / "spool" / "index.sqlite3").unlink()
    assert await succeed(tmp_path / "spool", lambda: T0_NS, SMALL) == BATCHES - len(lost)
    spool = await Spool.open(tmp_path / "spool", lambda: T0_NS, SMALL)
    try:
        told = [
            decode_record(entry.record)
            for first, last in spool.held(Lane.EVENT)
            for n in range(first, last + 1)
            for entry in decode_batch(spool.read(Lane.EVENT, n) or b"").records
        ]
    finally:
        await spool.close()
    assert sorted((gap.source, gap.reason, gap.from_sample, gap.to_sample) for gap in told if isinstance(gap, Gap)) == [
        (ECG, SPOOL_CORRUPT, 25 * (n - 1), 25 * n) for n in sorted(lost)
    ]


async def test_a_sector_that_cannot_be_read_at_a_start_costs_its_batches_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with backlog(tmp_path, samples=500):  # two to a sector
        pass
    (tmp_path / "index.sqlite3").unlink()
    [segment] = (tmp_path / "waveform").glob("*.seg")
    fourth = [i for i in range(8192) if segment.read_bytes().startswith(b"WLF1", i)][3]
    real: Callable[[int, int, int], bytes] = os.pread

    def pread(fd: int, size: int, offset: int) -> bytes:
        if Path(f"/proc/self/fd/{fd}").readlink() == segment and offset <= fourth < offset + size:
            raise OSError(errno.EIO, "Input/output error")
        return real(fd, size, offset)

    monkeypatch.setattr(os, "pread", pread)
    spool = await Spool.open(tmp_path, lambda: T0_NS, SMALL)
    try:
        gone = {n for n in range(1, BATCHES + 1) if spool.read(Lane.WAVEFORM, n) is None}
        assert 4 in gone
        assert len(gone) <= 4, "a sector of 4096 bytes, not the segment"
        assert await asyncio.wait_for(spool.append(Lane.WAVEFORM, [waveform(25 * BATCHES)]), 5) > BATCHES
    finally:
        await spool.close()
