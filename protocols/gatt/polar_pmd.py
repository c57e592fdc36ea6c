"""Polar Measurement Data, the maker's own GATT service: commands, answers and data frames of chest straps and arm bands.

Follows the maker's document "Polar measurement data" (2024) and its SDK. Formats only: numbering, gaps and records are in
`protocols.gatt.polar_stream`.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from protocols.errors import DecodeError
from protocols.gatt.reader import Fields

CONTROL_POINT = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
DATA = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"

# The device counts nanoseconds from 2000-01-01T00:00:00Z.
EPOCH_NS = 946_684_800_000_000_000

_ANSWER, _STOPPED = 0xF0, 0x01
_TYPE_MASK, _COMPRESSED, _FRAME_TYPE_MASK = 0x3F, 0x80, 0x7F
_HEADER_BYTES = 10
_MAX_TIME_NS = 2**63 - 1 - EPOCH_NS  # beyond, it is no time that a record can hold


class Measurement(IntEnum):
    """Measurement types."""

    ECG = 0
    ACCELERATION = 2


class Setting(IntEnum):
    """Ids in requests and answers, each with its size in bytes below."""

    SAMPLE_RATE = 0
    RESOLUTION = 1
    RANGE = 2
    RANGE_MILLI = 3
    CHANNELS = 4
    FACTOR = 5
    SECURITY = 6


_SETTING_BYTES = {0: 2, 1: 2, 2: 2, 3: 4, 4: 1, 5: 4, 6: 16}
_STATUS = (
    "success", "invalid command", "invalid measurement type", "not supported", "invalid length", "invalid parameter",
    "already in this state", "invalid resolution", "invalid sample rate", "invalid range", "invalid MTU",
    "invalid number of channels", "invalid state", "device in charger", "disk full",
)  # fmt: skip
STATUS_OK, STATUS_ALREADY = 0, 6


def start(measurement: Measurement, **settings: int) -> bytes:
    """The command that starts a measurement; settings by the names in `Setting`, for example sample_rate=130."""
    body = b"".join(
        bytes([Setting[name.upper()], 1]) + value.to_bytes(_SETTING_BYTES[Setting[name.upper()]], "little")
        for name, value in settings.items()
    )
    return bytes([2, measurement]) + body


def stop(measurement: Measurement) -> bytes:
    """The command that stops a measurement."""
    return bytes([3, measurement])


@dataclass(frozen=True, slots=True)
class Answer:
    """What the control point answers to a command. `settings`: id to the values offered or chosen, as raw bytes."""

    command: int
    measurement: int
    status: int
    settings: tuple[tuple[int, tuple[bytes, ...]], ...] = ()

    @property
    def accepted(self) -> bool:
        """The measurement runs, or already ran."""
        return self.status in (STATUS_OK, STATUS_ALREADY)

    @property
    def text(self) -> str:
        """The status in words."""
        return _STATUS[self.status] if self.status < len(_STATUS) else f"status {self.status}"


@dataclass(frozen=True, slots=True)
class Stopped:
    """The device itself ended these measurements."""

    measurements: tuple[int, ...]


def parse_control(data: bytes) -> Answer | Stopped:
    """Read what the control point indicated; DecodeError for anything else."""
    fields = Fields("PMD control point", data)
    kind = fields.unsigned(1, "kind")
    if kind == _STOPPED:
        return Stopped(tuple(fields.take(fields.left, "measurements")))
    if kind != _ANSWER:
        raise DecodeError("PMD control point, kind", "0xF0 (answer) or 0x01 (stopped)", f"0x{kind:02X}", data)
    command, measurement = fields.unsigned(1, "command"), fields.unsigned(1, "measurement type")
    status = fields.unsigned(1, "status")
    if status == STATUS_OK and fields.left:
        fields.take(1, "more")
    settings = _settings(fields, data) if status == STATUS_OK else ()
    return Answer(command, measurement, status, settings)


def _settings(fields: Fields, data: bytes) -> tuple[tuple[int, tuple[bytes, ...]], ...]:
    out: list[tuple[int, tuple[bytes, ...]]] = []
    while fields.left:
        setting = fields.unsigned(1, "setting")
        size = _SETTING_BYTES.get(setting)
        if size is None:
            raise DecodeError("PMD control point, setting", f"one of {sorted(_SETTING_BYTES)}", f"{setting}", data)
        count = fields.unsigned(1, f"count of setting {setting}")
        out.append((setting, tuple(fields.take(size, f"value {i + 1} of setting {setting}") for i in range(count))))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Frame:
    """A data notification. `samples`: int32, shape (n, channels), in units of the format; `last_ns`: device clock, Unix time."""

    measurement: int
    last_ns: int
    samples: NDArray[np.int32]
    in_factor_units: bool = False  # to be multiplied by the factor of the start answer


def parse_frame(data: bytes) -> Frame:
    """Read a data notification of ECG or acceleration; DecodeError for other types and for a length that does not fit."""
    fields = Fields("PMD data", data)
    measurement = fields.unsigned(1, "measurement type") & _TYPE_MASK
    time_ns = fields.unsigned(8, "time")
    if time_ns > _MAX_TIME_NS:
        raise DecodeError("PMD data, time at byte 1", f"at most {_MAX_TIME_NS} ns", f"{time_ns}", data)
    kind = fields.unsigned(1, "frame type")
    frame_type = kind & _FRAME_TYPE_MASK
    content = fields.take(fields.left, "samples")
    if not content:
        raise DecodeError(f"PMD data, samples at byte {_HEADER_BYTES}", "at least one sample", "none", data)
    compressed = bool(kind & _COMPRESSED)
    match measurement, compressed, frame_type:
        case Measurement.ECG, False, 0:
            samples = _raw(content, channels=1, width=3, data=data)
        case Measurement.ACCELERATION, False, 0 | 1 | 2:
            samples = _raw(content, channels=3, width=frame_type + 1, data=data)
        case Measurement.ACCELERATION, True, 1:
            samples = unpack_deltas(content, channels=3, bits=16)
        case _:
            known = "ECG type 0, or acceleration type 0, 1, 2 or compressed 1"
            found = f"measurement {measurement}, type {frame_type}{' compressed' if compressed else ''}"
            raise DecodeError("PMD data, frame type at byte 9", known, found, data)
    return Frame(measurement, time_ns + EPOCH_NS, samples, compressed)


def _raw(content: bytes, *, channels: int, width: int, data: bytes) -> NDArray[np.int32]:
    """Signed little-endian numbers of `width` bytes, channel by channel."""
    if len(content) % (channels * width):
        raise DecodeError(
            f"PMD data, samples at byte {_HEADER_BYTES}",
            f"a multiple of {channels * width} bytes",
            f"{len(content)}",
            data,
        )
    digits = np.frombuffer(content, np.uint8).reshape(-1, width).astype(np.int32)
    values = sum((digits[:, i] << (8 * i) for i in range(width)), np.zeros(len(digits), np.int32))
    signed = np.where(digits[:, -1] >= 0x80, values - (1 << (8 * width)), values)
    return signed.astype(np.int32).reshape(-1, channels)


def unpack_deltas(content: bytes, *, channels: int, bits: int) -> NDArray[np.int32]:
    """Unpack a delta frame: one whole sample, then blocks of differences; shape (n, channels). DecodeError where it is cut short.

    A block is a width in bits, a count, and so many samples: two's complement of that width, lowest bit first through the bytes.
    """
    fields = Fields("PMD data, delta frame", content)
    width = -(-bits // 8)
    row = [int.from_bytes(fields.take(width, "first sample"), "little", signed=True) for _ in range(channels)]
    rows = [tuple(row)]
    while fields.left:
        delta_bits, count = fields.unsigned(1, "delta width"), fields.unsigned(1, "delta count")
        if delta_bits > 32:
            raise DecodeError("PMD data, delta width", "at most 32 bits", f"{delta_bits}", content)
        size = -(-delta_bits * count * channels // 8)
        packed = int.from_bytes(fields.take(size, f"{count} differences of {delta_bits} bits"), "little")
        for _ in range(count):
            for channel in range(channels):
                difference = packed & ((1 << delta_bits) - 1)
                packed >>= delta_bits
                if delta_bits and difference >> (delta_bits - 1):
                    difference -= 1 << delta_bits
                row[channel] += difference
            rows.append(tuple(row))
    if any(not -(2**31) <= v < 2**31 for r in rows for v in r):
        raise DecodeError("PMD data, delta frame", "samples that fit in 32 bits", "more", content)
    return np.array(rows, np.int32)
