"""What agent and host say to each other over their socket pair: frames of a length, a kind and a body.

Records go as device packages (`protocols.wire`), everything else as a JSON object. Pure: the sockets are `child`'s and `process`'s.
"""

import base64
import json
import struct
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import TypeAlias, cast

from protocols.errors import Fault
from protocols.record import Record
from protocols.wire import MAX_RECORDS, TooLargeError, encode_package

Json: TypeAlias = dict[str, object]

HEAD = struct.Struct("<IB")  # bytes of the body, kind
MAX_BODY_BYTES = 8 * 1024 * 1024  # a package is less; more is no frame of ours
BEAT_EVERY_S = 0.25
_RAW_KEPT = 4096


class Kind(IntEnum):
    """What a frame is. The agent sends those from 16 on."""

    READY = 1  # the adapter is loaded: its family and silence
    OPENED = 2  # the link of session n is open
    LOST = 3  # it is not, or not any more: why
    REFUSED = 4  # the settings of the device cannot be used: why
    RECORDS = 5
    FAULT = 6
    BEAT = 7  # the event loop goes round
    FAILED = 8  # the adapter raised what it may not: what, and where
    COMMANDED = 9  # what became of a command
    MESSAGE = 10  # of a door (`messages`)
    BEGIN = 16  # which device, and where its stored samples end
    OPEN = 17
    WAKE = 18  # it is silent
    CLOSE = 19
    CLOCK = 20  # the gateway's clock above the monotonic one
    COMMAND = 21  # the device is to do something
    BEGIN_DOOR = 22  # which door
    REPLY = 23  # to a message of it


def frame(kind: Kind, body: bytes = b"") -> bytes:
    """A frame as bytes."""
    return HEAD.pack(len(body), kind) + body


def told(kind: Kind, **values: object) -> bytes:
    """A frame with a JSON object."""
    return frame(kind, json.dumps(values).encode())


def object_of(body: bytes) -> Json:
    """The JSON object of a body; ValueError when it is none."""
    value = json.loads(body)
    if not isinstance(value, dict):
        msg = f"expected a JSON object, found {type(value).__name__}"
        raise TypeError(msg)
    return cast("Json", value)


def frames_of(device: str, decoded: Iterable[Record | Fault]) -> list[bytes]:
    """What a decoder gave out, in its order: packages of records, a frame a fault."""
    frames: list[bytes] = []
    run: list[Record] = []
    for item in decoded:
        if isinstance(item, Fault):
            frames += _packages(device, run)
            frames.append(_fault(item))
            run = []
        else:
            run.append(item)
    return frames + _packages(device, run)


def fault_of(body: bytes, device: str) -> Fault:
    """A fault as it was; ValueError when the body is none."""
    value = object_of(body)
    return Fault(
        device,
        str(value.get("where", "")),
        str(value.get("expected", "")),
        str(value.get("found", "")),
        base64.b64decode(str(value.get("raw", ""))),
        int(str(value.get("gateway_ns", 0))),
    )


def strings(value: object) -> list[str]:
    """The texts of a list."""
    return [str(one) for one in cast("Sequence[object]", value)] if isinstance(value, list) else []


def _packages(device: str, records: Sequence[Record]) -> list[bytes]:
    """As many packages as they need; a record that no package can hold is a fault."""
    if not records:
        return []
    try:
        if len(records) <= MAX_RECORDS:
            return [frame(Kind.RECORDS, encode_package(device, 0, records))]
    except TooLargeError as error:
        if len(records) == 1:
            at_ns = records[0].times.gateway_ns
            what = type(records[0]).__name__
            return [_fault(Fault(device, what, "a record that a package can hold", str(error), b"", at_ns))]
    half = len(records) // 2
    return _packages(device, records[:half]) + _packages(device, records[half:])


def _fault(fault: Fault) -> bytes:
    raw = base64.b64encode(fault.raw[:_RAW_KEPT]).decode("ascii")
    return told(
        Kind.FAULT,
        where=fault.where,
        expected=fault.expected,
        found=fault.found,
        raw=raw,
        gateway_ns=fault.gateway_ns,
    )
