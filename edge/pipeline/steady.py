"""Records of a decoder, whose clock is never set, by the gateway's clock, which may be."""

from dataclasses import replace

from protocols.errors import Fault
from protocols.record import Gap, Record


def moved(record: Record | Fault, by_ns: int) -> Record | Fault:
    """The same with the times that the decoder gave it later by `by_ns`; what the device's own clock showed stays."""
    if isinstance(record, Fault):
        return replace(record, gateway_ns=record.gateway_ns + by_ns)
    times = record.times
    corrected_ns = None if times.corrected_ns is None else times.corrected_ns + by_ns
    times = replace(times, gateway_ns=times.gateway_ns + by_ns, corrected_ns=corrected_ns)
    if isinstance(record, Gap):
        return replace(record, times=times, from_ns=record.from_ns + by_ns, to_ns=record.to_ns + by_ns)
    return replace(record, times=times)
