"""The ledger as JSON and as rows of a table for export."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TypeAlias

from hub.devices.domain import Column, Detail, Device, Listing

Json: TypeAlias = dict[str, object]
# What a column of the page says, as cells of a spreadsheet: each thing in a cell of its own.
CELLS: Mapping[Column, tuple[str, ...]] = MappingProxyType(
    {
        Column.NAME: ("name", "make", "model"),
        Column.STATE: ("state",),
        Column.WHERE: ("ward", "ward_name", "bed"),
        Column.DOOR: ("door",),
        Column.GATEWAY: ("gateway",),
        Column.SEEN: ("last_seen",),
        Column.SERIAL: ("serial",),
        Column.FIRMWARE: ("firmware",),
        Column.BATTERY: ("battery_percent",),
        Column.FIRST_SEEN: ("first_seen",),
        Column.ADMITTED: ("admitted_at", "admitted_by"),
    }
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def device_json(device: Device, now: datetime) -> Json:
    """One device."""
    return {
        "id": device.device_id,
        "name": device.name,
        "state": str(device.state(now)),
        "make": device.make,
        "model": device.model,
        "serial": device.serial,
        "firmware": device.firmware,
        "door": device.door,
        "gateway": device.gateway,
        "place": {"ward": device.ward, "bed": device.bed} if device.bed else None,
        "battery": None
        if device.battery_percent is None
        else {"percent": device.battery_percent, "at_ms": to_ms(device.battery_at)},
        "first_seen_ms": to_ms(device.first_seen),
        "last_seen_ms": to_ms(device.last_seen),
        "admitted": None
        if device.admission != "admitted"
        else {"at_ms": to_ms(device.admitted_at), "by": device.admitted_by},
        "refused": device.refused,
        "flooding_since_ms": to_ms(device.flooding_since),
    }


def listing_json(listing: Listing, now: datetime) -> Json:
    """A page of the list, with the counts of the whole tenant."""
    counts = listing.counts
    return {
        "devices": [device_json(device, now) for device in listing.devices],
        "found": listing.found,
        "counts": {
            "total": counts.total,
            "live": counts.live,
            "waiting": counts.waiting,
            "silent": counts.silent,
            "low_battery": counts.low_battery,
            "flooding": counts.flooding,
        },
    }


def detail_json(detail: Detail, now: datetime) -> Json:
    """One device with what it measures and its life."""
    return {
        **device_json(detail.device, now),
        "held": detail.held,
        "measures": [{"source": m.path, "code": m.code, "site": m.site, "unit": m.unit} for m in detail.measures],
        "life": [
            {"at_ms": to_ms(one.at), "code": one.code, "text": one.text, "params": one.params} for one in detail.life
        ],
    }


def head_of(columns: Iterable[Column]) -> list[str]:
    """The first row of the export."""
    return [cell for column in columns for cell in CELLS[column]]


def row_of(device: Device, columns: Iterable[Column], now: datetime) -> list[str]:
    """A row of the export. What a spreadsheet would take for a formula is quoted: the texts come from devices."""
    return [_cell(_said(device, cell, now)) for column in columns for cell in CELLS[column]]


def to_ms(moment: datetime | None) -> int | None:
    """Milliseconds since 1970."""
    return None if moment is None else round(moment.timestamp() * 1000)


def _said(device: Device, cell: str, now: datetime) -> object:
    if cell == "state":
        return device.state(now)
    if cell in CELLS[Column.ADMITTED] and device.admission != "admitted":
        return None
    return getattr(device, cell)


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
