"""Figure `growth`: CPU a row of the hub with ten and a hundred times the devices and the rows already stored, against one time."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

from protocols import device_package_pb2 as wire
from protocols.link import Connection, Lane
from tests.figures.cpu import cpu_of, server_cpu
from tests.figures.entry import Entry, Figure
from tests.figures.hub_rows import CODES, new_hub, server
from tests.fixtures.gateway_peer import Peer
from tests.fixtures.hub import running_hub
from tests.fixtures.hub_process import start_hub
from wardlink.local.database import Database

ROWS, DEVICES = 1_000_000, 20
BATCHES, RECORDS = 320, 250
RUNS = 3
GATE, GOAL = 1.3, 1.05
# What is there already: each series once a second, up to now.
_FILL = """
insert into observation (time, series_id, quality, value, gateway_offset_ms, uncertainty_ms)
select now() - (%(rows)s / n.count - g) * interval '1 second', s.series_id, 1, 60 + g %% 40, 2, 4
  from (select count(*) as count from series) n, generate_series(1, %(rows)s / (select count(*) from series)) g, series s
"""


def measure(_: Path) -> Sequence[Entry]:
    """One time and ten times."""
    return _measure((1, 10), "100 x is in the long form")


def measure_long(_: Path) -> Sequence[Entry]:
    """A hundred times too."""
    return _measure((1, 10, 100), "")


def _measure(times: Sequence[int], note: str) -> Sequence[Entry]:
    spent: dict[int, list[float]] = {}
    with server() as (database, folder):
        hubs = {x: new_hub(database, f"growth_{x}") for x in times}
        peers = {x: asyncio.run(_filled(target, folder / f"state{x}", x)) for x, target in hubs.items()}
        for _run in range(RUNS):
            for x, target in hubs.items():
                spent.setdefault(x, []).append(asyncio.run(_stored(target, folder / f"state{x}", peers[x], x)))
    most = max(times)
    ratios = [b / a for a, b in zip(spent[1], spent[most], strict=True)]
    details: dict[str, object] = {
        f"CPU a row at {x} x, {x * DEVICES} devices, us": round(median(spent[x]) * 1e6, 2) for x in times
    }
    return [
        Entry(
            id="growth", group="hub", value=round(median(ratios), 3), unit=f"CPU a row at {most} x", gate=GATE, goal=GOAL,
            reference=f"the same at 1 x: {ROWS} rows of {DEVICES} devices", higher_is_better=False, n=RUNS,
            interval=(min(ratios), max(ratios)), note=note, details=details,
        )
    ]  # fmt: skip


async def _filled(target: Database, state: Path, x: int) -> Peer:
    """Have the series of all devices made by the hub, and their past filled in by the server."""
    async with running_hub(target, state) as hub:
        peer = Peer((await hub.peer()).credentials, secrets.token_bytes(16))
    now_ns = time.time_ns() - 86_400 * 10**9
    count = x * DEVICES * len(CODES)
    for first in range(0, count, RECORDS):
        peer.batch(Lane.NUMERIC, [_reading(now_ns, i, x) for i in range(first, min(first + RECORDS, count))])
    process = start_hub(target, state)
    try:
        await peer.deliver(process.uplink, Connection.DATA, 120)
    finally:
        process.kill()
    with closing(target.connect_admin()) as admin:
        admin.execute(_FILL.encode(), {"rows": x * ROWS})
        admin.execute("vacuum analyze observation")
        admin.execute("checkpoint")
    return peer


async def _stored(target: Database, state: Path, peer: Peer, x: int) -> float:
    """CPU seconds a row of hub and server, for live readings of all devices in turn."""
    process = start_hub(target, state)
    try:
        for n in range(-20, BATCHES):  # 20 batches of warm-up: ids are looked up, plans are cached
            if n == 0:
                await peer.deliver(process.uplink, Connection.DATA, 120)
            now_ns = time.time_ns()
            peer.batch(Lane.NUMERIC, [_reading(now_ns, n * RECORDS + i, x) for i in range(RECORDS)])
        with closing(target.connect_admin()) as admin:
            admin.execute("update rollup_state set closed_until = now() - interval '2 minutes'")
        before = server_cpu(target) + cpu_of(process.process.pid)
        await peer.deliver(process.uplink, Connection.DATA, 120)
        spent = server_cpu(target) + cpu_of(process.process.pid) - before
    finally:
        process.kill()
    return spent / (BATCHES * RECORDS)


def _reading(now_ns: int, i: int, x: int) -> wire.Record:
    device, code = divmod(i % (x * DEVICES * len(CODES)), len(CODES))
    at_ns = now_ns + i * 1000
    return wire.Record(
        source=f"monitor-{device}/1/2",
        times=wire.Times(gateway_ns=at_ns + 2_000_000, corrected_ns=at_ns, uncertainty_ns=4_000_000, clock_segment=1),
        observation=wire.Observation(code=CODES[code], number=60.0 + i % 40, unit="/min", quality=wire.QUALITY_GOOD),
    )


FIGURES = (
    Figure(
        "growth",
        "hub",
        measure,
        code=("hub", "protocols", "tests/figures", "tests/fixtures"),
        cached=False,
        yields=("growth",),
        long=measure_long,
    ),
)
