"""Settings that people at the hub give a gateway, above the gateway's own file: versions, and what became of each.

The gateway checks what they mean, by the code that reads its file; here is only whether they are TOML at all.
"""

import tomllib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hub.core.errors import InvalidError, NotFoundError
from hub.core.policy import policy
from hub.core.principal import tenant_of
from hub.core.sql import load_queries
from protocols.link import MAX_CONFIGURATION_BYTES

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.db import Database
    from hub.core.principal import Principal

_QUERIES = load_queries("hub.gateways")


@dataclass(frozen=True, slots=True)
class ConfigurationRow:
    """A version. `state`: waiting, sent, applied, refused or rolled_back, with the gateway's reason and since when."""

    version: int
    toml: str
    made_by: str
    made_at: datetime
    state: str
    reason: str
    state_at: datetime | None


class GatewayConfigurations:
    """The service. `database` as the role web."""

    def __init__(self, database: "Database", audit: "AuditLog") -> None:
        self._database = database
        self.audit = audit

    @policy("gateway.configure")
    async def configure(self, principal: "Principal", name: str, toml: str) -> int:
        """Give a gateway its next configuration, the whole of it; returns its version. InvalidError, NotFoundError."""
        size = len(toml.encode())
        if size > MAX_CONFIGURATION_BYTES:
            raise InvalidError(f"{size} bytes are too many.", f"Give at most {MAX_CONFIGURATION_BYTES} bytes.")
        try:
            tomllib.loads(toml)
        except tomllib.TOMLDecodeError as error:
            raise InvalidError(f"This is no TOML: {error}.", "See docs/reference/edge-config.md.") from None
        tenant_id = tenant_of(principal)
        values: dict[str, object] = {"tenant": tenant_id, "name": name, "toml": toml, "by": str(principal)}
        async with self._database.transaction(tenant_id) as connection:
            row = await (await connection.execute(_QUERIES["configurable"], values)).fetchone()
            if row is None:
                raise NotFoundError(
                    f"There is no gateway {name} that is neither revoked nor a hub.", "See the list of gateways."
                )
            values["gateway"] = row[0]
            row = await (await connection.execute(_QUERIES["configure"], values)).fetchone()
            if row is None:
                raise NotFoundError(f"There is no gateway {name}.", "See the list of gateways.")
            details = {"version": int(row[0]), "bytes": size}
            await self.audit.write(connection, principal, "gateway.configure", f"gateway:{name}", details)
        return int(row[0])

    @policy("gateway.configure")
    async def versions(self, principal: "Principal", name: str) -> list[ConfigurationRow]:
        """Every version that a gateway was given, the newest first."""
        tenant_id = tenant_of(principal)
        async with self._database.transaction(tenant_id) as connection:
            values = {"tenant": tenant_id, "name": name}
            rows = await (await connection.execute(_QUERIES["configuration_versions"], values)).fetchall()
        return [ConfigurationRow(*row) for row in rows]
