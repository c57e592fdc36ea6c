"""Battery service 1.1 (Bluetooth SIG), characteristic Battery Level 0x2A19: percent, and an event when it runs low."""

from protocols.errors import DecodeError
from protocols.gatt import uuid16
from protocols.nomenclature import BATTERY_CHARGE, EVT_BATTERY_LOW
from protocols.record import DeviceEvent, Observation, Record, SourcePath, Times

LEVEL = uuid16(0x2A19)
LOW_PERCENT = 15  # a coin cell at this level lasts a shift or two
REFILLED_PERCENT = 20  # told again only after it was above this: a level that trembles is told once


class Battery:
    """The level of one device."""

    def __init__(self, source: SourcePath) -> None:
        """`source` is the device."""
        self._source, self._told = source, False

    def records(self, data: bytes, at: int) -> list[Record]:
        """The level that arrived at gateway time `at` (ns); DecodeError for anything but one byte of 0 to 100."""
        if len(data) != 1 or data[0] > 100:
            raise DecodeError("battery level", "one byte of 0 to 100", data.hex(" ") or "nothing", data)
        percent = data[0]
        out: list[Record] = [Observation(self._source, BATTERY_CHARGE, float(percent), "%", Times(at))]
        if percent <= LOW_PERCENT and not self._told:
            out.append(DeviceEvent(self._source, EVT_BATTERY_LOW, Times(at), (("percent", percent),)))
        self._told = percent <= LOW_PERCENT or (self._told and percent <= REFILLED_PERCENT)
        return out
