"""One packet of Nonin serial data format 7: 25 frames of 5 bytes (status, pleth of 16 bit, a byte of numbers, sum), three a second.

Follows the maker's table of the format. Nothing here knows the stream that a packet was cut from.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from protocols.record import Params, Quality

FS_HZ = 75.0
FRAME_BYTES = 5
FRAMES = 25  # of a packet
PACKET_BYTES = FRAMES * FRAME_BYTES
TIMER_MODULUS = 1 << 14
MISSING_RATE = 511
MISSING_SATURATION = 127
SYNC = 0x01

# Slots of the numbers, counted from 0; the maker's table counts frames from 1.
RATE_SLOT, SATURATION_SLOT, TIMER_SLOT = 0, 2, 5
_REVISION_SLOT, _STAT2_SLOT = 3, 7
_DISCONNECTED, _ARTIFACT, _OUT_OF_TRACK, _SENSOR_ALARM = 0x40, 0x20, 0x10, 0x08
_PERFUSION = {0b01: "high", 0b11: "marginal", 0b10: "low"}
_SMARTPOINT, _LOW_BATTERY = 0x20, 0x01


def is_frame(data: bytes | bytearray) -> bool:
    """Whether five bytes are a frame: status with its upper bit, and the sum of the first four."""
    return len(data) == FRAME_BYTES and data[0] >= 0x80 and sum(data[:4]) & 0xFF == data[4]


@dataclass(frozen=True, slots=True)
class Status:
    """What the oximeter says about its sensor."""

    disconnected: bool = False
    sensor_alarm: bool = False
    out_of_track: bool = False
    perfusion: str = "none"  # of the last pulse: high, marginal, low
    smartpoint: bool = False

    def params(self) -> Params:
        """As a device event carries them."""
        return (
            ("sensor_disconnected", self.disconnected),
            ("sensor_alarm", self.sensor_alarm),
            ("out_of_track", self.out_of_track),
            ("perfusion", self.perfusion),
            ("smartpoint", self.smartpoint),
        )


@dataclass(frozen=True, slots=True)
class Packet:
    """Frames in their 25 slots, None where one is lost, and when the first byte of each slot arrived (ns)."""

    frames: tuple[bytes | None, ...]
    arrivals: tuple[int, ...]

    @property
    def timer(self) -> int | None:
        """Packets since the oximeter was switched on, modulo 16384."""
        return self._pair(TIMER_SLOT, 0x7F)

    @property
    def rate(self) -> int | None:
        """Pulse rate, 1/min, four-beat average; None: missing."""
        rate = self._pair(RATE_SLOT, 0x03)
        return None if rate == MISSING_RATE else rate

    @property
    def saturation(self) -> int | None:
        """SpO2, percent, four-beat average; None: missing."""
        value = self._number(SATURATION_SLOT)
        return None if value is None or value & 0x7F == MISSING_SATURATION else value & 0x7F

    @property
    def revision(self) -> int | None:
        """Of the firmware."""
        return self._number(_REVISION_SLOT)

    @property
    def battery_low(self) -> bool | None:
        """None: this packet does not say."""
        stat2 = self._number(_STAT2_SLOT)
        return None if stat2 is None else bool(stat2 & _LOW_BATTERY)

    def status(self, before: Status | None) -> Status:
        """The sensor's state; what this packet does not say is as it was."""
        known, flags = before or Status(), 0
        perfusion, stat2 = known.perfusion, self._number(_STAT2_SLOT)
        for frame in self.frames:
            if frame is not None:
                flags |= frame[0]
                # Set for 12 frames at each pulse; between pulses the last one's colour holds.
                perfusion = _PERFUSION.get(frame[0] >> 1 & 0b11, perfusion)
        return Status(
            bool(flags & _DISCONNECTED),
            bool(flags & _SENSOR_ALARM),
            bool(flags & _OUT_OF_TRACK),
            perfusion,
            known.smartpoint if stat2 is None else bool(stat2 & _SMARTPOINT),
        )

    def _number(self, slot: int) -> int | None:
        frame = self.frames[slot]
        return None if frame is None else frame[3]

    def _pair(self, slot: int, high_mask: int) -> int | None:
        """A number of two slots, seven bits in the second."""
        high, low = self._number(slot), self._number(slot + 1)
        return None if high is None or low is None else (high & high_mask) << 7 | low & 0x7F


def quality_of(statuses: Iterable[int]) -> Quality:
    """The worst that any of the frames says: no finger or sensor; artifact or out of track; good."""
    flags = 0
    for status in statuses:
        flags |= status
    if flags & (_DISCONNECTED | _SENSOR_ALARM):
        return Quality.LEAD_OFF
    return Quality.QUESTIONABLE if flags & (_OUT_OF_TRACK | _ARTIFACT) else Quality.GOOD
