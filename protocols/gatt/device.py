"""A device with GATT services: hands each characteristic's value to who reads it, and turns what cannot be read into faults.

Battery and Device Information are read here for every device; what a device measures is for the readers that it is given.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from protocols.errors import DecodeError, Fault
from protocols.gatt import battery, device_information
from protocols.record import Record, SourcePath

# A value and when it arrived (gateway time, ns) to what it says; DecodeError for what it cannot be.
Reader: TypeAlias = Callable[[bytes, int], Iterable[Record | Fault]]
ABOUT = (*device_information.CHARACTERISTICS, battery.LEVEL)  # read once a link


class GattDevice:
    """Sans-I/O decoder of one device; each call of `feed` takes one value of one characteristic."""

    def __init__(self, device: str, what: str, readers: Mapping[str, Reader]) -> None:
        """`what` names the kind of device in faults; `readers`: by the UUID of their characteristic."""
        self._device, self._what = SourcePath(device), what
        self._information = device_information.DeviceInformation(self._device)
        self._readers: dict[str, Reader] = {battery.LEVEL: battery.Battery(self._device).records, **readers}

    def feed(self, data: bytes, at: int, channel: str = "") -> list[Record | Fault]:
        """Take a value of the characteristic `channel` that arrived at gateway time `at` (ns)."""
        out: list[Record | Fault] = []
        try:
            if channel in device_information.CHARACTERISTICS:
                self._information.take(channel, data)
            else:
                # the strings are read before anything else arrives: all of them are known now
                out += self._information.told(at)
                out += self._reader(channel, data)(data, at)
        except DecodeError as error:
            out.append(Fault(str(self._device), error.where, error.expected, error.found, data, at))
        return out

    def _reader(self, channel: str, data: bytes) -> Reader:
        reader = self._readers.get(channel)
        if reader is None:
            raise DecodeError("characteristic", f"one that {self._what} has", channel or "none", data)
        return reader

    def flush(self, at: int) -> list[Record | Fault]:
        """The link closed or fell silent. Values come whole, so nothing is pending but what the device said of itself."""
        return [*self._information.told(at)]
