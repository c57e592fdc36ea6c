"""kill -9 of a process that writes a spool, at random moments: every append that was reported durable is there."""

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.spool import Limits, Spool
from protocols.link import Lane
from protocols.record import Observation, WaveformGroup
from protocols.wire import decode_batch, decode_record

pytestmark = pytest.mark.integration
ROUNDS = 8
LIMITS = "Limits(total_bytes=64 << 20, segment_bytes=256 << 10, alarm_segment_bytes=64 << 10)"

WRITER = f"""
import asyncio, sys, time
from pathlib import Path
from edge.spool import Limits, Spool
from protocols.link import Lane
from tests.fixtures.spool_records import alarm, heart_rate, noisy_waveform

async def main():
    spool = await Spool.open(Path(sys.argv[1]), time.time_ns, {LIMITS})
    async def lane(lane, make):
        while True:
            first = spool.newest(lane) + 1
            batch = [spool.append(lane, [make(first + i)]) for i in range(4)]
            for future in batch:
                n = await future
                print(lane.value, n, flush=True)
    await asyncio.gather(
        lane(Lane.WAVEFORM, lambda n: noisy_waveform(500 * n, 500)),
        lane(Lane.NUMERIC, lambda n: heart_rate(n)),
        lane(Lane.ALARM, lambda n: alarm()),
    )

asyncio.run(main())
"""


def killed_after(directory: Path, seconds: float) -> list[tuple[Lane, int]]:
    """Run the writer until it is killed; what it reported durable."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(directory)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = [process.stdout.readline()]
    time.sleep(seconds)
    process.kill()
    said += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    whole = [line.split() for line in said if line.endswith("\n")]
    return [(Lane(int(lane)), int(n)) for lane, n in whole]


async def test_every_batch_that_was_reported_durable_survives_kill_9_at_random_moments(
    tmp_path: Path, seed: random.Random
):
    durable: list[tuple[Lane, int]] = []
    for turn in range(ROUNDS):
        new = await asyncio.to_thread(killed_after, tmp_path, seed.uniform(0, 0.6))
        assert not set(new) & set(durable), "a number was given twice"
        durable += new
        if seed.random() < 0.3:
            (tmp_path / "index.sqlite3").unlink()
        limits = Limits(total_bytes=64 << 20, segment_bytes=256 << 10, alarm_segment_bytes=64 << 10)
        spool = await Spool.open(tmp_path, time.time_ns, limits)
        try:
            for lane, n in durable:
                data = spool.read(lane, n)
                assert data is not None, f"round {turn}: {lane.name} {n} was durable and is gone"
                batch = decode_batch(data)
                assert (batch.lane, batch.n) == (lane, n)
                record = decode_record(batch.records[0].record)
                if isinstance(record, WaveformGroup):
                    assert record.first_sample == 500 * n
                if isinstance(record, Observation):
                    assert record.value == n
        finally:
            await spool.close()
    print(f"{len(durable)} batches over {ROUNDS} kills")
    assert {lane for lane, _ in durable} == {Lane.WAVEFORM, Lane.NUMERIC, Lane.ALARM}
