"""Health Thermometer service 1.0 (Bluetooth SIG): Temperature Measurement 0x2A1C, and the site of all of them, Temperature Type 0x2A1D.

The value is a FLOAT of IEEE 11073 in Celsius or Fahrenheit; it leaves in the nomenclature's unit, with the site where it was taken.
A type that is reserved for future use (0, and 10 on) is told as a fault, and the value is kept without a site: what is reserved is
ignored by who receives it. Intermediate Temperature 0x2A1E is what a thermometer shows while it is still rising: no measurement, and
not read.
"""

from datetime import UTC, tzinfo

from protocols.errors import DecodeError, Fault
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
_EXPECTED = f"1 to {len(_SITES) - 1}"


class Thermometer:
    """One thermometer's readings."""

    def __init__(self, source: SourcePath, zone: tzinfo = UTC) -> None:
        """`source` of the readings; `zone`: what its clock goes by."""
        self._source, self._zone = source, zone
        self._site = ""
        self._told: int | None = None

    def take_type(self, data: bytes) -> None:
        """The site of readings that do not name theirs; DecodeError for what is none, and their site is unknown then."""
        fields = Fields("temperature type", data)
        kind = fields.unsigned(1, "type")
        fields.end()
        self._site = _site(kind)
        if not self._site:
            raise DecodeError("temperature type", _EXPECTED, f"{kind}", data)

    def records(self, data: bytes, at: int) -> list[Observation | Fault]:
        """The reading of an indication that arrived at gateway time `at` (ns); DecodeError for what is none.

        A fault behind it tells of a reserved type, once for as long as it stays the same.
        """
        fields = Fields("temperature measurement", data)
        flags = fields.unsigned(1, "flags")
        value = float32(fields.unsigned(FLOAT_BYTES, "temperature"))
        device_ns = date_time(fields, data, self._zone) if flags & _HAS_TIME else None
        kind = fields.unsigned(1, "temperature type") if flags & _HAS_TYPE else None
        fields.end()
        if isinstance(value, Special):
            raise DecodeError("temperature measurement, temperature", "a finite number", value.value, data)
        given = "[degF]" if flags & _FAHRENHEIT else "Cel"
        number, unit = canonical("temperature measurement", TEMPERATURE, value, given)
        site = self._site if kind is None else _site(kind)
        reading = Observation(self._source, TEMPERATURE, number, unit, Times(at, device_ns), site=site)
        return [reading, *self._reserved(kind, data, at)]

    def _reserved(self, kind: int | None, data: bytes, at: int) -> list[Fault]:
        unknown = None if kind is None or _site(kind) else kind
        before, self._told = self._told, unknown
        if unknown is None or unknown == before:
            return []
        where = "temperature measurement, temperature type"
        return [Fault(str(self._source), where, _EXPECTED, f"{unknown}", data, at)]


def _site(kind: int) -> str:
    """Nothing for a type that is reserved for future use."""
    return _SITES[kind] if kind < len(_SITES) else ""
