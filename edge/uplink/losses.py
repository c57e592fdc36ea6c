"""What the hub will never get: writes the Gap records of lost batches, and only then lets the link tell the hub.

The order is what keeps it honest: gaps durable in lane event, then the spool's note that they are recorded, then `Lost`. What is due
stays so until all three are done; it is the queue `losses` of edge/pipeline/queues.py.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from edge.health.metrics import LOSSES_WAITING
from protocols.link import CannotResend, Connection, Lane, LinkSender, connection_of
from protocols.link.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.spool import Spool
    from protocols.record import Gap

_log = structlog.get_logger()


class Losses:
    """`dropped` is the spool's callback; `report` is called with what the link finds missing."""

    def __init__(
        self,
        spool: "Spool",
        link: LinkSender,
        record: "Callable[[Iterable[Gap]], asyncio.Future[int] | None]",
        wake: Callable[[Connection], None],
    ) -> None:
        """`record` puts gaps into lane event and returns the future of their durability."""
        self._spool, self._link, self._record, self._wake = spool, link, record, wake
        self._due = {lane: Ranges() for lane in Lane}
        self._news = asyncio.Event()

    def dropped(self, lane: Lane, first: int, last: int) -> None:
        """The spool has given up batches."""
        for event in self._link.spool_dropped(lane, first, last):
            self._add(event)

    async def report(self, event: CannotResend) -> None:
        """The hub lacks batches that are gone."""
        self._add(event)

    @property
    def waiting(self) -> int:
        """How many ranges are due."""
        return sum(len(ranges) for ranges in self._due.values())

    async def run(self) -> None:
        """Record what is due, alarms first, for ever."""
        while True:
            self._news.clear()
            for lane, due in self._due.items():
                for first, last in due:
                    await self._tell(lane, first, last)
                    due.remove(first, last)
                    LOSSES_WAITING.set(self.waiting)
            if not self.waiting:
                await self._news.wait()

    def _add(self, event: CannotResend) -> None:
        self._due[event.lane].add(event.first, event.last)
        LOSSES_WAITING.set(self.waiting)
        self._news.set()

    async def _tell(self, lane: Lane, first: int, last: int) -> None:
        gaps = await self._spool.gaps_for(lane, first, last)
        if gaps:
            durable = self._record(gaps)
            if durable is not None:
                await durable
            await self._spool.gaps_recorded(lane, first, last)
        _log.warning("batches-lost", lane=lane.name.lower(), first=first, last=last, gaps=len(gaps))
        self._link.gap_recorded(lane, first, last)
        self._wake(connection_of(lane))
