"""Sample numbers of a device that counts for itself: holes become gaps, what came before is cut, a count begun anew goes on.

The device's numbers are kept while they rise. One that begins anew (with 0, or far below) is numbered on behind what is stored, by
the time that passed, as the decoders of links do (`Resume`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from firmware_adapters.adapter import Resume
from protocols.nomenclature import AGENT_RESTART, DEVICE_RESTART, LINK_LOSS
from protocols.record import NS_PER_S, Gap, Record, SourcePath, Times, WaveformGroup

RESENT_WITHIN_S = 60.0  # further back no sender repeats under a new package number; it counts anew
_HOLES_KEPT = 64


@dataclass(slots=True)
class _Count:
    """How a source counts: `offset` is None until its first group of this run."""

    end: int
    end_ns: int
    offset: int | None = None
    holes: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])


class Numbering:
    """One device's sources."""

    def __init__(self, ends: Mapping[SourcePath, Resume]) -> None:
        """`ends`: where the stored samples of each source end."""
        self._counts = {source: _Count(e.end_sample, e.end_ns) for source, e in ends.items()}

    def number(self, group: WaveformGroup) -> list[Record]:
        """The group in the gateway's numbers, behind the gap before it; nothing when all its samples came before."""
        count = self._counts.get(group.source)
        if count is None:
            return [group]
        begin_ns = group.times.best_ns
        fresh = count.offset is None
        first = group.first_sample + (count.offset or 0)
        behind = count.end - first
        if behind > 0 and not self._fills(count, first, group.n):
            if fresh or not group.first_sample or behind > RESENT_WITHIN_S * group.fs_hz:
                passed = max(0, round((begin_ns - count.end_ns) / NS_PER_S * group.fs_hz))
                count.offset = count.end + passed - group.first_sample
                count.holes.clear()
                moved = replace(group, first_sample=count.end + passed)
                reason = AGENT_RESTART if fresh else DEVICE_RESTART
                return [*self._gap(count, moved, begin_ns, reason, late_may_come=False), moved]
            if behind >= group.n:
                return []
            return [_cut(replace(group, first_sample=first), behind)]
        moved = replace(group, first_sample=first)
        reason = AGENT_RESTART if fresh else LINK_LOSS
        return [*self._gap(count, moved, begin_ns, reason, late_may_come=True), moved]

    def note(self, group: WaveformGroup) -> None:
        """A group as it goes on, with its corrected time."""
        count = self._counts.setdefault(group.source, _Count(group.end_sample, 0, 0))
        count.offset = count.offset or 0
        if group.end_sample >= count.end:
            count.end, count.end_ns = group.end_sample, group.time_of(group.end_sample)

    @staticmethod
    def _fills(count: _Count, first: int, n: int) -> bool:
        """Whether late samples lie in a hole; then it gets smaller."""
        for i, (begin, end) in enumerate(count.holes):
            if begin <= first and first + n <= end:
                count.holes[i : i + 1] = [(a, b) for a, b in ((begin, first), (first + n, end)) if a < b]
                return True
        return False

    @staticmethod
    def _gap(count: _Count, group: WaveformGroup, begin_ns: int, reason: str, *, late_may_come: bool) -> list[Gap]:
        if group.first_sample <= count.end:
            return []
        if late_may_come:
            count.holes = [*count.holes, (count.end, group.first_sample)][-_HOLES_KEPT:]
        to_ns = max(count.end_ns, begin_ns)
        return [
            Gap(
                group.source,
                count.end_ns,
                to_ns,
                reason,
                recoverable=late_may_come,
                times=Times(group.times.gateway_ns),
                from_sample=count.end,
                to_sample=group.first_sample,
            )
        ]


def of_first_sample(group: WaveformGroup) -> WaveformGroup:
    """A group that came whole, with the times of its first sample: it was there `n / fs_hz` before the last."""
    times = group.times
    began_ns = times.gateway_ns - round(group.n / group.fs_hz * NS_PER_S)
    return replace(
        group, times=replace(times, gateway_ns=began_ns if times.corrected_ns is None else times.corrected_ns)
    )


def _cut(group: WaveformGroup, samples: int) -> WaveformGroup:
    """The group without its first samples."""
    times = group.times
    later_ns = round(samples / group.fs_hz * NS_PER_S)
    return replace(
        group,
        first_sample=group.first_sample + samples,
        samples=group.array()[:, samples:].tobytes(),
        times=replace(
            times,
            gateway_ns=times.gateway_ns + later_ns,
            device_ns=None if times.device_ns is None else times.device_ns + later_ns,
            corrected_ns=None if times.corrected_ns is None else times.corrected_ns + later_ns,
        ),
    )
