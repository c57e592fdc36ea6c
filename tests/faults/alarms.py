"""Whether the alarms that monitors raised are at the hub: each once, with one beginning and one end, and not late.

A delay is from the moment that the monitor gave the change, which the hub's log has as its `at`, to `stored_at` of the same row; where a
fault cuts the way, from the moment when that was back: when the fault ended, and the gateway's log says `uplink-up` of the connection for
alarms. So each limit stands on event times that the product writes.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from tests.faults.sent import Alarm

if TYPE_CHECKING:
    import psycopg

_BEGAN, _ENDED = "present", "ended"
_ONCE = {_BEGAN: 1, _ENDED: 1, "sent": 2, "stored": 2}  # a beginning and an end, each with its hops
_LOG = """
select a.alarm_id, p.path, round(extract(epoch from a.onset) * 1000000), a.presence, coalesce(e.presence, e.kind),
       round(extract(epoch from e.at) * 1000000), extract(epoch from e.stored_at)
  from alarm a join alarm_event e using (tenant_id, alarm_id) join source p on p.source_id = a.source_id
 where split_part(p.path, '/', 1) = any(%s) and a.code = %s and a.stored_at >= to_timestamp(%s)
 order by e.event_id"""
_TWICE = """
select code, kind, count(*) from (
    select a.alarm_id, a.code, e.kind from alarm a join alarm_event e using (tenant_id, alarm_id)
     where e.kind in ('detected', 'latched', 'ended') and a.stored_at >= to_timestamp(%s)
     group by 1, 2, 3 having count(*) > 1) as told group by 1, 2"""


@dataclass(frozen=True)
class Row:
    """What the hub has of an alarm. `hops`: presence or kind, microseconds since 1970, seconds since 1970 at which the hub stored it.

    A beginning that comes behind its end has the kind `changed`: behind a break the newest go first.
    """

    path: str
    onset_us: int
    presence: str
    hops: list[tuple[str, int, float]] = field(default_factory=list[tuple[str, int, float]])


@dataclass(frozen=True)
class Change:
    """A beginning or an end that is stored: whose, when it was given and when it was stored, in seconds since 1970."""

    device: str
    what: str
    given_s: float
    stored_s: float


def rows_of(
    connection: "psycopg.Connection[tuple[object, ...]]", devices: Collection[str], code: str, since_s: float
) -> dict[bytes, Row]:
    """By id, the alarms of that code which `devices` raised and the hub stored since then."""
    found: dict[bytes, Row] = {}
    for number, path, onset_us, presence, kind, at_us, stored_s in connection.execute(
        _LOG.encode(), (list(devices), code, since_s)
    ):
        row = found.setdefault(UUID(str(number)).bytes, Row(str(path), int(str(onset_us)), str(presence)))
        row.hops.append((str(kind), int(str(at_us)), float(str(stored_s))))
    return found


def compare_alarms(given: Mapping[bytes, Alarm], stored: Mapping[bytes, Row]) -> list[str]:
    """Sentences on alarms that are missing, never were, or are stored otherwise than the monitors gave them; [] when all is well."""
    wrong = [f"alarm {number.hex()} of {given[number].device} is missing" for number in given.keys() - stored.keys()]
    wrong += [f"alarm {n.hex()} of {stored[n].path} was never given" for n in stored.keys() - given.keys()]
    for number in given.keys() & stored.keys():
        alarm, row = given[number], stored[number]
        name = f"alarm {number.hex()} of {alarm.device}"
        if (hops := Counter(kind for kind, _, _ in row.hops)) != _ONCE:
            wrong.append(f"{name} has the hops {dict(hops)}")
        times = {kind: at_us for kind, at_us, _ in row.hops}
        ended_us = None if alarm.ended_ns is None else alarm.ended_ns // 1000
        expected = alarm.onset_ns // 1000, alarm.began_ns // 1000, ended_us, "ended"
        if (found := (row.onset_us, times.get(_BEGAN), times.get(_ENDED), row.presence)) != expected:
            wrong.append(f"{name}: onset, beginning, end and presence were {expected}, stored are {found}")
    return wrong


def told_twice(connection: "psycopg.Connection[tuple[object, ...]]", since_s: float) -> list[str]:
    """Sentences on alarms of whatever kind that the hub has stored since then, and that began or ended more than once."""
    return [
        f"{n} alarms {code} were {kind} more than once"
        for code, kind, n in connection.execute(_TWICE.encode(), (since_s,))
    ]


def changes_of(stored: Mapping[bytes, Row], devices: Collection[str]) -> list[Change]:
    """Each beginning and end of the alarms of these devices."""
    return [
        Change(device, kind, at_us / 1e6, stored_s)
        for row in stored.values()
        if (device := row.path.partition("/")[0]) in devices
        for kind, at_us, stored_s in row.hops
        if kind in {_BEGAN, _ENDED}
    ]


def came_up(log: Path) -> list[float]:
    """When the agent's connection for alarms came up, in seconds since 1970, by its log."""
    found: list[float] = []
    for line in log.read_text("utf-8", "replace").splitlines() if log.exists() else []:
        if '"uplink-up"' in line and line.startswith("{") and line.endswith("}"):
            said = json.loads(line)
            if said.get("event") == "uplink-up" and said.get("connection") == "alarm":
                found.append(datetime.fromisoformat(said["timestamp"]).timestamp())
    return found


def delay_s(change: Change, back: Iterable[float]) -> float:
    """How long a change waited behind the later of its own moment and the last of those in `back` before it was stored."""
    return change.stored_s - max(change.given_s, *(at_s for at_s in (*back, 0.0) if at_s <= change.stored_s))
