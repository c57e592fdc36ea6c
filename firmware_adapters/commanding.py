"""What an adapter keeps to whose devices can be told to do something. Beside version 1 of the adapter API: an adapter without it has no commands.

A command is an `Exchange`: fed with what the device says while it runs, it answers with what is to be sent next. It opens nothing, knows
no clock and keeps nothing; `edge.exchange` plays it on the device's link. Because the agent may be killed in the middle, an exchange
can also be played with `only_read`: it then does nothing and asks the device what holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from firmware_adapters.adapter import DeviceConfig, LinkError
from protocols.device_command import Command, Outcome, Reason, Result, Value


class NotTakenError(LinkError):
    """The link is there, and the device would not take what was sent."""


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes for the device; `channel`: where, for a link that has several (`ChannelLink`)."""

    data: bytes
    channel: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """Ask for the value of a channel (`ChannelLink`); it is fed to the exchange, and to nobody else."""

    channel: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Give the device time."""

    seconds: float


Step: TypeAlias = Send | Read | Pause


class Exchange(Protocol):
    """One command on its way."""

    @property
    def patience_s(self) -> float:
        """How long the device may take for all of it."""
        ...

    @property
    def result(self) -> Result | None:
        """What became of it, once that is known."""
        ...

    def begin(self, *, only_read: bool) -> Sequence[Step]:
        """The first steps. `only_read`: it was begun before, and nobody knows how far it came."""
        ...

    def feed(self, data: bytes, channel: str) -> Sequence[Step]:
        """Take what the device said, cut anywhere as a decoder does; the next steps."""
        ...

    def end(self) -> Sequence[Step]:
        """The last steps, whatever became of it: to leave the device as the decoder needs it."""
        ...


@runtime_checkable
class Commanded(Protocol):
    """An adapter whose devices have commands."""

    def commands(self, config: DeviceConfig) -> Sequence[Command]:
        """What this device can be told to do."""
        ...

    def command(self, config: DeviceConfig, code: str, values: Mapping[str, Value]) -> Exchange:
        """A command with values that fit it; RefusedError when this device must not do that now."""
        ...


@runtime_checkable
class ChannelLink(Protocol):
    """A link whose channels can be written and read one by one, as GATT characteristics are."""

    async def write(self, channel: str, data: bytes) -> None:
        """Write and wait until the device has it; NotTakenError when it will not, LinkError when the link is gone."""
        ...

    async def read(self, channel: str) -> bytes:
        """Its value now; NotTakenError, LinkError."""
        ...


def compared(wanted: Mapping[str, Value], seen: Mapping[str, Value]) -> Result:
    """What reading back says: confirmed when the device says what was wanted."""
    differs = [
        f"{name}: wanted {value}, the device says {seen.get(name)}"
        for name, value in wanted.items()
        if seen.get(name) != value
    ]
    if differs:
        return Result(Outcome.UNCONFIRMED, Reason.DIFFERS, "; ".join(differs), seen)
    return Result(Outcome.CONFIRMED, seen=seen)
