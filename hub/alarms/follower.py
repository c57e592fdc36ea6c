"""Follows the alarm log of each tenant whose screens are open, so that every screen gets every event once and in order.

The log in the database is the truth. The live push and NOTIFY only say when to look; without either it is looked at once a
second, so nothing that is lost on those ways can lose an alarm.
"""

import asyncio
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from hub.alarms.domain import Published
from hub.alarms.store import QUERIES, last_event, read_since
from hub.core.queues import QUEUES

if TYPE_CHECKING:
    from hub.core.db import Database

POLL_S = 1.0
_KEPT = QUEUES["alarm-log"].bound
_BATCH = 200
# A screen that missed more than this gets the whole state instead.
MAX_BEHIND = 2000


class _Log:
    """The tail of one tenant's log. `floor`: everything behind it and up to `last` is in `tail`."""

    def __init__(self, last: int) -> None:
        self.floor = last
        self.last = last
        self.tail: deque[Published] = deque(maxlen=_KEPT)
        self.grown = asyncio.Event()
        self.readers = 0

    def add(self, events: list[Published]) -> None:
        for event in events:
            if len(self.tail) == _KEPT:
                self.floor = self.tail.popleft().event_id
            self.tail.append(event)
        self.last = events[-1].event_id
        grown, self.grown = self.grown, asyncio.Event()
        grown.set()


class AlarmFollower:
    """One for a web process. Start `run` as a task."""

    def __init__(self, database: "Database") -> None:
        """`database` as the role web."""
        self._database = database
        self._logs: dict[int, _Log] = {}
        self._look = asyncio.Event()

    def look(self) -> None:
        """Say that a log may have grown."""
        self._look.set()

    def begin_anew(self) -> None:
        """The database is another, and counts its events otherwise: who reads on from here follows its logs."""
        self._logs.clear()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._look.wait()
            self._look.clear()
            for tenant, log in tuple(self._logs.items()):
                try:
                    await self._read(tenant, log)
                except (psycopg.Error, PoolTimeout, OSError) as error:
                    structlog.get_logger().error("alarm-log-not-read", tenant=tenant, error=type(error).__name__)

    async def newest(self, tenant: int) -> int:
        """Id of the log's last event."""
        async with self._database.transaction(tenant) as connection:
            return await last_event(connection, tenant)

    async def can_resume(self, tenant: int, after: int) -> bool:
        """Whether a screen that had `after` last can be told the rest: it is of this log, and not too much is missing."""
        if after < 0 or after > await self.newest(tenant):
            return False
        async with self._database.transaction(tenant) as connection:
            values = {"tenant": tenant, "after": after, "limit": MAX_BEHIND + 1}
            row = await (await connection.execute(QUERIES["behind"], values)).fetchone()
        return row is not None and row[0] <= MAX_BEHIND

    @contextmanager
    def following(self, tenant: int, after: int) -> Generator["Cursor"]:
        """Read a tenant's log from behind `after`; it is followed while somebody reads it."""
        log = self._logs.get(tenant)
        if log is None:
            log = self._logs[tenant] = _Log(after)
        log.readers += 1
        self.look()
        try:
            yield Cursor(self._database, tenant, log, after)
        finally:
            log.readers -= 1
            if not log.readers and self._logs.get(tenant) is log:
                del self._logs[tenant]

    async def _read(self, tenant: int, log: _Log) -> None:
        while True:
            async with self._database.transaction(tenant) as connection:
                events = await read_since(connection, tenant, log.last, _BATCH)
            if not events:
                return
            log.add(events)


class Cursor:
    """How far one screen has read."""

    def __init__(self, database: "Database", tenant: int, log: _Log, after: int) -> None:
        self._database = database
        self._tenant = tenant
        self._log = log
        self.after = after

    @property
    def grown(self) -> asyncio.Event:
        """Set when the log grows; take it before `read`, or a growth in between is missed."""
        return self._log.grown

    async def read(self) -> list[Published]:
        """Every event behind `after`, which moves on; empty when there is none yet."""
        if self.after >= self._log.last:
            return []
        if self.after >= self._log.floor:
            events = [e for e in self._log.tail if e.event_id > self.after]
        else:
            async with self._database.transaction(self._tenant) as connection:
                events = await read_since(connection, self._tenant, self.after, _BATCH)
        if events:
            self.after = events[-1].event_id
        return events
