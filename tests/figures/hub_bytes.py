"""Figure `hub-bytes`: live 12-lead streams at 500 Hz that a core of the hub keeps up with, and against binary COPY of the same groups."""

import asyncio
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np
import psycopg

from hub.core.db import Database as HubDatabase
from hub.ingest import pgcopy
from hub.store.sealing import seal_waveforms
from protocols import device_package_pb2 as wire
from protocols.codec import SENT, encode
from protocols.ecgfile.wfdb import read_record
from protocols.link import Connection, Lane
from protocols.wire.tables import CODEC
from tests.figures.cpu import copy_cpu_s, cpu_of, server_cpu
from tests.figures.entry import Entry, Figure
from tests.figures.hub_rows import new_hub, server, size_of, wal_bytes
from tests.fixtures.gateway_peer import Peer
from tests.fixtures.hub import running_hub
from tests.fixtures.hub_process import start_hub
from wardlink.local.database import Database

GATEWAYS, BEDS = 8, 5  # wards, and devices of each
DEVICES, SECONDS, WARM_UP_S = GATEWAYS * BEDS, 60, 3
FS_HZ, RECORD_S = 500, 10
BATCH_BYTES = 16 * 1024  # where the uplink closes a batch
RUNS = 3
LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
TYPES = ("timestamptz", "int4", "int4", "int8", "int2", "float8", "float4", "float8", "int4", "bytea", "bytea")


def measure(data: Path) -> Sequence[Entry]:
    """Median of three runs of each, alternating, on one server; CPU of hub and server processes, none of the gateways'."""
    signals = _signals(data)
    ours: list[float] = []
    sizes: dict[str, object] = {}
    logged = 0.0
    copies: list[float] = []
    transactions: list[float] = []
    with server() as (database, folder):
        for run in range(RUNS):
            target = new_hub(database, f"bytes_{run}")
            before = wal_bytes(target)
            rate, groups = asyncio.run(_ours(target, folder / f"state{run}", signals))
            logged = (wal_bytes(target) - before) / DEVICES / (SECONDS + WARM_UP_S)
            ours.append(rate)
            transactions.append(sum(groups) / len(groups))
            copies.append(_copy(target, groups))
            sizes = asyncio.run(_sizes(target))
    ratios = [a / b for a, b in zip(ours, copies, strict=True)]
    details: dict[str, object] = {
        "streams a core, hub": round(median(ours)),
        "streams a core, COPY": round(median(copies)),
        "groups": DEVICES * SECONDS,
        "groups a transaction": round(median(transactions)),
        "KB a group, packed": round(sum(len(x) for own in signals for _, x in own) / sum(map(len, signals)) / 1e3, 2),
        "KB of WAL a group": round(logged / 1e3, 2),
        **sizes,
    }
    reference = "psycopg 3 binary COPY, write_row: same table, index and groups a transaction"
    return [
        Entry(
            id="hub-bytes", group="hub", value=round(median(ratios), 3), unit="of binary COPY", gate=0.3, goal=0.7,
            reference=reference, higher_is_better=True, n=RUNS, interval=(min(ratios), max(ratios)), details=details,
        ),
        Entry(
            id="hub-bytes-streams", group="hub", value=round(median(ours)), unit="live streams a core", gate=100, goal=400,
            reference="", higher_is_better=True, n=RUNS, interval=(min(ours), max(ours)), details={},
        ),
    ]  # fmt: skip


def _signals(data: Path) -> list[list[tuple[int, bytes]]]:
    """Ten seconds of each of some recordings as groups of a second, packed as gateways pack them: (codec, samples)."""
    found: list[list[tuple[int, bytes]]] = []
    for header in sorted((data / "ludb").rglob("*.hea"))[:10]:
        raw = read_record(header.with_suffix("")).raw.astype("<i2")
        seconds = (np.ascontiguousarray(raw[:, s * FS_HZ : (s + 1) * FS_HZ]) for s in range(RECORD_S))
        found.append([encode(samples, among=SENT) for samples in seconds])
    return found


def _records(
    signals: list[list[tuple[int, bytes]]], start_ns: int, seconds: range, devices: range
) -> Iterator[wire.Record]:
    for second in seconds:
        for device in devices:
            own = signals[device % len(signals)]
            codec, samples = own[second % len(own)]
            at_ns = start_ns + second * 10**9 + device * 1_000_000
            yield wire.Record(
                source=f"cart-{device}/ecg",
                times=wire.Times(
                    gateway_ns=at_ns + 2_000_000, corrected_ns=at_ns, uncertainty_ns=4_000_000, clock_segment=1
                ),
                waveform=wire.WaveformGroup(
                    leads=[f"MDC_ECG_LEAD_{lead}" for lead in LEADS],
                    fs_hz=FS_HZ,
                    first_sample=second * FS_HZ,
                    dtype=wire.DTYPE_INT16,
                    codec=CODEC[codec],
                    n=FS_HZ,
                    samples=samples,
                    scales=[wire.Scale(gain=1.0, offset=0.0, unit="uV")] * len(LEADS),
                    quality=[wire.QUALITY_GOOD] * len(LEADS),
                ),
            )


async def _ours(target: Database, state: Path, signals: list[list[tuple[int, bytes]]]) -> tuple[float, list[int]]:
    """Seconds of streams a CPU second through the hub, and the groups of each of its transactions."""
    async with running_hub(target, state) as hub:
        papers = [(await hub.peer(f"gateway-{n}")).credentials for n in range(GATEWAYS)]
    wards = [(Peer(own, secrets.token_bytes(16)), range(n * BEDS, (n + 1) * BEDS)) for n, own in enumerate(papers)]
    start_ns = time.time_ns() - SECONDS * 10**9
    process = start_hub(target, state)

    async def deliver(seconds: range, within_s: float) -> None:
        for peer, devices in wards:
            for batch in batched_records(signals, start_ns, seconds, devices):
                peer.batch(Lane.WAVEFORM, batch)
        await asyncio.gather(*(peer.deliver(process.uplink, Connection.DATA, within_s) for peer, _ in wards))

    try:
        await deliver(range(-WARM_UP_S, 0), 60)
        with closing(target.connect_admin()) as admin:
            admin.execute("truncate waveform")
        before = server_cpu(target) + cpu_of(process.process.pid)
        await deliver(range(SECONDS), 120)
        spent = server_cpu(target) + cpu_of(process.process.pid) - before
    finally:
        process.kill()
    with closing(target.connect_admin()) as admin:
        rows = admin.execute("select count(*) from waveform group by xmin::text order by min(start)").fetchall()
    groups = [int(str(row[0])) for row in rows]
    assert sum(groups) == DEVICES * SECONDS
    return DEVICES * SECONDS / spent, groups


def batched_records(
    signals: list[list[tuple[int, bytes]]], start_ns: int, seconds: range, devices: range
) -> Iterator[list[wire.Record]]:
    """The records of a stretch in batches."""
    some: list[wire.Record] = []
    size = 0
    for record in _records(signals, start_ns, seconds, devices):
        some.append(record)
        size += record.ByteSize()
        if size >= BATCH_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def _copy(target: Database, groups: list[int]) -> float:
    """Seconds of streams a CPU second of psycopg's own binary COPY of what the hub stored, in transactions of the same size."""
    with psycopg.connect(target.admin_url) as admin:
        rows = admin.execute(
            f"select {pgcopy.WAVEFORM_COLUMNS} from waveform order by start".encode(), binary=True
        ).fetchall()
        admin.execute("truncate waveform")
    return len(rows) / copy_cpu_s(target, pgcopy.COPY_WAVEFORM, TYPES, rows, groups)


async def _sizes(target: Database) -> dict[str, object]:
    """What an hour of a stream takes on disk, with indexes, hot and then sealed, from the minute that is there; and what sealing took."""
    hours = DEVICES * SECONDS / 3600
    hot, before = size_of(target, "waveform"), server_cpu(target) + time.process_time()
    async with HubDatabase(target.url_for("wardlink_worker"), "figure", max_size=2) as worker:
        await seal_waveforms(worker, datetime.now(UTC) + timedelta(hours=1))
    spent = server_cpu(target) + time.process_time() - before
    return {
        "MB a stream-hour, hot and sealed": f"{hot / hours / 1e6:.1f} and {size_of(target, 'waveform_block') / hours / 1e6:.1f}",
        "CPU to seal a group, us": round(spent / DEVICES / SECONDS * 1e6),
    }


FIGURES = (
    Figure(
        "hub-bytes",
        "hub",
        measure,
        data=("ludb",),
        code=("hub", "protocols", "tests/figures", "tests/fixtures"),
        cached=False,
        yields=("hub-bytes", "hub-bytes-streams"),
    ),
)
