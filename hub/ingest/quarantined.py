"""A record on its way into the quarantine: why, its bytes, and what they say of themselves."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub.quarantine.sentences import Said, said

if TYPE_CHECKING:
    from protocols.uplink_pb2 import Envelope

NOT_ADMITTED = "device_not_admitted"
MAX_HELD = (
    20_000  # records of one device that wait for its admission: half an hour of an ECG; more are counted, not kept
)
_LONGEST = 4096


class RejectedError(Exception):
    """A record that cannot be stored. `reason` is a stable word, `why` is for the person who looks at the quarantine."""

    def __init__(self, reason: str, code: str, /, **params: object) -> None:
        """`code`: of the sentence, with its parameters."""
        self.why = said(code, **params)
        super().__init__(str(self.why))
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Held:
    """`raw` is an Envelope of the uplink, or for the reason `undecodable` what a device sent."""

    index: int
    reason: str
    why: Said
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
    return Held(index, error.reason, error.why, envelope.SerializeToString(), device, source, kind, error.reason)
