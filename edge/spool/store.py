"""The blocking half of the spool: segments, index, and what is given up when there is no room or bytes are damaged.

Each log is written by one thread only (core.py sees to it). What goes leaves a hole: a frame that names the missing numbers and
the Gap records that they make, so that the hub can be told exactly once.
"""

import errno
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from edge.durable import make_folder
from edge.health.metrics import SPOOL_COMMIT, SPOOL_DISK_ERRORS, SPOOL_GIVEN_UP, SPOOL_WRITTEN
from edge.spool.frame import Damage, Found, Frame, FrameError, sealed_bytes
from edge.spool.held import records_of
from edge.spool.index import AlarmRow, ArrivalRow, Entry, Index, SourceEnd
from edge.spool.keyring import KeySource
from edge.spool.limits import Limits
from edge.spool.log import FULL, Location, SegmentLog, Spare
from edge.spool.opening import plain_until, spool_epoch, survey
from edge.spool.places import Places
from edge.spool.recent import Recent
from edge.spool.recovery import recover
from protocols.device_package_pb2 import Record as WireRecord
from protocols.gaps import gaps_between, gaps_of
from protocols.link import Lane, Position, Ranges
from protocols.nomenclature import SPOOL_CORRUPT, SPOOL_FULL
from protocols.record import Gap
from protocols.wire import encode_batch

ALARM_LOG, RECORD_LOG, WAVEFORM_LOG = 1, 2, 3
_IN_INDEX = 0  # no log: what is sealed for the index is good there only
LOG_NAMES = {ALARM_LOG: "alarm", RECORD_LOG: "record", WAVEFORM_LOG: "waveform"}
LOG_OF = {Lane.ALARM: ALARM_LOG, Lane.EVENT: RECORD_LOG, Lane.NUMERIC: RECORD_LOG, Lane.WAVEFORM: WAVEFORM_LOG}
_RETRY_S = 1.0
_NEIGHBOURS = 8  # batches on each side of a damaged one that are asked which sources were alive
_SPARE_BYTES = 1 << 20  # for the holes of what goes when the disk is full


def _spare(key: int, limits: Limits) -> Spare:
    """Alarms take theirs first, so that none waits for an allocation; the holes of what goes need one on a full disk."""
    if key == ALARM_LOG:
        return Spare(limits.alarm_segment_bytes, first=True)
    return Spare(min(_SPARE_BYTES, limits.segment_bytes)) if key == RECORD_LOG else Spare()


class Store:
    """Opens what is there and reports damage as holes. `dropped(lane, first, last)` is called from writer threads."""

    def __init__(
        self,
        directory: Path,
        limits: Limits,
        keys: KeySource,
        clock_ns: Callable[[], int],
        dropped: Callable[[Lane, int, int], None],
    ) -> None:
        """SpoolKeyError, before anything is written, when a key that the segments need is not there."""
        self.limits = limits
        self._clock, self._dropped = clock_ns, dropped
        self._lock = threading.Lock()
        self._recent = Recent()
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
        self.index = Index(directory / "index.sqlite3", ring.at(self.epoch, _IN_INDEX, 0))
        acknowledged = self.index.acknowledged()
        self.recovered = recover(self.index, self._logs, lambda lane: lane in set(Lane))
        self._stored = {lane: Position(acknowledged.get(lane, [])) for lane in Lane}
        self._held = {lane: Ranges(self.index.held(lane)) for lane in Lane}
        self._alive = {row.id: row.segment for row in self.index.alarms()}
        self.places = Places(self.index, self._logs, clock_ns, self._is_held, self._positions)
        self.append_alarms: Callable[[Sequence[Frame]], list[Location]] = self._logs[ALARM_LOG].append
        self.newest = {lane: self._find_newest(lane) for lane in Lane}
        self.keep_spares()

    # -- from any thread

    def read(self, lane: Lane, n: int) -> bytes | None:
        """The encoded batch, None when it is not there; FrameError when its bytes are damaged, OSError when they cannot be read."""
        with self._lock:
            recent = self._recent.get(lane, n)
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

    def is_recent(self, lane: Lane, n: int) -> bool:
        """Whether `read` finds the batch in memory."""
        with self._lock:
            return self._recent.get(lane, n) is not None

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
        self.places.mend()
        if self.places.is_whole and self.places.is_due(self.limits.index_every_batches):
            self.flush()

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
                self._recent.add(frame)
                self._held[Lane(frame.lane)].add(frame.n)
                SPOOL_WRITTEN.inc(entry.location.size)
            for row in rows:
                if row.record:
                    self._alive[row.id] = row.segment
                else:
                    self._alive.pop(row.id, None)
        SPOOL_COMMIT.observe(time.monotonic() - begun)

    def retire(self, keys: Iterable[int]) -> None:
        """Drop closed segments that are acknowledged and older than the limits keep them."""
        oldest_ns = self._clock() - self.limits.keep_ns
        with self._lock:
            alive = set(self._alive.values())
        for key in keys:
            log = self._logs[key]
            for segment in list(log.segments.values()):
                old = segment.newest_ns < oldest_ns and segment.number != log.current
                if old and self._is_acknowledged(segment.spans) and not (key == ALARM_LOG and segment.number in alive):
                    self._drop(key, segment.number)

    def has_spare(self, key: int) -> bool:
        """Whether an empty segment is ready for a log."""
        return self._logs[key].has_spare

    def keep_spares(self) -> None:
        """Have an empty segment ready for alarms and one for holes, as far as the disk lets us; of a full one the oldest waveforms go for it."""
        for key in (ALARM_LOG, RECORD_LOG):
            try:
                self._logs[key].prepare_spare()
            except OSError as error:
                SPOOL_DISK_ERRORS.inc()
                if error.errno in FULL:
                    self._drop_victim()

    def append_here(self, key: int, frames: Sequence[Frame]) -> list[Location]:
        """Write frames without making room, from the thread that owns the log; OSError when the disk refuses."""
        return self._logs[key].append(frames)

    def give_up_unread(self, lane: Lane, n: int) -> None:
        """A batch that could not be read, unless that was done meanwhile."""
        if self._is_held(lane, n):
            self.give_up(lane, n, n)

    def give_up(self, lane: Lane, first: int, last: int) -> None:
        """Batches that cannot be read: a hole with what their neighbours tell."""
        before, behind = self.places.neighbours(lane, first, last, _NEIGHBOURS)
        gaps = gaps_between(self._batches(before), self._batches(behind), SPOOL_CORRUPT, self._clock())
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
        size = sum(sealed_bytes(f) for f in frames)
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
                if key == ALARM_LOG or error.errno not in FULL or not self._drop_victim():
                    time.sleep(_RETRY_S)

    def _make_room(self, key: int, size: int) -> None:
        most = self.limits.most_waveform_bytes if key == WAVEFORM_LOG else self.limits.most_record_bytes
        while self._logs[key].allocated + size > most and self._drop_victim((key,)):
            pass
        while self.allocated_bytes() + size > self.limits.total_bytes and self._drop_victim():
            pass

    def _drop_victim(self, keys: Sequence[int] = (WAVEFORM_LOG, RECORD_LOG)) -> bool:
        """The oldest acknowledged segment of these logs goes, else the oldest of waveforms, else the oldest of events and numbers.

        False when none can go, or the disk does not take the holes that it leaves.
        """
        closed = [
            (key, segment)
            for key in keys
            for segment in self._logs[key].segments.values()
            if segment.number != self._logs[key].current
        ]
        done = [(s.newest_ns, key, s.number) for key, s in closed if s.spans and self._is_acknowledged(s.spans)]
        order = min(done) if done else min(((-key, s.number, s.number) for key, s in closed), default=None)
        if order is None:
            return False
        key = order[1] if done else -order[0]
        try:
            self._drop(key, order[2])
        except OSError:
            SPOOL_DISK_ERRORS.inc()
            return False
        return True

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
        found: dict[Lane, list[Frame]] = {}
        for item in log.frames(number):
            if isinstance(item, Found) and not item.frame.is_hole:
                found.setdefault(Lane(item.frame.lane), []).append(item.frame)
        for name, span in log.segments[number].spans.items():
            self._give_up_unread(Lane(name), Ranges((f.n, f.n) for f in found.get(Lane(name), [])), span)
        carried = self.places.holes_in(key, number)
        holes: dict[Lane, list[Frame]] = {}
        for hole in carried:
            holes.setdefault(Lane(hole.lane), []).append(log.read(hole.location).frame)
        dropped: list[tuple[Lane, int, int]] = []
        for lane, frames in found.items():
            for run in self._runs(lane, frames):
                gaps = gaps_of((records_of(f.payload) for f in run), SPOOL_FULL, recoverable=False, at_ns=self._clock())
                holes.setdefault(lane, []).append(self._hole(lane, run[0].n, run[-1].n, gaps))
                dropped.append((lane, run[0].n, run[-1].n))
        for lane, made in holes.items():
            self._make_holes(lane, made)
        with self._lock:
            for lane, first, last in dropped:
                self._gone(lane, first, last)
        self.places.forget(key, number)
        log.delete(number)
        for lane, first, last in dropped:
            if not self.stored(lane).contains(first):
                SPOOL_GIVEN_UP.labels(lane=lane.name.lower(), reason=SPOOL_FULL).inc(last - first + 1)
            self._dropped(lane, first, last)

    def _gone(self, lane: Lane, first: int, last: int) -> None:
        """Within the lock: these are not to be read any more."""
        self._held[lane].remove(first, last)
        self._recent.forget(lane, first, last)

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

    def _give_up_unread(self, lane: Lane, found: Ranges, span: tuple[int, int]) -> None:
        with self._lock:
            unread = [part for a, b in found.missing(*span) for part in self._held[lane].within(a, b)]
        for first, last in unread:
            self.give_up(lane, first, last)

    # -- holes

    def _find_newest(self, lane: Lane) -> int:
        """The highest number of the lane; what is missing below it, or may have been torn off above it, becomes holes."""
        covered = Ranges(self.index.ranges(lane))  # `places` has nothing of this lane that is not in it
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

    def _batches(self, entries: Iterable[Entry]) -> list[list[WireRecord]]:
        batches: list[list[WireRecord]] = []
        for entry in entries:
            try:
                batches.append(records_of(self._logs[entry.log].read(entry.location).frame.payload))
            except FrameError:
                continue  # a neighbour that is damaged as well says nothing; it gets a hole of its own when it is read
            except OSError as error:
                if error.errno not in {errno.EIO, errno.ENOENT}:
                    raise
        return batches


__all__ = ["Damage", "Store"]
