"""What can be done: ask ingest to follow the next message of a device, and read what it, the agent and the pages have seen."""

import asyncio
import time
from typing import TYPE_CHECKING

from hub.core.errors import NotFoundError
from hub.core.policy import policy
from hub.core.principal import tenant_of
from hub.core.sql import load_queries
from hub.traces.domain import Trace

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.db import Database
    from hub.core.principal import Principal

_QUERIES = load_queries("hub.traces")
_LOOK_S = 0.1
REST_S = 6.0  # behind the commit: a page tells every 2 s what it has painted, a web process writes within 4 s


class Traces:
    """For one process."""

    def __init__(self, database: "Database", audit: "AuditLog") -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit

    @policy("trace.follow")
    async def follow(self, principal: "Principal", device: str, within_s: float) -> Trace:
        """The hops of the next message, as far as they were seen; `Trace.came` is false when none came in time. NotFoundError."""
        tenant = tenant_of(principal)
        values: dict[str, object] = {"tenant": tenant, "device": device, "within_s": within_s}
        async with self._database.transaction(tenant) as connection:
            known = await (await connection.execute(_QUERIES["device"], values)).fetchone()
            if known is None:
                raise NotFoundError(f"There is no device {device!r}.", "A device is known once a gateway has heard it.")
            asked = await (await connection.execute(_QUERIES["ask"], values)).fetchone()
            assert asked is not None
            await self.audit.write(connection, principal, "trace.follow", f"device:{device}", {"within_s": within_s})
        trace = Trace(*known)
        ends_s = time.monotonic() + within_s
        while not trace.came and time.monotonic() < ends_s:
            await asyncio.sleep(_LOOK_S)
            await self._look(trace, tenant, asked[0])
        ends_s = time.monotonic() + REST_S
        while trace.came and not trace.is_whole and time.monotonic() < ends_s:
            await asyncio.sleep(_LOOK_S)
            await self._look(trace, tenant, asked[0])
        return trace

    async def _look(self, trace: Trace, tenant: int, trace_id: int) -> None:
        values = {"tenant": tenant, "id": trace_id}
        async with self._database.transaction(tenant) as connection:
            row = await (await connection.execute(_QUERIES["told"], values)).fetchone()
            if row is None or row[0] is None:
                return
            trace.told = row[0]
            if trace.came:
                shown = await (await connection.execute(_QUERIES["shown"], values)).fetchall()
                trace.shown = [one for (one,) in shown]
