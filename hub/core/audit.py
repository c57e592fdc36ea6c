"""The audit log: who did what to what, append-only and hash-chained per writer, so that a removed or changed entry shows.

The chain is made by the database function `audit_append`; the roles have no other right on the table. Entries hold ids,
never names, measurements or secrets. Whether the chains hold is told by `hub.core.audit_check`.
"""

import hashlib
import json
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeAlias, TypedDict, Unpack

from hub.core.caller import caller_now
from hub.core.db import Connection, Database
from hub.core.looks import Looks
from hub.core.principal import Principal
from hub.core.sql import load_queries

Value: TypeAlias = str | int | float | bool | None

_QUERIES = load_queries("hub.core")


@dataclass(slots=True)
class Call:
    """A call of a service from outside of it, and whether it has been told to the audit."""

    told: bool = False


_CALL: ContextVar[Call | None] = ContextVar("_CALL", default=None)


@contextmanager
def call_from_outside() -> Generator[Call | None]:
    """The call that begins here; None within another, which tells the audit for both."""
    if _CALL.get() is not None:
        yield None
        return
    call = Call()
    token = _CALL.set(call)
    try:
        yield call
    finally:
        _CALL.reset(token)


class Result(TypedDict, total=False):
    """How it went: `outcome` is done (when not given), unchanged, denied or broken; `tenant_id`, when it is not the principal's."""

    outcome: str
    tenant_id: int | None


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
        self._looks = Looks()

    async def write(
        self,
        connection: Connection,
        principal: Principal,
        action: str,
        target: str,
        details: Mapping[str, Value] | None = None,
        **result: Unpack[Result],
    ) -> None:
        """Append an entry in the caller's transaction: it is there exactly when the change is.

        Write it as the last statement: the writer's chain is locked until the transaction ends.
        """
        _told()
        tenant, caller = result.get("tenant_id"), caller_now()
        body: dict[str, object] = {
            "at_ns": time.time_ns(),
            "tenant": principal.tenant_id if tenant is None else tenant,
            "principal": str(principal),
            "staff": principal.staff,
            "session": principal.session,
            "address": caller.address,
            "device": caller.device,
            "action": action,
            "target": target,
            "outcome": result.get("outcome", "done"),
            "details": dict(details or {}),
        }
        await connection.execute(_QUERIES["append"], {"instance": self._instance, "body": canonical(body)})

    async def record(
        self,
        principal: Principal,
        action: str,
        target: str,
        details: Mapping[str, Value] | None = None,
        **result: Unpack[Result],
    ) -> None:
        """Append an entry by itself: for reads, and for what was refused."""
        async with self._database.transaction() as connection:
            await self.write(connection, principal, action, target, details, **result)

    async def look(
        self,
        principal: Principal,
        action: str,
        target: str,
        details: Mapping[str, Value] | None = None,
        **result: Unpack[Result],
    ) -> None:
        """Append that somebody read something, unless the same session has done so in the last ten minutes."""
        _told()
        # By the history too: the target's id may be another's in the next.
        what = f"{target} {canonical(details or {})} {self._database.history.number}"
        if self._looks.is_new(principal, action, what):
            await self.record(principal, action, target, details, **result)

    async def unchanged(self, principal: Principal, action: str, target: str) -> None:
        """Append that a call was answered and changed nothing, by the same rule."""
        await self.look(principal, action, target, outcome="unchanged")

    async def denied(self, principal: Principal, action: str, reason: str) -> None:
        """Append that the policy refused `action`."""
        await self.record(principal, action, "-", {"reason": reason}, outcome="denied")


def _told() -> None:
    call = _CALL.get()
    if call is not None:
        call.told = True
