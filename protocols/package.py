"""What a device sends in one message: the device package of device_package.proto, as protobuf or as JSON, read at a door.

The sender is believed in what it measured and in its own clock, not in the gateway's: arrival stamps the records, units become those
of the nomenclature, and a device speaks for its own sources only. docs/reference/device-package.md is the definition for makers.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

from google.protobuf import json_format

from protocols import device_package_pb2 as pb
from protocols.errors import DecodeError, Fault
from protocols.nomenclature import EVT_DEVICE_SEEN
from protocols.protojson import Reader
from protocols.record import AlarmCondition, DeviceEvent, Record, SourcePath, Times
from protocols.units import canonical_record
from protocols.wire.decode import decode_record, parse
from protocols.wire.tables import MAX_CODE, MAX_SOURCE, PACKAGE_VERSION

PROTOBUF_TYPE = "application/vnd.wardlink.package+protobuf"
JSON_TYPE = "application/vnd.wardlink.package+json"

# Less than a message of the uplink may hold, so that a package is always in one batch of each lane (decision 0070).
MAX_BYTES = 256 * 1024
MAX_RECORDS = 1024
MAX_SAMPLE_BYTES = 512 * 1024  # of all waveforms together, decoded
MAX_NUMBER = 2**63 - 1
IDENTITY_BYTES = 16

JsonObject: TypeAlias = dict[str, Any]

_PACKAGE, _RECORD = Reader(pb.DevicePackage), Reader(pb.Record)


@dataclass(frozen=True, slots=True)
class Maker:
    """What a device says about itself; each field may be empty."""

    make: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""


@dataclass(frozen=True, slots=True)
class Package:
    """What one message of a device held, stamped with its arrival: records, and a Fault for each that could not be read.

    `number` is None where the format has none. `identity`: 16 bytes by which the package is known when it comes again, made of
    device, number and content; None where the same content may be another package. `recorded`: it is a recording that was made
    some time ago, with the times and sample numbers of then. `next_within_s`: the device promises
    to send again within so long; 0: it promises nothing.
    """

    device: str
    number: int | None
    records: tuple[Record | Fault, ...]
    identity: bytes | None = None
    maker: Maker | None = None
    recorded: bool = False
    next_within_s: float = 0.0


def read_protobuf(data: bytes, at_ns: int) -> Package:
    """Read a package that arrived at gateway time `at_ns`; DecodeError names what no package may have."""
    _check_size(data)
    message = parse(pb.DevicePackage(), data)
    return _package(message, [(record, partial(_bytes, record)) for record in message.records], at_ns, data)


def read_json(data: bytes, at_ns: int) -> Package:
    """The same package as JSON: protobuf's own mapping (ProtoJSON), unknown names refused."""
    _check_size(data)
    value = _json(data)
    records = value.pop("records", [])
    if not isinstance(records, list):
        raise DecodeError("records", "an array", type(records).__name__, data)
    if len(cast("list[object]", records)) > MAX_RECORDS:
        raise DecodeError("records, how many", f"at most {MAX_RECORDS}", str(len(cast("list[object]", records))), data)
    try:
        message = _PACKAGE.read(value)
    except json_format.ParseError as error:
        raise DecodeError("message", "a device package as JSON", str(error), data) from error
    read = [_record(cast("JsonObject", item)) for item in cast("list[object]", records)]
    message.records.extend(r for r, _ in read if isinstance(r, pb.Record))
    return _package(message, read, at_ns, data)


def write_json(data: bytes) -> str:
    """A package of `wire.encode_package` as JSON text: what a device would send."""
    return json_format.MessageToJson(parse(pb.DevicePackage(), data), indent=None, preserving_proto_field_name=True)


def identity_of(device: str, number: int | None, content: bytes) -> bytes:
    """The 16 bytes by which a package is known again."""
    head = f"{device}\n{'' if number is None else number}\n".encode()
    return hashlib.sha256(head + content).digest()[:IDENTITY_BYTES]


def check_device(device: str) -> str:
    """A device's name as the first part of its source paths; DecodeError."""
    if not 1 <= len(device) <= MAX_SOURCE:
        raise DecodeError("device", f"1 to {MAX_SOURCE} characters", str(len(device)))
    try:
        SourcePath(device)
    except ValueError as error:
        raise DecodeError("device", "a name without '/', '|' and white space", repr(device)) from error
    return device


_Read: TypeAlias = tuple["pb.Record | DecodeError", Callable[[], bytes]]  # a record, and how it came


def _package(message: pb.DevicePackage, read: Sequence[_Read], at_ns: int, data: bytes) -> Package:
    if message.version != PACKAGE_VERSION:
        raise DecodeError("version", str(PACKAGE_VERSION), str(message.version), data)
    device = check_device(message.device)
    if message.number > MAX_NUMBER:
        raise DecodeError("number", f"at most {MAX_NUMBER}", str(message.number), data)
    if not message.records and not message.HasField("identity") and not read:
        raise DecodeError("records", "at least one, or the identity of the device", "none", data)
    if len(message.records) > MAX_RECORDS:
        raise DecodeError("records, how many", f"at most {MAX_RECORDS}", str(len(message.records)), data)
    _check_samples(message)
    unread = b"".join(raw() for item, raw in read if isinstance(item, DecodeError))
    identity = identity_of(device, message.number, message.SerializeToString(deterministic=True) + unread)
    records: list[Record | Fault] = []
    for index, (item, raw) in enumerate(read):
        try:
            if isinstance(item, DecodeError):
                raise item
            records.append(_at_the_door(device, item, at_ns))
        except DecodeError as error:
            where = f"record {index}, {error.where}"
            records.append(Fault(device, where, error.expected, error.found, raw(), at_ns))
    maker = _maker(message.identity) if message.HasField("identity") else None
    within_s = message.next_within_ms / 1000
    return Package(device, message.number, tuple(records), identity, maker, next_within_s=within_s)


def _at_the_door(device: str, message: pb.Record, at_ns: int) -> Record:
    device_ns = message.times.device_ns if message.times.HasField("device_ns") else None
    record = canonical_record(decode_record(message, Times(at_ns, device_ns)))
    evidence = record.evidence if isinstance(record, AlarmCondition) else None
    strip = evidence.strip if evidence is not None else None
    for source in (record.source,) if strip is None else (record.source, strip.source):
        if source.device != device:
            raise DecodeError("source", f"a source of device {device!r}", repr(source.device))
    if isinstance(record, DeviceEvent) and record.code == EVT_DEVICE_SEEN:
        raise DecodeError("event.code", "what the device reports; who made it stands in identity", record.code)
    return record


def _check_samples(message: pb.DevicePackage) -> None:
    """Before anything is decompressed: what the waveforms say that they hold. The codec holds them to it."""
    waves = [r.waveform for r in message.records if r.HasField("waveform")]
    waves += [r.alarm.evidence.strip.waveform for r in message.records if r.HasField("alarm")]
    total = sum(w.n * max(1, len(w.leads)) * (2 if w.dtype == pb.DTYPE_INT16 else 4) for w in waves)
    if total > MAX_SAMPLE_BYTES:
        raise DecodeError("samples of all waveforms", f"at most {MAX_SAMPLE_BYTES} bytes decoded", str(total))


def _maker(message: pb.DeviceIdentity) -> Maker:
    maker = Maker(message.make, message.model, message.serial, message.firmware)
    for name, text in (
        ("make", maker.make),
        ("model", maker.model),
        ("serial", maker.serial),
        ("firmware", maker.firmware),
    ):
        check_text(f"identity.{name}", text)
    return maker


def check_text(where: str, text: str) -> str:
    """A short text that can be stored and shown; DecodeError."""
    if len(text) > MAX_CODE or "\0" in text:
        raise DecodeError(where, f"at most {MAX_CODE} characters without NUL", repr(text[:64]))
    return text


def _record(value: object) -> _Read:
    raw = partial(_text, value)
    if not isinstance(value, dict):
        return DecodeError("record", "an object", type(value).__name__), raw
    try:
        return _RECORD.read(cast("JsonObject", value)), raw
    except json_format.ParseError as error:
        return DecodeError("message", "a record as JSON", str(error)), raw


def _text(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _bytes(message: pb.Record) -> bytes:
    return message.SerializeToString(deterministic=True)


def _json(data: bytes) -> JsonObject:
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        raise DecodeError(f"byte {error.start}", "UTF-8", repr(data[error.start : error.start + 1]), data) from error
    except json.JSONDecodeError as error:
        raise DecodeError(f"character {error.pos}", "JSON", error.msg, data) from error
    except (RecursionError, ValueError) as error:
        raise DecodeError("message", "JSON with each name once and not nested without end", str(error), data) from error
    if not isinstance(value, dict):
        raise DecodeError("message", "a JSON object", type(value).__name__, data)
    return cast("JsonObject", value)


def _once(pairs: list[tuple[str, object]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        msg = f"{next(n for n in names if names.count(n) > 1)!r} is there twice"
        raise ValueError(msg)
    return found


def _check_size(data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise DecodeError("message", f"at most {MAX_BYTES} bytes", f"{len(data)} bytes", data)


__all__ = [
    "IDENTITY_BYTES",
    "JSON_TYPE",
    "MAX_BYTES",
    "MAX_RECORDS",
    "PROTOBUF_TYPE",
    "Maker",
    "Package",
    "check_device",
    "check_text",
    "identity_of",
    "read_json",
    "read_protobuf",
    "write_json",
]
