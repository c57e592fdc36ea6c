"""Device Information service 1.1 (Bluetooth SIG, 0x180A): who made the device, for the ledger of devices.

The strings are read one by one; they leave together, as one event, and again only when one of them changed.
"""

from types import MappingProxyType
from typing import TYPE_CHECKING

from protocols.errors import DecodeError
from protocols.gatt import uuid16
from protocols.nomenclature import EVT_DEVICE_SEEN
from protocols.record import DeviceEvent, SourcePath, Times

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM_ID = uuid16(0x2A23)
_STRINGS: "Mapping[str, str]" = MappingProxyType(
    {
        uuid16(0x2A29): "make",
        uuid16(0x2A24): "model",
        uuid16(0x2A25): "serial",
        uuid16(0x2A26): "firmware",
        uuid16(0x2A27): "hardware",
        uuid16(0x2A28): "software",
    }
)
CHARACTERISTICS = (*_STRINGS, SYSTEM_ID)
_LONGEST = 512  # what a GATT value may hold


class DeviceInformation:
    """What one device says of itself."""

    def __init__(self, source: SourcePath) -> None:
        """`source` is the device."""
        self._source = source
        self._known: dict[str, str] = {}
        self._told: dict[str, str] = {}

    def take(self, characteristic: str, data: bytes) -> None:
        """Keep a value that was read; DecodeError for one that cannot be text or an identifier."""
        if characteristic == SYSTEM_ID:
            if len(data) != 8:
                raise DecodeError("system id", "8 bytes", f"{len(data)}", data)
            self._known["system_id"] = data[::-1].hex()
            return
        name = _STRINGS[characteristic]
        if len(data) > _LONGEST:
            raise DecodeError(f"device information, {name}", f"at most {_LONGEST} bytes", f"{len(data)}", data)
        try:
            text = data.decode().rstrip("\0").strip()
        except UnicodeDecodeError as error:
            raise DecodeError(f"device information, {name}", "UTF-8", str(error), data) from error
        # control characters do not print in a table, and a zero byte is no text for the store
        self._known[name] = "".join(c for c in text if c.isprintable())

    def told(self, at: int) -> list[DeviceEvent]:
        """One event when something became known since the last one, else nothing."""
        if self._known == self._told:
            return []
        self._told = dict(self._known)
        order = (*_STRINGS.values(), "system_id")
        params = tuple((name, self._known[name]) for name in order if self._known.get(name))
        return [DeviceEvent(self._source, EVT_DEVICE_SEEN, Times(at), params)]
