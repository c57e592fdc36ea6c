"""What people do with alarms: see those of their wards, read the evidence, acknowledge, confirm that a screen has shown one.

Each act is an event in the alarm's append-only log; presence is left to the edge (`intake`), live delivery to `follower`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from hub.alarms.domain import Alarm, AlarmEvent, Past, Verdict, judge
from hub.alarms.evidence import read_evidence
from hub.alarms.store import QUERIES, from_ms, last_event, read_alarms, read_open, read_past, to_us
from hub.core.errors import ConflictError, InvalidError, NotFoundError
from hub.core.policy import policy
from hub.core.principal import tenant_of
from protocols.errors import DecodeError
from protocols.record import Evidence

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.db import Connection, Database
    from hub.core.principal import Principal
    from hub.placement.domain import Stay
    from hub.placement.service import Placement

# A screen's clock is set by the hub's answers; one that is further off than this tells nothing.
_PAINT_AHEAD = timedelta(seconds=10)
_PAST_ROWS = 500


@dataclass(frozen=True, slots=True)
class Detail:
    """An alarm with what decided it and everything that happened since."""

    alarm: Alarm
    evidence: Evidence | None
    events: tuple[AlarmEvent, ...]


class AlarmService:
    """The alarms of the wards that a principal may see; any other is as if it were not there."""

    def __init__(self, database: "Database", audit: "AuditLog", placement: "Placement") -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit
        self._placement = placement

    @policy("alarm.read")
    async def open(self, principal: "Principal", points: Collection[int]) -> tuple[list[Alarm], int]:
        """What goes on or has not been seen at these points of care, and the id of the last event that is surely in it."""
        tenant = tenant_of(principal)
        seen = await self._placement.points(principal)
        async with self._database.transaction(tenant) as connection:
            # The id first: an event in between is then told twice rather than never.
            newest = await last_event(connection, tenant)
            return await read_open(connection, tenant, [p for p in points if p in seen]), newest

    @policy("alarm.read")
    async def past(self, principal: "Principal", stay: "Stay") -> list[Past]:
        """The alarms of a stay, which `hub.placement` gave to this principal; the newest first, at most 500."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            return await read_past(connection, tenant, stay.spans, _PAST_ROWS)

    @policy("alarm.read")
    async def get(self, principal: "Principal", alarm_id: UUID) -> Detail:
        """One alarm with its evidence and history; NotFoundError when there is none in the principal's wards."""
        tenant = tenant_of(principal)
        alarm = await self._visible(principal, alarm_id)
        values = {"tenant": tenant, "alarm": alarm_id}
        async with self._database.transaction(tenant) as connection:
            rows = await (await connection.execute(QUERIES["history"], values)).fetchall()
            stored = await (await connection.execute(QUERIES["evidence"], values)).fetchone()
            await self.audit.write(connection, principal, "alarm.read", f"alarm:{alarm_id}")
        events = tuple(AlarmEvent(row[0], row[1], to_us(row[2]), row[3]) for row in rows)
        return Detail(alarm, None if stored is None else _evidence(alarm_id, stored[0]), events)

    @policy("alarm.acknowledge")
    async def acknowledge(self, principal: "Principal", alarm_id: UUID) -> Alarm:
        """Say that somebody has seen it. The first one stays; ConflictError when it has ended and another had seen it."""
        tenant = tenant_of(principal)
        await self._visible(principal, alarm_id)
        who = str(principal)
        values: dict[str, object] = {"tenant": tenant, "alarm": alarm_id, "who": who}
        async with self._database.transaction(tenant) as connection:
            await connection.execute(QUERIES["lock_log"], values)
            alarm = await _read(connection, tenant, alarm_id)
            verdict = judge(alarm.state, who)
            if verdict is Verdict.OVER:
                raise ConflictError(
                    "This alarm has ended and has been acknowledged.",
                    "Nothing: the ward page shows the present state.",
                    reason="alarm-over",
                )
            if verdict is Verdict.TAKEN:
                row = await (await connection.execute(QUERIES["acknowledged"], values)).fetchone()
                assert row is not None
                await connection.execute(QUERIES["note_acknowledged"], values | {"at": row[1]})
                await self.audit.write(connection, principal, "alarm.acknowledge", f"alarm:{alarm_id}")
                alarm = await _read(connection, tenant, alarm_id)
        return alarm

    @policy("alarm.shown")
    async def shown(self, principal: "Principal", alarm_id: UUID, painted_ms: int) -> None:
        """Record that this client's screen has painted the alarm; the first paint counts. InvalidError for an absurd time."""
        tenant = tenant_of(principal)
        alarm = await self._visible(principal, alarm_id)
        if not alarm.onset_ms <= painted_ms or from_ms(painted_ms) > datetime.now(UTC) + _PAINT_AHEAD:
            raise InvalidError(
                f"painted_ms {painted_ms}: expected a time between the onset ({alarm.onset_ms}) and now.",
                "Take the hub's clock from now_ms.",
                reason="painted-ms",
            )
        client = f"{principal}/{(principal.session or '-')[:8]}"
        values = {"tenant": tenant, "alarm": alarm_id, "who": client, "at": from_ms(painted_ms)}
        async with self._database.transaction(tenant) as connection:
            await connection.execute(QUERIES["lock_log"], values)
            done = await connection.execute(QUERIES["shown"], values)
            if done.rowcount:
                await self.audit.write(connection, principal, "alarm.shown", f"alarm:{alarm_id}")

    async def _visible(self, principal: "Principal", alarm_id: UUID) -> Alarm:
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            found = await read_alarms(connection, tenant, [alarm_id])
        points = await self._placement.points(principal)
        if not found or found[0].point_of_care_id not in points:
            if found:
                await self.audit.denied(principal, "alarm.read", "ward")
            raise _unknown(alarm_id)
        return found[0]


async def _read(connection: "Connection", tenant: int, alarm_id: UUID) -> Alarm:
    found = await read_alarms(connection, tenant, [alarm_id])
    if not found:
        raise _unknown(alarm_id)
    return found[0]


def _unknown(alarm_id: UUID) -> NotFoundError:
    return NotFoundError(
        f"There is no alarm {alarm_id} that you may see.", "Check the address, or go back to the ward."
    )


def _evidence(alarm_id: UUID, stored: bytes) -> Evidence | None:
    try:
        return read_evidence(stored)
    except DecodeError as error:
        # The alarm itself must be seen and acknowledged whatever its strip looks like.
        structlog.get_logger().error("alarm-evidence-unreadable", alarm=str(alarm_id), detail=str(error))
        return None
