"""Figure `hub-rows`: observations a CPU second of all hub processes, gRPC to commit to acknowledged, against binary COPY of the same rows."""

import asyncio
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import psycopg

from hub.core.db import Database as HubDatabase
from hub.ingest import pgcopy
from hub.migrations.runner import migrate
from hub.store.sealing import seal_readings
from protocols import device_package_pb2 as wire
from protocols.link import Connection, Lane
from tests.figures.cpu import copy_cpu_s, cpu_of, server_cpu
from tests.figures.entry import Entry, Figure
from tests.fixtures.gateway_peer import Peer
from tests.fixtures.hub import running_hub
from tests.fixtures.hub_process import start_hub
from wardlink.local.database import Database, create_database, stack_down, stack_up
from wardlink.local.places import default_places

BATCHES, RECORDS, WARM_UP = 600, 250, 20  # 150,000 rows in batches of 16 KB
RUNS = 3
SERIES = 20
CODES = ("MDC_ECG_HEART_RATE", "MDC_PULS_OXIM_SAT_O2", "MDC_PULS_OXIM_PULS_RATE", "MDC_TTHOR_RESP_RATE")


def measure(_: Path) -> Sequence[Entry]:
    """Median of three runs of each, alternating, on one server; CPU of hub and server processes, none of the gateway's."""
    ours: list[float] = []
    sizes: dict[str, object] = {}
    logged = 0.0
    copies: list[float] = []
    with server() as (database, folder):
        for run in range(RUNS):
            target = new_hub(database, f"figure_{run}")
            before = wal_bytes(target)
            rate, groups = asyncio.run(_ours(target, folder / f"state{run}"))
            logged = (wal_bytes(target) - before) / (BATCHES + WARM_UP) / RECORDS
            ours.append(rate)
            copies.append(_copy(target, groups))
            sizes = asyncio.run(_sizes(target))
    ratios = [a / b for a, b in zip(ours, copies, strict=True)]
    return [
        Entry(
            id="hub-rows", group="hub", value=round(median(ratios), 3), unit="of binary COPY", gate=0.25, goal=0.7,
            reference="psycopg 3 binary COPY, write_row: same table, index and rows a transaction",
            higher_is_better=True, n=RUNS, interval=(min(ratios), max(ratios)),
            details={
                "rows a CPU second, hub": round(median(ours)),
                "rows a CPU second, COPY": round(median(copies)),
                "rows": BATCHES * RECORDS,
                "bytes of WAL a row": round(logged),
                **sizes,
            },
        )
    ]  # fmt: skip


@contextmanager
def server() -> Generator[tuple[Database, Path]]:
    """An embedded server of its own, with fsync, and a folder beside it."""
    folder = Path(tempfile.mkdtemp(prefix="wl-"))
    folder.chmod(0o755)
    places = replace(default_places(os.environ, None), data=folder)
    try:
        yield stack_up(places, lambda _: None), folder
    finally:
        stack_down(places, lambda _: None)
        shutil.rmtree(folder, ignore_errors=True)


def new_hub(database: Database, name: str) -> Database:
    """A migrated database of this name in which devices need no admission: what waits for one is held, not stored."""
    target = create_database(database, name)
    migrate(target.url_for("wardlink_owner"))
    with closing(target.connect_admin()) as admin:
        admin.execute("update tenant set admission = 'open'")
    return target


async def _ours(target: Database, state: Path) -> tuple[float, list[int]]:
    """Rows a CPU second through the hub, and the rows of each of its transactions."""
    async with running_hub(target, state) as hub:
        peer = Peer((await hub.peer()).credentials, secrets.token_bytes(16))
    start_ns = time.time_ns() - 3600 * 10**9
    process = start_hub(target, state)
    try:
        for n in range(-WARM_UP, BATCHES):  # ids are made, plans are cached
            if n == 0:
                await peer.deliver(process.uplink, Connection.DATA)
            peer.batch(Lane.NUMERIC, [reading(start_ns, n * RECORDS + i) for i in range(RECORDS)])
            if n == 0:
                with closing(target.connect_admin()) as admin:
                    admin.execute("truncate observation")
                    # as if rollups were closed up to now: each of these minutes is late, and marked
                    admin.execute("update rollup_state set closed_until = now()")
        before = server_cpu(target) + cpu_of(process.process.pid)
        await peer.deliver(process.uplink, Connection.DATA, 120)
        spent = server_cpu(target) + cpu_of(process.process.pid) - before
    finally:
        process.kill()
    with closing(target.connect_admin()) as admin:
        rows = admin.execute("select count(*) from observation group by xmin::text order by min(time)").fetchall()
    groups = [int(str(row[0])) for row in rows]
    assert sum(groups) == BATCHES * RECORDS
    return BATCHES * RECORDS / spent, groups


def _copy(target: Database, groups: list[int]) -> float:
    """Rows a CPU second of psycopg's own binary COPY of the rows that the hub stored, in transactions of the same size."""
    columns = pgcopy.OBSERVATION_COLUMNS
    with psycopg.connect(target.admin_url) as admin:
        rows = admin.execute(f"select {columns} from observation order by time, series_id".encode()).fetchall()
        admin.execute("truncate observation")
    assert isinstance(rows[0][0], datetime)
    types = ("timestamptz", "int4", "int2", "float8", "float4", "float8", "float8", "int4", "text", "text")
    return len(rows) / copy_cpu_s(target, pgcopy.COPY_OBSERVATION, types, rows, groups)


async def _sizes(target: Database) -> dict[str, object]:
    """Bytes a reading on disk, with indexes, hot and then sealed, and what sealing took."""
    hot, before = size_of(target, "observation"), server_cpu(target) + time.process_time()
    async with HubDatabase(target.url_for("wardlink_worker"), "figure", max_size=2) as worker:
        sealed = await seal_readings(worker, datetime.now(UTC) + timedelta(hours=2))
    spent = server_cpu(target) + time.process_time() - before
    return {
        "bytes a row, hot and sealed": f"{hot / sealed.rows:.0f} and {size_of(target, 'observation_block') / sealed.rows:.1f}",
        "CPU to seal a row, us": round(spent / sealed.rows * 1e6, 1),
    }


def size_of(target: Database, table: str) -> int:
    """Bytes of a hypertable with its indexes."""
    with closing(target.connect_admin()) as admin:
        row = admin.execute("select hypertable_size(%s::text::regclass)", (table,)).fetchone()
    return int(str(row[0])) if row else 0


def wal_bytes(target: Database) -> int:
    """Bytes of the server's log so far."""
    with closing(target.connect_admin()) as admin:
        row = admin.execute("select (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
    return int(str(row[0])) if row else 0


def reading(start_ns: int, i: int, ward: str = "") -> wire.Record:
    """The i-th of a gateway, 10 ms behind the one before; `ward`: what the names of its devices begin with."""
    at_ns = start_ns + i * 10_000_000
    return wire.Record(
        source=f"{ward}monitor-{i % (SERIES // len(CODES))}/1/2",
        times=wire.Times(
            gateway_ns=at_ns + 2_000_000,
            device_ns=at_ns - 300_000_000,
            corrected_ns=at_ns,
            uncertainty_ns=4_000_000,
            clock_segment=1,
        ),
        observation=wire.Observation(
            code=CODES[i % len(CODES)], number=60.0 + i % 40, unit="/min", quality=wire.QUALITY_GOOD
        ),
    )


FIGURES = (
    Figure(
        "hub-rows",
        "hub",
        measure,
        code=("hub", "protocols", "tests/figures", "tests/fixtures"),
        cached=False,
        yields=("hub-rows",),
    ),
)
