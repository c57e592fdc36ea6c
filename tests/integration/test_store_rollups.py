"""Rollups, sealed readings and trends: exact to the bit after live, late, repeated and re-timed data in whatever order, at any moment."""

import asyncio
import random
import struct
import time
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby

import psycopg
import pytest

from hub.core.db import Database
from hub.store.rollups import roll_up, stretches
from hub.store.sealing import seal_readings
from protocols import device_package_pb2 as wire
from protocols.link import Connection, Lane
from tests.fixtures.hub import RunningHub
from wardlink.local.database import Database as Local

pytestmark = pytest.mark.integration

CODES = ("MDC_ECG_HEART_RATE", "MDC_PULS_OXIM_SAT_O2")
QUALITIES = (
    *(wire.QUALITY_GOOD, wire.QUALITY_GOOD, wire.QUALITY_GOOD),
    *(wire.QUALITY_QUESTIONABLE, wire.QUALITY_LEAD_OFF, wire.QUALITY_UNUSABLE),
)
TABLES = ("rollup_1m", "rollup_1h")
COLUMNS = "bucket, series_id, lowest, highest, total, n, first, last, qualities"
Bits = tuple[object, ...]


@pytest.fixture
async def worker(hub: RunningHub) -> AsyncIterator[Database]:
    """The database with the rights of the role worker."""
    async with Database(hub.database.url_for("wardlink_worker"), "test worker", max_size=4) as database:
        yield database


def bits(value: object) -> object:
    return struct.pack(">d", value) if isinstance(value, float) else value


def stored(database: Local, table: str) -> list[Bits]:
    with psycopg.connect(database.admin_url) as admin:
        rows = admin.execute(f"select {COLUMNS} from {table} order by series_id, bucket".encode()).fetchall()
    return [tuple(bits(value) for value in row) for row in rows]


@dataclass(frozen=True, order=True)
class Reading:
    """What was sent: microseconds since 1970, value, quality."""

    us: int
    value: float
    quality: int


def rolled(number: int, readings: Iterable[Reading], minutes: int) -> list[Bits]:
    """What a rollup of so many minutes has to be, worked out in the plainest way; hours are of minutes."""
    out: list[Bits] = []
    for minute, group in groupby(sorted(readings), lambda r: r.us // 60_000_000):
        own = list(group)
        good = [r.value for r in own if r.quality <= 2]
        total = None
        for value in good:
            total = value if total is None else total + value
        counts = [sum(r.quality == q for r in own) for q in range(1, 8)]
        first, last = (good[0], good[-1]) if good else (None, None)
        out.append(
            (minute, number, min(good, default=None), max(good, default=None), total, len(good), first, last, counts)
        )
    if minutes == 1:
        return [_row(row, 60) for row in out]
    hours: list[Bits] = []
    for hour, group in groupby(out, lambda row: int(str(row[0])) // 60):
        own = list(group)
        lows, highs, totals, firsts, lasts = ([row[i] for row in own if row[i] is not None] for i in (2, 3, 4, 6, 7))
        total = None
        for value in totals:
            assert isinstance(value, float)
            total = value if total is None else total + value
        counts = [sum(column) for column in zip(*(_ints(row[8]) for row in own), strict=True)]
        n = sum(int(str(row[5])) for row in own)
        hours.append((
            hour, number, min(map(_float, lows), default=None), max(map(_float, highs), default=None), total, n,
            firsts[0] if firsts else None, lasts[-1] if lasts else None, counts,
        ))  # fmt: skip
    return [_row(row, 3600) for row in hours]


def _ints(value: object) -> list[int]:
    assert isinstance(value, list)
    return [int(str(one)) for one in value]


def _float(value: object) -> float:
    assert isinstance(value, float)
    return value


def _row(row: Bits, seconds: int) -> Bits:
    return (datetime.fromtimestamp(int(str(row[0])) * seconds, UTC), *(bits(value) for value in row[1:]))


@dataclass
class Played:
    """What was sent of each series, by code, and where the clock of the worker is."""

    hub: RunningHub
    base_s: int
    sent: dict[str, list[Reading]] = field(default_factory=dict)

    def record(self, chance: random.Random, from_s: float, to_s: float) -> wire.Record:
        code = chance.choice(CODES)
        us = round((self.base_s + chance.uniform(from_s, to_s)) * 1e6)
        quality = chance.choice(QUALITIES)
        reading = Reading(us, chance.choice((72.0, chance.gauss(80, 20), -0.0)), int(quality))
        self.sent.setdefault(code, []).append(Reading(us, reading.value + 0.0, reading.quality))
        return wire.Record(
            source="monitor-1/x",
            times=wire.Times(gateway_ns=us * 1000 + 3_000_000, corrected_ns=us * 1000, uncertainty_ns=500_000),
            observation=wire.Observation(code=code, number=reading.value, unit="/min", quality=quality),
        )

    def series(self) -> dict[str, int]:
        return {str(code): int(str(number)) for code, number in self.hub.rows("select code, series_id from series")}

    def check(self, until_s: float) -> None:
        """Everything behind `until_s` is in the rollups as it was sent, to the bit."""
        numbers = self.series()
        for table, minutes in zip(TABLES, (1, 60), strict=True):
            end_us = round(self.base_s + until_s) * 1_000_000 // (minutes * 60_000_000) * (minutes * 60_000_000)
            wanted = [
                row
                for code, number in sorted(numbers.items(), key=lambda item: item[1])
                for row in rolled(number, [r for r in self.sent[code] if r.us < end_us], minutes)
            ]
            end = datetime.fromtimestamp(end_us / 1e6, UTC)
            found = stored(self.hub.database, table)
            assert [row for row in found if isinstance(row[0], datetime) and row[0] < end] == wanted

    def check_trends(self, chance: random.Random, until_s: float) -> None:
        """Trends are those of what was sent, at any moment: however much of it is rolled up, marked or sealed."""
        width_s = chance.choice((10, 60, 300, 3600, 3600))
        from_s, to_s = sorted((chance.uniform(0, until_s), chance.uniform(0, until_s)))
        begin, end = (datetime.fromtimestamp(self.base_s + s, UTC) for s in (from_s, to_s))
        numbers = self.series()
        with psycopg.connect(self.hub.database.url_for("wardlink_web")) as web:
            web.execute("select set_config('wardlink.tenant', '1', true)")
            rows = web.execute(
                "select series_id, bucket, lowest, highest, mean, n, unusable"
                " from observation_buckets(%s, %s, %s, make_interval(secs => %s))",
                (list(numbers.values()), [begin] * len(numbers), [end] * len(numbers), width_s),
            ).fetchall()
        wanted: list[Bits] = []
        for code, number in numbers.items():
            own = sorted(
                r
                for r in self.sent[code]
                if begin <= datetime.fromtimestamp(0, UTC) + timedelta(microseconds=r.us) < end
            )
            for bucket, group in groupby(own, lambda r: r.us // (width_s * 1_000_000)):
                some = list(group)
                good = [r.value for r in some if r.quality <= 2]
                mean = pytest.approx(sum(good) / len(good), rel=1e-12) if good else None
                at = datetime.fromtimestamp(bucket * width_s, UTC)
                wanted.append(
                    (
                        number,
                        at,
                        min(good, default=None),
                        max(good, default=None),
                        mean,
                        len(good),
                        len(some) - len(good),
                    )
                )
        assert rows == sorted(wanted, key=lambda row: (str(row[0]).zfill(9), row[1])), (width_s, begin, end)


async def test_rollups_are_those_of_a_full_count_whatever_came_in_whatever_order(
    hub: RunningHub, worker: Database, seed: random.Random
):
    peer = await hub.peer()
    played = Played(hub, int(time.time()) // 3600 * 3600 - 3 * 86_400)
    now_s = 0.0
    while now_s < 3 * 86_400 - 7200:
        step_s = seed.choice((90.0, 4000.0, 30_000.0))
        live = [played.record(seed, max(0.0, now_s), now_s + step_s) for _ in range(seed.randrange(1, 40))]
        late = [played.record(seed, 0, now_s + step_s) for _ in range(seed.randrange(25))]
        peer.batch(Lane.NUMERIC, live)
        peer.batch(Lane.NUMERIC, [*late, *late])  # a device that says everything twice
        for record in late:
            code = record.observation.code
            played.sent[code].append(next(r for r in played.sent[code] if r.us == record.times.corrected_ns // 1000))
        now_s += step_s
        if seed.random() < 0.7:
            await peer.deliver(hub.uplink, Connection.DATA)
            await _housekeeping(worker, played, now_s, seed)
    await peer.deliver(hub.uplink, Connection.DATA)
    clock = datetime.fromtimestamp(played.base_s + now_s, UTC)
    await roll_up(worker, clock)
    for _ in range(4):
        played.check_trends(seed, now_s)
    played.check(now_s - 180)
    before = [stored(hub.database, table) for table in TABLES]
    hub.do("delete from rollup_1m")
    hub.do("delete from rollup_1h")
    hub.do("update rollup_state set closed_until = '-infinity', rolled_until = '-infinity'")
    await roll_up(worker, clock)
    assert [stored(hub.database, table) for table in TABLES] == before
    assert hub.rows("select count(*) from rollup_dirty") == [(0,)]


async def _housekeeping(worker: Database, played: Played, now_s: float, seed: random.Random) -> None:
    clock = datetime.fromtimestamp(played.base_s + now_s, UTC)
    played.check_trends(seed, now_s)
    if seed.random() < 0.6:
        await roll_up(worker, clock)
        played.check_trends(seed, now_s)
    if seed.random() < 0.5:
        await seal_readings(worker, clock - timedelta(hours=5))
        played.check_trends(seed, now_s)
    if seed.random() < 0.5:
        _re_time(played, seed, now_s)


def _re_time(played: Played, seed: random.Random, now_s: float) -> None:
    """Move a stretch of one series, as when the clock of its device turns out to have been wrong: opened, taken out and put in, marked."""
    code, number = seed.choice(sorted(played.series().items()))
    begin_s = seed.uniform(0, now_s)
    begin_us, end_us = (round((played.base_s + s) * 1e6) for s in (begin_s, begin_s + 5000))
    by_us = seed.choice((-7_000_000_123, 61_000_000))
    with psycopg.connect(played.hub.database.url_for("wardlink_worker")) as connection:
        hours = connection.execute(
            "select g from generate_series(date_trunc('hour', %s::timestamptz, 'UTC'), %s, interval '1 hour') g",
            (begin := _at(begin_us), end := _at(end_us)),
        ).fetchall()
        for (hour,) in hours:
            connection.execute("select open_observations(%s, %s)", (number, hour))
        by = timedelta(microseconds=by_us)
        connection.execute(
            "with gone as (delete from observation where series_id = %s and time >= %s and time < %s returning *)"
            " insert into observation select time + %s, series_id, quality, comparator, value, text_value, device_offset_ms,"
            " gateway_offset_ms, uncertainty_ms, clock_segment_id from gone",
            (number, begin, end, by),
        )
        for at in (timedelta(0), by):
            connection.execute("select mark_dirty(%s, %s, %s)", ([number], begin + at, end + at))
    played.sent[code] = [
        Reading(r.us + by_us, r.value, r.quality) if begin_us <= r.us < end_us else r for r in played.sent[code]
    ]


def _at(us: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=us)


# --- who closes a minute and who writes in it


def write(connection: "psycopg.Connection[tuple[object, ...]]", at: datetime, *, touch: bool = True) -> None:
    connection.execute(
        "insert into observation (time, series_id, quality, value, gateway_offset_ms, uncertainty_ms) values (%s, 1, 1, 5, 0, 0)",
        (at,),
    )
    if touch:
        minute = int(at.timestamp()) // 60
        connection.execute("select touch_rollups(%s::int[], %s::bigint[], %s::bigint[])", ([1], [minute], [minute + 1]))


async def _with_series(hub: RunningHub) -> datetime:
    peer = await hub.peer()
    played = Played(hub, int(time.time()) // 3600 * 3600 - 7200)
    peer.batch(Lane.NUMERIC, [played.record(random.Random(1), 0, 1)])
    await peer.deliver(hub.uplink, Connection.DATA)
    return datetime.fromtimestamp(played.base_s, UTC)


async def test_closing_waits_for_a_writer_that_took_its_minute_for_open(hub: RunningHub, worker: Database):
    base = await _with_series(hub)
    await roll_up(worker, base)
    at = base + timedelta(minutes=10)
    with psycopg.connect(hub.database.url_for("wardlink_ingest")) as writer:
        write(writer, at)
        closing = asyncio.create_task(roll_up(worker, base + timedelta(minutes=30)))
        await asyncio.sleep(0.3)
        assert not closing.done()
        writer.commit()
        await closing
    assert hub.rows("select n from rollup_1m where bucket = %s", at) == [(1,)]
    assert hub.rows("select count(*) from rollup_dirty") == [(0,)]


async def test_a_writer_that_comes_behind_the_close_marks_its_minute(hub: RunningHub, worker: Database):
    base = await _with_series(hub)
    at = base + timedelta(minutes=10)
    with psycopg.connect(hub.database.url_for("wardlink_ingest")) as writer:
        write(writer, at, touch=False)  # its rows are in, it has not looked whether the minute is closed
        await roll_up(worker, base + timedelta(minutes=30))
        assert hub.rows("select count(*) from rollup_1m where bucket = %s", at) == [(0,)]
        write(writer, at)
        writer.commit()
    await roll_up(worker, base + timedelta(minutes=30))
    assert hub.rows("select n from rollup_1m where bucket = %s", at) == [(2,)]


@pytest.mark.parametrize("table", ["observation", "observation_block"])
async def test_rollups_are_made_behind_who_makes_a_chunk(hub: RunningHub, worker: Database, table: str):
    """Its rows are seen with its end; a statement that was planned before knows nothing of the chunk (decision 0172)."""
    base = await _with_series(hub)
    await roll_up(worker, base)
    elsewhere = base - timedelta(days=60)
    with psycopg.connect(hub.database.admin_url) as writer:
        if table == "observation":
            write(writer, elsewhere)
        else:
            writer.execute(
                "insert into observation_block (series_id, hour, n, times, qualities) values (1, %s, 0, '{}', '{}')",
                (elsewhere,),
            )
        hub.do("insert into rollup_dirty values (1, %s, %s)", base, base + timedelta(minutes=1))
        making = asyncio.create_task(roll_up(worker, base))
        await asyncio.sleep(0.3)
        assert not making.done()
        assert hub.rows("select count(*) from rollup_dirty where from_time = %s", base) == [(1,)]
        writer.commit()
        await making
    assert hub.rows("select count(*) from rollup_dirty") == [(0,)]


async def test_who_makes_a_chunk_and_hangs_holds_up_the_rollups_and_no_writer(hub: RunningHub, worker: Database):
    base = await _with_series(hub)
    await roll_up(worker, base)
    with psycopg.connect(hub.database.admin_url) as hanging:
        write(hanging, base - timedelta(days=60))
        hub.do("insert into rollup_dirty values (1, %s, %s)", base, base + timedelta(minutes=1))
        assert await roll_up(worker, base) == 0
        with psycopg.connect(hub.database.url_for("wardlink_ingest")) as other:
            write(other, base + timedelta(minutes=1))
        hanging.rollback()
    await roll_up(worker, base)
    assert hub.rows("select count(*) from rollup_dirty") == [(0,)]


async def test_writers_rollups_and_sealing_at_once_end_in_a_full_count(
    hub: RunningHub, worker: Database, seed: random.Random
):
    base = await _with_series(hub)
    hub.do("delete from observation")
    marks = [base + timedelta(seconds=seed.uniform(0, 7000)) for _ in range(300)]

    def come(mine: list[datetime]) -> None:
        with psycopg.connect(hub.database.url_for("wardlink_ingest")) as connection:
            for at in mine:
                write(connection, at)
                if seed.random() < 0.5:
                    connection.commit()

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(come, marks[i::3]) for i in range(3)]
        minute = 0
        while not all(writer.done() for writer in writers):
            minute += 7
            await asyncio.gather(
                roll_up(worker, base + timedelta(minutes=minute)),
                roll_up(worker, base + timedelta(minutes=minute)),
                seal_readings(worker, base + timedelta(hours=2)),
            )
        for writer in writers:
            writer.result()
    await roll_up(worker, base + timedelta(hours=3))
    assert hub.rows("select sum(n), sum(total) from rollup_1m") == [(300, 1500.0)]
    assert hub.rows("select sum(n), sum(total) from rollup_1h") == [(300, 1500.0)]


async def test_a_writer_that_hangs_holds_up_the_close_and_no_other_writer(hub: RunningHub, worker: Database):
    base = await _with_series(hub)
    await roll_up(worker, base)
    with (
        psycopg.connect(hub.database.url_for("wardlink_ingest")) as hangs,
        psycopg.connect(hub.database.url_for("wardlink_ingest")) as goes_on,
    ):
        write(hangs, base + timedelta(minutes=10))
        await roll_up(worker, base + timedelta(minutes=30))  # gives up after two seconds
        assert hub.rows("select closed_until < %s from rollup_state", base + timedelta(minutes=30)) == [(True,)]
        write(goes_on, base + timedelta(minutes=11))
    await roll_up(worker, base + timedelta(minutes=30))
    assert hub.rows("select sum(n) from rollup_1m where bucket > %s", base) == [(2,)]


# --- sealed readings


async def test_readings_come_out_of_their_hour_as_they_went_in(hub: RunningHub, worker: Database, seed: random.Random):
    base = await _with_series(hub)
    hub.do("delete from observation")
    rows: list[tuple[object, ...]] = [
        (
            base + timedelta(microseconds=seed.randrange(7_200_000_000)), 1, seed.randint(1, 7), seed.choice((None, "<", ">=")),
            seed.choice((None, 1.5, -0.0, seed.gauss(0, 1e6))), seed.choice((None, "unregelmäßig", "")), seed.choice((None, seed.gauss(0, 1e9))),
            seed.gauss(0, 5), 0.25 * seed.randrange(9), seed.choice((None, 3)),
        )
        for _ in range(400)
    ]  # fmt: skip
    rows += rows[:20]
    every = "select * from %s order by time, value, device_offset_ms"
    with psycopg.connect(hub.database.admin_url, autocommit=True) as admin:
        with admin.cursor() as cursor:
            cursor.executemany("insert into observation values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", rows[:300])
        before = sorted(map(repr, rows))
        sealed = await seal_readings(worker, base + timedelta(hours=2))
        assert (sealed.slots, sealed.rows) == (2, 300)
        with admin.cursor() as cursor:
            cursor.executemany("insert into observation values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", rows[300:])
        for _ in range(2):  # some hot and some sealed, then all sealed
            admin.execute("select set_config('wardlink.tenant', '1', false)")
            read = admin.execute("select * from read_observations(array[1], '-infinity', 'infinity')").fetchall()
            assert sorted(map(repr, read)) == before
            await seal_readings(worker, base + timedelta(hours=2))
        assert admin.execute("select count(*) from observation").fetchone() == (0,)
        newest = max(row[0] for row in rows if isinstance(row[0], datetime))
        assert admin.execute("select time from latest_observations(array[1], %s)", (base,)).fetchone() == (newest,)
        for hour in range(2):
            admin.execute("select open_observations(1, %s)", (base + timedelta(hours=hour),))
        assert sorted(map(repr, admin.execute((every % "observation").encode()).fetchall())) == before


def test_minutes_that_follow_each_other_are_one_stretch():
    assert stretches({(2, 5), (1, 9), (2, 6), (2, 8), (1, 10)}) == ([1, 2, 2], [9, 5, 8], [11, 7, 9])
