"""Reads alarms and their logs from the database; leaves policy and audit to `service`."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hub.alarms.domain import Alarm, AlarmEvent, Past, Place, Published, fold
from hub.core.db import Connection
from hub.core.sql import load_queries
from hub.placement.domain import Span

QUERIES = load_queries("hub.alarms")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def from_ms(ms: int) -> datetime:
    """The moment of integer milliseconds."""
    return _EPOCH + timedelta(milliseconds=ms)


async def last_event(connection: Connection, tenant: int) -> int:
    """Id of the newest event of the tenant's log; 0 when it is empty."""
    row = await (await connection.execute(QUERIES["last_event"], {"tenant": tenant})).fetchone()
    return int(row[0]) if row else 0


async def read_alarms(connection: Connection, tenant: int, alarms: Sequence[UUID]) -> list[Alarm]:
    """Alarms with their present state, in the order asked for; unknown ids are left out."""
    heads = await _heads(connection, tenant, alarms)  # first: an alarm that comes now would have a head and no log
    logs = await read_logs(connection, tenant, alarms)
    found = {alarm: _alarm(head, logs[alarm]) for alarm, head in heads.items()}
    return [found[a] for a in alarms if a in found]


async def read_open(connection: Connection, tenant: int, points: Sequence[int]) -> list[Alarm]:
    """What is going on or has not been seen at these points of care, the newest first."""
    values = {"tenant": tenant, "points": list(points)}
    rows = await (await connection.execute(QUERIES["open"], values)).fetchall()
    return await read_alarms(connection, tenant, [row[0] for row in rows])


async def read_past(connection: Connection, tenant: int, spans: Sequence[Span], limit: int) -> list[Past]:
    """The alarms whose onset lies in one of the stretches of time of its device, the newest first."""
    if not spans:
        return []
    values: dict[str, object] = {
        "tenant": tenant,
        "devices": [span.device_id for span in spans],
        "from": min(span.start for span in spans),
        "to": max(span.end for span in spans),
        "limit": limit,
    }
    rows = await (await connection.execute(QUERIES["past"], values)).fetchall()
    wanted = [
        row[0] for row in rows if any(span.device_id == row[1] and span.start <= row[2] < span.end for span in spans)
    ]
    return [Past(alarm, alarm.state.condition_ended_ms) for alarm in await read_alarms(connection, tenant, wanted)]


async def read_since(connection: Connection, tenant: int, after: int, limit: int) -> list[Published]:
    """Each visible event behind `after`, in commit order, with the alarm as it was after that event."""
    values = {"tenant": tenant, "after": after, "limit": limit}
    rows = await (await connection.execute(QUERIES["visible_since"], values)).fetchall()
    if not rows:
        return []
    alarms = list({row[1] for row in rows})
    logs = await read_logs(connection, tenant, alarms)
    heads = await _heads(connection, tenant, alarms)
    return [
        Published(int(event), _alarm(heads[alarm], [e for e in logs[alarm] if e.event_id <= event]))
        for event, alarm in rows
    ]


async def _heads(connection: Connection, tenant: int, alarms: Sequence[UUID]) -> dict[UUID, tuple[object, ...]]:
    values = {"tenant": tenant, "alarms": list(alarms)}
    rows = await (await connection.execute(QUERIES["heads"], values)).fetchall()
    return {row[0]: row for row in rows}


async def read_logs(connection: Connection, tenant: int, alarms: Sequence[UUID]) -> dict[UUID, list[AlarmEvent]]:
    """Of each alarm the events that make its state."""
    values = {"tenant": tenant, "alarms": list(alarms)}
    logs: dict[UUID, list[AlarmEvent]] = defaultdict(list)
    for alarm, event, kind, at, who, priority, presence, params, epoch, n, index in await (
        await connection.execute(QUERIES["states"], values)
    ).fetchall():
        place = None if epoch is None else Place(bytes(epoch), n, index)
        logs[alarm].append(AlarmEvent(event, kind, to_us(at), who, priority or "", presence or "", params, place))
    return logs


def _alarm(head: tuple[object, ...], log: Sequence[AlarmEvent]) -> Alarm:
    alarm_id, source, code, kind, onset, stored, point = head
    assert isinstance(alarm_id, UUID)
    assert isinstance(onset, datetime)
    assert isinstance(stored, datetime)
    assert point is None or isinstance(point, int)
    return Alarm(
        alarm_id,
        str(source),
        str(code),
        str(kind),
        to_us(onset) // 1000,
        to_us(stored) // 1000,
        point,
        fold(log),
    )
