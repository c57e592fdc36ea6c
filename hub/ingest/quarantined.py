"""A record on its way into the quarantine: why, its bytes, and what they say of themselves."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocols.uplink_pb2 import Envelope

NOT_ADMITTED = "device_not_admitted"
MAX_HELD = (
    20_000  # records of one device that wait for its admission: half an hour of an ECG; more are counted, not kept
)
_LONGEST = 4096


class RejectedError(Exception):
    """A record that cannot be stored. `reason` is a stable word, the text is for the person who looks at the quarantine."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Held:
    """`raw` is an Envelope of the uplink, or for the reason `undecodable` what a device sent."""

    index: int
    reason: str
    detail: str
    raw: bytes
    device: str = ""
    source: str = ""
    kind: str = ""
    field: str = ""


def held_record(index: int, envelope: "Envelope", error: RejectedError) -> Held:
    """A record of the uplink that was refused."""
    record = envelope.record
    source = record.source[:_LONGEST].replace("\x00", "")
    device, kind = source.partition("/")[0], record.WhichOneof("kind") or ""
    return Held(index, error.reason, error.detail, envelope.SerializeToString(), device, source, kind, error.reason)
