"""The audit log: who did what to what, append-only and hash-chained per writer, so that a removed or changed entry shows.

The chain is made by the database function `audit_append`; the roles have no other right on the table. Entries hold ids,
never names, measurements or secrets. Verification is here too; the Merkle head over the writers is not yet.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from hub.core.db import Connection, Database
from hub.core.principal import Principal
from hub.core.sql import load_queries

Value: TypeAlias = str | int | float | bool | None

_QUERIES = load_queries("hub.core")
_GENESIS = bytes(32)


@dataclass(frozen=True, slots=True)
class Break:
    """Where a writer's chain does not hold."""

    writer: str
    seq: int
    reason: str


def canonical(body: Mapping[str, object]) -> str:
    """JSON with sorted keys and no spaces: the same entry is always the same bytes."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def entry_hash(prev_hash: bytes, writer: str, seq: int, body: str) -> bytes:
    """SHA-256 over the previous hash, the number (8 bytes, big-endian), the writer, a newline and the body."""
    return hashlib.sha256(prev_hash + seq.to_bytes(8, "big") + f"{writer}\n{body}".encode()).digest()


class AuditLog:
    """Writes entries for one process. `instance` tells replicas of a role apart, so that they do not wait for each other."""

    def __init__(self, database: Database, instance: str = "1") -> None:
        """The writer's name in the log is the database role and `instance`."""
        self._database = database
        self._instance = instance

    async def write(
        self,
        connection: Connection,
        principal: Principal,
        action: str,
        target: str,
        details: Mapping[str, Value] | None = None,
        *,
        outcome: str = "done",
        tenant_id: int | None = None,
    ) -> None:
        """Append an entry in the caller's transaction: it is there exactly when the change is.

        Write it as the last statement: the writer's chain is locked until the transaction ends.
        """
        body: dict[str, object] = {
            "at_ns": time.time_ns(),
            "tenant": principal.tenant_id if tenant_id is None else tenant_id,
            "principal": str(principal),
            "session": principal.session,
            "action": action,
            "target": target,
            "outcome": outcome,
            "details": dict(details or {}),
        }
        await connection.execute(_QUERIES["append"], {"instance": self._instance, "body": canonical(body)})

    async def record(
        self,
        principal: Principal,
        action: str,
        target: str,
        details: Mapping[str, Value] | None = None,
        *,
        outcome: str = "done",
        tenant_id: int | None = None,
    ) -> None:
        """Append an entry by itself: for reads, and for what was refused."""
        async with self._database.transaction() as connection:
            await self.write(connection, principal, action, target, details, outcome=outcome, tenant_id=tenant_id)

    async def denied(self, principal: Principal, action: str, reason: str) -> None:
        """Append that the policy refused `action`."""
        await self.record(principal, action, "-", {"reason": reason}, outcome="denied")


async def verify(connection: Connection, batch: int = 1000) -> list[Break]:
    """Walk every writer's chain; needs the role worker or owner. Returns the first break of each writer."""
    breaks: list[Break] = []
    writers = await (await connection.execute(_QUERIES["heads"])).fetchall()
    for writer, last_seq, last_hash in writers:
        found = await _verify_writer(connection, str(writer), int(last_seq), bytes(last_hash), batch)
        if found:
            breaks.append(found)
    return breaks


async def _verify_writer(
    connection: Connection, writer: str, last_seq: int, last_hash: bytes, batch: int
) -> Break | None:
    seq, prev = 0, _GENESIS
    while seq < last_seq:
        rows = await (
            await connection.execute(
                _QUERIES["chain"], {"writer": writer, "after": seq, "until": last_seq, "batch": batch}
            )
        ).fetchall()
        if not rows:
            return Break(writer, seq + 1, f"entries {seq + 1} to {last_seq} are missing")
        for row_seq, prev_hash, row_hash, body in rows:
            if row_seq != seq + 1:
                return Break(writer, seq + 1, f"entries {seq + 1} to {row_seq - 1} are missing")
            seq = int(row_seq)
            if bytes(prev_hash) != prev:
                return Break(writer, seq, "the entry does not follow the one before it")
            prev = entry_hash(prev, writer, seq, str(body))
            if bytes(row_hash) != prev:
                return Break(writer, seq, "the entry was changed")
    return None if prev == last_hash else Break(writer, last_seq, "the last entry was changed")
