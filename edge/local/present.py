"""The local page's state as JSON: the very forms of the hub (docs/reference/http-api.md), so that the same modules read both."""

import json
from typing import TypeAlias

from edge.local.room import Alarm, Bed, Link, Number, Room, in_order
from protocols.evidence_json import evidence_json
from protocols.nomenclature import TERMS

Json: TypeAlias = dict[str, object]


def ward_json(room: Room, ward: str, name: str) -> Json:
    """What stands in a ward, as far as this gateway knows it; the ward's name is known from a ticket alone."""
    last = room.last_event
    return {
        "ward": {"id": ward, "name": name or ward},
        "beds": [bed_json(room, bed) for bed in room.beds(ward)],
        "alarms": [alarm_json(alarm) for alarm in room.alarms_of(ward)],
        "now_ms": room.now_ns() // 1_000_000,
        "last_event_id": last,
    }


def bed_json(room: Room, bed: Bed) -> Json:
    """A bed. Who is there is not known at a gateway: the page says so, or has it from the hub."""
    return {
        "key": bed.key,
        "id": bed.name,
        "label": bed.name,
        "who": {"masked_name": "", "age": None, "sex": None} if bed.placed.subject else None,
        "leads": [
            {"index": index, "code": code, "short": _short(code), "source": str(source)}
            for index, source, code in in_order(bed)
        ],
        "numerics": [number_json(number) for number in bed.numbers.values()],
        "limits": [
            {
                "code": limit.code,
                "low": limit.low if limit.HasField("low") else None,
                "high": limit.high if limit.HasField("high") else None,
                "unit": limit.unit,
            }
            for limit in bed.placed.limits
        ],
        "link": link_json(room, room.link(bed)),
        "ecg": None,
    }


def number_json(number: Number) -> Json:
    """One number."""
    return {
        "code": number.code,
        "value": number.value,
        "unit": number.unit,
        "at_ms": number.at_ms,
        "quality": number.quality,
    }


def link_json(room: Room, link: Link) -> Json:
    """A bed's link."""
    return {"state": link.state, "since_ms": link.since_ms, "gateway": room.gateway, "device": link.device}


def alarm_json(alarm: Alarm) -> Json:
    """An alarm; it was on this gateway's disk when it was told, so `stored_ms` is `detected_ms`."""
    now, seen = alarm.now, alarm.seen
    return {
        "id": str(now.id),
        "bed": alarm.point.partition("/")[2],
        "code": now.code,
        "priority": now.priority.value,
        "kind": now.kind.value,
        "presence": alarm.shown_as.value,
        "onset_ms": now.onset_ns // 1_000_000,
        "detected_ms": alarm.detected_ms,
        "stored_ms": alarm.detected_ms,
        "params": dict(now.params),
        "acknowledged": None if seen is None else {"by": seen.by, "at_ms": seen.at_ms},
        "source": str(now.source),
    }


def detail_json(room: Room, alarm: Alarm) -> Json:
    """An alarm with its evidence and history."""
    events = [{"kind": kind, "at_ms": at_ms, **({"who": who} if who else {})} for kind, at_ms, who in alarm.story]
    evidence = room.evidence(alarm)
    return {**alarm_json(alarm), "evidence": evidence and evidence_json(evidence), "events": events}


def dump(value: Json) -> bytes:
    """Compact UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _short(code: str) -> str:
    term = TERMS.get(code)
    return term.short or term.en if term else code
