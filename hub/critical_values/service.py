"""What can be done with critical-value items: read them, make a version, put one in force, see which each gateway goes by.

A version is checked by the gateways' own code before it is kept. Making one and putting it in force are two acts, often of two people;
an earlier version is put in force again in the same way.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from psycopg.types.json import Jsonb

from hub.core.errors import ConflictError, InvalidError, NotFoundError
from hub.core.policy import policy
from hub.core.principal import tenant_of
from hub.core.sql import load_queries
from hub.critical_values.domain import MOST_REASON, Activation, AtGateway, InForce, Version, changes, said
from models.screening.critical_check import Problem, Wrong, table_of, values_of
from models.screening.critical_items import Table
from models.screening.critical_table import SHIPPED

if TYPE_CHECKING:
    from psycopg.rows import TupleRow

    from hub.core.audit import AuditLog
    from hub.core.db import Connection, Database
    from hub.core.principal import Principal

_QUERIES = load_queries("hub.critical_values")
_LISTED = 50
_TOLD = 4000  # characters of the changes that stand in the audit; the version itself has all


class RefusedTableError(InvalidError):
    """A table that no gateway could go by. `problems` says every row and column."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """`problems`: one at least."""
        super().__init__(said(problems), "Mend the row and save again.", reason=f"critical-{problems[0].why}")
        self.problems = tuple(problems)


class CriticalValues:
    """The tables of a tenant."""

    def __init__(self, database: "Database", audit: "AuditLog") -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit

    @policy("critical.read")
    async def in_force(self, principal: "Principal") -> InForce:
        """The table that is gone by."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            row = await (await connection.execute(_QUERIES["in_force"], {"tenant": tenant})).fetchone()
        if row is None or row[2] is None:  # nobody has put one in force
            return InForce(SHIPPED)
        version, items, by, at, reason = row
        table = SHIPPED if items is None else _stored(version, items)
        return InForce(table, Activation(version, reason, by, at))

    @policy("critical.read")
    async def table(self, principal: "Principal", version: int) -> Table:
        """A version; 0 is what ships. NotFoundError."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            return await _table(connection, tenant, version)

    @policy("critical.read")
    async def versions(self, principal: "Principal") -> list[Version]:
        """The newest versions that people made, the newest first."""
        return [Version(*row) for row in await self._listed(principal, "versions")]

    @policy("critical.read")
    async def activations(self, principal: "Principal") -> list[Activation]:
        """What was put in force, the newest first."""
        return [Activation(*row) for row in await self._listed(principal, "activations")]

    @policy("critical.read")
    async def gateways(self, principal: "Principal") -> list[AtGateway]:
        """Which version each gateway goes by."""
        return [AtGateway(*row) for row in await self._listed(principal, "gateways")]

    @policy("critical.change")
    async def make(
        self, principal: "Principal", based_on: int, rows: Sequence[Mapping[str, object]], reason: str
    ) -> int:
        """Keep a new version, whole, made of `based_on`; it is not in force yet. Returns its number.

        RefusedTableError for one that no gateway could go by or that changes nothing; ConflictError when somebody has made another meanwhile.
        """
        reason = _reason(reason)
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            await connection.execute(_QUERIES["one_at_a_time"], {"tenant": tenant})
            row = await (await connection.execute(_QUERIES["newest"], {"tenant": tenant})).fetchone()
            newest = 0 if row is None else int(row[0])
            before = await _table(connection, tenant, based_on)
            made, wrong = table_of(newest + 1, rows)
            if wrong:
                raise RefusedTableError(wrong)
            changed = changes(before, made)
            if not changed:
                found = Problem("", "", Wrong.EMPTY, "a change", f"the rows of version {based_on}")
                raise RefusedTableError([found])
            await self._is_of_the_newest(connection, principal, based_on, newest)
            values: dict[str, object] = {"tenant": tenant, "version": made.version, "based_on": based_on}
            kept = {"items": Jsonb([values_of(item) for item in made.items]), "reason": reason, "by": str(principal)}
            await connection.execute(_QUERIES["keep"], values | kept)
            details = {
                "based_on": based_on,
                "reason": reason,
                "changed": len(changed),
                "changes": "; ".join(str(one) for one in changed)[:_TOLD],
            }
            await self.audit.write(connection, principal, "critical.change", f"critical:{made.version}", details)
        return made.version

    @policy("critical.activate")
    async def activate(self, principal: "Principal", version: int, instead_of: int, reason: str) -> None:
        """Put a version in force, instead of the one that the page showed; the gateways are told at once.

        NotFoundError; ConflictError when it is in force already, or another is than was shown.
        """
        reason = _reason(reason)
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            await connection.execute(_QUERIES["one_at_a_time"], {"tenant": tenant})
            table = await _table(connection, tenant, version)
            row = await (await connection.execute(_QUERIES["in_force"], {"tenant": tenant})).fetchone()
            now = 0 if row is None else int(row[0])
            if now != instead_of or version == now:
                raise ConflictError(
                    f"Version {now} is in force.",
                    "Load the page again and look what is in force.",
                    reason="critical-raced",
                )
            before = await _table(connection, tenant, now)
            values = {"tenant": tenant, "version": version, "reason": reason, "by": str(principal)}
            await connection.execute(_QUERIES["activate"], values)
            details = {"before": now, "reason": reason, "changed": len(changes(before, table))}
            await self.audit.write(connection, principal, "critical.activate", f"critical:{version}", details)

    async def _listed(self, principal: "Principal", query: str) -> "list[TupleRow]":
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            values = {"tenant": tenant, "most": _LISTED}
            return await (await connection.execute(_QUERIES[query], values)).fetchall()

    async def _is_of_the_newest(
        self, connection: "Connection", principal: "Principal", based_on: int, newest: int
    ) -> None:
        """An older version may be the base of a new one on purpose, when it is the one in force."""
        if based_on == newest:
            return
        row = await (await connection.execute(_QUERIES["in_force"], {"tenant": tenant_of(principal)})).fetchone()
        if row is None or int(row[0]) != based_on:
            raise ConflictError(
                f"Version {newest} was made meanwhile; what you sent is made of version {based_on}.",
                "Load the page again and make your change of the newest version.",
                reason="critical-raced",
            )


def _stored(version: int, items: Sequence[Mapping[str, object]]) -> Table:
    # It was checked when it was kept; a later version of the product may be stricter, and the gateways then say so.
    return table_of(version, items)[0]


async def _table(connection: "Connection", tenant: int, version: int) -> Table:
    if version == SHIPPED.version:
        return SHIPPED
    values = {"tenant": tenant, "version": version}
    row = await (await connection.execute(_QUERIES["items"], values)).fetchone()
    if row is None:
        raise NotFoundError(f"There is no version {version} of the critical-value items.", "See the list of versions.")
    return _stored(version, row[0])


def _reason(text: str) -> str:
    text = " ".join(text.split())
    if not 1 <= len(text) <= MOST_REASON or not text.isprintable():
        raise InvalidError(
            f"Why it is changed is empty, or longer than {MOST_REASON} characters.",
            "Write it for who reads the list of versions.",
            reason="critical-reason",
        )
    return text
