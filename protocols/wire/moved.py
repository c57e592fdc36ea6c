"""A batch whose times are put right by one shift: its own, those of its records, and those in them. Device times stay as seen."""

from protocols.device_package_pb2 import Record
from protocols.uplink_pb2 import Batch

TIME_UNCERTAIN = "time_uncertain"  # the parameter of an alarm that was raised by a gateway that did not know the time
SURE_NS = 60_000_000_000  # a time that is known so well needs no mark


def moved_batch(batch: Batch, shift_ns: int, uncertainty_ns: int) -> bytes:
    """The bytes of a batch whose gateway's clock was behind by `shift_ns`, known to `uncertainty_ns`. Changes `batch`."""
    batch.made_ns = batch.closed_ns  # by which it is known again
    batch.closed_ns += shift_ns
    for envelope in batch.records:
        _move(envelope.record, shift_ns, uncertainty_ns)
    return batch.SerializeToString(deterministic=True)


def _move(record: Record, shift_ns: int, uncertainty_ns: int) -> None:
    record.times.gateway_ns += shift_ns
    if record.times.HasField("corrected_ns"):
        record.times.corrected_ns += shift_ns
    record.times.uncertainty_ns += uncertainty_ns
    if record.HasField("gap"):
        record.gap.from_ns += shift_ns
        record.gap.to_ns += shift_ns
    elif record.HasField("alarm"):
        alarm = record.alarm
        alarm.onset_ns += shift_ns
        alarm.detected_ns += shift_ns
        if alarm.HasField("acknowledged"):
            alarm.acknowledged.at_ns += shift_ns
        if alarm.HasField("evidence") and alarm.evidence.HasField("strip"):
            _move(alarm.evidence.strip, shift_ns, uncertainty_ns)
        if uncertainty_ns <= SURE_NS:
            kept = [param for param in alarm.params if param.key != TIME_UNCERTAIN]
            del alarm.params[:]
            alarm.params.extend(kept)
