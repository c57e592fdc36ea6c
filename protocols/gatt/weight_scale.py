"""Weight Scale service 1.0 (Bluetooth SIG), Weight Measurement 0x2A9D: body weight in steps of 5 g or of 0.01 lb."""

from datetime import UTC, tzinfo

from protocols.errors import DecodeError
from protocols.gatt import uuid16
from protocols.gatt.date_time import date_time
from protocols.gatt.reader import Fields
from protocols.record import Observation, SourcePath, Times
from protocols.units import canonical

MEASUREMENT = uuid16(0x2A9D)
WEIGHT = "MDC_MASS_BODY_ACTUAL"

_IMPERIAL, _HAS_TIME, _HAS_USER, _HAS_INDEX = 0x01, 0x02, 0x04, 0x08
_UNSUCCESSFUL = 0xFFFF
_PER_KG, _PER_LB = 200, 100  # steps


class WeightScale:
    """One scale's readings."""

    def __init__(self, source: SourcePath, zone: tzinfo = UTC) -> None:
        """`source` of the readings; `zone`: what its clock goes by."""
        self._source, self._zone = source, zone

    def records(self, data: bytes, at: int) -> list[Observation]:
        """The reading of an indication that arrived at gateway time `at` (ns); DecodeError for what is none."""
        fields = Fields("weight measurement", data)
        flags = fields.unsigned(1, "flags")
        steps = fields.unsigned(2, "weight")
        device_ns = date_time(fields, data, self._zone) if flags & _HAS_TIME else None
        if flags & _HAS_USER:
            fields.take(1, "user")
        if flags & _HAS_INDEX:
            fields.take(4, "body mass index and height")
        fields.end()
        if steps == _UNSUCCESSFUL:
            raise DecodeError("weight measurement, weight", "a measurement", "0xFFFF, which is unsuccessful", data)
        value, unit = (steps / _PER_LB, "[lb_av]") if flags & _IMPERIAL else (steps / _PER_KG, "kg")
        number, own = canonical("weight measurement", WEIGHT, value, unit)
        return [Observation(self._source, WEIGHT, number, own, Times(at, device_ns))]
