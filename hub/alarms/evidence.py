"""What decided an alarm, read from the bytes that are stored of it."""

from google.protobuf.message import DecodeError as ProtobufError

from protocols import device_package_pb2 as pb
from protocols.errors import DecodeError
from protocols.record import AlarmCondition, Evidence
from protocols.wire import decode_record


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
