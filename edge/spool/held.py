"""What a batch holds, as the spool has to know it: its records, where each source ends, and the devices' packages.

Pure: encoded batches in. What is lost with a batch is `protocols.gaps`.
"""

from collections.abc import Iterable

from edge.spool.index import ArrivalRow, SourceEnd
from protocols.device_package_pb2 import Record as WireRecord
from protocols.gaps import stretch_of
from protocols.link import Lane
from protocols.uplink_pb2 import Batch


def records_of(payload: bytes) -> list[WireRecord]:
    """The records of an encoded batch."""
    return [envelope.record for envelope in Batch.FromString(payload).records]


def arrivals_of(payload: bytes) -> list[ArrivalRow]:
    """The devices' packages that are whole in an encoded batch."""
    batch = Batch.FromString(payload)
    return [ArrivalRow(Lane(batch.lane), a.device, a.identity, batch.n) for a in batch.arrivals]


def source_ends(records: Iterable[WireRecord]) -> list[SourceEnd]:
    """Where each waveform source ends behind these records."""
    ends: dict[str, SourceEnd] = {}
    for record in records:
        stretch = stretch_of(record)
        if stretch.to_sample is not None:
            ends[stretch.source] = SourceEnd(stretch.source, stretch.to_sample, stretch.to_ns)
    return list(ends.values())
