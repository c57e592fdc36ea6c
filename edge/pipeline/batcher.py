"""Gathers records into batches: a lane's batch closes after 250 ms or 16 KB, one with an alarm at once.

Durable batches are handed to the link in the order of their numbers. Leaves numbering and the disk to the spool.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import structlog

from edge.health.metrics import BATCHES
from edge.pipeline.queues import QUEUES
from protocols import wire
from protocols.link import Connection, Lane, LinkSender, connection_of
from protocols.record import AlarmCondition, Document, Gap, Record, SubjectClaim, WaveformGroup

if TYPE_CHECKING:
    from edge.spool import Spool

CLOSE_AFTER_S = 0.25
_RECORD_BYTES = 120  # of a record without samples; only decides when a batch is full

_log = structlog.get_logger()


def lane_for(record: Record) -> Lane:
    """The lane of a record. A gap in samples travels with the samples, so that a stream is durable in its own order."""
    if isinstance(record, Gap) and record.from_sample is not None:
        return Lane.WAVEFORM
    return Lane(wire.lane_of(record))


def _size(record: Record) -> int:
    match record:
        case WaveformGroup():
            return _RECORD_BYTES + len(record.samples) // 2
        case AlarmCondition():
            strip = record.evidence.strip if record.evidence else None
            return _RECORD_BYTES + (len(strip.samples) // 2 if strip else 0)
        case Document():
            return _RECORD_BYTES + len(record.content)
        case SubjectClaim():
            return _RECORD_BYTES + len(record.sealed)
        case _:
            return _RECORD_BYTES


class Batcher:
    """The open batch of each lane. `ready` is called with a connection that has something new to send."""

    def __init__(self, spool: "Spool", link: LinkSender, ready: Callable[[Connection], None]) -> None:
        self._spool, self._link, self._ready = spool, link, ready
        self._open: dict[Lane, list[Record]] = {lane: [] for lane in Lane}
        self._bytes = dict.fromkeys(Lane, 0)
        self._timers: dict[Lane, asyncio.TimerHandle] = {}
        self._writing: set[asyncio.Future[int]] = set()

    def add(self, records: Iterable[Record]) -> None:
        """Take records; alarms leave at once, and nothing of theirs waits for other lanes."""
        urgent = False
        for record in records:
            lane = lane_for(record)
            self._open[lane].append(record)
            self._bytes[lane] += _size(record)
            urgent = urgent or lane is Lane.ALARM
        if urgent:
            self.close(Lane.ALARM)
        for lane, waiting in self._open.items():
            if not waiting:
                continue
            if self._bytes[lane] >= QUEUES["open-batch"].bound:
                self.close(lane)
            elif lane not in self._timers:
                self._timers[lane] = asyncio.get_running_loop().call_later(CLOSE_AFTER_S, self.close, lane)

    def close(self, lane: Lane) -> "asyncio.Future[int] | None":
        """Hand the open batch of a lane to the spool; the future of its number, None when there is nothing."""
        timer = self._timers.pop(lane, None)
        if timer is not None:
            timer.cancel()
        records, self._open[lane] = self._open[lane], []
        self._bytes[lane] = 0
        if not records:
            return None
        durable = self._spool.append(lane, records)
        self._writing.add(durable)
        durable.add_done_callback(lambda future: self._durable(lane, future))
        BATCHES.labels(lane=lane.name.lower()).inc()
        return durable

    def record(self, gaps: Iterable[Gap]) -> "asyncio.Future[int] | None":
        """Put gaps of lost batches into lane event and close it; the future of their durability."""
        self._open[Lane.EVENT] += gaps
        return self.close(Lane.EVENT)

    async def close_all(self) -> None:
        """Close every lane, alarms first, and wait until all are durable."""
        for lane in Lane:
            self.close(lane)
        if self._writing:
            await asyncio.wait(self._writing)

    def _durable(self, lane: Lane, future: "asyncio.Future[int]") -> None:
        self._writing.discard(future)
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            _log.error(
                "batch-not-durable",
                lane=lane.name.lower(),
                error=str(error),
                what_to_do="look at the disk of the spool",
            )
            return
        self._link.batch_ready(lane, future.result())
        self._ready(connection_of(lane))
