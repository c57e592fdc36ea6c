"""What the hub will never get: writes the Gap records of lost batches, and only then lets the link tell the hub.

The order is what keeps it honest: gaps durable in lane event, then the spool's note that they are recorded, then `Lost`.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from protocols.link import CannotResend, Connection, Lane, LinkSender, connection_of

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
        self._due: asyncio.Queue[CannotResend] = asyncio.Queue()  # bounded by the ranges that a lane can hold

    def dropped(self, lane: Lane, first: int, last: int) -> None:
        """The spool has given up batches."""
        for event in self._link.spool_dropped(lane, first, last):
            self._due.put_nowait(event)
        _log.warning("batches-dropped", lane=lane.name.lower(), first=first, last=last)

    async def report(self, event: CannotResend) -> None:
        """The hub lacks batches that are gone."""
        self._due.put_nowait(event)

    async def run(self) -> None:
        """Record what is due, for ever."""
        while True:
            event = await self._due.get()
            gaps = await self._spool.gaps_for(event.lane, event.first, event.last)
            if gaps:
                durable = self._record(gaps)
                if durable is not None:
                    await durable
                await self._spool.gaps_recorded(event.lane, event.first, event.last)
            self._link.gap_recorded(event.lane, event.first, event.last)
            self._wake(connection_of(event.lane))
