"""Follows the next message of a device that somebody asked about, from the gateway's door to the push to the pages (`wardlink trace`).

An agent that can is asked to note its own hops; of another the first message that comes is followed from here on. While nobody asks,
it costs a look at an empty table of this process. What it writes are times, positions and codes, never a value.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
import structlog
from psycopg.types.json import Jsonb

from hub.core.live import LiveKind, LiveMessage
from hub.core.sql import load_queries
from protocols.link import TRACE, Connection, Lane
from protocols.uplink_pb2 import HubMessage, TraceAsked

if TYPE_CHECKING:
    from hub.core.db import Database
    from hub.ingest.streams import Stream, Streams
    from protocols.uplink_pb2 import Batch, Envelope, TraceAcknowledged, Traced

_QUERIES = load_queries("hub.ingest")
MOST_AT_ONCE = 16
_HOPS = ("door_ns", "decoded_ns", "screened_ns", "durable_ns", "sent_ns")


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question. `gateway_id`: who has the device, as far as the ledger knows."""

    trace_id: int
    tenant_id: int
    device: str
    ends_s: float
    gateway_id: int | None


@dataclass(slots=True)
class Mark:
    """A message on its way. `told`: its hops so far, ns since 1970 by the clock that each is of."""

    trace_id: int
    tenant_id: int
    told: dict[str, object]


@dataclass(slots=True)
class Tracer:
    """What is asked for at this process. `publish`: the push to the pages."""

    database: "Database"
    streams: "Streams"
    publish: Callable[[LiveMessage], None]
    now_ns: Callable[[], int] = time.time_ns
    _asked: dict[tuple[int, str], _Asked] = field(default_factory=dict[tuple[int, str], _Asked])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def look(self, _: int | None = None) -> None:
        """Somebody has asked, or this process has just begun."""
        async with self.database.transaction() as connection:
            rows = await (await connection.execute(_QUERIES["traces_asked"], {"limit": MOST_AT_ONCE})).fetchall()
        now_s = time.monotonic()
        before, self._asked = self._asked, {}
        for trace_id, tenant, device, left_s, gateway in reversed(rows):  # the newest question about a device counts
            self._asked[tenant, device] = _Asked(trace_id, tenant, device, now_s + float(left_s), gateway)
        for key, asked in self._asked.items():
            if key not in before or before[key].trace_id != asked.trace_id:
                for stream in self.streams.greeted(Connection.DATA, asked.tenant_id):
                    await self._ask(stream, asked)

    async def greet(self, stream: "Stream") -> None:
        """A gateway has come that may have missed a question."""
        identity = stream.link.identity
        if stream.connection is Connection.DATA and not identity.forwards:
            for asked in tuple(self._asked.values()):
                if asked.tenant_id == identity.tenant_id:
                    await self._ask(stream, asked)

    async def _ask(self, stream: "Stream", asked: _Asked) -> None:
        """Ask the agent for its hops, and write down that the device's own gateway is there and whether it tells them."""
        left_ms = int(1000 * (asked.ends_s - time.monotonic()))
        if left_ms <= 0:
            return
        tells = TRACE in stream.features
        if tells:
            question = TraceAsked(trace=asked.trace_id, device=asked.device, within_ms=left_ms)
            stream.send(HubMessage(trace_asked=question))
        if asked.gateway_id == stream.link.identity.gateway_id:
            values: dict[str, object] = {"id": asked.trace_id, "version": stream.agent_version, "tells": tells}
            await self._execute("trace_asked_of", values)

    def mark(self, stream: "Stream", batch: "Batch") -> Mark | None:
        """A mark when the batch has the message that somebody waits for."""
        if not self._asked:
            return None
        received_ns = self.now_ns()
        if batch.HasField("traced"):
            return self._marked(stream, batch, batch.traced, received_ns)
        if TRACE in stream.features:
            return None  # the agent follows a message of its own choice
        for envelope in batch.records:
            key = (stream.link.identity.tenant_id, _device(envelope))
            if key in self._asked:
                asked = self._asked.pop(key)
                if time.monotonic() < asked.ends_s:
                    return _mark(asked, stream, batch, envelope, received_ns)
        return None

    def _marked(self, stream: "Stream", batch: "Batch", traced: "Traced", received_ns: int) -> Mark | None:
        tenant_id = stream.link.identity.tenant_id
        asked = next((a for a in self._asked.values() if a.trace_id == traced.trace and a.tenant_id == tenant_id), None)
        own = [] if asked is None else [envelope for envelope in batch.records if _device(envelope) == asked.device]
        if asked is None or not own:
            return None  # nobody asks (any more), or the batch was split between the mark and its message
        del self._asked[tenant_id, asked.device]
        wanted = (traced.source, traced.kind, traced.record_ns)
        found = next((envelope for envelope in own if _of(envelope) == wanted), own[0])
        mark = _mark(asked, stream, batch, found, received_ns)
        mark.told |= {name: getattr(traced, name) for name in _HOPS if getattr(traced, name)}
        return mark

    def settled(self, mark: Mark, error: Exception | None) -> None:
        """The batch is committed, or was not; what its transaction pushes is pushed in the same turn of the loop, behind this."""
        mark.told["committed_ns" if error is None else "not_stored_ns"] = self.now_ns()
        if error is None:
            body = {name: mark.told[name] for name in ("source", "kind", "record_ns")} | {"trace": mark.trace_id}
            self.publish(LiveMessage(LiveKind.TRACE, mark.tenant_id, json.dumps(body).encode()))
        asyncio.get_running_loop().call_soon(self._pushed, mark, error is None)

    def _pushed(self, mark: Mark, is_stored: bool) -> None:
        if is_stored:
            mark.told["pushed_ns"] = self.now_ns()
        values: dict[str, object] = {"id": mark.trace_id, "told": Jsonb(mark.told)}
        task = asyncio.create_task(self._execute("trace_told", values))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def acknowledged(self, stream: "Stream", told: "TraceAcknowledged") -> None:
        """The gateway says when it had the acknowledgement: once, and of what it has sent itself."""
        if self._tasks:
            await asyncio.wait(self._tasks)  # what it belongs to is being written
        identity = stream.link.identity
        values: dict[str, object] = {"id": min(told.trace, _LARGEST), "at": told.acknowledged_ns}
        values |= {"tenant": identity.tenant_id, "gateway": identity.gateway}
        await self._execute("trace_acknowledged", values)

    async def _execute(self, query: str, values: "dict[str, object]") -> None:
        try:
            async with self.database.transaction() as connection:
                await connection.execute(_QUERIES[query], values)
        except (psycopg.Error, OSError) as error:
            structlog.get_logger().warning("trace-not-written", error=type(error).__name__)


_LARGEST = (1 << 63) - 1  # of a bigint


def _device(envelope: "Envelope") -> str:
    return envelope.record.source.partition("/")[0]


def _of(envelope: "Envelope") -> tuple[str, str, int]:
    record = envelope.record
    return record.source, record.WhichOneof("kind") or "", record.times.gateway_ns


def _mark(asked: _Asked, stream: "Stream", batch: "Batch", envelope: "Envelope", received_ns: int) -> Mark:
    told = {**_message(envelope), **_position(stream, batch), "received_ns": received_ns}
    told |= {"tells": TRACE in stream.features, "asked_of": stream.agent_version}
    return Mark(asked.trace_id, asked.tenant_id, told)


def _message(envelope: "Envelope") -> dict[str, object]:
    record = envelope.record
    times = record.times
    source, kind, record_ns = _of(envelope)
    told: dict[str, object] = {"source": source, "kind": kind, "record_ns": record_ns}
    if times.HasField("device_ns"):
        told["device_ns"] = times.device_ns
    if times.HasField("corrected_ns"):
        told["corrected_ns"] = times.corrected_ns
    if kind in ("observation", "event", "alarm"):
        told["code"] = getattr(record, kind).code
    return told


def _position(stream: "Stream", batch: "Batch") -> dict[str, object]:
    return {
        "gateway": stream.link.identity.gateway,
        "epoch": stream.link.epoch.hex(),
        "lane": Lane(batch.lane).name.lower(),
        "n": batch.n,
        "records": len(batch.records),
        "closed_ns": batch.closed_ns,
    }
