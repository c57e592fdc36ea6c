"""What can be done with the quarantine: see what is held and why, release it (ingest stores it then), or discard it."""

from typing import TYPE_CHECKING

from hub.core.errors import ConflictError, NotFoundError
from hub.core.policy import policy
from hub.core.principal import tenant_of
from hub.core.sql import load_queries
from hub.quarantine.domain import NEVER_STORED, PAGE_ROWS, Filters, Held, HeldGroup, HeldState
from hub.quarantine.sentences import Said

if TYPE_CHECKING:
    from psycopg.rows import TupleRow

    from hub.core.audit import AuditLog
    from hub.core.db import Database
    from hub.core.principal import Principal

_QUERIES = load_queries("hub.quarantine")
_COLUMNS = 15  # of `items` and `item`, in the order of Held


class Quarantine:
    """The quarantine of a tenant."""

    def __init__(self, database: "Database", audit: "AuditLog") -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit

    @policy("quarantine.read")
    async def groups(self, principal: "Principal") -> list[HeldGroup]:
        """What is held, a line for each device and reason, the newest first."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            rows = await (await connection.execute(_QUERIES["groups"], {"tenant": tenant})).fetchall()
        return [HeldGroup(*row) for row in rows]

    @policy("quarantine.read")
    async def find(self, principal: "Principal", filters: Filters) -> tuple[list[Held], int]:
        """Records that match, the newest first, PAGE_ROWS a page; and how many match in all."""
        tenant = tenant_of(principal)
        values: dict[str, object] = {
            "tenant": tenant,
            "state": filters.state,
            "reason": filters.reason,
            "device": filters.device,
            "gateway": filters.gateway,
            "limit": PAGE_ROWS,
            "offset": (filters.page - 1) * PAGE_ROWS,
        }
        async with self._database.transaction(tenant) as connection:
            rows = await (await connection.execute(_QUERIES["items"], values)).fetchall()
        return [_held(row) for row in rows], int(rows[0][-1]) if rows else 0

    @policy("quarantine.read")
    async def get(self, principal: "Principal", quarantine_id: int) -> tuple[Held, bytes]:
        """One record with its bytes; NotFoundError. The look is audited: the bytes may hold what identifies a patient."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            row = await (await connection.execute(_QUERIES["item"], {"tenant": tenant, "id": quarantine_id})).fetchone()
            if row is None:
                raise _unknown(quarantine_id)
            await self.audit.write(connection, principal, "quarantine.read", f"quarantine:{quarantine_id}")
        return _held(row), bytes(row[-1])

    @policy("quarantine.decide")
    async def release(self, principal: "Principal", quarantine_id: int) -> None:
        """Have a record stored. ConflictError when it was decided already, or when nothing could ever store it."""
        held, _ = await self.get(principal, quarantine_id)
        if held.reason in NEVER_STORED:
            raise ConflictError(
                "These bytes could not be read as any record, so there is nothing to store.",
                "Mend the device or its adapter, and discard them.",
                reason="undecodable",
            )
        await self._decide(principal, quarantine_id, HeldState.RELEASING, "quarantine.release")

    @policy("quarantine.decide")
    async def discard(self, principal: "Principal", quarantine_id: int) -> None:
        """Give a record up. Its bytes stay in the table, and it can be put back; ConflictError when it was decided already."""
        await self._decide(principal, quarantine_id, HeldState.DISCARDED, "quarantine.discard")

    @policy("quarantine.read")
    async def discarded_with(self, principal: "Principal", quarantine_id: int) -> int:
        """How many records were discarded by the press that discarded this one, itself among them; 0: it is not discarded."""
        tenant = tenant_of(principal)
        values = {"tenant": tenant, "id": quarantine_id}
        async with self._database.transaction(tenant) as connection:
            row = await (await connection.execute(_QUERIES["discarded_with"], values)).fetchone()
        return 0 if row is None else int(row[0])

    @policy("quarantine.decide")
    async def put_back(self, principal: "Principal", quarantine_id: int) -> int:
        """Hold again what was discarded by the press that discarded this record; returns how many. ConflictError when it is not discarded."""
        tenant = tenant_of(principal)
        values = {"tenant": tenant, "id": quarantine_id}
        async with self._database.transaction(tenant) as connection:
            count = (await connection.execute(_QUERIES["put_back"], values)).rowcount
            if not count:
                if await (await connection.execute(_QUERIES["item"], values)).fetchone() is None:
                    raise _unknown(quarantine_id)
                raise ConflictError("This record is not discarded.", "Load the page again.", reason="decided")
            target, details = f"quarantine:{quarantine_id}", {"records": count}
            await self.audit.write(connection, principal, "quarantine.put_back", target, details)
        return count

    @policy("quarantine.decide")
    async def release_group(self, principal: "Principal", device: str, reason: str) -> int:
        """Have all records of a device that are held for one reason stored; returns how many."""
        if reason in NEVER_STORED:
            raise ConflictError(
                "These bytes could not be read as any record.", "Discard them instead.", reason="undecodable"
            )
        return len(await self._decide_group(principal, device, reason, HeldState.RELEASING, "quarantine.release"))

    @policy("quarantine.decide")
    async def discard_group(self, principal: "Principal", device: str, reason: str) -> int | None:
        """Give up all records of a device that are held for one reason; returns one of them, by which all can be put back, if any."""
        return max(
            await self._decide_group(principal, device, reason, HeldState.DISCARDED, "quarantine.discard"),
            default=None,
        )

    async def _decide(self, principal: "Principal", quarantine_id: int, state: HeldState, action: str) -> None:
        tenant = tenant_of(principal)
        values = {"tenant": tenant, "id": quarantine_id, "state": str(state), "who": str(principal)}
        async with self._database.transaction(tenant) as connection:
            if await (await connection.execute(_QUERIES["decide"], values)).fetchone() is None:
                if await (await connection.execute(_QUERIES["item"], values)).fetchone() is None:
                    raise _unknown(quarantine_id)
                raise ConflictError("Somebody has decided on this already.", "Load the page again.", reason="decided")
            await self.audit.write(connection, principal, action, f"quarantine:{quarantine_id}")

    async def _decide_group(
        self, principal: "Principal", device: str, reason: str, state: HeldState, action: str
    ) -> list[int]:
        """Which records were decided."""
        tenant = tenant_of(principal)
        values = {"tenant": tenant, "device": device, "reason": reason, "state": str(state), "who": str(principal)}
        async with self._database.transaction(tenant) as connection:
            rows = await (await connection.execute(_QUERIES["decide_group"], values)).fetchall()
            details = {"device": device, "reason": reason, "records": len(rows)}
            await self.audit.write(connection, principal, action, "quarantine", details)
        return [int(number) for (number,) in rows]


def _held(row: "TupleRow") -> Held:
    number, state, reason, detail, why, *rest = row[:_COLUMNS]
    return Held(number, HeldState(state), reason, detail, Said.from_json(why), *rest)


def _unknown(quarantine_id: int) -> NotFoundError:
    return NotFoundError(f"There is no record {quarantine_id} in quarantine.", "Go back to the quarantine.")
