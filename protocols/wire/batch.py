"""Batches of the uplink and packages of devices: many records in one message, each judged by itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from protocols import device_package_pb2 as pb
from protocols.errors import DecodeError, Fault
from protocols.link.lane import EPOCH_BYTES, Lane
from protocols.link.ranges import MAX_N
from protocols.record import AlarmCondition, Gap, Observation, Record, WaveformGroup
from protocols.uplink_pb2 import Arrival as UplinkArrival
from protocols.uplink_pb2 import Batch, Envelope, Origin
from protocols.wire.decode import decode_record, parse
from protocols.wire.encode import encode_record
from protocols.wire.tables import MAX_MESSAGE_BYTES, MAX_RECORDS, MAX_SOURCE, PACKAGE_VERSION


@dataclass(frozen=True, slots=True)
class Received:
    """A record of a batch, with the gateway and epoch that first took it in (None: those of the Hello)."""

    record: Record
    origin: tuple[str, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Package:
    """What one DevicePackage held: records, and a Fault for each that could not be read."""

    device: str
    number: int
    records: tuple[Record | Fault, ...]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A device's package by which it is known again: 16 bytes that no other package of the device has (decision 0070)."""

    device: str
    identity: bytes


Item: TypeAlias = Received | DecodeError


class TooLargeError(ValueError):
    """More than a batch or package may hold: what is to be written goes into several."""


def lane_of(record: Record) -> Lane:
    """Which lane carries a record."""
    match record:
        case AlarmCondition():
            return Lane.ALARM
        case Observation():
            return Lane.NUMERIC
        case WaveformGroup():
            return Lane.WAVEFORM
        case _:
            return Lane.EVENT


def encode_batch(
    lane: int, n: int, closed_ns: int, records: Iterable[Record | Envelope], arrivals: Iterable[Arrival] = ()
) -> bytes:
    """Write a batch; TooLargeError when it has more records or bytes than one may. The same records give the same bytes.

    An envelope goes in as it is: its record was taken in elsewhere, as its origin says.
    """
    batch = Batch(
        lane=Lane(lane).wire,
        n=n,
        closed_ns=closed_ns,
        records=[r if isinstance(r, Envelope) else Envelope(record=encode_record(r)) for r in records],
        arrivals=[UplinkArrival(device=a.device, identity=a.identity) for a in arrivals],
    )
    return _bytes(batch, f"batch {n} of lane {Lane(lane).name.lower()}")


def decode_batch(data: bytes) -> Batch:
    """Read a batch as a message, its records unread; DecodeError when it is none, or its lane, n or size is wrong."""
    batch = parse(Batch(), data)
    if batch.lane not in set(Lane):
        raise DecodeError("batch.lane", "1 (alarm) to 4 (waveform)", str(int(batch.lane)))
    if not 1 <= batch.n <= MAX_N:
        raise DecodeError("batch.n", f"1 to {MAX_N}", str(batch.n))
    if len(batch.records) > MAX_RECORDS:
        raise DecodeError("batch.records, how many", f"at most {MAX_RECORDS}", str(len(batch.records)))
    return batch


def records_of(batch: Batch) -> list[Item]:
    """Read the records of a batch, in order: each as a record, or as the error for the quarantine."""
    return [_item(Lane(batch.lane), index, envelope) for index, envelope in enumerate(batch.records)]


def arrivals_of(batch: Batch) -> list[Arrival]:
    """The packages that are whole in this batch."""
    return [Arrival(a.device, a.identity) for a in batch.arrivals]


def _item(lane: Lane, index: int, envelope: Envelope) -> Item:
    where = f"record {index}"
    try:
        record = decode_record(envelope.record)
        origin = _origin(envelope.origin) if envelope.HasField("origin") else None
    except DecodeError as error:
        raw = envelope.SerializeToString(deterministic=True)
        return DecodeError(f"{where}, {error.where}", error.expected, error.found, raw)
    in_place = isinstance(record, Gap) and lane is Lane.WAVEFORM  # decision 0036: a hole travels among its samples
    if lane_of(record) is not lane and not in_place:
        found = f"{type(record).__name__} on lane {lane.name.lower()}"
        return DecodeError(where, f"lane {lane_of(record).name.lower()}", found)
    return Received(record, origin)


def _origin(message: Origin) -> tuple[str, bytes]:
    if not 1 <= len(message.gateway) <= MAX_SOURCE:
        raise DecodeError("origin.gateway", f"1 to {MAX_SOURCE} characters", str(len(message.gateway)))
    if len(message.epoch) != EPOCH_BYTES:
        raise DecodeError("origin.epoch", f"{EPOCH_BYTES} bytes", str(len(message.epoch)))
    return message.gateway, message.epoch


def encode_package(device: str, number: int, records: Iterable[Record]) -> bytes:
    """Write a device's package; TooLargeError when it has more records or bytes than one may."""
    package = pb.DevicePackage(
        version=PACKAGE_VERSION, device=device, number=number, records=[encode_record(record) for record in records]
    )
    return _bytes(package, f"package {number} of {device}")


def decode_package(data: bytes, gateway_ns: int = 0) -> Package:
    """Read a device's package; DecodeError when it is none, Faults (stamped `gateway_ns`) for single records.

    The device may speak for its own sources only.
    """
    package = parse(pb.DevicePackage(), data)
    if package.version != PACKAGE_VERSION:
        raise DecodeError("version", str(PACKAGE_VERSION), str(package.version), data)
    if not 1 <= len(package.device) <= MAX_SOURCE:
        raise DecodeError("device", f"1 to {MAX_SOURCE} characters", str(len(package.device)), data)
    if package.number > MAX_N:
        raise DecodeError("number", f"at most {MAX_N}", str(package.number), data)
    if len(package.records) > MAX_RECORDS:
        raise DecodeError("records, how many", f"at most {MAX_RECORDS}", str(len(package.records)), data)
    records: list[Record | Fault] = []
    for index, message in enumerate(package.records):
        try:
            records.append(_of_device(package.device, decode_record(message)))
        except DecodeError as error:
            where, raw = f"record {index}, {error.where}", message.SerializeToString(deterministic=True)
            records.append(Fault(package.device, where, error.expected, error.found, raw, gateway_ns))
    return Package(package.device, package.number, tuple(records))


def _of_device(device: str, record: Record) -> Record:
    if record.source.device != device:
        raise DecodeError("source", f"a source of device {device!r}", repr(record.source.device))
    return record


def _bytes(message: Batch | pb.DevicePackage, what: str) -> bytes:
    if len(message.records) > MAX_RECORDS:
        msg = f"{what} has {len(message.records)} records: expected at most {MAX_RECORDS}; send it in several"
        raise TooLargeError(msg)
    data = message.SerializeToString(deterministic=True)
    if len(data) > MAX_MESSAGE_BYTES:
        msg = f"{what} has {len(data)} bytes: expected at most {MAX_MESSAGE_BYTES}; send it in several"
        raise TooLargeError(msg)
    return data
