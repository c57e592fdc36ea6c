"""Sets of batch numbers as ranges, and the position of a lane: what of it is stored.

Numbers begin with 1. A `Position` is cumulative n plus the ranges stored above it (docs/reference/uplink.md); on the wire it is
`LanePosition` of uplink.proto. How many ranges it may hold is bounded here, so that no peer can fill our memory.
"""

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from protocols.errors import DecodeError
from protocols.link.lane import Lane
from protocols.uplink_pb2 import LanePosition, Range

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Ranges that a position may hold on the wire. A sender stays far below it (sender.MAX_RANGES).
MAX_RANGES = 1024
# A batch number has to fit PostgreSQL's bigint.
MAX_N = 2**63 - 1


class Ranges:
    """A set of numbers from 1 up, kept as disjoint ranges that do not touch, in rising order."""

    def __init__(self, ranges: "Iterable[tuple[int, int]]" = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def __len__(self) -> int:
        """How many ranges (not how many numbers)."""
        return len(self._firsts)

    def __iter__(self) -> "Iterator[tuple[int, int]]":
        """Ranges as (first, last), both inclusive."""
        return iter(list(zip(self._firsts, self._lasts, strict=True)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)})"

    @property
    def newest(self) -> int:
        """The highest number, 0 when empty."""
        return self._lasts[-1] if self._lasts else 0

    def contains(self, first: int, last: int | None = None) -> bool:
        """Whether the number, or every number of the range, is in the set."""
        at = bisect_left(self._lasts, first if last is None else last)
        return at < len(self._firsts) and self._firsts[at] <= first

    def add(self, first: int, last: int | None = None) -> None:
        """Take in a number or a range; ValueError when it is not within 1 to MAX_N."""
        last = first if last is None else last
        if not 1 <= first <= last <= MAX_N:
            msg = f"batches {first} to {last}: expected 1 <= first <= last <= {MAX_N}"
            raise ValueError(msg)
        start, end = bisect_left(self._lasts, first - 1), bisect_right(self._firsts, last + 1)
        if start < end:
            first, last = min(first, self._firsts[start]), max(last, self._lasts[end - 1])
        self._firsts[start:end], self._lasts[start:end] = [first], [last]

    def update(self, other: "Iterable[tuple[int, int]]") -> None:
        """Take in every range of the other."""
        for first, last in other:
            self.add(first, last)

    def remove(self, first: int, last: int | None = None) -> None:
        """Take out a number or a range, as far as it is in the set."""
        last = first if last is None else last
        start, end = bisect_left(self._lasts, first), bisect_right(self._firsts, last)
        if start >= end:
            return
        kept: list[tuple[int, int]] = []
        if self._firsts[start] < first:
            kept.append((self._firsts[start], first - 1))
        if self._lasts[end - 1] > last:
            kept.append((last + 1, self._lasts[end - 1]))
        self._firsts[start:end], self._lasts[start:end] = [a for a, _ in kept], [b for _, b in kept]

    def missing(self, first: int, last: int) -> "Iterator[tuple[int, int]]":
        """Yield what of first to last is not in the set, in rising order."""
        at = bisect_left(self._lasts, first)
        while first <= last:
            stop = self._firsts[at] if at < len(self._firsts) else last + 1
            if first < stop:
                yield first, min(last, stop - 1)
            if at == len(self._firsts):
                return
            first = max(first, self._lasts[at] + 1)
            at += 1

    def within(self, first: int, last: int) -> "Iterator[tuple[int, int]]":
        """Yield what of first to last is in the set, in rising order."""
        at = bisect_left(self._lasts, first)
        while at < len(self._firsts) and self._firsts[at] <= last:
            yield max(first, self._firsts[at]), min(last, self._lasts[at])
            at += 1


class Position(Ranges):
    """What of a lane is stored: everything up to `cumulative`, and the ranges `above` it."""

    @property
    def cumulative(self) -> int:
        """The number up to which everything is stored, 0 at first."""
        return self._lasts[0] if self._firsts and self._firsts[0] == 1 else 0

    @property
    def above(self) -> list[tuple[int, int]]:
        """The ranges above `cumulative`."""
        return list(self)[1 if self.cumulative else 0 :]

    def copy(self) -> "Position":
        """One that changes by itself."""
        return Position(self)

    def to_proto(self, lane: Lane) -> LanePosition:
        """Write it for the wire; ValueError when it holds more than MAX_RANGES."""
        above = self.above
        if len(above) > MAX_RANGES:
            msg = f"position of lane {lane.name.lower()} holds {len(above)} ranges: expected at most {MAX_RANGES}"
            raise ValueError(msg)
        stored = [Range(first=first, last=last) for first, last in above]
        return LanePosition(lane=lane.wire, cumulative=self.cumulative, stored=stored)

    @classmethod
    def from_proto(cls, message: LanePosition) -> "Position":
        """Read it; DecodeError when ranges overlap, touch, are out of order, too many or too high."""
        where = f"position of lane {message.lane}"
        if len(message.stored) > MAX_RANGES:
            raise DecodeError(where, f"at most {MAX_RANGES} ranges", str(len(message.stored)))
        position, below = cls(), message.cumulative
        if below > MAX_N:
            raise DecodeError(where, f"cumulative <= {MAX_N}", str(below))
        if below:
            position.add(1, below)
        for number, stored in enumerate(message.stored):
            # A range at cumulative + 1 would belong to the cumulative part, one that touches its neighbour to the neighbour.
            if not below + 1 < stored.first <= stored.last <= MAX_N:
                raise DecodeError(
                    f"{where}, range {number}",
                    f"{below + 1} < first <= last <= {MAX_N}",
                    f"{stored.first} to {stored.last}",
                )
            position.add(stored.first, stored.last)
            below = stored.last
        return position
