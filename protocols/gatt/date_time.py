"""Date Time (Bluetooth SIG, 0x2A08): a clock's local time to the second, without saying where on earth."""

from datetime import UTC, datetime, timedelta, tzinfo

from protocols.errors import DecodeError
from protocols.gatt.reader import Fields
from protocols.record import NS_PER_S

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def date_time(fields: Fields, data: bytes, zone: tzinfo) -> int | None:
    """The 7 bytes as Unix time, nanoseconds, by a clock that goes by `zone`; None where the device does not know the date."""
    year = fields.unsigned(2, "year")
    month, day, hour, minute, second = (fields.unsigned(1, f) for f in ("month", "day", "hours", "minutes", "seconds"))
    if not (year and month and day):
        return None
    try:
        local = datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError as error:
        raise DecodeError("date and time", "one that the calendar has", f"{error}", data) from error
    if not 1970 < year < 2200:
        raise DecodeError("date and time, year", "1971 to 2199", f"{year}", data)
    return (local - _EPOCH) // timedelta(seconds=1) * NS_PER_S
