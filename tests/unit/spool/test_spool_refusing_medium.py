"""A medium that refuses writes for a time: what the spool holds stays, and the disk does not fill with segments that hold nothing."""

import asyncio
import errno
import os
import time
from pathlib import Path

import pytest

from edge.spool import Limits, Spool, store
from protocols.link import Lane
from tests.fixtures.spool_records import T0_NS, alarm, noisy_waveform

SEGMENT = 65536
LIMITS = Limits(12 * SEGMENT, SEGMENT, 16384)
BATCHES, SAMPLES, REFUSALS = 90, 2000, 12
RETRY_S = 0.02


class Medium:
    """Refuses so many writes of a log, and notes when."""

    def __init__(self, folder: Path, log: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._log, self._real = str(folder / log), os.fdatasync
        self.at_s: list[float] = []
        monkeypatch.setattr(os, "fdatasync", self._sync)

    def _sync(self, fd: int) -> None:
        if len(self.at_s) < REFUSALS and str(Path(f"/proc/self/fd/{fd}").readlink()).startswith(self._log):
            self.at_s.append(time.monotonic())
            raise OSError(errno.EIO, "Input/output error")
        self._real(fd)


def segments(folder: Path) -> int:
    return len(list(folder.glob("*/*.seg")))


@pytest.mark.parametrize("lane", [Lane.WAVEFORM, Lane.ALARM])
async def test_a_medium_that_refuses_writes_costs_no_batch_and_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lane: Lane
):
    monkeypatch.setattr(store, "_RETRY_S", RETRY_S)
    spool = await Spool.open(tmp_path, lambda: T0_NS, LIMITS)
    try:
        for i in range(BATCHES):
            await spool.append(Lane.WAVEFORM, [noisy_waveform(SAMPLES * i, SAMPLES)])
        await spool.append(Lane.ALARM, [alarm()])
        held, files = spool.held(Lane.WAVEFORM), segments(tmp_path)
        medium = Medium(tmp_path, "alarm" if lane is Lane.ALARM else "waveform", monkeypatch)
        record = alarm() if lane is Lane.ALARM else noisy_waveform(SAMPLES * BATCHES, SAMPLES)
        n = await asyncio.wait_for(spool.append(lane, [record]), 20)
        assert len(medium.at_s) == REFUSALS
        assert medium.at_s[-1] - medium.at_s[-2] > 4 * RETRY_S, "the pause grows"
        assert spool.read(lane, n)
        assert segments(tmp_path) <= files + 1
        if lane is Lane.ALARM:
            assert spool.held(Lane.WAVEFORM) == held
        else:  # its first try sealed the segment that was written to, and the next wanted room
            ((first, _),) = spool.held(Lane.WAVEFORM)
            assert first - held[0][0] <= SEGMENT // (4 * SAMPLES)
    finally:
        await asyncio.wait_for(spool.close(), 20)
    spool = await Spool.open(tmp_path, lambda: T0_NS, LIMITS)
    assert spool.newest(lane) == n
    assert spool.held(lane)[-1][1] == n
    await spool.close()
