"""What decided an alarm, kept for its sheet: the strip packed without loss, and the newest of all strips only.

An alarm stays until somebody has seen it, a strip of twelve leads is 120 kB: a night without anybody must not fill a gateway's memory. The
hub has every strip; here the rest of the evidence stays with its alarm.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from protocols.codec import decode, encode
from protocols.record import Evidence, WaveformGroup

if TYPE_CHECKING:
    from uuid import UUID

MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Packed:
    """A strip without its samples, and these as the codec gave them."""

    bare: WaveformGroup
    n: int
    codec: int
    data: bytes


class Strips:
    """Of the alarms that the gateway's page knows; `MOST_BYTES` packed, the oldest leave first."""

    def __init__(self) -> None:
        """None yet."""
        self._packed: dict[UUID, _Packed] = {}
        self._bytes = 0

    def keep(self, alarm: "UUID", evidence: Evidence) -> Evidence:
        """Keep an alarm's strip; the evidence without it."""
        strip = evidence.strip
        if strip is None:
            return evidence
        self.forget(alarm)
        samples = strip.array()
        codec, data = encode(samples)
        self._packed[alarm] = _Packed(replace(strip, samples=b""), samples.shape[1], codec, data)
        self._bytes += len(data)
        while self._bytes > MOST_BYTES:
            self.forget(next(iter(self._packed)))
        return replace(evidence, strip=None)

    def whole(self, alarm: "UUID", evidence: Evidence) -> Evidence:
        """The evidence with its strip, where that is still here."""
        packed = self._packed.get(alarm)
        if packed is None:
            return evidence
        samples = decode(packed.codec, packed.data, leads=len(packed.bare.leads), n=packed.n, dtype=packed.bare.dtype)
        return replace(evidence, strip=replace(packed.bare, samples=samples.tobytes()))

    def forget(self, alarm: "UUID") -> None:
        """An alarm's strip is not asked for any more."""
        packed = self._packed.pop(alarm, None)
        if packed is not None:
            self._bytes -= len(packed.data)
