"""What engineers and administrators are told of how the hub does; the same for each hospital on it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hub.core.functions import BOUNDS_S
from hub.core.policy import policy
from hub.core.sql import load_queries
from hub.operations.domain import AVAILABILITY_OVER, HALF_UP_S, FunctionTold, RoleTold, Span, Told

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.db import Connection, Database
    from hub.core.principal import Principal

_QUERIES = load_queries("hub.operations")


class Operations:
    """The page of one application."""

    def __init__(self, database: "Database", audit: "AuditLog") -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit

    @policy("operations.read")
    async def told(self, principal: "Principal", span: Span) -> Told:
        """What was measured in the minutes of `span` that have ended; availability over 30 days."""
        del principal  # nothing of it is of a tenant
        async with self._database.connection() as connection:
            return await read_told(connection, span, datetime.now(UTC))


async def read_told(connection: "Connection", span: Span, now: datetime) -> Told:
    """The same for one who has checked who asks. The minute that goes on is not in it."""
    to = now.replace(second=0, microsecond=0)
    long = {"from": to - AVAILABILITY_OVER, "to": to, "half": HALF_UP_S}
    short = {"from": to - span.length, "to": to}
    nobody = (0,) * (len(BOUNDS_S) + 1)
    roles = tuple(RoleTold(*row) for row in await (await connection.execute(_QUERIES["roles"], long)).fetchall())
    rows = await (await connection.execute(_QUERIES["functions"], short)).fetchall()
    failing = dict(await (await connection.execute(_QUERIES["failing"], long)).fetchall())
    of = {role.role: role for role in roles}
    functions: list[FunctionTold] = []
    for function, calls, failed, buckets in rows:
        role = of.get(str(function).partition(":")[0])
        minutes, up = (role.minutes, role.up_minutes) if role else (0, 0)
        down = minutes - up + int(failing.get(function, 0))
        counted = tuple(map(int, buckets)) or nobody
        functions.append(FunctionTold(function, int(calls), int(failed), counted, minutes, down))
    return Told(span, roles, tuple(functions))
