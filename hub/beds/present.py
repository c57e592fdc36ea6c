"""The bed page as JSON (docs/reference/http-api.md): codes and times; words belong to the page."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypeAlias

from hub.alarms.domain import Past
from hub.alarms.present import account_of, alarm_json, people
from hub.beds.domain import BedDetail, Doubted, Episode, Note, Timeline, Trend, Trends
from hub.beds.posture import Turn
from hub.beds.store import to_ms
from hub.devices.domain import Device

Json: TypeAlias = dict[str, object]


def detail_json(detail: BedDetail, now: datetime) -> Json:
    """What the page needs besides the ward's state. `leads` numbers those of the past too."""
    bed = detail.bed
    return {
        "key": bed.key,
        "id": bed.point.bed,
        "ward": {"id": bed.point.ward.slug, "name": bed.point.ward.name},
        "since_ms": None if detail.stay.since is None else to_ms(detail.stay.since),
        "leads": [{"index": lead.index, "code": lead.code, "short": lead.short} for lead in bed.leads],
        "measures": list(detail.measures),
        "devices": [_device_json(device, now) for device in detail.devices],
    }


def _device_json(device: Device, now: datetime) -> Json:
    return {
        "id": device.device_id,
        "name": device.name,
        "title": device.title,
        "state": device.state(now).value,
        "gateway": device.gateway,
        "door": device.door,
        "battery_percent": device.battery_percent,
        "battery_low": device.battery_is_low,
        "last_seen_ms": None if device.last_seen is None else to_ms(device.last_seen),
    }


def trend_json(trend: Trend) -> Json:
    """One series in columns, as it is drawn."""
    buckets = trend.buckets
    return {
        "code": trend.code,
        "unit": trend.unit,
        "source": trend.source,
        "site": trend.site,
        "at_ms": [b.at_ms for b in buckets],
        "min": [b.least for b in buckets],
        "max": [b.most for b in buckets],
        "mean": [None if b.mean is None else round(b.mean, 3) for b in buckets],
        "n": [b.n for b in buckets],
        "unusable": [b.unusable for b in buckets],
    }


def past_json(past: Past, bed: str, names: Mapping[int, str]) -> Json:
    """An alarm with when its condition was over."""
    return {**alarm_json(past.alarm, bed, names), "condition_ended_ms": past.condition_ended_ms}


def trends_json(found: Trends, names: Mapping[int, str]) -> Json:
    """Everything that one picture of trends is drawn from."""
    return {
        "from_ms": to_ms(found.window.start),
        "to_ms": to_ms(found.window.end),
        "bucket_ms": found.bucket_ms,
        "series": [trend_json(trend) for trend in found.trends],
        "gaps": [{"source": h.source, "from_ms": h.from_ms, "to_ms": h.to_ms, "reason": h.reason} for h in found.holes],
        "alarms": [past_json(past, found.bed, names) for past in found.alarms],
        "notes": [note_json(note, names) for note in found.notes],
    }


def note_json(note: Note, names: Mapping[int, str]) -> Json:
    """A note."""
    account = account_of(note.who)
    by = note.who if account is None else names.get(account, note.who)
    return {"id": note.note_id, "at_ms": note.at_ms, "written_ms": note.written_ms, "by": by, "text": note.text}


def _turn_json(turn: Turn) -> Json:
    named = {"posture": turn.posture, "before": turn.before}
    return {"kind": "posture", "at_ms": turn.at_ms, "degrees": turn.degrees, "source": turn.source, **named}


def _doubted_json(doubted: Doubted) -> Json:
    said = {"alarm": doubted.alarm, "held": doubted.held, "why": doubted.why, "pulse_per_min": doubted.pulse_per_min}
    return {
        "kind": "doubted",
        "at_ms": doubted.at_ms,
        "source": doubted.source,
        **said,
        "device": doubted.device or None,
    }


def _episode_json(episode: Episode) -> Json:
    measured = {"times": episode.times, "beats": episode.beats, "beats_per_min": episode.beats_per_min}
    return {
        "kind": "rhythm",
        "at_ms": episode.at_ms,
        "source": episode.source,
        "code": episode.code,
        "until_ms": episode.until_ms,
        "goes_on": episode.goes_on,
        "experimental": episode.experimental,
        **measured,
        "pause_s": episode.pause_s,
    }


def timeline_json(found: Timeline, names: Mapping[int, str]) -> Json:
    """Entries of all kinds in one list, the newest first."""
    rows: dict[int, list[Json]] = {}
    for trend in found.vital_signs:
        for b in trend.buckets:
            if b.mean is not None:
                value = {
                    "code": trend.code,
                    "unit": trend.unit,
                    "min": b.least,
                    "max": b.most,
                    "mean": round(b.mean, 3),
                }
                rows.setdefault(b.at_ms, []).append({**value, "source": trend.source, "site": trend.site, "n": b.n})
    entries: list[tuple[int, Json]] = [
        *((at, {"kind": "vital_signs", "at_ms": at, "step_ms": found.step_ms, "values": v}) for at, v in rows.items()),
        *(
            (p.alarm.onset_ms, {"kind": "alarm", "at_ms": p.alarm.onset_ms, "alarm": past_json(p, found.bed, names)})
            for p in found.alarms
        ),
        *((d.at_ms, _doubted_json(d)) for d in found.doubted),
        *((e.at_ms, _episode_json(e)) for e in found.episodes),
        *((t.at_ms, _turn_json(t)) for t in found.turns),
        *((n.at_ms, {"kind": "note", "at_ms": n.at_ms, "note": note_json(n, names)}) for n in found.notes),
    ]
    entries.sort(key=lambda entry: entry[0], reverse=True)
    window = {"from_ms": to_ms(found.window.start), "to_ms": to_ms(found.window.end)}
    return {**window, "entries": [entry for _, entry in entries]}


def writers(notes: Iterable[Note], alarms: Iterable[Past]) -> set[int]:
    """Ids of the accounts that wrote these notes and acknowledged these alarms."""
    found = {account_of(note.who) for note in notes}
    return {account for account in found if account is not None} | people(past.alarm for past in alarms)
