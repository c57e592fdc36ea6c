"""The four lanes of the uplink and the two connections that carry them (docs/explanation/architecture.md, rules 3 and 4)."""

from enum import IntEnum, StrEnum
from typing import cast

from protocols import uplink_pb2

# The version of the protocol that this package speaks, in Hello and HubHello.
# Keys of the message Settings: which pages a gateway's local page answers to, and what its tickets are checked with.
PAGE_ORIGIN = "local_page.origin"
TICKET_KEY = "local_page.ticket_key"

VERSION = 1
EPOCH_BYTES = 16
ALARM_ID_BYTES = 16
RESEND = "resend"  # the feature of a gateway that answers Resend
CONFIGURATION = "configuration"  # the feature of a gateway that answers Configuration
UPDATE = "update"  # the feature of a gateway that answers Update
UPDATE_DIGEST_BYTES = 32
MAX_UPDATE_CHUNK_BYTES = 256 * 1024
TRACE = "trace"  # the feature of a gateway that notes the hops of a message when it is asked
MAX_CONFIGURATION_BYTES = 65_536
DEVICE_COMMANDS = "device_commands"  # the feature of a gateway that answers DeviceCommand
MAX_RESENDABLE = 64  # ranges in an answer
MAX_ALARMS_TOLD = 1000  # ids in one message of acknowledged alarms
MAX_REFUSED_LIMITS = 1000  # in an answer to a placement


class LimitRefusal(StrEnum):
    """Why a gateway does not watch a limit of its placement. Stable; a later version may have more."""

    UNKNOWN_CODE = "unknown-code"
    UNIT = "unit"
    NOT_FINITE = "not-finite"
    ORDER = "order"


class Lane(IntEnum):
    """A stream of batches with numbers of its own; values are those of `Lane` in uplink.proto."""

    ALARM = 1
    EVENT = 2
    NUMERIC = 3
    WAVEFORM = 4

    @property
    def wire(self) -> uplink_pb2.Lane:
        """The same value with the type of the generated module."""
        return cast("uplink_pb2.Lane", int(self))


class Connection(IntEnum):
    """One of a gateway's two streams; values are those of `Connection` in uplink.proto."""

    ALARM = 1
    DATA = 2

    @property
    def wire(self) -> uplink_pb2.Connection:
        """The same value with the type of the generated module."""
        return cast("uplink_pb2.Connection", int(self))

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """What it carries, most urgent first."""
        return (Lane.ALARM,) if self is Connection.ALARM else (Lane.EVENT, Lane.NUMERIC, Lane.WAVEFORM)


def connection_of(lane: Lane) -> Connection:
    """Which connection carries a lane."""
    return Connection.ALARM if lane is Lane.ALARM else Connection.DATA
