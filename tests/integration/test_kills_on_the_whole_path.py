"""Processes killed anywhere between the serial line and the table: what is stored is compared sample by sample with what was sent."""

import asyncio
import hashlib
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg
import pytest

from edge.spool import Spool
from firmware_adapters.simulate.cyton import Board
from protocols import codec
from protocols.ecgfile.wfdb import read_record
from protocols.link import Lane
from protocols.nomenclature import AGENT_RESTART
from protocols.record import AlarmCondition, Record, WaveformGroup
from protocols.wire import decode_batch, decode_record
from wardlink.demo.one_bed import DEVICE, OneBed, Recording
from wardlink.local.database import Database
from wardlink.local.places import Places

pytestmark = pytest.mark.integration

FS_HZ = 250
EXCERPT_S = 260  # tests/captures/vfdb-419-vf: 65000 samples
PLAYED_S = 24  # its end, so that a lost tail shows; longer than all kills of a test take
START_S = EXCERPT_S - PLAYED_S
SENT = PLAYED_S * FS_HZ
RESTART_S = 10  # an agent is up again in so many seconds; it has to hear the last sample


@dataclass(frozen=True)
class Stored:
    """What the hub has of the amplifier's ECG: running number to sample (both leads), and its gaps."""

    samples: dict[int, tuple[int, ...]]
    gaps: list[tuple[int, int, str]]

    def digest(self) -> str:
        return digest([self.samples[n] for n in sorted(self.samples)])


def digest(rows: list[tuple[int, ...]]) -> str:
    return hashlib.sha256(np.array(rows, dtype="<i4").tobytes()).hexdigest()


def read_stored(database: Database) -> Stored:
    samples: dict[int, tuple[int, ...]] = {}
    with closing(psycopg.connect(database.admin_url)) as connection:
        rows = connection.execute(
            "select w.first_sample, w.n, w.codec, w.samples, cardinality(s.leads), s.dtype from waveform w"
            " join stream s using (stream_id) join source p using (source_id) where p.path = %s",
            (f"{DEVICE}/ecg",),
        ).fetchall()
        gaps = connection.execute(
            "select from_sample, to_sample, reason from gap join source p using (source_id) where p.path = %s order by 1",
            (f"{DEVICE}/ecg",),
        ).fetchall()
    for first, n, number, data, leads, dtype in rows:
        plain = codec.decode(number, bytes(data), leads=leads, n=n, dtype=dtype)
        for i, row in enumerate(np.frombuffer(plain, dtype).reshape(leads, n).T):
            assert first + i not in samples, f"sample {first + i} is stored twice"
            samples[first + i] = tuple(int(count) for count in row)
    return Stored(samples, gaps)


def committed(spool: Path) -> list[Record]:
    """What a killed agent's spool holds, read by the spool's own reader."""

    async def read() -> list[Record]:
        opened = await Spool.open(spool, time.time_ns)
        try:
            batches = [
                opened.read(lane, n)
                for lane in Lane
                for first, last in opened.held(lane)
                for n in range(first, last + 1)
            ]
        finally:
            await opened.close()
        return [decode_record(one.record) for data in batches if data is not None for one in decode_batch(data).records]

    return asyncio.run(read())


def samples_of(records: list[Record]) -> dict[int, tuple[int, ...]]:
    """Running number to sample of the amplifier's ECG; fails when a number stands in them twice."""
    samples: dict[int, tuple[int, ...]] = {}
    for group in records:
        if isinstance(group, WaveformGroup) and str(group.source) == f"{DEVICE}/ecg":
            rows = {group.first_sample + i: tuple(row) for i, row in enumerate(group.array().T.tolist())}
            assert rows.keys().isdisjoint(samples)
            samples |= rows
    return samples


def wait_until_more_is_stored(bed: OneBed, than: int) -> int:
    """Wait until the agent runs and a sample behind number `than` is stored; the newest one's number."""
    until_s = time.monotonic() + PLAYED_S
    while (newest := max(read_stored(bed.database).samples, default=-1)) <= than:
        bed.processes.check()
        assert time.monotonic() < until_s, "the agent does not send"
        time.sleep(0.1)
    return newest


def wait_for_the_end(bed: OneBed) -> Stored:
    """Wait until the amplifier has played all of it, silence the amplifier, and wait until nothing new comes in."""
    until_s = time.monotonic() + PLAYED_S + 10
    while SENT - 1 not in read_stored(bed.database).samples:
        bed.processes.check()
        assert time.monotonic() < until_s, "the last sample of the recording has not come"
        time.sleep(0.5)
    bed.processes.stop(DEVICE)
    return wait_until_drained(bed)


def wait_until_drained(bed: OneBed) -> Stored:
    """The amplifier is silent: wait until nothing new comes in."""
    before = -1
    until_s = time.monotonic() + 30
    while time.monotonic() < until_s:
        bed.processes.check()
        stored = read_stored(bed.database)
        if len(stored.samples) == before:
            return stored
        before = len(stored.samples)
        time.sleep(2)
    pytest.fail("data still come in 30 s after the amplifier fell silent")


@pytest.fixture
def expected(captures: Path) -> list[tuple[int, ...]]:
    """What the amplifier measures, in counts, from its sample 0 on."""
    board = Board(read_record(captures / "vfdb-419-vf").physical()[:, START_S * FS_HZ :] * 1000)
    rows = [tuple(row) for row in board.counts[:, :2].tolist()]
    assert len(rows) == SENT
    return rows


@pytest.fixture
def bed(
    usual_places: Places,
    short_folder: Callable[[], Path],
    hub_database: Database,
    captures: Path,
) -> Iterator[OneBed]:
    recording = Recording(captures / "vfdb-419-vf", start_s=START_S, loop_pause_s=None)
    with OneBed(usual_places, short_folder(), recording, database=hub_database) as up:
        up.switch_on()
        yield up


def stretches(numbers: set[int]) -> list[tuple[int, int]]:
    """Runs of numbers that follow each other: first, and end exclusive."""
    firsts = sorted(n for n in numbers if n - 1 not in numbers)
    return list(zip(firsts, sorted(n + 1 for n in numbers if n + 1 not in numbers), strict=True))


def test_a_hub_that_is_killed_again_and_again_has_every_sample_once(
    bed: OneBed, expected: list[tuple[int, ...]], seed: random.Random
) -> None:
    for _ in range(5):
        time.sleep(seed.uniform(0.3, 2.0))
        bed.processes.kill("ingest")
        time.sleep(seed.uniform(0.0, 0.7))
        bed.start_hub("ingest")
        bed.processes.kill("web")  # what looks at the data holds none of them
        bed.start_hub("web")
    stored = wait_for_the_end(bed)
    assert stored.gaps == []
    assert sorted(stored.samples) == list(range(SENT))
    assert stored.digest() == digest(expected)


def test_an_agent_that_is_killed_leaves_exactly_the_gaps_that_it_reports(
    bed: OneBed, expected: list[tuple[int, ...]], seed: random.Random, tmp_path: Path
) -> None:
    spools: list[Path] = []
    killed = Counter[str]()

    def kill(phase: str) -> None:
        bed.processes.kill("agent")
        killed[phase] += 1

    end = -1
    for turn in range(2):
        end = wait_until_more_is_stored(bed, end)
        assert end < (PLAYED_S - RESTART_S) * FS_HZ, f"the machine is too slow: {killed} until sample {end}"
        time.sleep(seed.uniform(0.0, 1.0))
        kill("any moment")
        spools.append(shutil.copytree(bed.edge_state / "spool", tmp_path / f"spool-{turn}"))
        shutil.copy2(bed.edge_state / "spool.key", tmp_path)  # where a spool has its key unless it is told otherwise
        time.sleep(seed.uniform(0.0, 0.5))
        for _ in range(2):
            bed.start_agent()
            time.sleep(seed.uniform(0.05, 1.2))  # it imports, opens its spool, its port, its first connections
            kill("while it starts")
        bed.start_agent()
    assert killed == {"any moment": 2, "while it starts": 4}
    stored = wait_for_the_end(bed)
    reported = {n for first, last, _ in stored.gaps for n in range(first, last)}
    assert reported.isdisjoint(stored.samples)
    assert reported | set(stored.samples) == set(range(SENT))
    assert all(stored.samples[n] == expected[n] for n in stored.samples)
    assert {reason for _, _, reason in stored.gaps} == {AGENT_RESTART}
    # each missing stretch is one gap; an agent that is killed before it has opened its port makes none of its own
    assert sorted((first, last) for first, last, _ in stored.gaps) == stretches(set(range(SENT)) - set(stored.samples))
    assert 1 <= len(stored.gaps) <= killed.total()

    held: set[int] = set()
    alarms: set[object] = set()
    for spool in spools:
        records = committed(spool)
        shutil.rmtree(spool)
        samples = samples_of(records)
        assert samples, "the agent is killed while it has committed something"
        assert samples.keys() <= stored.samples.keys()
        numbers = sorted(samples)
        assert digest([samples[n] for n in numbers]) == digest([stored.samples[n] for n in numbers])
        held |= samples.keys()
        alarms |= {record.id for record in records if isinstance(record, AlarmCondition)}
    print(f"{len(held)} of {len(stored.samples)} stored samples stood in the spool of an agent when it was killed")
    with closing(psycopg.connect(bed.database.admin_url)) as connection:
        kept = connection.execute("select alarm_id from alarm").fetchall()
    assert alarms <= {alarm_id for (alarm_id,) in kept}
