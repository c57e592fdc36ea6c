"""What every device adapter keeps to: identity, transport, decoder, link supervision. Version 1 of the adapter API.

An adapter is a thin file: it says which transport carries a device's bytes, which decoder of `protocols` reads them and which
quirks the family has. It opens nothing itself; the agent does, through the transport.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from protocols.errors import Fault
    from protocols.record import Record, SourcePath

API_VERSION = 1

OptionValue: TypeAlias = str | int | float | bool | Mapping[str, str]


class ConfigError(ValueError):
    """A device's entry in the settings cannot be used: says which device, which option and what would be right."""


class LinkError(OSError):
    """The link to a device cannot be opened, or broke."""


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """A device as the gateway's settings describe it. `device` becomes the first part of every source path."""

    device: str
    family: str
    url: str
    options: Mapping[str, OptionValue] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a source's stored samples end, so that numbering goes on behind a restart and the hole gets its exact size."""

    end_sample: int
    end_ns: int  # corrected time of `end_sample`


@dataclass(frozen=True, slots=True)
class Family:
    """Identity of a device family, and how well it is known."""

    name: str
    maker: str
    model: str
    delivers: tuple[str, ...]  # MDC codes or a plain description of channels
    evidence: str  # what the decoder was checked against
    quirks: tuple[tuple[str, str], ...] = ()  # (quirk, its evidence)
    door: str = "serial"  # how its bytes arrive, as the ledger says it: serial, bluetooth


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes as they arrived. `channel` says where, for a link that has several: the UUID of a GATT characteristic.

    A byte stream has one channel, "", and may be cut anywhere; a message of a channel comes whole.
    """

    data: bytes
    channel: str = ""


class Decoder(Protocol):
    """Bytes in, records and faults out; the same output for any chunking of the same byte stream."""

    def feed(self, data: bytes, at: int, channel: str = "") -> "list[Record | Fault]":
        """Take bytes that arrived on `channel` at gateway time `at` (ns)."""
        ...

    def flush(self, at: int) -> "list[Record | Fault]":
        """Give out what is pending because the link closed or fell silent at `at` (ns)."""
        ...


class Link(Protocol):
    """An open link to a device."""

    async def receive(self) -> Chunk:
        """Wait for the next bytes; LinkError when the link is gone."""
        ...

    async def send(self, data: bytes) -> None:
        """Send a command; LinkError when the link is gone."""
        ...


class Transport(Protocol):
    """How bytes arrive. `open` may be called again after a link was lost."""

    def open(self) -> "AbstractAsyncContextManager[Link]":
        """Open the link for as long as the context lasts; LinkError says what could not be opened and why."""
        ...


class Adapter(Protocol):
    """A device family."""

    @property
    def api_version(self) -> int:
        """The API_VERSION the adapter was written for."""
        ...

    @property
    def family(self) -> Family:
        """Identity."""
        ...

    @property
    def silence_ns(self) -> int:
        """How long without anything that can be read is silence: an event and a technical alarm; an open link gets `wake`.

        0 for a device that measures now and then, as a thermometer does: it is expected by nobody.
        """
        ...

    def check(self, config: DeviceConfig) -> None:
        """Raise ConfigError when the settings cannot work."""
        ...

    def transport(self, config: DeviceConfig) -> Transport:
        """The transport for this device; opens nothing yet."""
        ...

    def decoder(self, config: DeviceConfig, resume: "Mapping[SourcePath, Resume]") -> Decoder:
        """A decoder for a link that is about to be opened."""
        ...

    def wake(self, config: DeviceConfig) -> Sequence[bytes]:
        """Commands that make a silent device stream."""
        ...
