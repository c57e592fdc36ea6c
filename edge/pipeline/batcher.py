"""Gathers records into batches: a lane's batch closes after 250 ms or 16 KB, one with an alarm at once, and many alarms are several.

Durable batches are handed to the link in the order of their numbers. Leaves numbering and the disk to the spool.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import structlog

from edge.health.metrics import BATCHES
from edge.pipeline.alarm_turns import AlarmTurns
from edge.pipeline.fitting import fitted
from edge.pipeline.queues import QUEUES
from protocols import wire
from protocols.link import Connection, Lane, LinkSender, connection_of
from protocols.record import AlarmCondition, Document, Gap, Record, SubjectClaim, WaveformGroup
from protocols.wire import Arrival

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


def _all(parts: "list[asyncio.Future[int]]") -> "asyncio.Future[int]":
    """Make one future of the parts of what was one batch: that of the last, or of the first that failed."""
    promise: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def look(_: "asyncio.Future[int]") -> None:
        if all(part.done() for part in parts):
            _tell(promise, next((p for p in parts if p.cancelled() or p.exception() is not None), parts[-1]))

    for part in parts:
        part.add_done_callback(look)
    return promise


def _tell(promise: "asyncio.Future[int]", durable: "asyncio.Future[int]") -> None:
    """Hand on what became of a batch to those who wait for it."""
    if promise.done():
        return
    error = None if durable.cancelled() else durable.exception()
    if durable.cancelled():
        promise.cancel()
    elif error is not None:
        promise.set_exception(error)
        promise.exception()  # it is told; nobody need be waiting any more
    else:
        promise.set_result(durable.result())


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


@dataclass(slots=True)
class _Open:
    """The open batch of a lane; `durable` is there as soon as somebody waits for it."""

    records: list[Record] = field(default_factory=list[Record])
    arrivals: list[Arrival] = field(default_factory=list[Arrival])
    size: int = 0
    durable: "asyncio.Future[int] | None" = None


class Batcher:
    """The open batch of each lane. `ready` is called with a connection that has something new to send."""

    def __init__(
        self,
        spool: "Spool",
        link: LinkSender,
        ready: Callable[[Connection], None],
        close_after_s: float = CLOSE_AFTER_S,
        watch: Callable[[Sequence[Record]], None] = lambda _: None,
        mark: Callable[[Iterable[Record]], list[Record]] = list,
        closed: "Callable[[Lane, Sequence[asyncio.Future[int]]], None]" = lambda _, __: None,
    ) -> None:
        """`watch` sees every record as it is taken: what the gateway's own page shows. `mark` says what the gateway knows of their time.

        `closed` gets the futures of the parts in which a lane's batch went to the spool.
        """
        self._mark = mark
        self._closed = closed
        self._alarm_turns = AlarmTurns()
        self._watch = watch
        self._spool, self._link, self._ready, self._close_after_s = spool, link, ready, close_after_s
        self._open = {lane: _Open() for lane in Lane}
        self._timers: dict[Lane, asyncio.TimerHandle] = {}
        self._writing: set[asyncio.Future[int]] = set()
        self.closed_s = 0.0  # monotonic, of the last batch

    def add(self, records: Iterable[Record]) -> None:
        """Take records; alarms leave at once, and nothing of theirs waits for other lanes."""
        records = self._mark(records)
        for record in records:
            waiting = self._open[lane_for(record)]
            waiting.records.append(record)
            waiting.size += _size(record)
        self._close_what_is_due()
        self._watch(records)

    def add_package(self, records: Iterable[Record], arrivals: Mapping[Lane, Arrival]) -> "list[asyncio.Future[int]]":
        """Take the records of one package, with its mark behind the last of each lane; a future for each lane's durability."""
        lanes = set(arrivals)
        records = self._mark(records)
        for lane, arrival in arrivals.items():
            self._open[lane].arrivals.append(arrival)
        for record in records:
            lane = lane_for(record)
            lanes.add(lane)
            self._open[lane].records.append(record)
            self._open[lane].size += _size(record)
        promises = [self._promise(lane) for lane in sorted(lanes)]
        self._close_what_is_due()
        self._watch(records)
        return promises

    def _promise(self, lane: Lane) -> "asyncio.Future[int]":
        waiting = self._open[lane]
        if waiting.durable is None:
            waiting.durable = asyncio.get_running_loop().create_future()
        return waiting.durable

    def _close_what_is_due(self) -> None:
        if self._open[Lane.ALARM].records:
            self.close(Lane.ALARM)
        for lane, waiting in self._open.items():
            if not waiting.records:
                continue
            if waiting.size >= QUEUES["open-batch"].bound:
                self.close(lane)
            elif lane not in self._timers:
                self._timers[lane] = asyncio.get_running_loop().call_later(self._close_after_s, self.close, lane)

    def close(self, lane: Lane) -> "asyncio.Future[int] | None":
        """Hand the open batch of a lane to the spool; the future of its number, None when there is nothing."""
        timer = self._timers.pop(lane, None)
        if timer is not None:
            timer.cancel()
        closed, self._open[lane] = self._open[lane], _Open()
        if not closed.records:
            return None
        self.closed_s = time.monotonic()
        parts = (
            self._append_alarms(closed) if lane is Lane.ALARM else self._append(lane, closed.records, closed.arrivals)
        )
        self._closed(lane, parts)
        durable = parts[0] if len(parts) == 1 else _all(parts)
        if closed.durable is not None:
            durable.add_done_callback(partial(_tell, closed.durable))
        return durable

    def _append_alarms(self, closed: _Open) -> "list[asyncio.Future[int]]":
        """Hand alarms to the spool; what a device tells beyond measure lets the others go first."""
        *parts, (last, last_yields) = self._alarm_turns.parts(closed.records)
        written = [one for part, yields in parts for one in self._append(Lane.ALARM, part, yields=yields)]
        return [*written, *self._append(Lane.ALARM, last, closed.arrivals, yields=last_yields)]

    def _append(
        self, lane: Lane, records: Sequence[Record], arrivals: Sequence[Arrival] = (), *, yields: bool = False
    ) -> "list[asyncio.Future[int]]":
        """Hand records to the spool, in as many batches as they need; marks stand in the last, so that they tell of all of them."""
        try:
            durable = self._spool.append(lane, records, arrivals)
        except wire.TooLargeError:
            return self._append_parts(lane, records, arrivals, yields=yields)
        if durable not in self._writing:  # the spool may make one batch of several
            self._writing.add(durable)
            durable.add_done_callback(lambda future: self._durable(lane, future, yields=yields))
        BATCHES.labels(lane=lane.name.lower()).inc()
        return [durable]

    def _append_parts(
        self, lane: Lane, records: Sequence[Record], arrivals: Sequence[Arrival], *, yields: bool
    ) -> "list[asyncio.Future[int]]":
        half = len(records) // 2
        if half:
            first = self._append(lane, records[:half], yields=yields)
            return [*first, *self._append(lane, records[half:], arrivals, yields=yields)]
        if arrivals:
            return [*self._append(lane, records, yields=yields), *self._append(lane, (), arrivals, yields=yields)]
        _log.error(
            "record-too-large",
            lane=lane.name.lower(),
            source=str(records[0].source),
            kind=type(records[0]).__name__,
            what_to_do="let the device send less at once; samples are cut in two, of anything else an event tells its first bytes",
        )
        parts: list[asyncio.Future[int]] = []
        for record in fitted(records[0]):
            parts += self._append(lane_for(record), [record])
        return parts

    def record(self, gaps: Iterable[Gap]) -> "asyncio.Future[int] | None":
        """Put gaps of lost batches into lane event and close it; the future of their durability."""
        self._open[Lane.EVENT].records += gaps
        return self.close(Lane.EVENT)

    def close_at_once(self) -> None:
        """Close every lane, alarms first: what comes from now on is in other batches."""
        for lane in Lane:
            self.close(lane)

    async def close_all(self, within_s: float | None = None) -> int:
        """Close every lane, alarms first, and wait until all are durable, or for `within_s`; how many batches are not."""
        self.close_at_once()
        if self._writing:
            await asyncio.wait(self._writing, timeout=within_s)
        return len(self._writing)

    def _durable(self, lane: Lane, future: "asyncio.Future[int]", *, yields: bool) -> None:
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
        self._link.batch_ready(lane, future.result(), yields=yields)
        self._ready(connection_of(lane))
