"""The ledger as JSON and as rows of a table for export."""

from datetime import datetime
from typing import TypeAlias

from hub.devices.domain import Detail, Device, Listing

Json: TypeAlias = dict[str, object]
COLUMNS = (
    "name", "state", "make", "model", "serial", "firmware", "door", "gateway", "ward", "bed",
    "battery_percent", "last_seen", "first_seen", "admitted_at", "admitted_by",
)  # fmt: skip
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


def row_of(device: Device, now: datetime) -> list[str]:
    """A row of the export. What a spreadsheet would take for a formula is quoted: the texts come from devices."""
    told: Json = {
        **{name: getattr(device, name, "") for name in COLUMNS},
        "state": str(device.state(now)),
    }
    return [_cell(told[name]) for name in COLUMNS]


def to_ms(moment: datetime | None) -> int | None:
    """Milliseconds since 1970."""
    return None if moment is None else round(moment.timestamp() * 1000)


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
