"""The ward as JSON (docs/reference/http-api.md)."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from hub.alarms.present import alarm_json
from hub.core.pinyin import readings_of
from hub.ecgs.present import ref_json
from hub.placement.domain import LimitInForce
from hub.wards.domain import Link, Numeric
from hub.wards.service import BedView, WardView
from protocols.nomenclature import TERMS

Json: TypeAlias = dict[str, object]


def numeric_json(number: Numeric) -> Json:
    """One number."""
    return {
        "code": number.code,
        "value": number.value,
        "unit": number.unit,
        "at_ms": number.at_ms,
        "quality": number.quality,
    }


def link_json(link: Link) -> Json:
    """A bed's link."""
    return {"state": link.state.value, "since_ms": link.since_ms, "gateway": link.gateway, "device": link.device}


def limit_json(limit: LimitInForce) -> Json:
    """Limits in force; `bed`, what the bed itself has, only when these are the patient's own; `unwatched` only when no gateway watches it."""
    found: Json = {"code": limit.code, "low": limit.low, "high": limit.high, "unit": limit.unit}
    if limit.unwatched is not None:
        found["unwatched"] = limit.unwatched
    return {**found, "bed": {"low": limit.bed_low, "high": limit.bed_high}} if limit.is_own else found


def bed_json(view: BedView) -> Json:
    """A bed."""
    who = view.who
    return {
        "key": view.bed.key,
        "id": view.bed.point.bed,
        "label": view.bed.point.bed,
        "who": None if who is None else {"masked_name": who.masked_name, "age": who.age, "sex": who.sex},
        "leads": [
            {"index": lead.index, "code": lead.code, "short": lead.short, "source": lead.source}
            for lead in view.bed.leads
        ],
        "numerics": [numeric_json(number) for number in view.numerics],
        "limits": [limit_json(limit) for limit in view.limits],
        "link": link_json(view.link),
        "ecg": None if view.ecg is None else ref_json(view.ecg),
    }


def ward_json(view: WardView, names: Mapping[int, str]) -> Json:
    """A whole ward."""
    beds = {bed.bed.key: bed.bed.point.bed for bed in view.beds}
    return {
        "ward": {"id": view.ward.slug, "name": view.ward.name},
        "beds": [bed_json(bed) for bed in view.beds],
        "alarms": [alarm_json(alarm, beds[alarm.point_of_care_id or 0], names) for alarm in view.alarms],
        "spelt": readings_of(_shown(view)),
        "now_ms": view.now_ms,
        "last_event_id": view.last_event_id,
    }


def _shown(view: WardView) -> Iterator[str]:
    """What of a ward can be searched for in Chinese: of names what the mask leaves, nothing else."""
    for bed in view.beds:
        yield bed.bed.point.bed
        if bed.who is not None:
            yield bed.who.masked_name
    for alarm in view.alarms:
        for code in (alarm.code, alarm.state.params.get("measure")):
            if isinstance(code, str) and code in TERMS:
                yield TERMS[code].zh_hans
