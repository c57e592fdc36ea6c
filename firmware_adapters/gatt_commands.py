"""Commands of the standard health services: a thermometer's measurement interval, and a heart rate strap's energy counter.

Measurement Interval 0x2A21 (Health Thermometer service 1.0, 3.4): seconds in 16 bits, 0 for no measurement by itself; it is written and
can be read back. Heart Rate Control Point 0x2A39 (Heart Rate service 1.0, 3.3): 1 sets the counter of Energy Expended to zero; it can only be
written. A device that has not got the characteristic refuses.
"""

from collections.abc import Mapping, Sequence

from firmware_adapters.commanding import Exchange, Read, Send, Step, compared
from protocols.device_command import Command, Kind, Outcome, Parameter, Reason, Result, Value
from protocols.gatt import uuid16

INTERVAL, CONTROL_POINT = uuid16(0x2A21), uuid16(0x2A39)
MEASUREMENT_INTERVAL, RESET_ENERGY = "measurement-interval", "reset-energy"
SPOT_COMMANDS = (Command(MEASUREMENT_INTERVAL, (Parameter("seconds", Kind.INTEGER, "s", 0, 65535),)),)
CONTINUOUS_COMMANDS = (Command(RESET_ENERGY, reads_back=False),)
_RESET = b"\x01"
_INTERVAL_BYTES = 2
_PATIENCE_S = 12.0  # two requests of a link that gives each 5 s


def begun(code: str, values: Mapping[str, Value]) -> Exchange:
    """A command that fits."""
    return ResetEnergy() if code == RESET_ENERGY else SetInterval(int(values["seconds"]))


class SetInterval:
    """Writes the interval, and reads it."""

    patience_s = _PATIENCE_S

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self.result: Result | None = None

    def begin(self, *, only_read: bool) -> Sequence[Step]:
        """Write and read, or read."""
        write = () if only_read else (Send(self._seconds.to_bytes(_INTERVAL_BYTES, "little"), INTERVAL),)
        return (*write, Read(INTERVAL))

    def feed(self, data: bytes, channel: str) -> Sequence[Step]:
        """The interval that holds."""
        if channel == INTERVAL and len(data) == _INTERVAL_BYTES:
            self.result = compared({"seconds": self._seconds}, {"seconds": int.from_bytes(data, "little")})
        return ()

    def end(self) -> Sequence[Step]:
        """Nothing."""
        return ()


class ResetEnergy:
    """Writes the control point, which cannot be read."""

    patience_s = _PATIENCE_S

    def __init__(self) -> None:
        self.result: Result | None = None

    def begin(self, *, only_read: bool) -> Sequence[Step]:
        """Write; behind a run that was cut off nobody knows. What the device refuses is told by the link."""
        reason = Reason.INTERRUPTED if only_read else Reason.NOTHING_TO_READ
        self.result = Result(Outcome.UNCONFIRMED, reason)
        return () if only_read else (Send(_RESET, CONTROL_POINT),)

    def feed(self, data: bytes, channel: str) -> Sequence[Step]:
        """Nothing tells of it."""
        del data, channel
        return ()

    def end(self) -> Sequence[Step]:
        """Nothing."""
        return ()
