"""Takes alarm changes from gateways into the alarm table and its append-only log, with the time of each hop.

The caller owns the transaction. Leaves acknowledging, pausing and escalating to `hub.alarms.service`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from psycopg.types.json import Jsonb

from hub.alarms.domain import Place, fold
from hub.alarms.store import read_logs
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
    place: Place | None = None
    seen: Seen | None = None
    origin: str = ""  # the gateway that took it in, when a hub hands it on


@dataclass(frozen=True, slots=True)
class Told:
    """Which gateway tells of a change; `who` as the log has it."""

    tenant_id: int
    gateway_id: int
    who: str
    change: AlarmChange

    @property
    def said_by(self) -> str:
        """The gateway whose change it is, as in the log; behind a hub each of its gateways by itself."""
        return f"{self.who}/{self.change.origin}" if self.change.origin else self.who


@dataclass(frozen=True, slots=True)
class _Event:
    """A row of the log to be. `at` is None for the moment in which it is written."""

    alarm: UUID
    kind: str
    at: datetime | None
    who: str = ""
    change: AlarmChange | None = None
    params: Jsonb | None = None


async def store_changes(connection: Connection, told: Sequence[Told]) -> list[int]:
    """Store changes in order; returns the id of the last event of each. Holds the tenants' alarm logs until the commit."""
    last: dict[int, int] = {}
    for tenant_id in sorted({one.tenant_id for one in told}):
        await connection.execute(_QUERIES["lock_log"], {"tenant": tenant_id})
        mine = [i for i, one in enumerate(told) if one.tenant_id == tenant_id]
        ids = await _store_of_tenant(connection, tenant_id, [told[i] for i in mine])
        last.update(zip(mine, ids, strict=True))
    return [last[i] for i in range(len(told))]


async def _store_of_tenant(connection: Connection, tenant_id: int, told: Sequence[Told]) -> list[int]:
    fresh = await _raise(connection, tenant_id, told)
    events: list[_Event] = []
    ends: list[int] = []  # behind the last event of each change
    logged: set[UUID] = set()
    changed: set[UUID] = set()
    for one in told:
        alarm = UUID(bytes=one.change.alarm_id)
        is_fresh = alarm in fresh and alarm not in logged
        if one.change.seen is not None:
            seen = one.change.seen
            # Logged at the time at which it was given; `stored_at` of the row is when we heard of it.
            events.append(
                _Event(alarm, "acknowledged", _moment(seen.at_ns), seen.who, params=Jsonb({"gateway": one.who}))
            )
        # An acknowledgement that has overtaken its alarm: both are told, the alarm last.
        if one.change.seen is None or is_fresh:
            events += _hops(one, alarm, is_fresh=is_fresh)
            logged.add(alarm)
            if not is_fresh:
                changed.add(alarm)
        ends.append(len(events))
    ids = await _log(connection, tenant_id, events)
    await _note_states(connection, tenant_id, list(changed))
    for one in told:
        if one.change.seen is not None:
            seen, alarm = one.change.seen, UUID(bytes=one.change.alarm_id)
            values = {"tenant": tenant_id, "alarm": alarm, "seen_by": seen.who, "seen_at": _moment(seen.at_ns)}
            await connection.execute(_QUERIES["note_seen"], values)
    return [ids[end - 1] for end in ends]


async def _raise(connection: Connection, tenant_id: int, told: Sequence[Told]) -> set[UUID]:
    """Make the alarms that are not there; which these were."""
    changes = [one.change for one in told]
    values = {
        "tenant": tenant_id,
        "alarms": [UUID(bytes=change.alarm_id) for change in changes],
        "sources": [change.source_id for change in changes],
        "gateways": [one.gateway_id for one in told],
        "codes": [change.code for change in changes],
        "kinds": [change.kind for change in changes],
        "onsets": [_moment(change.onset_ns) for change in changes],
        "priorities": [change.priority for change in changes],
        "presences": [change.presence for change in changes],
        "params": [Jsonb(dict(change.params)) for change in changes],
        "detected": [_moment(change.detected_ns) for change in changes],
    }
    return {row[0] for row in await (await connection.execute(_QUERIES["raise"], values)).fetchall()}


def _hops(one: Told, alarm: UUID, *, is_fresh: bool) -> list[_Event]:
    change = one.change
    kind = change.presence if change.presence != "present" else "detected" if is_fresh else "changed"
    return [
        _Event(alarm, kind, _moment(change.detected_ns), one.said_by, change, Jsonb(dict(change.params))),
        _Event(alarm, "sent", _moment(change.sent_ns), one.said_by),
        _Event(alarm, "stored", None),
    ]


async def _log(connection: Connection, tenant_id: int, events: Sequence[_Event]) -> list[int]:
    """Write the log; the ids in this order."""
    changes = [event.change for event in events]
    places = [None if change is None else change.place for change in changes]
    values = {
        "tenant": tenant_id,
        "alarms": [event.alarm for event in events],
        "kinds": [event.kind for event in events],
        "at": [event.at for event in events],
        "who": [event.who for event in events],
        "priorities": [None if change is None else change.priority for change in changes],
        "presences": [None if change is None else change.presence for change in changes],
        "params": [event.params or Jsonb({}) for event in events],
        "evidence": [None if change is None else change.evidence for change in changes],
        "epochs": [None if place is None else place.epoch for place in places],
        "ns": [None if place is None else place.n for place in places],
        "indexes": [None if place is None else place.index for place in places],
    }
    return [int(row[0]) for row in await (await connection.execute(_QUERIES["events"], values)).fetchall()]


async def _note_states(connection: Connection, tenant_id: int, alarms: Sequence[UUID]) -> None:
    """Write into the alarms' rows what their logs now say: lists read the rows, and both must always agree."""
    if not alarms:
        return
    logs = await read_logs(connection, tenant_id, alarms)
    states = [fold(logs[alarm]) for alarm in alarms]
    values = {
        "tenant": tenant_id,
        "alarms": list(alarms),
        "priorities": [state.priority for state in states],
        "presences": [str(state.presence) for state in states],
        "params": [Jsonb(dict(state.params)) for state in states],
        "detected": [_moment(state.detected_us * 1000) for state in states],
        "changed": [_moment(state.changed_us * 1000) for state in states],
    }
    await connection.execute(_QUERIES["states"], values)


def _moment(ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ns // 1000)
