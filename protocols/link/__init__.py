"""The uplink as a sans-I/O object used by both ends: lanes, windows, acknowledgements, resend (docs/reference/uplink.md).

No sockets, no clock, no disk: the gateway's shell is in edge/uplink, the hub's in hub/ingest.
"""

from protocols.link.events import (
    Acknowledged,
    AlarmsAcknowledged,
    CannotResend,
    ClockAnswered,
    EpochConflict,
    HubReady,
    LinkEvent,
    PlacementReceived,
    ProtocolViolation,
    Refusal,
    RejectedRecord,
    ResendAsked,
    Send,
    SendBatch,
    SendLost,
    SettingsReceived,
    Verdict,
)
from protocols.link.lane import (
    EPOCH_BYTES,
    MAX_ALARMS_TOLD,
    MAX_RESENDABLE,
    PAGE_ORIGIN,
    RESEND,
    TICKET_KEY,
    VERSION,
    Connection,
    Lane,
    connection_of,
)
from protocols.link.ranges import MAX_N, MAX_RANGES, Position, Ranges
from protocols.link.receiver import LinkReceiver, check_hello
from protocols.link.sender import LinkSender

__all__ = [
    "EPOCH_BYTES",
    "MAX_ALARMS_TOLD",
    "MAX_N",
    "MAX_RANGES",
    "MAX_RESENDABLE",
    "PAGE_ORIGIN",
    "RESEND",
    "TICKET_KEY",
    "VERSION",
    "Acknowledged",
    "AlarmsAcknowledged",
    "CannotResend",
    "ClockAnswered",
    "Connection",
    "EpochConflict",
    "HubReady",
    "Lane",
    "LinkEvent",
    "LinkReceiver",
    "LinkSender",
    "PlacementReceived",
    "Position",
    "ProtocolViolation",
    "Ranges",
    "Refusal",
    "RejectedRecord",
    "ResendAsked",
    "Send",
    "SendBatch",
    "SendLost",
    "SettingsReceived",
    "Verdict",
    "check_hello",
    "connection_of",
]
