"""Stretches that a source of samples jumped over: waits for what was overtaken on its way, then says what is really missing. Pure.

The uplink sends the newest live batch first (docs/reference/uplink.md), so a piece may come behind its successor and is not lost:
while its gateway has older waveforms to send, nothing is missing, however long that takes.
"""

from dataclasses import dataclass

from protocols.link.ranges import Ranges

# A hole is told so long after it was seen and after the gateway had sent everything: time for its own word on why, and with a tick of
# the room within the 3 s in which a page has to say that data are missing.
WAIT_S = 2.0
HELD = 64  # holes that wait for a backlog; of more, the oldest are told
# Times of a gap and of the samples beside it may wander this far from each other, as on the page (ring.js).
_WANDER_NS = 40_000_000
_TOLD_KEPT = 8  # gaps remembered for the samples that follow them


@dataclass(frozen=True, slots=True)
class _Hole:
    """Samples `first` up to `end` were to lie between two times; `missing` are those that have not come, counted from 1."""

    first: int
    end: int
    from_ns: int
    to_ns: int
    seen_s: float
    missing: Ranges

    def overlaps(self, from_ns: int, to_ns: int) -> bool:
        return from_ns < self.to_ns and to_ns > self.from_ns

    def at_ns(self, sample: int) -> int:
        return self.from_ns + (self.to_ns - self.from_ns) * (sample - self.first) // (self.end - self.first)

    def take_out(self, first: int, end: int) -> None:
        if first < end:
            self.missing.remove(first + 1, end)

    def told(self, from_ns: int, to_ns: int) -> None:
        """Take out the samples of a stretch of time."""
        if self.overlaps(from_ns, to_ns):
            per_ns = (self.end - self.first) / (self.to_ns - self.from_ns)
            first = self.first + int(max(0, from_ns - _WANDER_NS - self.from_ns) * per_ns)
            self.take_out(first, self.end - int(max(0, self.to_ns - _WANDER_NS - to_ns) * per_ns))


class Holes:
    """Those of one source. Samples are counted as in its groups, from 0, `end` is behind the last; seconds are of any steady clock."""

    def __init__(self) -> None:
        self._holes: list[_Hole] = []
        self._told: list[tuple[int, int]] = []

    def jumped(self, first: int, end: int, from_ns: int, to_ns: int, now_s: float) -> None:
        """Samples were jumped over: at least one, and time passed meanwhile."""
        hole = _Hole(first, end, from_ns, to_ns, now_s, Ranges([(first + 1, end)]))
        for gap in self._told:
            hole.told(*gap)
        self._holes.append(hole)

    def came(self, first: int, end: int, from_ns: int, to_ns: int) -> None:
        """Samples came late. Their time tells them from those of another count, as of an agent that began anew."""
        for hole in self._holes:
            if hole.overlaps(from_ns, to_ns):
                hole.take_out(first, end)

    def told(self, from_ns: int, to_ns: int) -> None:
        """The gateway tells of a gap and why it is: what lies in it is not said a second time."""
        self._told = [*self._told[-_TOLD_KEPT + 1 :], (from_ns, to_ns)]
        for hole in self._holes:
            hole.told(from_ns, to_ns)

    def due(self, now_s: float, whole_s: float = 0.0) -> list[tuple[int, int]]:
        """What has been missing for `WAIT_S`, as (from, to) in ns; it is said once.

        `whole_s`: since when the gateway has nothing older to send; infinite while it has.
        """
        waiting = [hole for hole in self._holes if now_s - max(hole.seen_s, whole_s) < WAIT_S][-HELD:]
        due = [hole for hole in self._holes if hole not in waiting]
        self._holes = waiting
        return [(hole.at_ns(first - 1), hole.at_ns(last)) for hole in due for first, last in hole.missing]
