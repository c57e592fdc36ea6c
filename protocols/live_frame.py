"""The binary frames of live strips, from hub or gateway to a page (docs/reference/http-api.md): little-endian, a header of 48 bytes. Pure.

A frame is made once for all clients, without its number; each connection puts its own number in.
"""

import struct
from dataclasses import dataclass
from typing import Final

VERSION: Final = 1
SAMPLES: Final = 1
GAP: Final = 2
# version, kind, lead | number | bed, fs_hz, scale, n, t0_ms, first_sample, end_ms of a gap or clock of samples
_HEAD: Final = struct.Struct("<BBH")
_NUMBER: Final = struct.Struct("<I")
_REST: Final = struct.Struct("<IffIddd")
_CLOCKS: Final = 1 << 53  # a double tells so many numbers apart
HEADER_BYTES: Final = _HEAD.size + _NUMBER.size + _REST.size


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame without its number. `t0_ms`, `end_ms`: the stretch of time that it covers."""

    bed: int
    lead: int
    t0_ms: float
    end_ms: float
    head: bytes
    rest: bytes

    @property
    def place(self) -> tuple[int, int, float]:
        """Which stretch of which strip it is: by this a frame is known again."""
        return self.bed, self.lead, self.t0_ms

    def numbered(self, number: int) -> bytes:
        """The bytes to send."""
        return self.head + _NUMBER.pack(number & 0xFFFFFFFF) + self.rest


def samples_frame(
    bed: int, lead: int, fs_hz: float, step: float, t0_ms: float, first_sample: int, samples: bytes, clock: int = 0
) -> Frame:
    """Make a frame of int16 samples, `step` microvolt (or unit of the lead) each.

    `clock`: another number each time that the gateway's clock was set back; 0 while it was not, and for what was stored before.
    """
    n = len(samples) // 2
    rest = _REST.pack(bed, fs_hz, step, n, t0_ms, float(first_sample), float(clock % _CLOCKS)) + samples
    return Frame(bed, lead, t0_ms, t0_ms + n * 1000 / fs_hz, _HEAD.pack(VERSION, SAMPLES, lead), rest)


def gap_frame(bed: int, lead: int, from_ms: float, to_ms: float, reason: str) -> Frame:
    """Make a frame that says that nothing is there from `from_ms` to `to_ms`, and why."""
    raw = reason.encode()
    rest = _REST.pack(bed, 0.0, 0.0, len(raw), from_ms, 0.0, to_ms) + raw
    return Frame(bed, lead, from_ms, to_ms, _HEAD.pack(VERSION, GAP, lead), rest)


@dataclass(frozen=True, slots=True)
class Head:
    """What a frame says of itself; `end_ms` of samples is the time behind the last one."""

    kind: int
    bed: int
    lead: int
    number: int
    n: int
    t0_ms: float
    end_ms: float


def read_head(frame: bytes) -> Head:
    """Read a frame's header; ValueError for fewer bytes or another version."""
    if len(frame) < HEADER_BYTES or frame[0] != VERSION:
        msg = f"frame of {len(frame)} bytes that begins with {frame[:1].hex()}: expected version {VERSION} and {HEADER_BYTES} bytes"
        raise ValueError(msg)
    _, kind, lead = _HEAD.unpack_from(frame)
    (number,) = _NUMBER.unpack_from(frame, _HEAD.size)
    bed, fs_hz, _, n, t0_ms, _, end_ms = _REST.unpack_from(frame, _HEAD.size + _NUMBER.size)
    return Head(kind, bed, lead, number, n, t0_ms, t0_ms + n * 1000 / fs_hz if kind == SAMPLES else end_ms)
