"""What a lost or damaged batch held, as Gap records: exact sample numbers where the batch or its neighbours tell them.

Pure: encoded batches in, records out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from edge.spool.index import ArrivalRow, SourceEnd
from protocols.device_package_pb2 import Record as WireRecord
from protocols.link import Lane
from protocols.record import NS_PER_S, Gap, SourcePath, Times
from protocols.uplink_pb2 import Batch


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What one record covers; samples are None for other records than waveforms and their gaps."""

    source: str
    from_ns: int
    to_ns: int
    from_sample: int | None = None
    to_sample: int | None = None


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
        stretch = _stretch(record)
        if stretch.to_sample is not None:
            ends[stretch.source] = SourceEnd(stretch.source, stretch.to_sample, stretch.to_ns)
    return list(ends.values())


def gaps_of(batches: Iterable[Sequence[WireRecord]], reason: str, *, recoverable: bool, at_ns: int) -> list[Gap]:
    """The gaps that arise when these batches are given up; samples that follow each other make one gap."""
    open_runs: dict[tuple[str, bool], _Stretch] = {}
    done: list[_Stretch] = []
    for record in (r for batch in batches for r in batch):
        stretch = _stretch(record)
        key = (stretch.source, stretch.from_sample is None)
        run = open_runs.get(key)
        if run is not None and run.to_sample == stretch.from_sample:
            open_runs[key] = replace(
                run,
                from_ns=min(run.from_ns, stretch.from_ns),
                to_ns=max(run.to_ns, stretch.to_ns),
                to_sample=stretch.to_sample,
            )
        elif run is not None and run.from_sample is None:
            open_runs[key] = replace(
                run, from_ns=min(run.from_ns, stretch.from_ns), to_ns=max(run.to_ns, stretch.to_ns)
            )
        else:
            if run is not None:
                done.append(run)
            open_runs[key] = stretch
    return [_gap(s, reason, at_ns, recoverable=recoverable) for s in (*done, *open_runs.values())]


def gaps_between(
    before: Sequence[Sequence[WireRecord]], behind: Sequence[Sequence[WireRecord]], reason: str, at_ns: int
) -> list[Gap]:
    """The gaps between neighbours of an unreadable batch: each source from its end before to its beginning behind.

    `before` and `behind` are batches in rising order. A waveform source that does not come again makes no gap here: its decoder
    reports the stretch with its numbers when the device is back.
    """
    ends: dict[str, _Stretch] = {}
    starts: dict[str, _Stretch] = {}
    for record in (r for batch in before for r in batch):
        ends[record.source] = _stretch(record)
    for record in (r for batch in reversed(behind) for r in reversed(batch)):
        starts[record.source] = _stretch(record)
    gaps: list[Gap] = []
    for source, end in ends.items():
        start = starts.get(source)
        if end.to_sample is None:
            stretch = _Stretch(source, end.to_ns, at_ns if start is None else start.from_ns)
        elif start is None or start.from_sample is None or start.from_sample <= end.to_sample:
            continue
        else:
            stretch = _Stretch(source, end.to_ns, start.from_ns, end.to_sample, start.from_sample)
        gaps.append(_gap(stretch, reason, at_ns, recoverable=False))
    return gaps


def _stretch(record: WireRecord) -> _Stretch:
    times = record.times
    begin = times.corrected_ns if times.HasField("corrected_ns") else times.gateway_ns
    if record.HasField("waveform"):
        wave = record.waveform
        end = begin + round(wave.n / wave.fs_hz * NS_PER_S)
        return _Stretch(record.source, begin, end, wave.first_sample, wave.first_sample + wave.n)
    if record.HasField("gap"):
        gap = record.gap
        if not gap.HasField("to_sample"):
            return _Stretch(record.source, gap.from_ns, gap.to_ns)
        return _Stretch(record.source, gap.from_ns, gap.to_ns, gap.from_sample, gap.to_sample)
    return _Stretch(record.source, begin, begin + 1)


def _gap(stretch: _Stretch, reason: str, at_ns: int, *, recoverable: bool) -> Gap:
    return Gap(
        SourcePath.parse(stretch.source),
        stretch.from_ns,
        max(stretch.to_ns, stretch.from_ns),
        reason,
        recoverable,
        Times(at_ns),
        from_sample=stretch.from_sample,
        to_sample=stretch.to_sample,
    )
