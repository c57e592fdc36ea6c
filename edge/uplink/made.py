"""When this spool closed the batches that a hub names in its hello: what tells a spool that went back in time and has passed the hub since.

A disk that does not answer holds up no alarm: the batch is then not compared.
"""

from typing import TYPE_CHECKING

import structlog

from edge.beside import Beside
from protocols.link import Connection, Lane

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.spool import Spool
    from protocols.uplink_pb2 import HubHello

ANSWERS_S = 1.0  # of the 6 s that a hello may take

_log = structlog.get_logger()


class Made:
    """For one connection."""

    def __init__(self, connection: Connection, spool: "Spool") -> None:
        self._connection, self._spool = connection, spool
        self._disk = Beside()

    async def at(self, hello: "HubHello") -> "Mapping[tuple[Lane, int], int]":
        """Of the batches that it names, by lane and n, when they were closed (ns); without those that the spool has not (any more)."""
        wanted = {lane: one.n for one in hello.newest for lane in self._connection.lanes if lane == one.lane}
        if not wanted:
            return {}
        try:
            return await self._disk.ask(lambda: self._look(wanted), ANSWERS_S)
        except OSError as error:  # a TimeoutError is one
            _log.warning(
                "newest-batch-not-compared",
                connection=self._connection.name.lower(),
                reason=str(error) or "the disk does not answer",
                what_to_do="look at the disk; it is compared at the next hello",
            )
            return {}

    def _look(self, wanted: "Mapping[Lane, int]") -> dict[tuple[Lane, int], int]:
        closed = {(lane, n): self._spool.closed_ns(lane, n) for lane, n in wanted.items()}
        return {place: at_ns for place, at_ns in closed.items() if at_ns is not None}
