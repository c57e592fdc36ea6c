"""The blocking half of the spool: segments, index, and what is given up when there is no room or bytes are damaged.

Each log is written by one thread only (core.py sees to it). What goes leaves a hole: a frame that names the missing numbers and
the Gap records that they make, so that the hub can be told exactly once.
"""

import errno
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge.durable import make_folder
from edge.health.metrics import SPOOL_COMMIT, SPOOL_DISK_ERRORS, SPOOL_GIVEN_UP, SPOOL_INDEX_BEHIND, SPOOL_WRITTEN
from edge.spool.ages import Ages
from edge.spool.ends import Ends, Known, furthest
from edge.spool.frame import Found, Frame, FrameError, sealed_bytes
from edge.spool.held import arrivals_of, records_of, source_ends
from edge.spool.index import AlarmRow, ArrivalRow, Entry, IndexRefusedError, SourceEnd
from edge.spool.keyring import KeySource
from edge.spool.limits import Limits
from edge.spool.log import FULL, Location, SegmentLog, Spare
from edge.spool.opening import plain_until, spool_epoch, survey
from edge.spool.places import Places
from edge.spool.recent import Recent
from edge.spool.starting import start
from protocols.device_package_pb2 import Record as WireRecord
from protocols.gaps import Stretch, gaps_between, gaps_of
from protocols.link import Lane, Position, Ranges
from protocols.nomenclature import SPOOL_CORRUPT, SPOOL_FULL
from protocols.record import NS_PER_S, Gap
from protocols.wire import encode_batch

ALARM_LOG, RECORD_LOG, WAVEFORM_LOG = 1, 2, 3
_IN_INDEX = 0  # no log: what is sealed for the index is good there only
LOG_NAMES = {ALARM_LOG: "alarm", RECORD_LOG: "record", WAVEFORM_LOG: "waveform"}
LOG_OF = {Lane.ALARM: ALARM_LOG, Lane.EVENT: RECORD_LOG, Lane.NUMERIC: RECORD_LOG, Lane.WAVEFORM: WAVEFORM_LOG}
_LOOK_S = 0.2  # within a pause: whether something else can be written
_RETRY_S, _RETRIES_GROW = 1.0, 8  # so many times as long, when the disk goes on refusing
_MOST_BEHIND, _INDEX_ROOM_EVERY_S = 16_384, 60.0  # batches, some 5 MB
_NEIGHBOURS, _MOST_NEIGHBOURS = 8, 1024  # batches on each side of a damaged one that are asked which sources were alive
_NEIGHBOURHOOD_NS = 600 * NS_PER_S  # a source that sends less often is told of by its decoder alone
_SPARE_BYTES = 1 << 20  # for the holes of what goes when the disk is full


def _spare(key: int, limits: Limits) -> Spare:
    """Alarms take theirs first, so that none waits for an allocation; the holes of what goes need one on a full disk."""
    if key == ALARM_LOG:
        return Spare(limits.alarm_segment_bytes, first=True)
    return Spare(min(_SPARE_BYTES, limits.segment_bytes)) if key == RECORD_LOG else Spare()


@dataclass(slots=True)
class _Owed:
    """Holes of a segment that is let go of, which are not written yet, and what is told when they are."""

    holes: dict[Lane, list[Frame]]
    dropped: list[tuple[Lane, int, int]]


class Store:
    """Opens what is there and reports damage as holes. `dropped(lane, first, last)` is called from writer threads."""

    def __init__(
        self,
        directory: Path,
        limits: Limits,
        keys: KeySource,
        clock_ns: Callable[[], int],
        dropped: Callable[[Lane, int, int], None],
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """SpoolKeyError, before anything is written, when a key that the segments need is not there."""
        self.limits = limits
        self._clock, self._dropped = clock_ns, dropped
        self._lock = threading.Lock()
        # Alarms in one of their own: no waveform drives out what has to go while the disk cannot be read.
        self._recent, self._recent_alarms = Recent(), Recent()
        found = survey(directory, LOG_NAMES)
        ring, self.key_kept_in = keys.load(directory, found.needed)
        self.older_keys = len(found.needed.keys() - {ring.current.id})
        make_folder(directory, mode=0o700)
        self.epoch = spool_epoch(directory, found)
        plain = plain_until(directory, self.epoch, LOG_NAMES, found, ring)
        self._logs = {
            key: SegmentLog(
                directory / name,
                key,
                self.epoch,
                ring,
                plain[key],
                limits.alarm_segment_bytes if key == ALARM_LOG else limits.segment_bytes,
                spare=_spare(key, limits),
            )
            for key, name in LOG_NAMES.items()
        }
        seals = ring.at(self.epoch, _IN_INDEX, 0)
        self._ends = Ends(directory / "ends")
        started = start(directory / "index.sqlite3", seals, self._logs, self._logs[WAVEFORM_LOG], monotonic_ns)
        self.index, self.recovered = started.index, started.recovered
        self._stored = {lane: Position(started.acknowledged.get(lane, [])) for lane in Lane}
        self._held = {lane: Ranges(started.held[lane]) for lane in Lane}
        self._alive = started.alive
        self._ages = Ages(started.ages, monotonic_ns)
        self.places = Places(self.index, self._logs, clock_ns, self._is_held, self._positions)
        self.append_alarms: Callable[[Sequence[Frame]], list[Location]] = self._logs[ALARM_LOG].append
        self.wake_bulk: Callable[[], None] = lambda: None
        self._alarm_waits, self._alarm_served = threading.Event(), threading.Event()
        self._owed: list[_Owed] = []
        self._index_room_s = 0.0
        self._learn(self._ends.read(), started.let_go)
        if started.let_go:
            known = {lane: Ranges(self.index.ranges(lane)) for lane in Lane}
            # A hole for each: which of them the hub has got is not known now, and its gaps are told of those alone that it lacks.
            for frame in started.let_go:
                if not known[Lane(frame.lane)].contains(frame.n):
                    self._owe([frame], {})
        self.newest = {lane: self._find_newest(lane) for lane in Lane}
        with suppress(OSError):
            self.keep_spares()

    # -- from any thread

    def read(self, lane: Lane, n: int) -> bytes | None:
        """The encoded batch, None when it is not there; FrameError when its bytes are damaged, OSError when they cannot be read."""
        with self._lock:
            recent = self._recent_of(lane).get(lane, n)
            if recent is not None or not self._held[lane].contains(n):
                return recent
        entry = self.places.find(lane, n)
        try:
            if entry is not None and not entry.last:
                return self._logs[entry.log].read(entry.location).frame.payload
        except FileNotFoundError:
            pass
        if not self._is_held(lane, n):
            return None  # dropped since it was looked up
        msg = f"lane {lane.name.lower()} batch {n} is held and is nowhere"
        raise FrameError(msg)

    def closed_ns(self, lane: Lane, n: int) -> int | None:
        """When a batch was closed, None when it is not there; IndexRefusedError when the index does not answer."""
        entry = self.places.find(lane, n) if self._is_held(lane, n) else None
        return None if entry is None or entry.last else entry.closed_ns

    def is_recent(self, lane: Lane, n: int) -> bool:
        """Whether `read` finds the batch in memory."""
        with self._lock:
            return self._recent_of(lane).get(lane, n) is not None

    def held(self, lane: Lane) -> list[tuple[int, int]]:
        """The numbers that are durable, as closed ranges."""
        with self._lock:
            return list(self._held[lane])

    def stored(self, lane: Lane) -> Position:
        """What the hub last said that it has."""
        with self._lock:
            return self._stored[lane].copy()

    def acknowledged(self, lane: Lane, position: Position) -> None:
        """The hub has this of the lane."""
        with self._lock:
            self._stored[lane] = position.copy()
            if lane is Lane.ALARM:
                for first, last in position:
                    self._recent_alarms.forget(lane, first, last)
        self.places.acknowledged(lane, list(position))

    def source_ends(self) -> dict[str, SourceEnd]:
        """Where the durable samples of each source end."""
        return self.places.source_ends()

    def allocated_bytes(self) -> int:
        """Bytes of all segments on disk."""
        return sum(log.allocated for log in self._logs.values())

    def gaps_for(self, lane: Lane, first: int, last: int) -> list[WireRecord]:
        """The Gap records that stand for these numbers and were not made yet."""
        gaps: list[WireRecord] = []
        for entry in self.places.holes(lane, first, last):
            try:
                payload = self._logs[entry.log].read(entry.location).frame.payload
            except FrameError:
                continue  # damaged as well: nobody knows any more what the batches held, only that they are gone
            gaps += records_of(payload) if payload else []
        return gaps

    def flush_if_due(self) -> None:
        """Bring the index up to what is durable, when it is far enough behind that it is worth the pages."""
        SPOOL_INDEX_BEHIND.set(self.places.behind)
        self.places.mend()
        if not self.places.is_whole or not self.places.is_due(self.limits.index_every_batches):
            return
        try:
            self.flush()
        except OSError as error:
            now_s = time.monotonic()
            # What waits for an index that cannot grow takes memory: so much of it is worth a segment.
            if error.errno in FULL and self.places.behind >= _MOST_BEHIND and now_s >= self._index_room_s:
                self._index_room_s = now_s + _INDEX_ROOM_EVERY_S
                self._drop_victim()
            raise

    def closed_between(self, lane: Lane, from_ns: int, to_ns: int) -> tuple[list[tuple[int, int]], int]:
        """The batches that are there and were closed in that time, and when the oldest that is there was closed (0: none is)."""
        self.flush()
        return self.index.closed_between(lane, from_ns, to_ns), self.index.kept_from_ns(lane)

    def flush(self) -> None:
        """Bring the index up to what is durable; OSError when the disk does not take it, which is tried again with what comes later."""
        self.places.flush()

    def close(self) -> None:
        """Flush and close the files; the writers have ended. What the index does not take is read from the segments at the next start."""
        try:
            self.flush()
        except OSError:
            SPOOL_DISK_ERRORS.inc()
        self.index.close()
        for log in self._logs.values():
            log.seal()

    # -- from the thread that owns the log

    def write(
        self,
        key: int,
        frames: Sequence[Frame],
        sources: Iterable[SourceEnd],
        alarms: Iterable[AlarmRow],
        arrivals: Iterable[ArrivalRow],
        give_up: Callable[[], bool],
    ) -> None:
        """Make frames durable, making room and trying again as long as it takes; OSError once `give_up` says so."""
        begun = time.monotonic()
        entries = self._append(key, frames, give_up)
        rows = [AlarmRow(a.id, entries[-1].location.segment, a.record) for a in alarms]
        with self._lock:
            # Placed before it is held: whoever finds it held finds its place.
            self.places.wrote(entries, sources, rows, arrivals)
            for entry, frame in zip(entries, frames, strict=True):
                self._recent_of(frame.lane).add(frame)
                self._held[Lane(frame.lane)].add(frame.n)
                SPOOL_WRITTEN.inc(entry.location.size)
            for row in rows:
                if row.record:
                    self._alive[row.id] = row.segment
                else:
                    self._alive.pop(row.id, None)
        SPOOL_COMMIT.observe(time.monotonic() - begun)

    def retire(self) -> None:
        """Drop closed segments that the hub has had for as long as the limits keep them."""
        with self._lock:
            alive = set(self._alive.values())
        try:
            for key, log in self._logs.items():
                for segment in log.in_order():
                    if segment.number != log.current:
                        acknowledged = self._is_acknowledged(segment.spans)
                        age_ns = self._ages.look((key, segment.number), acknowledged=acknowledged)
                        is_alive = key == ALARM_LOG and segment.number in alive
                        if acknowledged and age_ns >= self.limits.keep_ns and not is_alive:
                            self._drop(key, segment.number)
        finally:
            there = {(key, number) for key, log in self._logs.items() for number in list(log.segments)}
            self.places.aged(self._ages.rows(there))

    def has_spare(self, key: int) -> bool:
        """Whether an empty segment is ready for a log."""
        return self._logs[key].has_spare

    def keep_spares(self) -> None:
        """Have an empty segment ready for alarms and one for holes; of a full disk the oldest waveforms go for it. OSError when it has no room still."""
        self._keep_spare(ALARM_LOG)
        self._alarm_waits.clear()
        self._alarm_served.set()
        self._keep_spare(RECORD_LOG)
        self._pay()

    def _keep_spare(self, key: int) -> None:
        is_first = True
        while True:
            try:
                self._logs[key].prepare_spare()
            except OSError as error:
                # Of one look at most one goes, so that somebody who eats up the disk does not get it all at once; for an alarm that waits all may.
                may_drop = is_first or (key == ALARM_LOG and self._alarm_waits.is_set())
                if error.errno not in FULL or not may_drop or not self._drop_victim(current=key == ALARM_LOG):
                    raise
                is_first = False
            else:
                return

    @property
    def alarm_waits(self) -> bool:
        """Whether an alarm waits for the thread that makes room: that may not wait for the alarms'."""
        return self._alarm_waits.is_set()

    def append_here(self, key: int, frames: Sequence[Frame]) -> list[Location]:
        """Write frames without making room, from the thread that owns the log; OSError when the disk refuses."""
        return self._logs[key].append(frames)

    def give_up_unread(self, lane: Lane, n: int) -> None:
        """A batch that could not be read, unless that was done meanwhile."""
        if self._is_held(lane, n):
            self.give_up(lane, n, n)

    def give_up(self, lane: Lane, first: int, last: int) -> None:
        """Batches that cannot be read: a hole with what their neighbours tell."""
        before, behind = self.places.neighbours(lane, first, last, _MOST_NEIGHBOURS)
        ends = self.source_ends()
        gaps = gaps_between(
            self._neighbours(before[::-1], ends)[::-1],
            self._neighbours(behind, ends),
            SPOOL_CORRUPT,
            self._clock(),
            {source: Stretch(source, e.end_ns, e.end_ns, e.end_sample, e.end_sample) for source, e in ends.items()},
        )
        self._make_holes(lane, [self._hole(lane, first, last, gaps)])
        self.places.remove(lane, first, last)
        with self._lock:
            self._gone(lane, first, last)
        SPOOL_GIVEN_UP.labels(lane=lane.name.lower(), reason=SPOOL_CORRUPT).inc(last - first + 1)
        self._dropped(lane, first, last)

    def empty_holes(self, lane: Lane, first: int, last: int) -> None:
        """The Gap records of these numbers are durable elsewhere: the holes need not hold them any more."""
        holes = self.places.holes(lane, first, last)
        self._make_holes(lane, [Frame(lane, h.n, h.closed_ns, b"", h.last) for h in holes])

    # -- room

    def _append(self, key: int, frames: Sequence[Frame], give_up: Callable[[], bool]) -> list[Entry]:
        log = self._logs[key]
        size, largest = sum(sealed_bytes(f) for f in frames), max((sealed_bytes(f) for f in frames), default=0)
        pause_s = _RETRY_S
        while True:
            if key != ALARM_LOG and log.needs_segment(size):
                self._make_room(key, max(size, self.limits.segment_bytes))
            try:
                return [
                    Entry(f.lane, f.n, f.last, f.closed_ns, key, where)
                    for f, where in zip(frames, log.append(frames), strict=True)
                ]
            except OSError as error:
                SPOOL_DISK_ERRORS.inc()
                if give_up():
                    raise
                if key == ALARM_LOG and error.errno in FULL:
                    self._ask_for_room()
                elif key != ALARM_LOG and self._alarm_waits.is_set():
                    self._serve()
                elif key == ALARM_LOG or error.errno not in FULL or not (self._drop_victim() or log.shrink(largest)):
                    self._pause(key, pause_s, give_up)
                    pause_s = min(2 * pause_s, _RETRIES_GROW * _RETRY_S)

    def _pause(self, key: int, pause_s: float, give_up: Callable[[], bool]) -> None:
        """Before the disk is asked again; not beyond an end of the spool, nor, in the thread that makes room, an alarm that waits for it."""
        until_s = time.monotonic() + pause_s
        while (left_s := until_s - time.monotonic()) > 0 and not give_up():
            if key == ALARM_LOG:
                time.sleep(min(left_s, _RETRY_S))
            elif self._alarm_waits.wait(min(left_s, _LOOK_S)):
                return

    def _ask_for_room(self) -> None:
        """An alarm has none: the thread that may let waveforms go is asked, which hears it also while it waits for the disk itself."""
        self._alarm_served.clear()
        self._alarm_waits.set()
        self.wake_bulk()
        self._alarm_served.wait(_RETRY_S)

    def _serve(self) -> None:
        """Room for an alarm that waits comes before one's own."""
        try:
            self.keep_spares()
        except OSError:
            SPOOL_DISK_ERRORS.inc()
            time.sleep(_RETRY_S)

    def _make_room(self, key: int, size: int) -> None:
        most = self.limits.most_waveform_bytes if key == WAVEFORM_LOG else self.limits.most_record_bytes
        while self._logs[key].allocated + size > most and self._drop_victim((key,)):
            pass
        while self.allocated_bytes() + size > self.limits.total_bytes and self._drop_victim():
            pass

    def _drop_victim(self, keys: Sequence[int] = (WAVEFORM_LOG, RECORD_LOG), *, current: bool = False) -> bool:
        """The oldest acknowledged segment of these logs goes, else the oldest of waveforms, else the oldest of events and numbers.

        False when none can go. `current`: the one of waveforms that is written to may, when there is no other.
        """
        closed = [
            (key, segment)
            for key in keys
            for segment in self._logs[key].in_order()
            if segment.number != self._logs[key].current or (key == WAVEFORM_LOG and not self._logs[key].is_open)
        ]
        done = sorted(
            (self._ages.since_ns((key, s.number)), s.newest_ns, key, s.number)
            for key, s in closed
            if s.spans and self._is_acknowledged(s.spans)
        )
        empty = sorted((-key, s.number) for key, s in closed if not s.spans)
        others = sorted((-key, s.number) for key, s in closed if s.spans)
        if current and not closed and self._logs[WAVEFORM_LOG].is_open:
            others = [(-WAVEFORM_LOG, self._logs[WAVEFORM_LOG].current)]
            self._logs[WAVEFORM_LOG].seal()
        for key, number in [
            *((-key, number) for key, number in empty),
            *((key, number) for _, _, key, number in done),
            *((-key, number) for key, number in others),
        ]:
            try:
                self._drop(key, number)
            except OSError:
                SPOOL_DISK_ERRORS.inc()
            else:
                return True
        return False

    def _is_held(self, lane: int, n: int) -> bool:
        with self._lock:
            return self._held[Lane(lane)].contains(n)

    def _positions(self) -> dict[int, list[tuple[int, int]]]:
        with self._lock:
            return {lane: list(position) for lane, position in self._stored.items()}

    def _is_acknowledged(self, spans: dict[int, tuple[int, int]]) -> bool:
        with self._lock:
            return all(self._stored[Lane(lane)].contains(*span) for lane, span in spans.items())

    def _drop(self, key: int, number: int) -> None:
        log = self._logs[key]
        found = [
            item.frame
            for item in log.frames(number)
            if isinstance(item, Found) and not item.frame.is_hole and self._is_here(item, key, number)
        ]
        holes: dict[Lane, list[Frame]] = {}
        for hole in self.places.holes_in(key, number) if key != WAVEFORM_LOG else ():
            holes.setdefault(Lane(hole.lane), []).append(self._carried(hole))
        dropped = self._owe(found, holes)
        spans = dict(log.segments[number].spans)
        try:
            self._pay()
        except OSError as error:
            if error.errno not in FULL or key == ALARM_LOG:
                self._owed.pop()
                raise
        with self._lock:
            for lane, first, last in dropped:
                self._gone(lane, first, last)
        if key == WAVEFORM_LOG:
            self._note_ends()
        self.places.forget(key, number)
        log.delete(number)
        with suppress(
            OSError
        ):  # the room is there; holes that are not written yet are owed, and a batch that is nowhere is found out
            self._pay()
            for name, span in spans.items():
                self._give_up_unread(Lane(name), span)

    def _learn(self, noted: Known, let_go: Sequence[Frame]) -> None:
        """What neither index nor segments say, as they stood when the disk was full."""
        gone = source_ends(record for frame in let_go for record in records_of(frame.payload))
        came = [row for frame in let_go for row in arrivals_of(frame.payload)]
        self.places.learn(furthest(noted.sources, {end.source: end for end in gone}), [*noted.arrivals, *came])
        self._note_ends()

    def _note_ends(self) -> None:
        """What is known stays known, should index and segments both be lost to a full disk."""
        try:
            self._ends.write(Known(self.source_ends(), self.places.arrivals()))
        except OSError:
            SPOOL_DISK_ERRORS.inc()

    def _owe(self, found: Sequence[Frame], holes: dict[Lane, list[Frame]]) -> list[tuple[Lane, int, int]]:
        """Owe the holes of batches that are let go of, beside those that are carried on; the runs of their numbers."""
        dropped: list[tuple[Lane, int, int]] = []
        for lane in {Lane(f.lane) for f in found}:
            for run in self._runs(lane, [f for f in found if f.lane == lane]):
                gaps = gaps_of((records_of(f.payload) for f in run), SPOOL_FULL, recoverable=False, at_ns=self._clock())
                holes.setdefault(lane, []).append(self._hole(lane, run[0].n, run[-1].n, gaps))
                dropped.append((lane, run[0].n, run[-1].n))
        self._owed.append(_Owed(holes, dropped))
        return dropped

    def _is_here(self, item: Found, key: int, number: int) -> bool:
        """Whether a frame is the one that counts: what a refused write left behind lies again in the next segment."""
        try:
            entry = self.places.find(item.frame.lane, item.frame.n)
        except IndexRefusedError:
            first, last = self._logs[key].segments[number].spans.get(item.frame.lane, (1, 0))
            return first <= item.frame.n <= last and self._is_held(item.frame.lane, item.frame.n)
        return entry is not None and not entry.last and (entry.log, entry.location.segment) == (key, number)

    def _carried(self, hole: Entry) -> Frame:
        try:
            return self._logs[hole.log].read(hole.location).frame
        except FrameError:  # what it held nobody knows any more; that the numbers are gone stays true
            return Frame(hole.lane, hole.n, hole.closed_ns, b"", hole.last)

    def _pay(self) -> None:
        """Write the holes of segments that were let go of; whoever waits to hear of them does. OSError, and they stay owed."""
        while self._owed:
            owed = self._owed[0]
            for lane in list(owed.holes):
                self._make_holes(lane, owed.holes[lane])
                del owed.holes[lane]
            self._owed.pop(0)
            for lane, first, last in owed.dropped:
                if not self.stored(lane).contains(first):
                    SPOOL_GIVEN_UP.labels(lane=lane.name.lower(), reason=SPOOL_FULL).inc(last - first + 1)
                self._dropped(lane, first, last)

    def _recent_of(self, lane: int) -> Recent:
        return self._recent_alarms if lane == Lane.ALARM else self._recent

    def _gone(self, lane: Lane, first: int, last: int) -> None:
        """Within the lock: these are not to be read any more."""
        self._held[lane].remove(first, last)
        self._recent_of(lane).forget(lane, first, last)

    def _runs(self, lane: Lane, frames: list[Frame]) -> list[list[Frame]]:
        """Frames whose numbers follow each other and which the hub all has, or all has not."""
        stored, runs = self.stored(lane), list[list[Frame]]()
        for frame in sorted({f.n: f for f in frames}.values(), key=lambda f: f.n):
            last = runs[-1][-1].n if runs else None
            if last is not None and last == frame.n - 1 and stored.contains(last) == stored.contains(frame.n):
                runs[-1].append(frame)
            else:
                runs.append([frame])
        return runs

    def _give_up_unread(self, lane: Lane, span: tuple[int, int]) -> None:
        """What a segment that is gone should have held, and did not give: found nowhere at the next reading, unless it is told now."""
        with self._lock:
            held = list(self._held[lane].within(*span))
        for n in (n for a, b in held for n in range(a, b + 1)):
            if self.places.find(lane, n) is None:
                self.give_up(lane, n, n)

    # -- holes

    def _find_newest(self, lane: Lane) -> int:
        """The highest number of the lane; what is missing below it, or may have been torn off above it, becomes holes."""
        covered = Ranges(self.index.ranges(lane))  # `places` has nothing of this lane that is not in it
        for _, first, last in (run for owed in self._owed for run in owed.dropped if run[0] is lane):
            covered.add(first, last)  # told with the segment that made room for the index
        newest = max(covered.newest, self._stored[lane].newest)
        torn = sum(t.batches for t in self.recovered.torn if LOG_OF[lane] == t.log)
        for first, last in list(covered.missing(1, newest + torn)):
            self.give_up(lane, first, last)
        return newest + torn

    def _hole(self, lane: Lane, first: int, last: int, gaps: Sequence[Gap]) -> Frame:
        now_ns = self._clock()
        return Frame(lane, first, now_ns, encode_batch(lane.wire, last, now_ns, gaps) if gaps else b"", last)

    def _make_holes(self, lane: Lane, holes: Sequence[Frame]) -> None:
        if not holes:
            return
        key = ALARM_LOG if lane is Lane.ALARM else RECORD_LOG
        locations = self.append_alarms(holes) if key == ALARM_LOG else self._logs[key].append(holes)
        entries = [
            Entry(f.lane, f.n, f.last, f.closed_ns, key, where) for f, where in zip(holes, locations, strict=True)
        ]
        self.places.made_holes(entries)

    def _neighbours(self, entries: Sequence[Entry], ends: Mapping[str, SourceEnd]) -> list[list[WireRecord]]:
        """What the nearest of these batches held, nearest first: until each source of samples was met that was alive, or for ten minutes."""
        batches: list[list[WireRecord]] = []
        since_ns = entries[0].closed_ns - _NEIGHBOURHOOD_NS if entries else 0
        wanted = {source for source, end in ends.items() if end.end_ns > since_ns}
        for entry in entries:
            far = abs(entry.closed_ns - entries[0].closed_ns) > _NEIGHBOURHOOD_NS
            if len(batches) >= _NEIGHBOURS and (far or not wanted):
                break
            # A neighbour that is damaged as well says nothing; it gets a hole of its own when it is read.
            with suppress(FrameError):
                payload = self._payload(entry)
                if payload is not None:
                    batches.append(records_of(payload))
                    wanted.difference_update(record.source for record in batches[-1])
        return batches

    def _payload(self, entry: Entry) -> bytes | None:
        """What a batch holds; None when the medium refuses it twice. FrameError when it is damaged."""
        for _ in range(2):
            try:
                return self._logs[entry.log].read(entry.location).frame.payload
            except OSError as error:
                if error.errno not in {errno.EIO, errno.ENOENT}:
                    raise
        return None
