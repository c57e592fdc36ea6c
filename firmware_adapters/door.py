"""What every message door keeps to: messages in, replies out, nothing acknowledged before it is durable. Version 1 of the door API.

A door speaks one transport (HTTP, MQTT, CoAP, a folder): it authenticates the sender, bounds what it reads and turns a `Reply` into
the transport's own answer. What a message says and where it goes is the agent's, behind `take`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, TypeAlias

from firmware_adapters.adapter import ConfigError, LinkError, OptionValue

DOOR_API_VERSION = 1


class Pace(Enum):
    """How a message that is beyond what its sender may send can be held back."""

    SENDER_WAITS = "the sender is told to come again; what it has not got rid of it keeps"
    KEPT_BEFORE = "it was kept for us while we were away: it is held against nobody's pace"
    CANNOT_WAIT = "to hold it would hold everybody's: it is given up, counted, and leaves a gap"


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came. `device`: the authenticated name of the sender, "" where the transport knows none.

    `media_type` in lower case, without parameters. `where` tells a person where it came in: a path, topic or file. `at_ns`: the
    gateway's clock when the last byte was there. `zone`: IANA name of the zone of times that say none, "" for UTC.
    """

    device: str
    media_type: str
    body: bytes
    where: str
    at_ns: int
    zone: str = ""
    pace: Pace = Pace.SENDER_WAITS


class Verdict(Enum):
    """What became of a message."""

    ACCEPTED = "it is durable; do not send it again"
    REFUSED = "it cannot be read or is not the sender's; sending it again changes nothing"
    UNSUPPORTED = "this media type is not read here"
    BUSY = "nothing was kept; send it again later"
    GIVEN_UP = "nothing was kept, and a gap tells of it: the sender sends more than it may, and this way in cannot hold it back"


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a message. `reason`: one sentence a record that could not be read, or why the message was not taken.

    `retry_after_s`: with BUSY, when to come again.
    """

    verdict: Verdict
    reason: str = ""
    retry_after_s: int = 0


Take: TypeAlias = Callable[[Message], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class DoorConfig:
    """A door as the gateway's settings describe it.

    `devices`: the options of each device that may authenticate here, by its name (a key, a certificate's subject ...). Relative
    file names lie below `folder`. `now_ns` is the gateway's clock.
    """

    name: str
    kind: str
    url: str
    now_ns: Callable[[], int]
    folder: Path
    options: Mapping[str, OptionValue] = field(default_factory=lambda: MappingProxyType({}))
    devices: Mapping[str, Mapping[str, OptionValue]] = field(default_factory=lambda: MappingProxyType({}))

    def options_of(self, *known: str) -> Mapping[str, OptionValue]:
        """The options, none of which is unknown; ConfigError names the one that is."""
        unknown = sorted(set(self.options) - set(known))
        if unknown:
            msg = f"door {self.name!r}, option {unknown[0]!r}: expected one of {', '.join(sorted(known))}"
            raise ConfigError(msg)
        return self.options

    def file(self, option: str) -> Path:
        """The path that an option names; ConfigError when it is missing or no text."""
        value = self.options.get(option)
        if not isinstance(value, str) or not value:
            msg = f"door {self.name!r}, option {option!r}: expected the name of a file"
            raise ConfigError(msg)
        return self.folder / value


class DoorError(LinkError):
    """A door cannot be opened, or broke: says where and why."""


class Door(Protocol):
    """A way in for messages."""

    @property
    def api_version(self) -> int:
        """The DOOR_API_VERSION the door was written for."""
        ...

    async def serve(self, take: Take) -> None:
        """Take messages in until cancelled; DoorError when that cannot be. May be called again.

        `take` returns after the spool has the message on disk: a PUBACK, 2.04 or 204 is sent behind it. Several calls may be under
        way at once; those of one device are taken in the order in which `take` was called. A door that is cancelled while `take` runs
        sends no acknowledgement; the sender repeats, and the agent knows the package again.
        """
        ...
