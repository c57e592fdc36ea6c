"""What can be done: ask ingest to follow the next message of a device, and read what it has seen."""

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING

from hub.core.errors import NotFoundError
from hub.core.policy import policy
from hub.core.principal import tenant_of
from hub.core.sql import load_queries

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.db import Database
    from hub.core.principal import Principal

_QUERIES = load_queries("hub.traces")
_LOOK_S = 0.1


class Traces:
    """For one process."""

    def __init__(self, database: "Database", audit: "AuditLog") -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit

    @policy("trace.follow")
    async def follow(
        self, principal: "Principal", device: str, within_s: float
    ) -> tuple[dict[str, object] | None, datetime | None]:
        """The next message's hops, or None when none came within the time; and when the device was last heard. NotFoundError."""
        tenant = tenant_of(principal)
        values: dict[str, object] = {"tenant": tenant, "device": device, "within_s": within_s}
        async with self._database.transaction(tenant) as connection:
            known = await (await connection.execute(_QUERIES["device"], values)).fetchone()
            if known is None:
                raise NotFoundError(f"There is no device {device!r}.", "A device is known once a gateway has heard it.")
            asked = await (await connection.execute(_QUERIES["ask"], values)).fetchone()
            assert asked is not None
            await self.audit.write(connection, principal, "trace.follow", f"device:{device}", {"within_s": within_s})
        ends_s = time.monotonic() + within_s
        while time.monotonic() < ends_s:
            async with self._database.transaction(tenant) as connection:
                row = await (await connection.execute(_QUERIES["told"], {"tenant": tenant, "id": asked[0]})).fetchone()
            if row is not None and row[0] is not None:
                return row[0], known[0]
            await asyncio.sleep(_LOOK_S)
        return None, known[0]
