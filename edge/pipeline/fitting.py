"""What stands for a record that no batch can hold (docs/reference/uplink.md, errors at the door): the hub would refuse it for ever.

Decides for one record; the batcher puts what comes out into lanes, and asks again when a part is still too large.
"""

from dataclasses import replace

from edge.pipeline.screened import RAW_OF_MESSAGE, fault_event
from protocols.errors import Fault
from protocols.record import NS_PER_S, AlarmCondition, Record, Times, WaveformGroup
from protocols.wire import MAX_MESSAGE_BYTES, encode_record


def fitted(record: Record) -> tuple[Record, ...]:
    """Smaller records for one that is too large: samples in two halves, an alarm without its evidence, else an event of the fault.

    What an alarm goes without, its evidence and then its parameters, is told by such an event too.
    """
    if isinstance(record, WaveformGroup) and record.n > 1:
        return _halves(record)
    if isinstance(record, AlarmCondition) and (record.evidence is not None or record.params):
        bare = replace(record, evidence=None) if record.evidence is not None else replace(record, params=())
        return bare, _told(record)
    return (_told(record),)


def _told(record: Record) -> Record:
    raw = encode_record(record).SerializeToString(deterministic=True)
    fault = Fault(
        str(record.source),
        type(record).__name__,
        f"at most {MAX_MESSAGE_BYTES} bytes with the batch around it",
        f"{len(raw)} bytes",
        raw,
        record.times.gateway_ns,
    )
    return fault_event(record.source, fault, RAW_OF_MESSAGE)


def _halves(group: WaveformGroup) -> tuple[WaveformGroup, WaveformGroup]:
    at, samples = group.n // 2, group.array()
    return (
        replace(group, samples=samples[:, :at].tobytes()),
        replace(
            group,
            first_sample=group.first_sample + at,
            samples=samples[:, at:].tobytes(),
            times=_later(group.times, round(at / group.fs_hz * NS_PER_S)),
        ),
    )


def _later(times: Times, by_ns: int) -> Times:
    """Both halves arrived at the same time: only where nothing better is known does the arrival stand for the first sample."""
    device_ns = None if times.device_ns is None else times.device_ns + by_ns
    if times.corrected_ns is None:
        return replace(times, gateway_ns=times.gateway_ns + by_ns, device_ns=device_ns)
    return replace(times, device_ns=device_ns, corrected_ns=times.corrected_ns + by_ns)
