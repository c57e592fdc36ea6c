"""Figure `hub-two-processes`: CPU a row of two ingest processes beside each other on one database, against one with the same load."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

from protocols.link import Connection, Lane
from tests.figures.cpu import cpu_of, server_cpu
from tests.figures.entry import Entry, Figure
from tests.figures.hub_rows import new_hub, reading, server
from tests.fixtures.gateway_peer import Peer
from tests.fixtures.hub import running_hub
from tests.fixtures.hub_process import HubProcess, start_hub
from wardlink.local.database import Database

GATEWAYS, BATCHES, RECORDS = 4, 200, 250  # 200,000 rows in batches of 16 KB
WARM_UP = 10
RUNS = 3


def measure(_: Path) -> Sequence[Entry]:
    """Median of three pairs, on one server; CPU of all hub and server processes, none of the gateways'."""
    spent: dict[int, list[float]] = {1: [], 2: []}
    with server() as (database, folder):
        for run in range(RUNS):
            for processes in (1, 2) if run % 2 else (2, 1):
                target = new_hub(database, f"two_{run}_{processes}")
                state = folder / f"state{run}_{processes}"
                spent[processes].append(asyncio.run(_cpu_a_row_s(target, state, processes)))
    ratios = [two / one for one, two in zip(spent[1], spent[2], strict=True)]
    return [
        Entry(
            id="hub-two-processes", group="hub", value=round(median(ratios), 3), unit="of the CPU a row of one", gate=1.1,
            goal=1.0, reference="one ingest process with the same gateways, in the same run", higher_is_better=False, n=RUNS,
            interval=(min(ratios), max(ratios)),
            details={
                "CPU a row, one process, us": round(median(spent[1]) * 1e6, 1),
                "CPU a row, two processes, us": round(median(spent[2]) * 1e6, 1),
                "rows": GATEWAYS * BATCHES * RECORDS,
            },
        )
    ]  # fmt: skip


async def _cpu_a_row_s(target: Database, state: Path, count: int) -> float:
    """CPU seconds a row with so many ingest processes, of which each has its share of the gateways."""
    async with running_hub(target, state) as hub:
        papers = [(await hub.peer(f"gateway-{n}")).credentials for n in range(GATEWAYS)]
    peers = [Peer(own, secrets.token_bytes(16)) for own in papers]
    start_ns = time.time_ns() - 3600 * 10**9
    processes: list[HubProcess] = []
    try:
        processes += [start_hub(target, state) for _ in range(count)]

        async def deliver(first: int, behind: int) -> None:
            for number, peer in enumerate(peers):
                for n in range(first, behind):
                    at = (n * GATEWAYS + number) * RECORDS
                    records = [reading(start_ns, at + i, f"gateway-{number}-") for i in range(RECORDS)]
                    peer.batch(Lane.NUMERIC, records)
            ways = zip(peers, (processes[n % count] for n in range(GATEWAYS)), strict=True)
            await asyncio.gather(*(peer.deliver(p.uplink, Connection.DATA, 120) for peer, p in ways))

        await deliver(-WARM_UP, 0)
        with closing(target.connect_admin()) as admin:
            # as if rollups were closed up to now: each of these minutes is late, and marked
            admin.execute("update rollup_state set closed_until = now()")
        before = server_cpu(target) + sum(cpu_of(p.process.pid) for p in processes)
        await deliver(0, BATCHES)
        spent = server_cpu(target) + sum(cpu_of(p.process.pid) for p in processes) - before
    finally:
        for process in processes:
            process.kill()
    with closing(target.connect_admin()) as admin:
        row = admin.execute("select count(*) from observation").fetchone()
    assert row is not None
    assert int(str(row[0])) == GATEWAYS * (BATCHES + WARM_UP) * RECORDS
    return spent / (GATEWAYS * BATCHES * RECORDS)


FIGURES = (
    Figure(
        "hub-two-processes",
        "hub",
        measure,
        code=("hub", "protocols", "tests/figures", "tests/fixtures"),
        cached=False,
        yields=("hub-two-processes",),
    ),
)
