"""Answers as JSON (docs/reference/http-api.md)."""

from collections.abc import Iterable
from typing import TypeAlias

from hub.beds.domain import Trend
from hub.beds.present import trend_json
from hub.beds.store import to_ms
from hub.queries.domain import Found, Latest, Ranged, SearchKind, Series, Stretch, Whence
from hub.wards.domain import QUALITIES

Json: TypeAlias = dict[str, object]


def latest_json(found: Iterable[Latest], now_ms: int) -> Json:
    """The newest reading of each series."""
    return {
        "now_ms": now_ms,
        "latest": [
            {
                **_series_json(one.series, one.whence),
                "at_ms": to_ms(one.at),
                "value": one.value,
                "text": one.text,
                "comparator": one.comparator,
                "quality": QUALITIES[one.quality],
            }
            for one in found
        ],
    }


def range_json(found: Iterable[Ranged], asked: Stretch) -> Json:
    """Each series in columns, as it is drawn."""
    return {
        "from_ms": to_ms(asked.start),
        "to_ms": to_ms(asked.end),
        "bucket_ms": asked.width_ms,
        "series": [_ranged_json(one) for one in found],
    }


def found_json(found: Iterable[Found]) -> Json:
    """What a search has found."""
    return {"found": [_found_json(one) for one in found]}


def _ranged_json(one: Ranged) -> Json:
    series = one.series
    trend = Trend(series.code, series.unit, series.source, series.site, one.buckets)
    return {**trend_json(trend), **_series_json(series, one.whence)}


def _found_json(one: Found) -> Json:
    told: Json = {"kind": str(one.kind), "id": one.ref_id, "label": one.label, "score": round(one.score, 3)}
    if one.kind is SearchKind.PATIENT:
        told |= {"place": {"ward": one.ward, "bed": one.bed}, "age": one.age, "sex": one.sex}
    return told


def _series_json(series: Series, whence: Whence) -> Json:
    place = None if whence.key is None else {"ward": whence.ward, "bed": whence.bed, "key": whence.key}
    return {
        "device": whence.device,
        "place": place,
        "source": series.source,
        "code": series.code,
        "site": series.site,
        "unit": series.unit,
    }
