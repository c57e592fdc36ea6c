"""Retention: rules by class of data, holds, and the destruction of what no rule keeps, which is recorded. The work is the database's.

Alarms, the samples that are their evidence, and the audit are no class: they are kept.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from prometheus_client import Counter

from hub.core.errors import NotFoundError
from hub.core.policy import policy
from hub.core.sql import load_queries

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.db import Database
    from hub.core.principal import Principal

_QUERIES = load_queries("hub.store")

_DESTROYED = Counter("hub_destroyed_total", "Rows destroyed by retention", ["data"])


class DataClass(StrEnum):
    """What a rule is about."""

    WAVEFORM = "waveform"
    NUMERIC = "numeric"
    MINUTE = "minute"
    HOUR = "hour"
    DOCUMENT = "document"
    EVENT = "event"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class Rule:
    """How many days a class is kept; None: for ever."""

    data: DataClass
    keep_days: int | None


@dataclass(frozen=True, slots=True)
class Destroyed:
    """What went, or would go: `kind` is the table, `rows` groups, blocks, readings or documents of it."""

    tenant_id: int
    data: DataClass
    kind: str
    start: datetime
    end: datetime
    rows: int
    keep_days: int
    whole_chunk: bool


@dataclass(frozen=True, slots=True)
class Hold:
    """What may not go, whatever its age; `device` None: of every device of the tenant."""

    number: int
    device: str | None
    start: datetime
    end: datetime
    reason: str


class Retention:
    """What can be done about retention. `database` as the role worker."""

    def __init__(self, database: "Database", audit: "AuditLog") -> None:
        """Leave the settings of the database to the caller."""
        self._database = database
        self.audit = audit

    @policy("retention.read")
    async def rules(self, principal: "Principal") -> list[Rule]:
        """The rule of every class."""
        async with self._database.connection() as connection:
            rows = await (await connection.execute(_QUERIES["rules"], {"tenant": principal.tenant_id})).fetchall()
        days = {str(row[0]): int(row[1]) for row in rows}
        return [Rule(one, days.get(one)) for one in DataClass]

    @policy("retention.read")
    async def expired(self, principal: "Principal") -> list[Destroyed]:
        """What would go now."""
        return await self._destroy(dry=True, tenant_id=principal.tenant_id)

    @policy("retention.read")
    async def holds(self, principal: "Principal") -> list[Hold]:
        """The holds that are not lifted."""
        async with self._database.connection() as connection:
            rows = await (await connection.execute(_QUERIES["holds"], {"tenant": principal.tenant_id})).fetchall()
        return [Hold(*row) for row in rows]

    @policy("retention.read")
    async def destroyed(self, principal: "Principal") -> list[tuple[datetime, Destroyed]]:
        """What has been destroyed, and when; the newest 1000 pieces, the eldest of them first."""
        async with self._database.connection() as connection:
            rows = await (await connection.execute(_QUERIES["destroyed"], {"tenant": principal.tenant_id})).fetchall()
        return [(row[0], Destroyed(row[1], DataClass(row[2]), *row[3:])) for row in reversed(rows)]

    @policy("retention.change")
    async def set_rule(self, principal: "Principal", data: DataClass, keep_days: int | None) -> None:
        """Keep a class for so many days; None: for ever."""
        values = {"tenant": principal.tenant_id, "class": str(data), "days": keep_days, "who": str(principal)}
        async with self._database.transaction() as connection:
            await connection.execute(_QUERIES["drop_rule" if keep_days is None else "set_rule"], values)
            details = {"class": str(data), "days": keep_days}
            await self.audit.write(connection, principal, "retention.change", f"retention:{data}", details)

    @policy("retention.change")
    async def hold(
        self, principal: "Principal", device: str | None, start: datetime, end: datetime, reason: str
    ) -> int:
        """Hold what was measured between two times; returns the hold's number. NotFoundError: no such device."""
        values = {
            "tenant": principal.tenant_id,
            "device": device,
            "from": start,
            "to": end,
            "reason": reason,
            "who": str(principal),
        }
        async with self._database.transaction() as connection:
            row = await (await connection.execute(_QUERIES["hold"], values)).fetchone()
            if row is None:
                raise NotFoundError(f"There is no device {device}.", "See `wardlink hub seed`, or the ledger's page.")
            number = int(row[0])
            await self.audit.write(connection, principal, "retention.change", f"hold:{number}", {"held": True})
        return number

    @policy("retention.change")
    async def lift(self, principal: "Principal", number: int) -> None:
        """Lift a hold; NotFoundError when there is none of that number."""
        async with self._database.transaction() as connection:
            values = {"tenant": principal.tenant_id, "hold": number, "who": str(principal)}
            if (await connection.execute(_QUERIES["lift"], values)).rowcount == 0:
                raise NotFoundError(f"There is no hold {number}.", "`wardlink hub retention` lists them.")
            await self.audit.write(connection, principal, "retention.change", f"hold:{number}", {"held": False})

    @policy("retention.destroy")
    async def destroy(self, principal: "Principal") -> list[Destroyed]:
        """Destroy what no rule keeps, of every tenant; each piece stands in `destruction` and in the audit."""
        return await self._destroy(dry=False, principal=principal)

    async def _destroy(
        self, *, dry: bool, tenant_id: int | None = None, principal: "Principal | None" = None
    ) -> list[Destroyed]:
        async with self._database.transaction() as connection:
            rows = await (await connection.execute(_QUERIES["destroy"], {"dry": dry, "tenant": tenant_id})).fetchall()
            gone = [Destroyed(row[0], DataClass(row[1]), *row[2:]) for row in rows]
            if principal is not None:
                for one in gone:
                    details = {
                        "kind": one.kind,
                        "from": one.start.isoformat(),
                        "to": one.end.isoformat(),
                        "rows": one.rows,
                        "days": one.keep_days,
                    }
                    await self.audit.write(
                        connection,
                        principal,
                        "retention.destroy",
                        f"retention:{one.data}",
                        details,
                        tenant_id=one.tenant_id,
                    )
        if not dry:
            for one in gone:
                _DESTROYED.labels(one.data).inc(one.rows)
        return gone
