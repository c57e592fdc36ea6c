"""What is missing for good: of gaps that said they can still be had, the part whose samples have not come since.

A gap is a word of its moment and stays as it was told; what is stored, hot or sealed, counts. Leaves whose gaps are asked for to the callers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from hub.core.sql import load_queries
from hub.store.blocks import stretches
from protocols.link import Ranges

if TYPE_CHECKING:
    from hub.core.db import Connection

_QUERIES = load_queries("hub.store")


@dataclass(frozen=True, slots=True)
class ToldGap:
    """A row of `gap`, with the path and the device of its source. Sample numbers are there together or not at all."""

    path: str
    device_id: int
    source_id: int
    from_time: datetime
    to_time: datetime
    reason: str
    recoverable: bool
    from_sample: int | None
    to_sample: int | None

    def part(self, first: int, end: int) -> "ToldGap":
        """A stretch of its samples, with its share of the time."""
        if self.from_sample is None or self.to_sample is None or (first, end) == (self.from_sample, self.to_sample):
            return self
        a_sample = (self.to_time - self.from_time) / (self.to_sample - self.from_sample)
        from_time = self.from_time + (first - self.from_sample) * a_sample
        to_time = self.from_time + (end - self.from_sample) * a_sample
        return replace(self, from_time=from_time, to_time=to_time, from_sample=first, to_sample=end)


async def still_missing(connection: "Connection", told: Sequence[ToldGap]) -> list[ToldGap]:
    """What nobody has, in the order of `told`: one that was filled is left out, one that was filled in part comes in its parts."""
    open_ones = [i for i, gap in enumerate(told) if gap.recoverable and gap.from_sample is not None]
    if not open_ones:
        return list(told)
    values = {
        "at": open_ones,
        "sources": [told[i].source_id for i in open_ones],
        "froms": [told[i].from_time for i in open_ones],
        "tos": [told[i].to_time for i in open_ones],
    }
    came: dict[int, Ranges] = {}
    for at, first, n, groups, marks, leads in await (await connection.execute(_QUERIES["spans"], values)).fetchall():
        spans = [(first, n)] if marks is None else stretches(bytes(marks), groups, leads)
        for begin, count in spans:
            came.setdefault(at, Ranges()).add(begin, begin + count - 1)
    left: list[ToldGap] = []
    for i, gap in enumerate(told):
        if i in came and gap.from_sample is not None and gap.to_sample is not None:
            left += [gap.part(a, b + 1) for a, b in came[i].missing(gap.from_sample, gap.to_sample - 1)]
        else:
            left.append(gap)
    return left
