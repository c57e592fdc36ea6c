"""What the two ends of the link tell their shells: events from the hub, what to send next, verdicts on what arrived."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from protocols.link.lane import Connection, Lane
from protocols.uplink_pb2 import DeviceCommand, GatewayMessage, Lost, Placement, Range, Settings

if TYPE_CHECKING:
    from uuid import UUID

    from protocols.link.ranges import Position


@dataclass(frozen=True, slots=True)
class HubReady:
    """The hub has said hello: batches may go. `behind`: lanes of which it has less than it once acknowledged (restored)."""

    connection: Connection
    hub_ns: int
    features: tuple[str, ...]
    behind: tuple[Lane, ...] = ()


@dataclass(frozen=True, slots=True)
class ClockAnswered:
    """The hub's time: the stamp of the probe, and when the hub received that and sent this, by its clock."""

    probe_sent_ns: int
    received_ns: int
    sent_ns: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The hub has stored more; `position` is a copy of all that it has of the lane."""

    lane: Lane
    position: "Position"


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """The hub put record `index` of a batch into quarantine. It counts as acknowledged."""

    lane: Lane
    n: int
    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class CannotResend:
    """The hub lacks batches first to last (inclusive), and the spool no longer has them.

    The agent writes Gap records for what they held, and calls `gap_recorded` when these are on disk.
    """

    lane: Lane
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class PlacementReceived:
    """A new placement. The agent answers with PlacementApplied when it is on disk."""

    placement: Placement


@dataclass(frozen=True, slots=True)
class SettingsReceived:
    """New settings."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class AlarmsAcknowledged:
    """Somebody has acknowledged these alarms. They may be told again, and may be none of this gateway's any more."""

    alarms: "tuple[UUID, ...]"


@dataclass(frozen=True, slots=True)
class ResendAsked:
    """The hub asks which batches that were closed from `from_ns` to `to_ns` (exclusive) the spool has. The agent answers Resendable."""

    request: int
    lane: Lane
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class ConfigurationReceived:
    """Settings that are to lie above the file's. The agent answers ConfigurationAnswer when it knows what became of them."""

    version: int
    toml: str


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A device is to do something; its id is one. The agent answers DeviceCommandAnswer when it knows what became of it."""

    command: DeviceCommand


@dataclass(frozen=True, slots=True)
class UpdateOffered:
    """A release that this gateway is to go over to. The agent answers UpdateAnswer when it knows what became of it."""

    rollout: int
    digest: bytes
    version: str


@dataclass(frozen=True, slots=True)
class UpdateChunkReceived:
    """Bytes of a release, as they were asked for; none: it is not to be had any more, for now."""

    rollout: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class TraceReceived:
    """The hub asks for the hops of the next message of a device. `within_s`: how long somebody waits for it."""

    trace: int
    device: str
    within_s: float


@dataclass(frozen=True, slots=True)
class EpochConflict:
    """The hub has batches that this spool never made: the spool went back in time (a disk image, a copied machine).

    Going on would number new batches like stored ones, and the hub would drop them as duplicates. Close, start a new spool
    with a new epoch, and connect again. Where `spool_newest` is not the lower one, it has done so: number `hub_newest` of both is not the same batch.
    """

    lane: Lane
    hub_newest: int
    spool_newest: int

    def __str__(self) -> str:
        lane = self.lane.name.lower()
        if self.hub_newest > self.spool_newest:
            return f"the hub has batch {self.hub_newest} of lane {lane}, this spool made {self.spool_newest}"
        return f"batch {self.hub_newest} of lane {lane} that the hub has is another than this spool's"


@dataclass(frozen=True, slots=True)
class ProtocolViolation:
    """The peer broke the protocol; close this connection. It names the rule."""

    where: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, found {self.found}"


LinkEvent: TypeAlias = (
    HubReady
    | Acknowledged
    | RejectedRecord
    | CannotResend
    | PlacementReceived
    | SettingsReceived
    | AlarmsAcknowledged
    | ResendAsked
    | ClockAnswered
    | ConfigurationReceived
    | CommandReceived
    | UpdateOffered
    | UpdateChunkReceived
    | TraceReceived
    | EpochConflict
    | ProtocolViolation
)


@dataclass(frozen=True, slots=True)
class SendBatch:
    """Read this batch from the spool, send it, and call `sent`."""

    lane: Lane
    n: int


@dataclass(frozen=True, slots=True)
class SendLost:
    """Send `message`, and call `sent`: the hub is told that these batches never come."""

    lane: Lane
    first: int
    last: int

    @property
    def message(self) -> GatewayMessage:
        """What goes on the wire."""
        return GatewayMessage(lost=Lost(lane=self.lane.wire, range=Range(first=self.first, last=self.last)))


Send: TypeAlias = SendBatch | SendLost


class Verdict(Enum):
    """What the hub does with a batch (or Lost) that arrived."""

    STORE = "store it, then call committed or failed"
    DUPLICATE = "drop it and send ack(lane)"
    WAIT = "it is being stored already: wait for the end of that, then call receive again"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a Hello is not accepted. `code` is stable, for the audit; `text` is for a person at the gateway."""

    code: str  # "version", "tenant", "gateway", "epoch", "connection"
    text: str
