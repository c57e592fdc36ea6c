"""Rollups of a minute and of an hour: closed by the clock, made anew where late data have touched them. The work is the database's.

Two steps a run, each safe to be cut off anywhere: the time up to which minutes are closed is moved and committed, which waits for every
transaction of ingest that took the old one; then what is closed, and what late data have marked, is made from the readings, behind every
transaction that has made a chunk of them (decision 0172).
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

import structlog
from prometheus_client import Counter, Gauge
from psycopg.errors import LockNotAvailable

from hub.core.sql import load_queries

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hub.core.db import Database

_QUERIES = load_queries("hub.store")

# A minute closes so long after its end: what comes within it (batches of 250 ms, a short back-off) need not be marked.
CLOSES_AFTER = timedelta(minutes=2)
MARKS_AT_ONCE = 500

MINUTE_NS = 60_000_000_000
Minute: TypeAlias = tuple[int, int]
"""A series, and a minute counted from 1970."""

_LATE = Counter("hub_rollups_late_total", "Marks of late data from which rollups were made anew")
_CLOSED = Gauge("hub_rollups_closed_timestamp_seconds", "Up to when rollups are closed")


def stretches(touched: "Iterable[Minute]") -> tuple[list[int], list[int], list[int]]:
    """Minutes of series as stretches: series, first minutes, and the minutes behind the last."""
    series: list[int] = []
    begins: list[int] = []
    ends: list[int] = []
    for number, minute in sorted(touched):
        if series and series[-1] == number and ends[-1] == minute:
            ends[-1] = minute + 1
        else:
            series.append(number)
            begins.append(minute)
            ends.append(minute + 1)
    return series, begins, ends


async def roll_up(database: "Database", now: datetime | None = None) -> int:
    """Close, make what is closed, make anew what is marked; returns how many marks that were."""
    until = (now or datetime.now(UTC)) - CLOSES_AFTER
    try:
        async with database.transaction() as connection:
            closed = await (await connection.execute(_QUERIES["close_rollups"], {"until": until})).fetchone()
        _CLOSED.set(0 if closed is None else closed[0].timestamp())
    except LockNotAvailable:
        structlog.get_logger().warning("rollups-not-closed", reason="a writer's transaction is open")
    marks = 0
    try:
        while await _answer(database, "roll_up_closed"):
            pass
        taken = MARKS_AT_ONCE
        while taken >= MARKS_AT_ONCE:
            taken = await _answer(database, "roll_up_late", most=MARKS_AT_ONCE)
            marks += taken
    except LockNotAvailable:
        structlog.get_logger().warning("rollups-not-made", reason="a transaction that has made a chunk is open")
    _LATE.inc(marks)
    return marks


async def _answer(database: "Database", name: str, **values: int) -> int:
    async with database.transaction() as connection:
        row = await (await connection.execute(_QUERIES[name], values)).fetchone()
    return int(row[0]) if row else 0
