"""Follows the next message of a device that somebody asked about, from the gateway's door to the push to the pages (`wardlink trace`).

While nobody asks, it costs a look at an empty table of this process. What it writes are times, positions and codes, never a value.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
import structlog
from psycopg.types.json import Jsonb

from hub.core.sql import load_queries
from protocols.link import Lane

if TYPE_CHECKING:
    from hub.core.db import Database
    from hub.ingest.identity import GatewayIdentity
    from protocols.uplink_pb2 import Batch, Envelope

_QUERIES = load_queries("hub.ingest")
MOST_AT_ONCE = 16


@dataclass(slots=True)
class Mark:
    """A message on its way. `told`: its hops so far, ns since 1970 by the clock that each is of."""

    trace_id: int
    told: dict[str, object]


@dataclass(slots=True)
class Tracer:
    """What is asked for at this process."""

    database: "Database"
    now_ns: Callable[[], int] = time.time_ns
    _asked: dict[tuple[int, str], tuple[int, float]] = field(default_factory=dict[tuple[int, str], tuple[int, float]])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def look(self, _: int | None = None) -> None:
        """Somebody has asked, or this process has just begun."""
        async with self.database.transaction() as connection:
            rows = await (await connection.execute(_QUERIES["traces_asked"], {"limit": MOST_AT_ONCE})).fetchall()
        now_s = time.monotonic()
        self._asked = {
            (int(tenant), str(name)): (int(number), now_s + float(left)) for number, tenant, name, left in rows
        }

    def mark(self, identity: "GatewayIdentity", batch: "Batch", epoch: bytes) -> Mark | None:
        """A mark when the batch has a message that somebody waits for."""
        if not self._asked:
            return None
        received_ns = self.now_ns()
        for envelope in batch.records:
            key = (identity.tenant_id, envelope.record.source.partition("/")[0])
            if key in self._asked:
                number, ends_s = self._asked.pop(key)
                if time.monotonic() < ends_s:
                    return Mark(
                        number, {**_message(envelope), **_position(identity, batch, epoch), "received_ns": received_ns}
                    )
        return None

    def settled(self, mark: Mark, error: Exception | None) -> None:
        """The batch is committed, or was not; what its transaction pushes is pushed in the same turn of the loop."""
        mark.told["committed_ns" if error is None else "not_stored_ns"] = self.now_ns()
        asyncio.get_running_loop().call_soon(self._pushed, mark, error is None)

    def _pushed(self, mark: Mark, is_stored: bool) -> None:
        if is_stored:
            mark.told["pushed_ns"] = self.now_ns()
        task = asyncio.create_task(self._write(mark))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, mark: Mark) -> None:
        try:
            async with self.database.transaction() as connection:
                await connection.execute(_QUERIES["trace_told"], {"id": mark.trace_id, "told": Jsonb(mark.told)})
        except (psycopg.Error, OSError) as error:
            structlog.get_logger().warning("trace-not-written", error=type(error).__name__)


def _message(envelope: "Envelope") -> dict[str, object]:
    record = envelope.record
    times = record.times
    kind = record.WhichOneof("kind") or ""
    told: dict[str, object] = {"source": record.source, "kind": kind, "gateway_ns": times.gateway_ns}
    if times.HasField("device_ns"):
        told["device_ns"] = times.device_ns
    if times.HasField("corrected_ns"):
        told["corrected_ns"] = times.corrected_ns
    if kind in ("observation", "event", "alarm"):
        told["code"] = getattr(record, kind).code
    return told


def _position(identity: "GatewayIdentity", batch: "Batch", epoch: bytes) -> dict[str, object]:
    return {
        "gateway": identity.gateway,
        "epoch": epoch.hex(),
        "lane": Lane(batch.lane).name.lower(),
        "n": batch.n,
        "records": len(batch.records),
        "closed_ns": batch.closed_ns,
    }
