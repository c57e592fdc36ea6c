"""The spool: what was reported durable is there, what had to go leaves a Gap, alarms never go."""

import asyncio
import random
import shutil
import sqlite3
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from hashlib import shake_256
from itertools import pairwise
from pathlib import Path
from shutil import copytree

import pytest
from prometheus_client import REGISTRY

from edge.spool import ARRIVALS_KEPT, Limits, Spool
from edge.spool.ends import Ends, Known, furthest
from edge.spool.index import ArrivalRow, SourceEnd
from edge.spool.limits import DAY_NS
from edge.spool.succession import succeed
from protocols.link import Lane, Position
from protocols.nomenclature import EVT_FAULT, QUEUE_OVERFLOW, SPOOL_CORRUPT, SPOOL_FULL
from protocols.record import NS_PER_S, DeviceEvent, Gap, Observation, Presence, SourcePath, Times, WaveformGroup
from protocols.uplink_pb2 import Batch
from protocols.wire import Arrival, arrivals_of, decode_batch, decode_record
from tests.fixtures.spool_records import ECG, T0_NS, alarm, heart_rate, noisy_waveform, waveform
from tests.fixtures.waiting import until

SMALL = Limits(total_bytes=6 * 65536, segment_bytes=65536, alarm_segment_bytes=32768)


@asynccontextmanager
async def opened(directory: Path, limits: Limits = SMALL, now_ns: int = T0_NS) -> AsyncGenerator[Spool]:
    spool = await Spool.open(directory, lambda: now_ns, limits)
    try:
        yield spool
    finally:
        await spool.close()


def told(metric: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(metric, labels) or 0.0


def given_up(lane: Lane, reason: str) -> float:
    return told("edge_spool_given_up_batches_total", lane=lane.name.lower(), reason=reason)


def records(spool: Spool, lane: Lane, n: int):
    data = spool.read(lane, n)
    assert data is not None, f"{lane.name} {n} is missing"
    return [decode_record(e.record) for e in decode_batch(data).records]


async def fill(spool: Spool, batches: int, *, samples: int = 500, first: int = 0) -> None:
    for i in range(batches):
        await spool.append(Lane.WAVEFORM, [noisy_waveform((first + i) * samples, samples)])


async def test_a_durable_batch_reads_back_as_its_records_after_a_restart(tmp_path: Path):
    async with opened(tmp_path) as spool:
        assert await spool.append(Lane.WAVEFORM, [waveform(0)]) == 1
        assert await spool.append(Lane.WAVEFORM, [waveform(25)]) == 2
        assert await spool.append(Lane.NUMERIC, [heart_rate(61)]) == 1
        epoch = spool.epoch
    async with opened(tmp_path) as spool:
        assert spool.epoch == epoch
        assert records(spool, Lane.WAVEFORM, 2) == [waveform(25)]
        assert records(spool, Lane.NUMERIC, 1) == [heart_rate(61)]
        assert spool.held(Lane.WAVEFORM) == [(1, 2)]
        assert await spool.append(Lane.WAVEFORM, [waveform(50)]) == 3


async def test_each_new_spool_has_an_epoch_of_its_own(tmp_path: Path):
    async with opened(tmp_path / "a") as one, opened(tmp_path / "b") as other:
        assert len(one.epoch) == 16
        assert one.epoch != other.epoch


async def test_the_end_of_each_source_is_known_after_a_restart_so_that_numbering_goes_on(tmp_path: Path):
    async with opened(tmp_path) as spool:
        await spool.append(Lane.WAVEFORM, [waveform(0), waveform(25)])
    async with opened(tmp_path) as spool:
        end = spool.last_waveforms()[str(ECG)]
        assert (end.end_sample, end.end_ns) == (50, T0_NS + NS_PER_S // 5)


async def test_where_a_new_source_ends_is_soon_known_without_its_segment_also_behind_a_kill(tmp_path: Path):
    """Else its numbers would be given again, and what is lost would be no gap. Long before the index is written for its age."""
    spool = await Spool.open(tmp_path / "spool", time.time_ns, SMALL)
    try:
        await spool.append(Lane.WAVEFORM, [waveform(0), waveform(25)])
        left = tmp_path / "left"

        def known_of_what_a_kill_leaves() -> bool:
            shutil.rmtree(left, ignore_errors=True)
            shutil.copytree(tmp_path / "spool", left)
            for name in ("index.sqlite3", "index.sqlite3-wal"):
                if not (left / name).exists():
                    return False
            with closing(sqlite3.connect(left / "index.sqlite3")) as index:
                return bool(index.execute("select * from source").fetchall())

        await until(known_of_what_a_kill_leaves, 10)
    finally:
        await spool.close()
    shutil.copy(tmp_path / "spool.key", left.parent / "left.key")
    for segment in (left / "waveform").glob("*.seg"):
        segment.write_bytes(b"\xff" * segment.stat().st_size)
    async with opened(left) as again:
        [end] = again.last_waveforms().values()
        assert (end.source, end.end_sample) == (str(ECG), 50)


async def test_alarms_that_have_not_ended_are_reloaded(tmp_path: Path):
    going, gone = alarm(), alarm()
    async with opened(tmp_path) as spool:
        await spool.append(Lane.ALARM, [going, gone])
        await spool.append(Lane.ALARM, [alarm(Presence.ENDED, id=gone.id)])
    async with opened(tmp_path) as spool:
        assert spool.active_alarms() == [going]


async def test_the_index_is_rebuilt_from_the_segments_when_it_is_gone_or_damaged(tmp_path: Path):
    going = alarm()
    async with opened(tmp_path) as spool:
        await fill(spool, 40)
        await spool.append(Lane.ALARM, [going])
        before = [spool.read(Lane.WAVEFORM, n) for n in range(1, 41)]
        epoch = spool.epoch
    for damage in (lambda p: p.unlink(), lambda p: p.write_bytes(b"not a database" * 1000)):
        for suffix in ("-wal", "-shm"):
            (tmp_path / f"index.sqlite3{suffix}").unlink(missing_ok=True)
        damage(tmp_path / "index.sqlite3")
        (tmp_path / "epoch").unlink()
        async with opened(tmp_path) as spool:
            assert spool.recovered.rebuilt
            assert spool.epoch == epoch
            assert [spool.read(Lane.WAVEFORM, n) for n in range(1, 41)] == before
            assert spool.active_alarms() == [going]
            assert spool.last_waveforms()[str(ECG)].end_sample == 40 * 500


@pytest.mark.parametrize("keep_index", [True, False])
async def test_damaged_bytes_leave_one_gap_with_the_samples_that_they_held(tmp_path: Path, keep_index: bool):
    async with opened(tmp_path) as spool:
        for i in range(9):
            await spool.append(Lane.WAVEFORM, [waveform(25 * i)])
    segment = next((tmp_path / "waveform").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    frames = [i for i in range(len(data)) if data.startswith(b"WLF1", i)]
    data[frames[4] + 60] ^= 0xFF  # batch 5: samples 100 to 125
    segment.write_bytes(data)
    if not keep_index:
        (tmp_path / "index.sqlite3").unlink()
    async with opened(tmp_path) as spool:
        dropped: list[tuple[Lane, int, int]] = []
        spool.on_dropped = lambda *what: dropped.append(what)
        assert spool.read(Lane.WAVEFORM, 5) is None
        if keep_index:
            await until(lambda: bool(dropped))
            assert dropped == [(Lane.WAVEFORM, 5, 5)]
        [gap] = await spool.gaps_for(Lane.WAVEFORM, 5, 5)
        assert (gap.source, gap.reason, gap.from_sample, gap.to_sample) == (ECG, SPOOL_CORRUPT, 100, 125)
        assert spool.held(Lane.WAVEFORM) == [(1, 4), (6, 9)]
        assert records(spool, Lane.WAVEFORM, 6) == [waveform(125)]
        await spool.gaps_recorded(Lane.WAVEFORM, 5, 5)
        assert await spool.gaps_for(Lane.WAVEFORM, 5, 5) == []


@pytest.mark.parametrize("comes_again", [True, False])
@pytest.mark.parametrize("keep_index", [True, False])
async def test_of_damage_the_rare_sources_are_told_too(tmp_path: Path, keep_index: bool, comes_again: bool):
    """A monitor sends what a board sends in twelve batches at once; it may be off since, so that nothing of it is behind the damage."""
    rare = SourcePath("monitor-2", ("ecg",))
    async with opened(tmp_path) as spool:
        for i in range(40):
            records = [waveform(25 * i)]
            if i in ((4, 16, 36) if comes_again else (4, 16)):
                records.append(waveform(300 * ((i - 4) // 12), 300, source=rare))
            await spool.append(Lane.WAVEFORM, records)
    segment = next((tmp_path / "waveform").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    frames = [i for i in range(len(data)) if data.startswith(b"WLF1", i)]
    data[frames[16] + 60] ^= 0xFF
    segment.write_bytes(data)
    if not keep_index:
        (tmp_path / "index.sqlite3").unlink()
    async with opened(tmp_path) as spool:
        assert spool.read(Lane.WAVEFORM, 17) is None
        await until(lambda: not any(first <= 17 <= last for first, last in spool.held(Lane.WAVEFORM)))
        told = {(g.source, g.from_sample, g.to_sample) for g in await spool.gaps_for(Lane.WAVEFORM, 17, 17)}
        assert (ECG, 400, 425) in told
        if keep_index or comes_again:
            assert told == {(ECG, 400, 425), (rare, 300, 600)}
        else:  # nobody knows any more that it was there: its decoder goes on behind what is, and reports the time between
            assert spool.last_waveforms()[str(rare)].end_sample == 300


@pytest.mark.parametrize("index_is", ["there", "gone"])
async def test_samples_whose_segment_went_are_not_numbered_anew_by_an_agent_that_was_killed(
    tmp_path: Path, index_is: str
):
    """On a full disk the index stays behind, and what went to make room is in no segment."""
    rare = SourcePath("monitor-2", ("ecg",))
    async with opened(tmp_path / "a") as spool:
        dropped: list[tuple[Lane, int, int]] = []
        spool.on_dropped = lambda *what: dropped.append(what)
        package = Arrival("monitor-2", b"package 7")
        await spool.append(Lane.WAVEFORM, [waveform(0, 300, source=rare)], [package])
        await fill(spool, 300)
        await until(lambda: bool(dropped))
        copytree(tmp_path / "a", tmp_path / "killed")
    if index_is == "gone":
        for path in (tmp_path / "killed").glob("index.sqlite3*"):
            path.unlink()
    async with opened(tmp_path / "killed") as spool:
        assert spool.read(Lane.WAVEFORM, 1) is None
        assert spool.last_waveforms()[str(rare)].end_sample == 300
        assert spool.arrivals()[Lane.WAVEFORM] == [package]
        assert spool.last_waveforms()[str(ECG)].end_sample == 300 * 500


def test_ends_are_those_of_the_last_whole_writing_and_never_lower(tmp_path: Path):
    ends = Ends(tmp_path / "ends")
    assert ends.read() == Known()
    one, two = SourceEnd("a/ecg", 100, 7), SourceEnd("监护仪/ecg", 2**40, 8)
    packages = [ArrivalRow(lane, "监护仪", bytes([n]), n) for n in range(40) for lane in (3, 4)]
    ends.write(Known({one.source: one}))
    ends.write(Known({one.source: one, two.source: two}, packages))
    again = Ends(tmp_path / "ends")
    assert again.read() == Known({one.source: one, two.source: two}, packages[-32:])
    data = bytearray((tmp_path / "ends").read_bytes())
    newer = data.index(str(2**40).encode())
    data[newer] ^= 1  # a power cut in the middle of the second writing
    (tmp_path / "ends").write_bytes(data)
    assert Ends(tmp_path / "ends").read() == Known({one.source: one}, [])
    many = {f"device-{i}/ecg": SourceEnd(f"device-{i}/ecg", i, i) for i in range(5000)}
    again.write(Known(many, packages))
    kept = Ends(tmp_path / "ends").read().sources
    assert 1000 < len(kept) < 5000
    assert "device-4999/ecg" in kept
    assert furthest({"a/ecg": one}, {"a/ecg": SourceEnd("a/ecg", 90, 99)}) == {"a/ecg": one}


async def test_a_torn_tail_gives_no_number_a_second_meaning(tmp_path: Path):
    async with opened(tmp_path) as spool:
        for i in range(3):
            await spool.append(Lane.WAVEFORM, [waveform(25 * i)])
    segment = next((tmp_path / "waveform").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    last = data.rfind(b"WLF1")
    data[last + 70] ^= 0x01
    segment.write_bytes(data)
    (tmp_path / "index.sqlite3").unlink()
    async with opened(tmp_path) as spool:
        assert spool.held(Lane.WAVEFORM) == [(1, 2)]
        assert spool.last_waveforms()[str(ECG)].end_sample == 50  # the decoder reports the rest when the device is back
        assert await spool.append(Lane.WAVEFORM, [waveform(75)]) > 3


async def test_random_damage_loses_no_more_than_the_batches_it_touches(tmp_path: Path, seed: random.Random):
    async with opened(tmp_path) as spool:
        for i in range(60):
            await spool.append(Lane.WAVEFORM, [noisy_waveform(25 * i)])
    segment = next((tmp_path / "waveform").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    starts = [i for i in range(len(data)) if data.startswith(b"WLF1", i)]
    hit: set[int] = set()
    for _ in range(5):
        at = seed.randrange(starts[-1])
        data[at] ^= 1 << seed.randrange(8)
        hit.add(sum(s <= at for s in starts))
    segment.write_bytes(data)
    (tmp_path / "index.sqlite3").unlink()
    async with opened(tmp_path) as spool:
        there = {n for n in range(1, 61) if spool.read(Lane.WAVEFORM, n) is not None}
        assert there == set(range(1, 61)) - hit
        gaps = await spool.gaps_for(Lane.WAVEFORM, 1, 60)
        covered = {s for g in gaps for s in range(g.from_sample or 0, g.to_sample or 0)}
        missing = {s for n in hit if n > 1 for s in range(25 * (n - 1), 25 * n)}
        assert missing <= covered or 1 in hit


async def test_a_full_spool_gives_up_the_oldest_waveforms_as_gaps_and_never_an_alarm(tmp_path: Path):
    before = given_up(Lane.WAVEFORM, SPOOL_FULL)
    async with opened(tmp_path) as spool:
        dropped: list[tuple[Lane, int, int]] = []
        spool.on_dropped = lambda *what: dropped.append(what)
        going = [alarm() for _ in range(5)]
        for one in going:
            await spool.append(Lane.ALARM, [one])
        await spool.append(Lane.NUMERIC, [heart_rate(60)])
        await fill(spool, 300)
        await until(lambda: bool(dropped))
        assert spool.allocated_bytes() <= SMALL.total_bytes
        assert {lane for lane, _, _ in dropped} == {Lane.WAVEFORM}
        first, last = dropped[0][1], dropped[-1][2]
        assert first == 1
        assert spool.read(Lane.WAVEFORM, last) is None
        assert spool.held(Lane.WAVEFORM) == [(last + 1, 300)]
        gaps = await spool.gaps_for(Lane.WAVEFORM, first, last)
        assert {g.reason for g in gaps} == {SPOOL_FULL}
        assert given_up(Lane.WAVEFORM, SPOOL_FULL) - before == last
        assert min(g.from_sample or 0 for g in gaps) == 0
        assert max(g.to_sample or 0 for g in gaps) == last * 500
        assert sum((g.to_sample or 0) - (g.from_sample or 0) for g in gaps) == last * 500
        assert [records(spool, Lane.ALARM, n) for n in range(1, 6)] == [[a] for a in going]
        assert records(spool, Lane.NUMERIC, 1) == [heart_rate(60)]


async def test_what_the_hub_has_goes_before_what_it_has_not(tmp_path: Path):
    async with opened(tmp_path) as spool:
        await fill(spool, 31)
        newer = Position([(1, 31)])
        await spool.append(Lane.NUMERIC, [heart_rate(60)])
        spool.acknowledged(Lane.WAVEFORM, newer)
        dropped: list[tuple[Lane, int, int]] = []
        spool.on_dropped = lambda *what: dropped.append(what)
        await fill(spool, 90, first=31)
        await until(lambda: bool(dropped))
        assert dropped[0][1] == 1
        assert all([await spool.gaps_for(lane, a, b) for lane, a, b in dropped])


async def kept_house(spool: Spool, run: Callable[[], object]) -> None:
    """As the thread that keeps house does it."""
    await asyncio.wrap_future(spool._in_writer(spool._bulk_writer, lambda: (run(), None)[1]))


@pytest.mark.parametrize("step_ns", [2 * DAY_NS, 73 * 365 * DAY_NS, -56 * 365 * DAY_NS])
async def test_acknowledged_data_stay_for_a_day_while_there_is_room_whatever_the_clock_says(
    tmp_path: Path, step_ns: int
):
    wall, monotonic, before = [T0_NS], [5 * NS_PER_S], given_up(Lane.WAVEFORM, SPOOL_FULL)

    async def begun() -> Spool:
        return await Spool.open(tmp_path, lambda: wall[0], SMALL, monotonic_ns=lambda: monotonic[0])

    async def after(hours: float, spool: Spool) -> bool:
        """Whether the first batch is there when so much time has passed."""
        for step in (0, round(hours * 3600 * NS_PER_S)):
            monotonic[0] += step
            await kept_house(spool, spool._store.retire)
        return spool.read(Lane.WAVEFORM, 1) is not None

    spool = await begun()
    await fill(spool, 60)
    assert await after(30, spool), "the hub has not got it"
    spool.acknowledged(Lane.WAVEFORM, Position([(1, 60)]))
    assert await after(1, spool)
    wall[0] += step_ns
    assert await after(1, spool), "the clock was set, and nothing else"
    await spool.close()
    monotonic[0] = 0  # the machine began anew
    spool = await begun()
    assert await after(21.9, spool), "23.9 hours"
    spool.acknowledged(Lane.WAVEFORM, Position([(1, 1)]))
    assert await after(1, spool), "a hub that was put back lacks it"
    spool.acknowledged(Lane.WAVEFORM, Position([(1, 60)]))
    assert await after(23.9, spool)
    try:
        assert not await after(0.2, spool)
        assert spool.read(Lane.WAVEFORM, 60) is not None
        assert given_up(Lane.WAVEFORM, SPOOL_FULL) == before, "nothing was lost: the hub has it"
    finally:
        await spool.close()


async def test_acknowledged_positions_survive_a_restart(tmp_path: Path):
    async with opened(tmp_path) as spool:
        await spool.append(Lane.NUMERIC, [heart_rate(60)])
        spool.acknowledged(Lane.NUMERIC, Position([(1, 1)]))
    async with opened(tmp_path) as spool:
        assert list(spool.stored(Lane.NUMERIC)) == [(1, 1)]


@pytest.mark.parametrize("index", ["kept", "gone"])
async def test_a_package_is_known_where_its_records_are_and_only_there(tmp_path: Path, index: str):
    first, second = Arrival("m-1", bytes(16)), Arrival("m-1", bytes(range(16)))
    async with opened(tmp_path) as spool:
        await spool.append(Lane.NUMERIC, [heart_rate(60)], [first, second])
        await spool.append(Lane.WAVEFORM, [waveform(0)], [first])
    if index == "gone":
        (tmp_path / "index.sqlite3").unlink()
    async with opened(tmp_path) as spool:
        known = spool.arrivals()
        assert (set(known[Lane.NUMERIC]), known[Lane.WAVEFORM]) == ({first, second}, [first])
        assert (known[Lane.ALARM], known[Lane.EVENT]) == ([], [])


async def test_the_newest_packages_of_each_device_are_remembered(tmp_path: Path):
    def package(n: int) -> Arrival:
        return Arrival("talker", n.to_bytes(16))

    async with opened(tmp_path, Limits()) as spool:
        await spool.append(Lane.NUMERIC, [heart_rate(60)], [Arrival("quiet", bytes(16))])
        futures = [spool.append(Lane.NUMERIC, [heart_rate(60)], [package(n)]) for n in range(ARRIVALS_KEPT + 100)]
        await asyncio.gather(*futures)
    async with opened(tmp_path, Limits()) as spool:
        known = spool.arrivals()[Lane.NUMERIC]
        assert [a for a in known if a.device == "quiet"] == [Arrival("quiet", bytes(16))]
        assert [a for a in known if a.device == "talker"] == [package(n) for n in range(100, ARRIVALS_KEPT + 100)]


async def test_a_spool_that_is_begun_anew_knows_the_packages_of_the_old_one(tmp_path: Path):
    sent, waiting = Arrival("m-1", bytes(16)), Arrival("m-1", bytes(range(16)))
    async with opened(tmp_path / "spool") as spool:
        await spool.append(Lane.NUMERIC, [heart_rate(60)], [sent])
        spool.acknowledged(Lane.NUMERIC, Position([(1, 1)]))
        await spool.append(Lane.NUMERIC, [heart_rate(61)], [waiting])
    assert await succeed(tmp_path / "spool", lambda: T0_NS, SMALL) == 1
    async with opened(tmp_path / "spool") as spool:
        assert set(spool.arrivals()[Lane.NUMERIC]) == {sent, waiting}


async def test_batches_are_durable_in_the_order_of_their_numbers(tmp_path: Path):
    commits = told("edge_spool_commit_seconds_count")
    async with opened(tmp_path) as spool:
        order: list[int] = []
        waiting: list[Awaitable[int]] = []
        for i in range(200):
            future = spool.append(Lane.NUMERIC, [heart_rate(i)])
            future.add_done_callback(lambda f: order.append(f.result()))
            waiting.append(future)
        await asyncio.gather(*waiting)
        assert order == list(range(1, 201))
        assert told("edge_spool_commit_seconds_count") - commits < 200  # one fdatasync serves a group


async def test_a_writer_that_falls_behind_turns_waveforms_into_their_gaps(tmp_path: Path):
    before = given_up(Lane.WAVEFORM, QUEUE_OVERFLOW)
    async with opened(tmp_path, Limits(6 * 65536, 65536, 32768, queue_batches=3)) as spool:
        waiting = [spool.append(Lane.WAVEFORM, [waveform(25 * i)]) for i in range(30)]
        newest = max(await asyncio.gather(*waiting))
        kept = [r for n in range(1, newest + 1) for r in records(spool, Lane.WAVEFORM, n)]
        gaps = [r for r in kept if isinstance(r, Gap)]
        assert given_up(Lane.WAVEFORM, QUEUE_OVERFLOW) - before == 30 - sum(isinstance(r, WaveformGroup) for r in kept)
        assert 0 < len(gaps) < 26, "what follows each other is one gap"
        spans = [
            (r.first_sample, r.end_sample) if isinstance(r, WaveformGroup) else (r.from_sample, r.to_sample)
            for r in kept
            if isinstance(r, WaveformGroup | Gap)
        ]
        assert (spans[0][0], spans[-1][1]) == (0, 30 * 25)
        assert all(one[1] == following[0] for one, following in pairwise(spans))


@contextmanager
def disk_that_refuses(folder: Path) -> Generator[None]:
    """A log whose folder is gone: no segment can be made, as on a disk that takes no writes."""
    aside = folder.with_name(f"{folder.name}.aside")
    folder.rename(aside)
    try:
        yield
    finally:
        aside.rename(folder)


async def test_numerics_and_events_that_a_disk_refuses_become_gaps_at_their_bound_and_alarms_never(tmp_path: Path):
    bound, before = 64 * 1024, {lane: given_up(lane, QUEUE_OVERFLOW) for lane in Lane}
    async with opened(tmp_path, Limits(6 * 65536, 65536, 32768, queue_bytes=bound)) as spool:
        with disk_that_refuses(tmp_path / "record"):
            waiting = [spool.append(Lane.NUMERIC, [heart_rate(i, T0_NS + i * NS_PER_S)]) for i in range(200)]
            shown = told("edge_spool_waiting_bytes", lane="numeric")
            assert bound <= shown < bound + 2048
            first_event = T0_NS + NS_PER_S // 2
            events = [spool.append(Lane.EVENT, [fault(first_event + i * NS_PER_S)]) for i in range(200)]
            assert bound <= told("edge_spool_waiting_bytes", lane="event") < bound + 2048
            assert not any(future.done() for future in (*waiting, *events))
            going = [alarm() for _ in range(100)]
            assert len({await spool.append(Lane.ALARM, [one]) for one in going}) == 100
            assert len(set(waiting)) < 70, "what is given up together has one future"
        await asyncio.gather(*waiting, *events)
        for lane, begin_ns, kind in ((Lane.NUMERIC, T0_NS, Observation), (Lane.EVENT, first_event, DeviceEvent)):
            kept = [r for n in range(1, spool.newest(lane) + 1) for r in records(spool, lane, n)]
            *whole, gap = kept
            assert all(isinstance(r, kind) for r in whole)
            assert isinstance(gap, Gap)
            assert (gap.source, gap.reason, gap.recoverable) == (ECG, QUEUE_OVERFLOW, False)
            assert (gap.from_ns, gap.to_ns) == (begin_ns + len(whole) * NS_PER_S, begin_ns + 199 * NS_PER_S + 1)
            assert given_up(lane, QUEUE_OVERFLOW) - before[lane] == 200 - len(whole) > 0
            assert await spool.append(lane, [heart_rate(60) if lane is Lane.NUMERIC else fault(T0_NS)]) == len(kept) + 1
        assert (told("edge_spool_waiting_bytes", lane="numeric"), given_up(Lane.ALARM, QUEUE_OVERFLOW)) == (0, 0)


async def test_an_index_that_cannot_be_written_ends_no_writer_and_loses_nothing(tmp_path: Path):
    before = told("edge_spool_disk_errors_total")
    limits = Limits(index_every_batches=1)
    async with opened(tmp_path, limits) as spool:
        await spool.append(Lane.NUMERIC, [heart_rate(60)])
        with closing(sqlite3.connect(tmp_path / "index.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # as long as it holds, SQLite refuses every write, as on a full disk
            for rate in range(61, 70):
                begun_s = time.monotonic()
                await spool.append(Lane.NUMERIC, [heart_rate(rate)])
                # two looks of 0.2 s at the index may come before it, and not the ten seconds of a start
                assert time.monotonic() - begun_s < 5
            await until(lambda: told("edge_spool_disk_errors_total") > before)
            assert await spool.append(Lane.NUMERIC, [heart_rate(70)]) == 11
            other.execute("ROLLBACK")
        assert await spool.append(Lane.NUMERIC, [heart_rate(71)]) == 12
    async with opened(tmp_path, limits) as spool:
        assert [records(spool, Lane.NUMERIC, n)[0] for n in range(1, 13)] == [heart_rate(60 + i) for i in range(12)]


async def test_who_asks_what_the_spool_takes_asks_no_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with opened(tmp_path) as spool:
        await spool.append(Lane.WAVEFORM, [waveform(0)])
        await until(lambda: all((tmp_path / log / "spare").exists() for log in ("alarm", "record")))
        taken = sum(p.stat().st_size for log in ("alarm", "record", "waveform") for p in (tmp_path / log).iterdir())

        def stands_still(path: Path, *_: object, **__: object) -> None:
            raise AssertionError(path)

        for name in ("stat", "exists"):
            monkeypatch.setattr(Path, name, stands_still)
        assert spool.allocated_bytes() == taken
        monkeypatch.undo()


async def test_a_spool_that_is_closed_tells_what_it_gave_up_before(tmp_path: Path):
    limits = Limits(6 * 65536, 65536, 32768, queue_bytes=4096)
    async with opened(tmp_path, limits) as spool:
        with disk_that_refuses(tmp_path / "record"):
            waiting = [spool.append(Lane.NUMERIC, [heart_rate(i, T0_NS + i * NS_PER_S)]) for i in range(20)]
    assert all(future.done() for future in waiting)
    async with opened(tmp_path, limits) as spool:
        last = records(spool, Lane.NUMERIC, spool.newest(Lane.NUMERIC))[0]
        assert (type(last), getattr(last, "to_ns", 0)) == (Gap, T0_NS + 19 * NS_PER_S + 1)


async def test_what_a_long_refusal_gives_up_with_its_packages_is_told_in_batches_that_the_uplink_takes(tmp_path: Path):
    limits = Limits(32 << 20, 4 << 20, 32768, queue_bytes=4096)
    device = "d" * 200
    async with opened(tmp_path, limits) as spool:
        with disk_that_refuses(tmp_path / "record"):
            waiting = [
                spool.append(
                    Lane.NUMERIC,
                    [heart_rate(60, T0_NS + i * NS_PER_S)],
                    [Arrival(device, (13 * i + k).to_bytes(16, "big")) for k in range(13)],
                )
                for i in range(1000)
            ]
        await asyncio.gather(*waiting)
        newest = spool.newest(Lane.NUMERIC)
        assert newest < 20
        kept = [r for n in range(1, newest + 1) for r in records(spool, Lane.NUMERIC, n)]
        told_gaps = [r for r in kept if isinstance(r, Gap)]
        assert told_gaps[-1].to_ns == T0_NS + 999 * NS_PER_S + 1
        packages = [
            a for n in range(1, newest + 1) for a in arrivals_of(Batch.FromString(spool.read(Lane.NUMERIC, n) or b""))
        ]
        assert len(packages) == len(set(packages)) == 13_000, "each package is known again"


def fault(at_ns: int) -> DeviceEvent:
    return DeviceEvent(ECG, EVT_FAULT, Times(at_ns, corrected_ns=at_ns))


def segments(folder: Path, log: str) -> int:
    return len(list((folder / log).glob("*.seg")))


def storm(i: int) -> DeviceEvent:
    return DeviceEvent(
        ECG, EVT_FAULT, Times(T0_NS + i, corrected_ns=T0_NS + i), (("bytes", shake_256(i.to_bytes(4)).hexdigest(2000)),)
    )


async def test_a_storm_of_events_takes_its_own_share_and_no_strip(tmp_path: Path):
    limits = Limits(16 * 65536, 65536, 32768)
    async with opened(tmp_path, limits) as spool:
        dropped: list[tuple[Lane, int, int]] = []
        spool.on_dropped = lambda *what: dropped.append(what)
        going = alarm()
        await spool.append(Lane.ALARM, [going])
        await fill(spool, 100)
        for i in range(400):
            await spool.append(Lane.EVENT, [storm(i)])
        await until(lambda: bool(dropped))
        assert {lane for lane, _, _ in dropped} == {Lane.EVENT}
        assert segments(tmp_path, "record") <= 8, "half of the whole"
        assert spool.held(Lane.WAVEFORM) == [(1, 100)]
        assert records(spool, Lane.ALARM, 1) == [going]
        lost = dropped[-1][2]
        assert {g.reason for g in await spool.gaps_for(Lane.EVENT, 1, lost)} == {SPOOL_FULL}
        assert spool.held(Lane.EVENT) == [(lost + 1, 400)]


async def test_waveforms_keep_to_their_share_and_what_the_hub_has_of_them_goes_first(tmp_path: Path):
    limits = Limits(16 * 65536, 65536, 32768, waveform_bytes=4 * 65536)
    async with opened(tmp_path, limits) as spool:
        dropped: list[tuple[Lane, int, int]] = []
        spool.on_dropped = lambda *what: dropped.append(what)
        await spool.append(Lane.NUMERIC, [heart_rate(60)])
        spool.acknowledged(Lane.NUMERIC, Position([(1, 1)]))
        before = given_up(Lane.WAVEFORM, SPOOL_FULL)
        await fill(spool, 60)
        spool.acknowledged(Lane.WAVEFORM, Position([(1, 40)]))
        await fill(spool, 60, first=60)
        assert given_up(Lane.WAVEFORM, SPOOL_FULL) == before, "the hub had what went"
        await fill(spool, 120, first=120)
        await until(lambda: given_up(Lane.WAVEFORM, SPOOL_FULL) > before)
        assert segments(tmp_path, "waveform") <= 4
        assert {lane for lane, _, _ in dropped} == {Lane.WAVEFORM}
        assert records(spool, Lane.NUMERIC, 1) == [heart_rate(60)], "there was room"


def test_a_limit_without_room_for_the_open_segments_is_refused():
    with pytest.raises(ValueError, match="expected at least"):
        Limits(total_bytes=1 << 20)
    for share in ({"waveform_bytes": 20 << 20}, {"record_bytes": 20 << 20}):
        with pytest.raises(ValueError, match=r"expected at least 33554432 \(2 segments\)"):
            Limits(**share)
