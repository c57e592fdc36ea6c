"""The list of a tenant's gateways. Needs no certificate authority, so the role web can have it."""

from typing import TYPE_CHECKING

from hub.core.policy import policy
from hub.core.principal import tenant_of
from hub.core.sql import load_queries
from hub.gateways.domain import GatewayRow

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.db import Database
    from hub.core.principal import Principal

_QUERIES = load_queries("hub.gateways")


class GatewayList:
    """Who there is and how they are."""

    def __init__(self, database: "Database", audit: "AuditLog") -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit

    @policy("gateway.list")
    async def find(self, principal: "Principal") -> list[GatewayRow]:
        """The tenant's gateways by name."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            rows = await (await connection.execute(_QUERIES["list"], {"tenant": tenant})).fetchall()
        return [GatewayRow(*row) for row in rows]
