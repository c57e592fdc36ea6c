"""How much may wait for the way up in the hospital's own database, when nobody takes it: the oldest samples go first and leave Gaps.

The way up empties the outbox within a second into its spool, which has a bound of its own. Only when its process does not run for long
does this bound count; the hospital itself has every sample all the same.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter, Gauge

from hub.core.sql import load_queries
from protocols.gaps import gaps_of
from protocols.nomenclature import QUEUE_OVERFLOW
from protocols.uplink_pb2 import Batch, Envelope
from protocols.wire import encode_record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hub.core.db import Connection, Database

BOUND_BYTES = 8 << 30  # two days of 100 beds with two leads of 250 Hz; the disk is that of the hospital's own data
MOST = 1000  # batches in a run: the rest is for the next one, a minute later
_AT_ONCE = 100
_QUERIES = load_queries("hub.upstream")
_BYTES = Gauge("hub_upstream_outbox_bytes", "What waits in the database for the way up")
_GIVEN_UP = Counter("hub_upstream_given_up_total", "Batches of samples that became Gaps on their way up")


@dataclass(frozen=True, slots=True)
class Waits:
    """What waits in the outbox, and how many batches became Gaps just now."""

    size_bytes: int
    given_up: int


async def hold_bound(database: "Database", bound_bytes: int = BOUND_BYTES, most: int = MOST) -> Waits:
    """Look at the outbox; beyond the bound the oldest samples become Gaps until nine tenths of it are left, or `most` batches did.

    Alarms and numbers stay.
    """
    given_up = 0
    size_bytes = await _size(database)
    aim_bytes = size_bytes if size_bytes <= bound_bytes else bound_bytes * 9 // 10
    while size_bytes > aim_bytes and given_up < most:
        async with database.transaction() as connection:
            freed, count = await _thin(connection, size_bytes - aim_bytes, min(_AT_ONCE, most - given_up))
        if not count:
            break
        size_bytes, given_up = size_bytes - freed, given_up + count
    _BYTES.set(size_bytes)
    _GIVEN_UP.inc(given_up)
    if given_up or size_bytes > aim_bytes:
        structlog.get_logger().warning(
            "outbox-beyond-its-bound",
            size_bytes=size_bytes,
            bound_bytes=bound_bytes,
            given_up=given_up,
            what_to_do="see that `wardlink upstream run` runs; what was given up goes up as gaps, and is whole here",
        )
    return Waits(size_bytes, given_up)


async def _size(database: "Database") -> int:
    async with database.connection() as connection:
        row = await (await connection.execute(_QUERIES["outbox_size"])).fetchone()
    return int(row[0]) if row else 0


async def _thin(connection: "Connection", wanted_bytes: int, most: int) -> tuple[int, int]:
    """Make Gaps of the oldest batches of samples, as many as are wanted and at most `most`; returns the bytes freed, and how many batches."""
    freed = count = 0
    rows = await (await connection.execute(_QUERIES["oldest_samples"], {"most": most})).fetchall()
    for outbox_id, records in rows:
        if freed >= wanted_bytes:
            break
        thinned = without_samples(bytes(records), time.time_ns())
        await connection.execute(_QUERIES["thin"], {"id": outbox_id, "records": thinned})
        freed, count = freed + len(records) - len(thinned), count + 1
    return freed, count


def without_samples(records: bytes, at_ns: int) -> bytes:
    """The same batch with a Gap for its samples, of each origin by itself. A Gap that is in it stays one."""
    batch = Batch.FromString(records)
    part = Batch(lane=batch.lane, n=batch.n, closed_ns=batch.closed_ns)
    by_origin: dict[tuple[str, bytes], list[Envelope]] = {}
    for envelope in batch.records:
        by_origin.setdefault((envelope.origin.gateway, envelope.origin.epoch), []).append(envelope)
    for same in by_origin.values():
        part.records.extend(_gaps(same, at_ns))
    return part.SerializeToString()


def _gaps(same: "list[Envelope]", at_ns: int) -> "Iterable[Envelope]":
    """Each at the place of another one of the records, of which there are as many at least."""
    gaps = gaps_of([[one.record for one in same]], QUEUE_OVERFLOW, recoverable=False, at_ns=at_ns)
    for gap, one in zip(gaps, same, strict=False):
        yield Envelope(record=encode_record(gap), origin=one.origin)
