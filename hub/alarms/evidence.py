"""What decided an alarm, made ready to be drawn: stored bytes in, microvolt samples out."""

from dataclasses import dataclass

from google.protobuf.message import DecodeError as ProtobufError

from protocols import device_package_pb2 as pb
from protocols.errors import DecodeError
from protocols.microvolt import displayed
from protocols.nomenclature import TERMS
from protocols.record import AlarmCondition, Evidence, WaveformGroup
from protocols.wire import decode_record


@dataclass(frozen=True, slots=True)
class StripLead:
    """One lead: int samples of `uv_per_lsb` microvolt (or of the lead's own unit)."""

    code: str
    short: str
    uv_per_lsb: float
    samples: list[int]


@dataclass(frozen=True, slots=True)
class Strip:
    """The copied samples. `t0_ms` is the corrected time of `first_sample`."""

    leads: tuple[StripLead, ...]
    fs_hz: float
    first_sample: int
    t0_ms: float


def read_evidence(stored: bytes) -> Evidence | None:
    """Read `wardlink.v1.Evidence`; DecodeError when the bytes are none."""
    # protocols.wire reads whole records, so the evidence is put into one; what else stands in it is not looked at.
    message = pb.Record(
        source="evidence",
        times=pb.Times(gateway_ns=1),
        alarm=pb.AlarmCondition(
            id=bytes(16),
            code="WDL_EVIDENCE",
            priority=pb.PRIORITY_LOW,
            kind=pb.ALARM_KIND_TECHNICAL,
            presence=pb.PRESENCE_PRESENT,
            onset_ns=1,
            detected_ns=1,
        ),
    )
    try:
        message.alarm.evidence.ParseFromString(stored)
    except ProtobufError as error:
        raise DecodeError("evidence", "a message wardlink.v1.Evidence", str(error), stored) from error
    record = decode_record(message)
    return record.evidence if isinstance(record, AlarmCondition) else None


def strip_of(group: WaveformGroup) -> Strip:
    """Make a strip that a page can draw."""
    samples, scales = displayed(group)
    leads = tuple(
        StripLead(code, TERMS[code].short if code in TERMS else code, scale, line.tolist())
        for code, scale, line in zip(group.leads, scales, samples, strict=True)
    )
    return Strip(leads, group.fs_hz, group.first_sample, group.times.best_ns / 1e6)
