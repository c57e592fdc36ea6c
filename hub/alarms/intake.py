"""Takes alarm changes from gateways into the alarm table and its append-only log, with the time of each hop.

The caller owns the transaction. Leaves acknowledging, pausing and escalating to `hub.alarms.service`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from psycopg.types.json import Jsonb

from hub.core.db import Connection
from hub.core.sql import load_queries

_QUERIES = load_queries("hub.alarms", "intake.sql")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Seen:
    """Somebody has acknowledged the alarm at the gateway, while the hub was away; who it was stands in a ticket of ours."""

    account: int
    roles: tuple[str, ...]
    at_ns: int

    @property
    def who(self) -> str:
        """The principal, as in the log."""
        return f"user:{self.account}"


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """One change of an alarm condition, checked. `alarm_id` is 16 bytes; `record` is what came, for the live push."""

    alarm_id: bytes
    source_id: int
    code: str
    priority: str
    kind: str
    presence: str
    onset_ns: int
    detected_ns: int
    sent_ns: int
    params: Mapping[str, str | int | float | bool]
    evidence: bytes | None
    record: bytes
    seen: Seen | None = None


async def store_changes(
    connection: Connection, tenant_id: int, gateway_id: int, who: str, changes: Sequence[AlarmChange]
) -> list[int]:
    """Store changes in order; returns the id of the last event of each. Holds the tenant's alarm log until the commit."""
    await connection.execute(_QUERIES["lock_log"], {"tenant": tenant_id})
    last: list[int] = []
    for change in changes:
        values = {
            "tenant": tenant_id,
            "gateway": gateway_id,
            "who": who,
            "alarm": UUID(bytes=change.alarm_id),
            "source": change.source_id,
            "code": change.code,
            "priority": change.priority,
            "presence": change.presence,
            "params": Jsonb(dict(change.params)),
            "evidence": change.evidence,
            "onset": _moment(change.onset_ns),
            "detected": _moment(change.detected_ns),
            "sent": _moment(change.sent_ns),
            "kind": change.kind,
        }
        row = await (await connection.execute(_QUERIES["change"], values)).fetchone()
        fresh = row is not None and bool(row[0])
        if change.seen is not None:
            last.append(await _store_seen(connection, values, change.seen))
            if row is None or not row[0]:
                continue
            last.pop()  # the acknowledgement has overtaken its alarm: both are told, the alarm last
        values["kind"] = change.presence if change.presence != "present" else "detected" if fresh else "changed"
        events = await (await connection.execute(_QUERIES["events"], values)).fetchall()
        last.append(max(int(event[0]) for event in events))
    return last


async def _store_seen(connection: Connection, values: Mapping[str, object], seen: Seen) -> int:
    """Log the acknowledgement at the time at which it was given; `stored_at` of the row is when we heard of it."""
    given = {**values, "seen_by": seen.who, "seen_at": _moment(seen.at_ns)}
    row = await (await connection.execute(_QUERIES["seen"], given)).fetchone()
    await connection.execute(_QUERIES["note_seen"], given)
    assert row is not None
    return int(row[0])


def _moment(ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ns // 1000)
