"""Health Thermometer service 1.0 (Bluetooth SIG): Temperature Measurement 0x2A1C, and the site of all of them, Temperature Type 0x2A1D.

The value is a FLOAT of IEEE 11073 in Celsius or Fahrenheit; it leaves in the nomenclature's unit, with the site where it was taken.
Intermediate Temperature 0x2A1E is what a thermometer shows while it is still rising: no measurement, and not read.
"""

from datetime import UTC, tzinfo

from protocols.errors import DecodeError
from protocols.gatt import uuid16
from protocols.gatt.date_time import date_time
from protocols.gatt.ieee_float import FLOAT_BYTES, Special, float32
from protocols.gatt.reader import Fields
from protocols.record import Observation, SourcePath, Times
from protocols.units import canonical

MEASUREMENT, TYPE = uuid16(0x2A1C), uuid16(0x2A1D)
TEMPERATURE = "MDC_TEMP_BODY"

_FAHRENHEIT, _HAS_TIME, _HAS_TYPE = 0x01, 0x02, 0x04
# Temperature Type 0x2A1D
_SITES = ("", "axilla", "body", "ear", "finger", "gastro-intestinal tract", "mouth", "rectum", "toe", "tympanum")


class Thermometer:
    """One thermometer's readings."""

    def __init__(self, source: SourcePath, zone: tzinfo = UTC) -> None:
        """`source` of the readings; `zone`: what its clock goes by."""
        self._source, self._zone = source, zone
        self._site = ""

    def take_type(self, data: bytes) -> None:
        """The site of readings that do not name theirs; DecodeError for what is none."""
        fields = Fields("temperature type", data)
        self._site = _site(fields.unsigned(1, "type"), data)
        fields.end()

    def records(self, data: bytes, at: int) -> list[Observation]:
        """The reading of an indication that arrived at gateway time `at` (ns); DecodeError for what is none."""
        fields = Fields("temperature measurement", data)
        flags = fields.unsigned(1, "flags")
        value = float32(fields.unsigned(FLOAT_BYTES, "temperature"))
        device_ns = date_time(fields, data, self._zone) if flags & _HAS_TIME else None
        site = _site(fields.unsigned(1, "temperature type"), data) if flags & _HAS_TYPE else self._site
        fields.end()
        if isinstance(value, Special):
            raise DecodeError("temperature measurement, temperature", "a finite number", value.value, data)
        given = "[degF]" if flags & _FAHRENHEIT else "Cel"
        number, unit = canonical("temperature measurement", TEMPERATURE, value, given)
        return [Observation(self._source, TEMPERATURE, number, unit, Times(at, device_ns), site=site)]


def _site(kind: int, data: bytes) -> str:
    if not 0 < kind < len(_SITES):
        raise DecodeError("temperature measurement, temperature type", f"1 to {len(_SITES) - 1}", f"{kind}", data)
    return _SITES[kind]
