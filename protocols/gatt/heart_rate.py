"""Heart Rate service 1.0 (Bluetooth SIG), characteristic Heart Rate Measurement 0x2A37: rate, contact, energy, RR intervals.

RR intervals come in 1/1024 s; they leave as milliseconds, each as its own reading, oldest first.
"""

from dataclasses import dataclass

from protocols.errors import DecodeError
from protocols.gatt import uuid16
from protocols.gatt.reader import Fields
from protocols.nomenclature import HEART_RATE, RR_INTERVAL
from protocols.record import Observation, Quality, SourcePath, Times

MEASUREMENT = uuid16(0x2A37)

_RATE_IS_U16, _IN_CONTACT, _KNOWS_CONTACT, _HAS_ENERGY, _HAS_RR = 0x01, 0x02, 0x04, 0x08, 0x10
_RR_PER_S = 1024


@dataclass(frozen=True, slots=True)
class HeartRate:
    """One notification. `rr_1024`: in 1/1024 s. `contact` is None where the sensor cannot tell."""

    per_min: int
    contact: bool | None = None
    energy_kj: int | None = None
    rr_1024: tuple[int, ...] = ()


def parse(data: bytes) -> HeartRate:
    """Read a value; DecodeError names the field that is missing or that nobody announced."""
    fields = Fields("heart rate measurement", data)
    flags = fields.unsigned(1, "flags")
    per_min = fields.unsigned(2 if flags & _RATE_IS_U16 else 1, "heart rate")
    contact = bool(flags & _IN_CONTACT) if flags & _KNOWS_CONTACT else None
    energy_kj = fields.unsigned(2, "energy expended") if flags & _HAS_ENERGY else None
    rr: list[int] = []
    if flags & _HAS_RR:
        while fields.left:
            rr.append(fields.unsigned(2, f"RR interval {len(rr) + 1}"))
    fields.end()
    return HeartRate(per_min, contact, energy_kj, tuple(rr))


def records(source: SourcePath, data: bytes, at: int) -> list[Observation]:
    """Readings of a notification that arrived at gateway time `at` (ns); DecodeError as for `parse`.

    Without skin contact they are marked as not to be used. A rate of 0 is how straps say that they found no beat yet: it is told as
    questionable and never as a heart that stands still.
    """
    measured = parse(data)
    if measured.per_min > 350:
        raise DecodeError("heart rate measurement, heart rate", "at most 350 /min", str(measured.per_min), data)
    quality = Quality.LEAD_OFF if measured.contact is False else Quality.GOOD
    rate_quality = Quality.QUESTIONABLE if measured.per_min == 0 and quality is Quality.GOOD else quality
    times = Times(at)
    rate = Observation(source, HEART_RATE, float(measured.per_min), "/min", times, quality=rate_quality)
    intervals = [
        Observation(source, RR_INTERVAL, rr * 1000 / _RR_PER_S, "ms", times, quality=quality) for rr in measured.rr_1024
    ]
    return [rate, *intervals]
