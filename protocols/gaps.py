"""What batches held that are given up, as Gap records: exact sample numbers where the batch or its neighbours tell them.

Pure: records of the wire in, records out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from protocols.device_package_pb2 import Record as WireRecord
from protocols.record import NS_PER_S, Gap, SourcePath, Times


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one record covers; samples are None for other records than waveforms and their gaps."""

    source: str
    from_ns: int
    to_ns: int
    from_sample: int | None = None
    to_sample: int | None = None


def gaps_of(batches: Iterable[Sequence[WireRecord]], reason: str, *, recoverable: bool, at_ns: int) -> list[Gap]:
    """The gaps that arise when these batches are given up; samples that follow each other make one gap."""
    open_runs: dict[tuple[str, bool], Stretch] = {}
    done: list[Stretch] = []
    for record in (r for batch in batches for r in batch):
        stretch = stretch_of(record)
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
    before: Sequence[Sequence[WireRecord]],
    behind: Sequence[Sequence[WireRecord]],
    reason: str,
    at_ns: int,
    known: Mapping[str, Stretch] = MappingProxyType({}),
) -> list[Gap]:
    """The gaps between neighbours of an unreadable batch: each source from its end before to its beginning behind.

    `before` and `behind` are batches in rising order. Of a waveform source that does not come again the gap reaches as far as
    its samples were `known` to; behind that its decoder reports the stretch with its numbers when the device is back.
    """
    ends: dict[str, Stretch] = {}
    starts: dict[str, Stretch] = {}
    for record in (r for batch in before for r in batch):
        ends[record.source] = stretch_of(record)
    for record in (r for batch in reversed(behind) for r in reversed(batch)):
        starts[record.source] = stretch_of(record)
    gaps: list[Gap] = []
    for source, end in ends.items():
        start = starts.get(source, known.get(source))
        if end.to_sample is None:
            stretch = Stretch(source, end.to_ns, at_ns if start is None else start.from_ns)
        elif start is None or start.from_sample is None or start.from_sample <= end.to_sample:
            continue
        else:
            stretch = Stretch(source, end.to_ns, start.from_ns, end.to_sample, start.from_sample)
        gaps.append(_gap(stretch, reason, at_ns, recoverable=False))
    return gaps


def stretch_of(record: WireRecord) -> Stretch:
    """What a record covers: samples by their numbers, anything else by its moment."""
    times = record.times
    begin = times.corrected_ns if times.HasField("corrected_ns") else times.gateway_ns
    if record.HasField("waveform"):
        wave = record.waveform
        end = begin + round(wave.n / wave.fs_hz * NS_PER_S)
        return Stretch(record.source, begin, end, wave.first_sample, wave.first_sample + wave.n)
    if record.HasField("gap"):
        gap = record.gap
        if not gap.HasField("to_sample"):
            return Stretch(record.source, gap.from_ns, gap.to_ns)
        return Stretch(record.source, gap.from_ns, gap.to_ns, gap.from_sample, gap.to_sample)
    return Stretch(record.source, begin, begin + 1)


def _gap(stretch: Stretch, reason: str, at_ns: int, *, recoverable: bool) -> Gap:
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
