"""Where the samples of each source end and which packages came last, in a file that a full disk cannot refuse: it has its room from the beginning.

The index knows it too, but on a full disk it stays behind, and the segments that know the rest may have gone to make room. An agent that
is started again then would give numbers of samples that the hub has to other samples, and take a package that is sent again for a new
one. So this is written before a segment goes.
"""

import json
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from types import MappingProxyType

from edge.spool.index import ArrivalRow, SourceEnd

_SLOT_BYTES = 65_536  # some thousand sources; two slots, of which the older is overwritten
_PACKAGES = 16
_HEADER = Struct("<4sQII")  # magic, number of the writing, length, checksum
_MAGIC = b"WLE1"


@dataclass(frozen=True, slots=True)
class Known:
    """`sources` by their paths; `arrivals` in the order in which they came."""

    sources: Mapping[str, SourceEnd] = field(default_factory=lambda: MappingProxyType(dict[str, SourceEnd]()))
    arrivals: Sequence[ArrivalRow] = ()


class Ends:
    """The file; from one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Nothing is read or made yet."""
        self._path = path
        self._number = 0

    def read(self) -> Known:
        """What was written last, as far as it is whole; nothing when there is no file or it cannot be read."""
        try:
            data = self._path.read_bytes()
        except OSError:
            return Known()
        found = [slot for at in (0, _SLOT_BYTES) if (slot := _slot(data[at : at + _SLOT_BYTES])) is not None]
        if not found:
            return Known()
        self._number, known = max(found, key=lambda slot: slot[0])
        return known

    def write(self, known: Known) -> None:
        """Durable when it returns; OSError. Of what is too much the packages, then the sources that ended longest ago are left out."""
        sources = sorted(known.sources.values(), key=lambda e: -e.end_ns)
        arrivals = _newest(known.arrivals)
        payload = _payload(sources, arrivals)
        while len(payload) > _SLOT_BYTES - _HEADER.size:
            sources = sources if arrivals else sources[: len(sources) * 3 // 4]
            arrivals = arrivals[len(arrivals) // 2 + 1 :]
            payload = _payload(sources, arrivals)
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


def _newest(arrivals: Sequence[ArrivalRow]) -> list[ArrivalRow]:
    """Of each device and lane the last few: a device sends again only what it was not told of."""
    left: Counter[tuple[int, str]] = Counter()
    newest: list[ArrivalRow] = []
    for row in reversed(arrivals):
        if left[row.lane, row.device] < _PACKAGES:
            left[row.lane, row.device] += 1
            newest.append(row)
    return newest[::-1]


def _payload(sources: Iterable[SourceEnd], arrivals: Iterable[ArrivalRow]) -> bytes:
    told = {
        "sources": [[e.source, e.end_sample, e.end_ns] for e in sources],
        "arrivals": [[a.lane, a.device, a.identity.hex(), a.n] for a in arrivals],
    }
    return json.dumps(told, separators=(",", ":")).encode()


def _slot(data: bytes) -> tuple[int, Known] | None:
    if len(data) < _HEADER.size:
        return None
    magic, number, length, checksum = _HEADER.unpack_from(data)
    payload = data[_HEADER.size : _HEADER.size + length]
    if magic != _MAGIC or zlib.crc32(payload, number & 0xFFFFFFFF) != checksum:
        return None
    told = json.loads(payload)
    return number, Known(
        {source: SourceEnd(source, sample, ns) for source, sample, ns in told["sources"]},
        [ArrivalRow(lane, device, bytes.fromhex(identity), n) for lane, device, identity, n in told["arrivals"]],
    )
