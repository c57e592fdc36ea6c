"""One encoded batch as it lies in a segment file: a header with lengths, number and epoch, a CRC-32 over both, the payload.

Pure: bytes in, values out. The version and the flags leave room for an encrypted payload.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"WLF1"
VERSION = 1
FLAG_HOLE = 0x01  # the payload says that `n` to `last` are no longer here, and which gaps that makes

_HEADER = struct.Struct("<4sBBHIQq16s")
_CRC = struct.Struct("<I")
_LAST = struct.Struct("<Q")
HEADER_BYTES = _HEADER.size + _CRC.size
EPOCH_BYTES = 16
MAX_PAYLOAD_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Frame:
    """A batch, or a hole in the numbers of its lane (`last` > 0; then the payload is what is sent for `last`)."""

    lane: int
    n: int
    closed_ns: int
    payload: bytes
    last: int = 0

    @property
    def is_hole(self) -> bool:
        """Whether this stands for batches that are lost."""
        return self.last > 0


@dataclass(frozen=True, slots=True)
class Found:
    """A frame at its place in a segment; `size` includes the header."""

    frame: Frame
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes between two good frames, or behind the last, that make none."""

    offset: int
    size: int


class FrameError(ValueError):
    """Bytes that are no good frame: says what is wrong with them."""


def encode(frame: Frame, epoch: bytes) -> bytes:
    """The frame's bytes; ValueError when the payload is too long."""
    payload = _LAST.pack(frame.last) + frame.payload if frame.is_hole else frame.payload
    if len(payload) > MAX_PAYLOAD_BYTES:
        msg = f"lane {frame.lane} batch {frame.n}: {len(payload)} bytes; a batch holds at most {MAX_PAYLOAD_BYTES}"
        raise ValueError(msg)
    flags = FLAG_HOLE if frame.is_hole else 0
    header = _HEADER.pack(MAGIC, VERSION, flags, frame.lane, len(payload), frame.n, frame.closed_ns, epoch)
    return b"".join((header, _CRC.pack(zlib.crc32(payload, zlib.crc32(header))), payload))


def decode(data: bytes | memoryview, offset: int, epoch: bytes) -> Found:
    """The frame that begins at `offset`; FrameError when there is none of this epoch."""
    if len(data) - offset < HEADER_BYTES:
        msg = f"byte {offset}: {len(data) - offset} bytes are too few for a frame's header"
        raise FrameError(msg)
    magic, version, flags, lane, length, n, closed_ns, found_epoch = _HEADER.unpack_from(data, offset)
    if magic != MAGIC or version != VERSION or flags & ~FLAG_HOLE or length > MAX_PAYLOAD_BYTES:
        msg = f"byte {offset}: expected a frame of version {VERSION}, found {bytes(data[offset : offset + 6]).hex()}"
        raise FrameError(msg)
    begin = offset + HEADER_BYTES
    payload = bytes(data[begin : begin + length])
    crc = zlib.crc32(payload, zlib.crc32(data[offset : offset + _HEADER.size]))
    if len(payload) != length or _CRC.unpack_from(data, offset + _HEADER.size) != (crc,):
        msg = f"byte {offset}: the checksum of lane {lane} batch {n} does not fit its bytes"
        raise FrameError(msg)
    if found_epoch != epoch:
        msg = f"byte {offset}: batch {n} belongs to another spool (epoch {found_epoch.hex()})"
        raise FrameError(msg)
    if not flags & FLAG_HOLE:
        return Found(Frame(lane, n, closed_ns, payload), offset, HEADER_BYTES + length)
    (last,) = _LAST.unpack_from(payload)
    return Found(Frame(lane, n, closed_ns, payload[_LAST.size :], last), offset, HEADER_BYTES + length)


def epoch_of(data: bytes) -> bytes | None:
    """The epoch of the first frame in a segment, or None when there is no good one."""
    position = data.find(MAGIC)
    while position >= 0:
        epoch = data[position + _HEADER.size - EPOCH_BYTES : position + _HEADER.size]
        try:
            decode(data, position, epoch)
        except FrameError:
            position = data.find(MAGIC, position + 1)
        else:
            return epoch
    return None


def scan(data: bytes, epoch: bytes, begin: int = 0) -> Iterator[Found | Damage]:
    """All frames from `begin` on, in order, and the damage among them. Zeros up to the end are unused room."""
    position, damaged = begin, begin
    while position < len(data):
        try:
            found = decode(data, position, epoch)
        except FrameError:
            following = data.find(MAGIC, position + 1)
            if following < 0:
                break
            position = following
            continue
        if position > damaged:
            yield Damage(damaged, position - damaged)
        yield found
        position = damaged = found.offset + found.size
    rest = len(data[damaged:].rstrip(b"\0"))
    if rest:
        yield Damage(damaged, rest)
