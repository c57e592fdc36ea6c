"""Health Thermometer service 1.0 (Bluetooth SIG): Temperature Measurement 0x2A1C and Intermediate Temperature 0x2A1E.

The value is a FLOAT of IEEE 11073 in Celsius or Fahrenheit; it leaves in the nomenclature's unit, with the site where it was taken.
"""

from datetime import UTC, datetime, timedelta

from protocols.errors import DecodeError
from protocols.gatt import uuid16
from protocols.gatt.ieee_float import FLOAT_BYTES, Special, float32
from protocols.gatt.reader import Fields
from protocols.record import NS_PER_S, Observation, SourcePath, Times
from protocols.units import canonical

MEASUREMENT, INTERMEDIATE = uuid16(0x2A1C), uuid16(0x2A1E)
TEMPERATURE = "MDC_TEMP_BODY"

_FAHRENHEIT, _HAS_TIME, _HAS_TYPE = 0x01, 0x02, 0x04
# Temperature Type 0x2A1D
_SITES = ("", "armpit", "body", "ear", "finger", "gastro-intestinal tract", "mouth", "rectum", "toe", "tympanum")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def records(source: SourcePath, data: bytes, at: int, *, utc_offset_s: int = 0) -> list[Observation]:
    """The reading of an indication that arrived at gateway time `at` (ns); DecodeError for what is none.

    A thermometer keeps local time without saying where: `utc_offset_s` is how far that is ahead of UTC.
    """
    fields = Fields("temperature measurement", data)
    flags = fields.unsigned(1, "flags")
    value = float32(fields.unsigned(FLOAT_BYTES, "temperature"))
    device_ns = date_time(fields, data, utc_offset_s) if flags & _HAS_TIME else None
    kind = fields.unsigned(1, "temperature type") if flags & _HAS_TYPE else 0
    fields.end()
    if isinstance(value, Special):
        raise DecodeError("temperature measurement, temperature", "a number", value.value, data)
    if kind >= len(_SITES):
        raise DecodeError("temperature measurement, temperature type", f"1 to {len(_SITES) - 1}", f"{kind}", data)
    given = "[degF]" if flags & _FAHRENHEIT else "Cel"
    number, unit = canonical("temperature measurement", TEMPERATURE, value, given)
    return [Observation(source, TEMPERATURE, number, unit, Times(at, device_ns), site=_SITES[kind])]


def date_time(fields: Fields, data: bytes, utc_offset_s: int) -> int | None:
    """The 7 bytes of a Date Time (0x2A08) as Unix time, nanoseconds; None where the device does not know the date."""
    year = fields.unsigned(2, "year")
    month, day, hour, minute, second = (fields.unsigned(1, f) for f in ("month", "day", "hours", "minutes", "seconds"))
    if not (year and month and day):
        return None
    try:
        local = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise DecodeError("date and time", "one that the calendar has", f"{error}", data) from error
    if not 1970 < year < 2200:
        raise DecodeError("date and time, year", "1971 to 2199", f"{year}", data)
    return ((local - _EPOCH) // timedelta(seconds=1) - utc_offset_s) * NS_PER_S
