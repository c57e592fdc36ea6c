"""What is missing now: of gaps that said they can still be had, the part whose samples have not come since.

A gap is a word of its moment and stays as it was told; what is stored, hot or sealed, counts. Leaves whose gaps are asked for to the callers.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hub.core.sql import load_queries
from hub.store.blocks import stretches
from protocols.link import Ranges

if TYPE_CHECKING:
    from hub.core.db import Connection

_QUERIES = load_queries("hub.store")
_WANDER = timedelta(minutes=1)  # clocks may have been set right between a gap and what filled it
_AT_ONCE = 40  # groups or blocks looked at before others have their turn


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


async def still_missing(
    connection: "Connection", told: Sequence[ToldGap], between: tuple[datetime, datetime]
) -> list[ToldGap]:
    """What nobody has, in the order of `told`: one that was filled is left out, one that was filled in part comes in its parts.

    `between`: the time of interest; outside of it a gap counts as it was told.
    """
    begin, end = between
    times: dict[int, list[tuple[datetime, datetime]]] = {}
    for gap in told:
        if gap.recoverable and gap.from_sample is not None:
            about = max(gap.from_time, begin) - _WANDER, min(gap.to_time, end) + _WANDER
            times.setdefault(gap.source_id, []).append(about)
    wanted = [(source, *one) for source, all_of_it in times.items() for one in _joined(all_of_it)]
    came: dict[int, Ranges] = {}
    values = {name: [one[i] for one in wanted] for i, name in enumerate(("sources", "froms", "tos"))}
    rows = await (await connection.execute(_QUERIES["spans"], values)).fetchall() if wanted else []
    for at, (source, first, n, groups, marks, leads) in enumerate(rows):
        for number, count in [(first, n)] if marks is None else stretches(bytes(marks), groups, leads):
            if count and number >= 0:  # samples are numbered from 0, and Ranges from 1
                came.setdefault(source, Ranges()).add(number + 1, number + count)
        if at % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
    left: list[ToldGap] = []
    for gap in told:
        if gap.source_id in came and gap.recoverable and gap.from_sample is not None and gap.to_sample is not None:
            missing = came[gap.source_id].missing(gap.from_sample + 1, gap.to_sample)
            left += [gap.part(first - 1, last) for first, last in missing]
        else:
            left.append(gap)
    return left


def _joined(times: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Stretches of time that overlap as one, so that nothing is read twice."""
    joined: list[tuple[datetime, datetime]] = []
    for begin, end in sorted(times):
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        elif begin < end:
            joined.append((begin, end))
    return joined
