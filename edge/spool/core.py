"""The spool as the event loop sees it: append and be told when it is durable, read, acknowledge.

Batches in four lanes, durable before anybody hears of them, kept until acknowledged and a day longer (rules 2 to 4 and 6 of the
architecture). Two writer threads do the work of store.py, so that an alarm never waits behind a waveform's commit.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import structlog

from edge.health.metrics import SPOOL_DISK_ERRORS, SPOOL_GIVEN_UP, SPOOL_WAITING_BYTES
from edge.spool.frame import Frame, FrameError
from edge.spool.held import records_of, source_ends
from edge.spool.index import AlarmRow, ArrivalRow, SourceEnd
from edge.spool.keyring import KeptIn, KeySource
from edge.spool.limits import Limits
from edge.spool.log import Location
from edge.spool.medium import Medium
from edge.spool.recovery import Recovered, alarm_rows
from edge.spool.store import ALARM_LOG, LOG_OF, RECORD_LOG, WAVEFORM_LOG, Store
from edge.spool.writer import GroupWriter
from protocols.device_package_pb2 import Record as WireRecord
from protocols.gaps import gaps_of
from protocols.link import Lane, Position
from protocols.nomenclature import QUEUE_OVERFLOW
from protocols.record import AlarmCondition, Gap, Record
from protocols.uplink_pb2 import Envelope
from protocols.wire import Arrival, decode_record, encode_batch, encode_record

_RETIRE_EVERY_S = 60.0
_WATCH_EVERY_S = 2.0
_HANGS_S = 60.0  # a card that tidies itself up takes seconds
_BATCH_BYTES = 1024  # that a waiting batch takes beside its payload: a small one is mostly this
# Together as far below the bound of a batch as the longest names of sources and devices can want.
GAPS_OF_A_BATCH = 512
_ARRIVALS_OF_A_BATCH = 2000

_LOOK_S = 0.2

_log = structlog.get_logger()

OnDropped: TypeAlias = Callable[[Lane, int, int], None]


@dataclass(slots=True)
class _Item:
    """A batch on its way to the disk."""

    frame: Frame
    done: "asyncio.Future[int]"
    sources: list[SourceEnd] = field(default_factory=list[SourceEnd])
    alarms: list[AlarmRow] = field(default_factory=list[AlarmRow])
    arrivals: list[ArrivalRow] = field(default_factory=list[ArrivalRow])


@dataclass(slots=True)
class _GivenUp:
    """Batches of a lane for which there was no room, as the Gaps that they make together."""

    done: "asyncio.Future[int]"
    gaps: list[WireRecord] = field(default_factory=list[WireRecord])
    arrivals: list[Arrival] = field(default_factory=list[Arrival])


@dataclass(slots=True)
class _Call:
    """Work for the thread that owns the segments."""

    run: Callable[[], None]
    done: "Future[None]"


_Work: TypeAlias = _Item | _Call


class NotNowError(OSError):
    """A batch that is there cannot be read at this moment; it can be tried again."""


class WriterEndedError(RuntimeError):
    """A writer thread is dead: only a new process writes again."""


class Spool:
    """Made by `Spool.open`; ended by `close`. `on_dropped(lane, first, last)` is called in the event loop."""

    def __init__(
        self,
        directory: Path,
        clock_ns: Callable[[], int],
        limits: Limits,
        keys: KeySource,
        loop: asyncio.AbstractEventLoop,
        monotonic_ns: Callable[[], int],
    ) -> None:
        """Use `open`."""
        self.on_dropped: OnDropped = lambda _lane, _first, _last: None
        self._clock, self._loop = clock_ns, loop
        self._store = Store(directory, limits, keys, clock_ns, self._tell_dropped, monotonic_ns)
        self._medium = Medium(time.monotonic)
        self._retired_s = 0.0
        self._given_up: dict[Lane, _GivenUp] = {}
        self._waiting_bytes = dict.fromkeys(Lane, 0)
        self._alarm_writer = GroupWriter[_Work]("spool-alarm", self._commit_alarms, lambda: None)
        self._bulk_writer = GroupWriter[_Work]("spool-bulk", self._commit_bulk, self._idle_bulk)

    @classmethod
    async def open(
        cls,
        directory: Path,
        clock_ns: Callable[[], int],
        limits: Limits | None = None,
        keys: KeySource | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> "Spool":
        """Open or make the spool of a directory; reads, off the event loop, whatever the index does not know.

        `keys`: where its keys are; unless given, in the file `spool.key` beside the directory. SpoolKeyError when one is not there
        that the segments need; then nothing was written. `clock_ns` is the time, `monotonic_ns` what ages acknowledged data.
        """
        loop = asyncio.get_running_loop()
        source = keys or KeySource.beside(directory)
        spool = await asyncio.to_thread(cls, directory, clock_ns, limits or Limits(), source, loop, monotonic_ns)
        spool._start()  # noqa: SLF001 - the constructor of this class
        return spool

    def _start(self) -> None:
        """From here on each log is written by its own thread only."""
        self._store.append_alarms = self._append_alarms
        self._store.wake_bulk = lambda: self._bulk_writer.put(_Call(self._store.keep_spares, Future()))
        self._alarm_writer.start()
        self._bulk_writer.start()

    async def close(self) -> None:
        """Make durable what waits, write the index, end the threads."""
        for lane in Lane:
            self._tell_given_up(lane)
        for writer in (self._bulk_writer, self._alarm_writer):  # in this order: the former may have work for the latter
            await asyncio.to_thread(writer.stop)
        await asyncio.to_thread(self._store.close)

    @property
    def epoch(self) -> bytes:
        """16 random bytes made with this spool: with lane and n they name a batch for ever."""
        return self._store.epoch

    @property
    def key_kept_in(self) -> KeptIn:
        """Where the key comes from with which batches are sealed."""
        return self._store.key_kept_in

    @property
    def older_keys(self) -> int:
        """How many other keys its segments still needed when it was opened."""
        return self._store.older_keys

    @property
    def recovered(self) -> Recovered:
        """What opening found."""
        return self._store.recovered

    def append(
        self, lane: Lane, records: Iterable[Record | Envelope], arrivals: Sequence[Arrival] = ()
    ) -> "asyncio.Future[int]":
        """Number a batch and hand it to its writer; resolved with n when it is durable, in the order of n.

        `arrivals`: the devices' packages of which all records of this lane are among these; durable in the same write.
        A batch for which the writer has no room becomes the Gap of what it held; the batches of such a time become one, with one
        future. Alarms always have room. TooLargeError, and nothing is numbered, when the records are more than a batch may hold.
        """
        has_room = self._has_room(lane)
        if has_room:
            self._tell_given_up(lane)  # before what comes now: a stream is durable in its own order
        closed_ns = self._clock()
        payload = encode_batch(lane.wire, self._store.newest[lane] + 1, closed_ns, records, arrivals)
        if has_room:
            return self._put(lane, closed_ns, payload, arrivals, self._loop.create_future())
        return self._give_up(lane, closed_ns, records_of(payload), arrivals)

    def _give_up(
        self, lane: Lane, at_ns: int, records: Sequence[WireRecord], arrivals: Sequence[Arrival]
    ) -> "asyncio.Future[int]":
        """Keep the Gaps of these records until there is room, together with those that wait for it already."""
        SPOOL_GIVEN_UP.labels(lane=lane.name.lower(), reason=QUEUE_OVERFLOW).inc()
        gaps = gaps_of([records], QUEUE_OVERFLOW, recoverable=False, at_ns=at_ns)
        known = self._given_up.get(lane)
        if known is not None and (
            len(known.gaps) + len(gaps) > GAPS_OF_A_BATCH or len(known.arrivals) + len(arrivals) > _ARRIVALS_OF_A_BATCH
        ):
            self._tell_given_up(lane)
        given_up = self._given_up.setdefault(lane, _GivenUp(self._loop.create_future()))
        together = gaps_of([given_up.gaps, records], QUEUE_OVERFLOW, recoverable=False, at_ns=at_ns)
        given_up.gaps = [encode_record(gap) for gap in together]
        given_up.arrivals += arrivals
        return given_up.done

    def _tell_given_up(self, lane: Lane) -> None:
        """Put the Gaps of what there was no room for behind what is waiting."""
        if lane in self._given_up:
            given_up, closed_ns = self._given_up[lane], self._clock()
            gaps = [decode_record(gap) for gap in given_up.gaps]
            payload = encode_batch(lane.wire, self._store.newest[lane] + 1, closed_ns, gaps, given_up.arrivals)
            del self._given_up[lane]
            self._put(lane, closed_ns, payload, given_up.arrivals, given_up.done)

    def _has_room(self, lane: Lane) -> bool:
        limits = self._store.limits
        match lane:
            case Lane.ALARM:
                return True
            case Lane.WAVEFORM:
                return self._writer(lane).waiting() < limits.queue_batches
            case Lane.EVENT | Lane.NUMERIC:
                return self._waiting_bytes[lane] < limits.queue_bytes

    def _put(
        self, lane: Lane, closed_ns: int, payload: bytes, arrivals: Sequence[Arrival], done: "asyncio.Future[int]"
    ) -> "asyncio.Future[int]":
        n = self._store.newest[lane] = self._store.newest[lane] + 1
        item = _Item(Frame(lane, n, closed_ns, payload), done)
        item.arrivals = [ArrivalRow(lane, a.device, a.identity, n) for a in arrivals]
        if lane is Lane.WAVEFORM:
            item.sources = source_ends(records_of(payload))
        elif lane is Lane.ALARM:
            item.alarms = alarm_rows(records_of(payload), 0)
        self._wait_for(item, 1)
        self._writer(lane).put(item)
        return done

    def _wait_for(self, item: _Item, one: int) -> None:
        """Count a batch that is not on disk yet (1), or not any more (-1)."""
        lane = Lane(item.frame.lane)
        self._waiting_bytes[lane] += one * (len(item.frame.payload) + _BATCH_BYTES)
        SPOOL_WAITING_BYTES.labels(lane=lane.name.lower()).set(self._waiting_bytes[lane])

    def read(self, lane: Lane, n: int) -> bytes | None:
        """The encoded batch; None when it is not there (any more). Reads the disk: call it from a thread unless `is_recent`.

        A batch whose bytes turn out to be damaged becomes a hole, which `on_dropped` tells. NotNowError when it is there and cannot be
        read at this moment: what the process or the system lacks just now is no damage, and one error of a medium may pass.
        """
        try:
            try:
                return self._store.read(lane, n)
            except FrameError:
                return self._store.read(lane, n)
        except FrameError:
            self._in_writer(self._bulk_writer, lambda: self._store.give_up_unread(lane, n))
            return None
        except OSError as error:
            if self._medium.is_lost(lane, n, error):
                self._in_writer(self._bulk_writer, lambda: self._store.give_up_unread(lane, n))
                return None
            SPOOL_DISK_ERRORS.inc()
            msg = f"batch {n} of lane {lane.name.lower()} cannot be read now: {error}"
            raise NotNowError(msg) from error

    def closed_ns(self, lane: Lane, n: int) -> int | None:
        """When a batch was closed; None when it is not there (any more). Asks the index: call it from a thread. OSError."""
        return self._store.closed_ns(lane, n)

    def is_recent(self, lane: Lane, n: int) -> bool:
        """Whether `read` finds the batch in memory."""
        return self._store.is_recent(lane, n)

    def held(self, lane: Lane) -> list[tuple[int, int]]:
        """The numbers that are durable, as closed ranges."""
        return self._store.held(lane)

    async def closed_between(self, lane: Lane, from_ns: int, to_ns: int) -> tuple[list[tuple[int, int]], int]:
        """The batches that are there and were closed in that time, as closed ranges; when the oldest that is there was (0: none is)."""
        return await asyncio.to_thread(self._store.closed_between, lane, from_ns, to_ns)

    def newest(self, lane: Lane) -> int:
        """The highest number ever given in this epoch."""
        return self._store.newest[lane]

    def stored(self, lane: Lane) -> Position:
        """What the hub last said that it has."""
        return self._store.stored(lane)

    def acknowledged(self, lane: Lane, position: Position) -> None:
        """The hub has this of a lane. It is kept on disk all the same; a restored hub may state less."""
        self._store.acknowledged(lane, position)

    async def gaps_for(self, lane: Lane, first: int, last: int) -> list[Gap]:
        """What these numbers held, as far as no Gap was recorded for it yet."""
        records = await asyncio.to_thread(self._store.gaps_for, lane, first, last)
        return [r for r in (decode_record(m) for m in records) if isinstance(r, Gap)]

    async def gaps_recorded(self, lane: Lane, first: int, last: int) -> None:
        """The Gap records of these numbers are durable in lane event: they are not to be made again."""
        work = self._in_writer(self._bulk_writer, lambda: self._store.empty_holes(lane, first, last))
        await asyncio.wrap_future(work)

    async def settled(self) -> None:
        """Return when everything is done that the writer of all lanes but alarm had to do until now."""
        await asyncio.wrap_future(self._in_writer(self._bulk_writer, lambda: None))

    def last_waveforms(self) -> Mapping[str, SourceEnd]:
        """Where the stored samples of each source end, by source path."""
        return self._store.source_ends()

    def arrivals(self) -> dict[Lane, list[Arrival]]:
        """The packages that each lane had when the spool was opened, as far back as they are kept; oldest first."""
        known: dict[Lane, list[Arrival]] = {lane: [] for lane in Lane}
        for row in self._store.places.arrivals():
            known[Lane(row.lane)].append(Arrival(row.device, row.identity))
        return known

    def adopt(self, arrivals: Mapping[Lane, Sequence[Arrival]]) -> None:
        """A spool that replaces another knows its packages again; before anything is appended."""
        self._store.index.write(
            arrivals=[ArrivalRow(lane, a.device, a.identity, 0) for lane, known in arrivals.items() for a in known]
        )

    def active_alarms(self) -> list[AlarmCondition]:
        """The alarms that had not ended when the spool was opened."""
        records = [decode_record(WireRecord.FromString(row.record)) for row in self._store.index.alarms()]
        return [r for r in records if isinstance(r, AlarmCondition)]

    def allocated_bytes(self) -> int:
        """Bytes of all segments on disk."""
        return self._store.allocated_bytes()

    def waiting(self, lane: Lane) -> int:
        """Batches that wait for the lane's writer."""
        return self._writer(lane).waiting()

    def dead_writers(self) -> list[str]:
        """Writer threads that have ended, or hang in the disk."""
        return [w.name for w in (self._alarm_writer, self._bulk_writer) if not w.is_alive(_HANGS_S)]

    async def watch(self) -> None:
        """For ever; WriterEndedError when a writer thread is dead: what is appended then never becomes durable."""
        while True:
            if dead := self.dead_writers():
                raise WriterEndedError(f"{' and '.join(dead)} has ended, or hangs in the disk; what was durable stays")
            await asyncio.sleep(_WATCH_EVERY_S)

    # -- the writer threads

    def _writer(self, lane: Lane) -> GroupWriter[_Work]:
        return self._alarm_writer if lane is Lane.ALARM else self._bulk_writer

    def _in_writer(self, writer: GroupWriter[_Work], run: Callable[[], None]) -> "Future[None]":
        call = _Call(run, Future())
        writer.put(call)
        return call.done

    def _append_alarms(self, frames: Sequence[Frame]) -> list[Location]:
        """Holes of lane alarm, found by the thread that keeps house, are written by the alarms' own, between alarms. OSError."""
        places: list[Location] = []
        work = self._in_writer(self._alarm_writer, lambda: places.extend(self._store.append_here(ALARM_LOG, frames)))
        while not wait((work,), _LOOK_S).done:
            self._bulk_writer.beat()
            if (self._bulk_writer.stopping or self._store.alarm_waits) and work.cancel():
                msg = "alarms wait for room; what is to be written between them comes later"
                raise OSError(msg)
        work.result()
        return places

    def _commit_alarms(self, work: Sequence[_Work]) -> None:
        self._commit(work, self._alarm_writer)

    def _commit_bulk(self, work: Sequence[_Work]) -> None:
        self._commit(work, self._bulk_writer)

    def _commit(self, work: Sequence[_Work], writer: GroupWriter[_Work]) -> None:
        items = [w for w in work if isinstance(w, _Item)]
        for key in (ALARM_LOG, RECORD_LOG, WAVEFORM_LOG):
            group = [i for i in items if LOG_OF[Lane(i.frame.lane)] == key]
            if group:
                self._commit_group(key, group, writer)
        for call in (w for w in work if isinstance(w, _Call)):
            if call.done.set_running_or_notify_cancel():
                error = _tried(call.run)
                if error is None:
                    call.done.set_result(None)
                else:
                    call.done.set_exception(error)

    def _commit_group(self, key: int, group: Sequence[_Item], writer: GroupWriter[_Work]) -> None:
        sources = [s for i in group for s in i.sources]
        alarms = [a for i in group for a in i.alarms]
        arrivals = [a for i in group for a in i.arrivals]

        def give_up() -> bool:
            writer.beat()  # a disk that refuses is no dead thread
            if key == WAVEFORM_LOG and (others := writer.take(_is_record)):
                # Where there is no room for waveforms there may be some for numbers and events.
                self._commit_group(RECORD_LOG, [item for item in others if isinstance(item, _Item)], writer)
            return writer.stopping

        try:
            self._store.write(key, [i.frame for i in group], sources, alarms, arrivals, give_up)
        except OSError as error:
            self._loop.call_soon_threadsafe(self._settle, group, error)
        else:
            self._loop.call_soon_threadsafe(self._settle, group, None)
        if key == ALARM_LOG and not self._store.has_spare(ALARM_LOG):
            self._store.wake_bulk()

    def _settle(self, group: Sequence[_Item], error: OSError | None) -> None:
        """Tell in the event loop that a group is durable, or never will be."""
        for item in group:
            self._wait_for(item, -1)
            if item.done.done():
                continue
            if error is None:
                item.done.set_result(item.frame.n)
            else:
                item.done.set_exception(error)
        for lane in list(self._given_up):
            if self._has_room(lane):
                self._tell_given_up(lane)

    def _idle_bulk(self) -> None:
        """All that keeps house is here: an alarm waits for nothing of it."""
        for work in (self._store.flush_if_due, self._store.keep_spares, self._retire):
            error = _tried(work)
            if error is not None:
                SPOOL_DISK_ERRORS.inc()
                if not isinstance(error, OSError):
                    _log.error(
                        "spool-housekeeping-failed", error=repr(error), what_to_do="report this; it is tried again"
                    )

    def _retire(self) -> None:
        now_s = time.monotonic()
        if now_s - self._retired_s >= _RETIRE_EVERY_S:
            self._retired_s = now_s
            self._store.retire()

    def _tell_dropped(self, lane: Lane, first: int, last: int) -> None:
        self._loop.call_soon_threadsafe(self._call_dropped, lane, first, last)

    def _call_dropped(self, lane: Lane, first: int, last: int) -> None:
        self.on_dropped(lane, first, last)


def _is_record(work: _Work) -> bool:
    return isinstance(work, _Item) and LOG_OF[Lane(work.frame.lane)] == RECORD_LOG


def _tried(run: Callable[[], None]) -> Exception | None:
    """What came of it: the thread has batches to write, and housekeeping that fails is done when it can be."""
    try:
        run()
    except Exception as error:  # noqa: BLE001 - it is told, by the future or the log; the writer has to go on
        return error
    return None
