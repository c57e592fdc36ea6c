"""One encoded batch as it lies in a segment file: a header with lengths, number and epoch, a CRC-32 over both, the payload.

Version 2 seals the payload and authenticates the header with it (keys.py); the CRC is over what lies on disk, so that damage is known
without a key. Version 1 had the payload as it is; it is read where it lies from before there was a key. Pure but for the nonces.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from edge.spool.keys import KEY_ID_BYTES, SEAL_BYTES, SealError, Seals

MAGIC = b"WLF1"
PLAIN, SEALED = 1, 2  # versions
FLAG_HOLE = 0x01  # the payload says that `n` to `last` are no longer here, and which gaps that makes
FLAG_DEFLATED = (
    0x02  # the payload was deflated (RFC 1951) before it was sealed: names and scales come again in each record
)
_FLAGS = {PLAIN: FLAG_HOLE, SEALED: FLAG_HOLE | FLAG_DEFLATED}
READS = frozenset(_FLAGS)  # what a release writes must be among these (edge/formats.json says what this one writes)

_HEADER = struct.Struct("<4sBBHIQq16s")
_CRC = struct.Struct("<I")
_LAST = struct.Struct("<Q")
HEADER_BYTES = _HEADER.size + _CRC.size
EPOCH_BYTES = 16
MAX_PAYLOAD_BYTES = 8 << 20
_LEVEL, _WBITS = 1, -15  # higher levels gain less than 1 %


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


@dataclass(frozen=True, slots=True)
class _Outer:
    """A frame whose checksum is good: its header, and the body that lies behind it."""

    version: int
    flags: int
    lane: int
    n: int
    closed_ns: int
    epoch: bytes
    header: bytes
    body: bytes


def encode(frame: Frame, seals: Seals) -> bytes:
    """The frame's bytes, sealed; ValueError when the payload is too long."""
    payload = _LAST.pack(frame.last) + frame.payload if frame.is_hole else frame.payload
    if len(payload) > MAX_PAYLOAD_BYTES:
        msg = f"lane {frame.lane} batch {frame.n}: {len(payload)} bytes; a batch holds at most {MAX_PAYLOAD_BYTES}"
        raise ValueError(msg)
    flags, payload = _deflated(FLAG_HOLE if frame.is_hole else 0, payload)
    length = len(payload) + SEAL_BYTES
    header = _HEADER.pack(MAGIC, SEALED, flags, frame.lane, length, frame.n, frame.closed_ns, seals.epoch)
    body = seals.seal(payload, header)
    return b"".join((header, _CRC.pack(zlib.crc32(body, zlib.crc32(header))), body))


def sealed_bytes(frame: Frame) -> int:
    """How many bytes `encode` makes of it at most."""
    return HEADER_BYTES + SEAL_BYTES + (_LAST.size if frame.is_hole else 0) + len(frame.payload)


def decode(data: bytes | memoryview, offset: int, seals: Seals) -> Found:
    """The frame that begins at `offset`; FrameError when there is none of this spool and segment."""
    outer = _outer(data, offset)
    if outer.epoch != seals.epoch:
        msg = f"byte {offset}: batch {outer.n} belongs to another spool (epoch {outer.epoch.hex()})"
        raise FrameError(msg)
    if outer.version == PLAIN and not seals.plain:
        msg = f"byte {offset}: lane {outer.lane} batch {outer.n} is not sealed, as all of this segment are"
        raise FrameError(msg)
    try:
        payload = outer.body if outer.version == PLAIN else _inflated(outer.flags, seals.open(outer.body, outer.header))
    except (SealError, zlib.error) as error:
        msg = f"byte {offset}: lane {outer.lane} batch {outer.n}: {error}"
        raise FrameError(msg) from error
    size = HEADER_BYTES + len(outer.body)
    if not outer.flags & FLAG_HOLE:
        return Found(Frame(outer.lane, outer.n, outer.closed_ns, payload), offset, size)
    if len(payload) < _LAST.size:
        msg = f"byte {offset}: lane {outer.lane}, hole from {outer.n}: {len(payload)} bytes do not say how far it goes"
        raise FrameError(msg)
    (last,) = _LAST.unpack_from(payload)
    return Found(Frame(outer.lane, outer.n, outer.closed_ns, payload[_LAST.size :], last), offset, size)


def _deflated(flags: int, payload: bytes) -> tuple[int, bytes]:
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WBITS)
    packed = deflate.compress(payload) + deflate.flush()
    return (flags | FLAG_DEFLATED, packed) if len(packed) < len(payload) else (flags, payload)


def _inflated(flags: int, payload: bytes) -> bytes:
    if not flags & FLAG_DEFLATED:
        return payload
    inflate = zlib.decompressobj(_WBITS)
    plain = inflate.decompress(payload, MAX_PAYLOAD_BYTES)
    if not inflate.eof:
        msg = f"more than {MAX_PAYLOAD_BYTES} bytes, or cut off"
        raise SealError(msg)
    return plain


def _outer(data: bytes | memoryview, offset: int) -> _Outer:
    if len(data) - offset < HEADER_BYTES:
        msg = f"byte {offset}: {len(data) - offset} bytes are too few for a frame's header"
        raise FrameError(msg)
    magic, version, flags, lane, length, n, closed_ns, epoch = _HEADER.unpack_from(data, offset)
    most = MAX_PAYLOAD_BYTES + (SEAL_BYTES if version == SEALED else 0)
    if magic != MAGIC or version not in _FLAGS or flags & ~_FLAGS[version] or length > most:
        msg = f"byte {offset}: expected a frame of version {PLAIN} or {SEALED}, found {bytes(data[offset : offset + 6]).hex()}"
        raise FrameError(msg)
    header = bytes(data[offset : offset + _HEADER.size])
    body = bytes(data[offset + HEADER_BYTES : offset + HEADER_BYTES + length])
    crc = zlib.crc32(body, zlib.crc32(header))
    if len(body) != length or _CRC.unpack_from(data, offset + _HEADER.size) != (crc,):
        msg = f"byte {offset}: the checksum of lane {lane} batch {n} does not fit its bytes"
        raise FrameError(msg)
    return _Outer(version, flags, lane, n, closed_ns, epoch, header, body)


def first_of(data: bytes) -> tuple[bytes, bytes] | None:
    """Epoch and id of the key (empty: not sealed) of the first frame in a segment whose checksum is good; None when there is none.

    Needs no key. All frames of a segment have the same.
    """
    position = data.find(MAGIC)
    while position >= 0:
        try:
            outer = _outer(data, position)
        except FrameError:
            position = data.find(MAGIC, position + 1)
        else:
            return outer.epoch, outer.body[:KEY_ID_BYTES] if outer.version == SEALED else b""
    return None


def scan(data: bytes, seals: Seals, begin: int = 0) -> Iterator[Found | Damage]:
    """All frames from `begin` on, in order, and the damage among them. Zeros up to the end are unused room."""
    position, damaged = begin, begin
    while position < len(data):
        try:
            found = decode(data, position, seals)
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
