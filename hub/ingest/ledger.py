"""What the ledger of devices learns on the way in: what a device said of itself, its battery, when it was last heard, bytes nobody could read.

Events and the battery's level are stored like any other record; this reads in them what the ledger keeps beside.
"""

import base64
import binascii
from datetime import datetime
from typing import TypeAlias

from hub.ingest.quarantined import Held
from hub.quarantine.sentences import said
from protocols.nomenclature import EVT_DEVICE_SEEN, EVT_FAULT, EVT_FIRMWARE, EVT_THROTTLE_ENDED, EVT_THROTTLED
from protocols.record import NS_PER_S, DeviceEvent, Params

Values: TypeAlias = dict[str, object]

SEEN_EVERY_NS = 5 * NS_PER_S  # the ledger's "last seen" is written at most this often
_LONGEST = 200  # of what a device says of itself
_TOLD = ("make", "model", "serial", "firmware", "door")


def told(event: DeviceEvent) -> Values | None:
    """What an event says of its device, for the query `told`; None when it says nothing that the ledger keeps.

    `listed`: the gateway's own settings name the device, so whoever runs the gateway has admitted it.
    """
    if event.code == EVT_DEVICE_SEEN:
        params = dict(event.params)
        return {
            "device": event.source.device,
            **{name: _text(params.get(name)) for name in _TOLD},
            "listed": params.get("listed") is True,
        }
    if event.code == EVT_FIRMWARE and dict(event.params).get("answer") is not True:
        firmware = _text(dict(event.params).get("version")) or event.text[:_LONGEST]
        return {"device": event.source.device, **dict.fromkeys(_TOLD, ""), "firmware": firmware, "listed": False}
    return None


def flooding(event: DeviceEvent, at: datetime) -> Values | None:
    """Whether an event says that its device is held back, for the query `flooding`; None when it says nothing of that."""
    if event.code not in (EVT_THROTTLED, EVT_THROTTLE_ENDED):
        return None
    return {"device": event.source.device, "holds": event.code == EVT_THROTTLED, "at": at}


def unread(event: DeviceEvent, index: int) -> Held | None:
    """The bytes of a fault, for the quarantine: what the gateway's decoder could make nothing of."""
    if event.code != EVT_FAULT:
        return None
    params = dict(event.params)
    why = said("unread", expected=params.get("expected", "?"), found=params.get("found", "?"))
    field = str(params.get("where", ""))
    return Held(
        index,
        "undecodable",
        why,
        _bytes(event.text, event.params),
        event.source.device,
        str(event.source),
        "",
        field,
    )


def _bytes(text: str, params: Params) -> bytes:
    """The bytes as the edge shows them: hexadecimal, or base64 that goes on in a parameter."""
    given = dict(params)
    try:
        if given.get("encoding") == "base64":
            return base64.b64decode(text + str(given.get("rest", "")), validate=True)
        return bytes.fromhex(text)
    except (binascii.Error, ValueError):
        return text.encode()


def _text(value: object) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""
