"""Where the samples of each source end, in a file that a full disk cannot refuse: it has its room from the beginning.

The index knows it too, but on a full disk it stays behind, and the segments that know the rest may have gone to make room. An agent that
is started again then would give numbers of samples that the hub has to other samples. So this is written before a segment goes.
"""

import json
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from struct import Struct

from edge.spool.index import SourceEnd

_SLOT_BYTES = 65_536  # some thousand sources; two slots, of which the older is overwritten
_HEADER = Struct("<4sQII")  # magic, number of the writing, length, checksum
_MAGIC = b"WLE1"


class Ends:
    """The file; from one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Nothing is read or made yet."""
        self._path = path
        self._number = 0

    def read(self) -> dict[str, SourceEnd]:
        """What was written last, as far as it is whole; nothing when there is no file or it cannot be read."""
        try:
            data = self._path.read_bytes()
        except OSError:
            return {}
        found = [slot for at in (0, _SLOT_BYTES) if (slot := _slot(data[at : at + _SLOT_BYTES])) is not None]
        if not found:
            return {}
        self._number, ends = max(found, key=lambda slot: slot[0])
        return ends

    def write(self, ends: Mapping[str, SourceEnd]) -> None:
        """Durable when it returns; OSError. Of too many sources those that ended longest ago are left out."""
        newest = sorted(ends.values(), key=lambda e: -e.end_ns)
        payload = _payload(newest)
        while len(payload) > _SLOT_BYTES - _HEADER.size:
            newest = newest[: len(newest) * 3 // 4]
            payload = _payload(newest)
        number = self._number + 1
        header = _HEADER.pack(_MAGIC, number, len(payload), zlib.crc32(payload, number & 0xFFFFFFFF))
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(fd).st_size < 2 * _SLOT_BYTES:
                os.pwrite(fd, bytes(2 * _SLOT_BYTES), 0)
            os.pwrite(fd, header + payload, number % 2 * _SLOT_BYTES)
            os.fdatasync(fd)
        finally:
            os.close(fd)
        self._number = number


def furthest(*told: Mapping[str, SourceEnd]) -> dict[str, SourceEnd]:
    """Of each source the end with the highest number: samples of a source only go on."""
    ends: dict[str, SourceEnd] = {}
    for one in (end for ends_of in told for end in ends_of.values()):
        if one.source not in ends or one.end_sample > ends[one.source].end_sample:
            ends[one.source] = one
    return ends


def _payload(ends: Iterable[SourceEnd]) -> bytes:
    return json.dumps([[e.source, e.end_sample, e.end_ns] for e in ends], separators=(",", ":")).encode()


def _slot(data: bytes) -> tuple[int, dict[str, SourceEnd]] | None:
    if len(data) < _HEADER.size:
        return None
    magic, number, length, checksum = _HEADER.unpack_from(data)
    payload = data[_HEADER.size : _HEADER.size + length]
    if magic != _MAGIC or zlib.crc32(payload, number & 0xFFFFFFFF) != checksum:
        return None
    return number, {source: SourceEnd(source, sample, ns) for source, sample, ns in json.loads(payload)}
