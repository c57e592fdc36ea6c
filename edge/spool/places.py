"""Where each batch and hole lies: in the index, and in memory what is durable and not in it yet.

No append waits for the index, and none is lost with it: while it refuses, what is new is kept here, and a damaged one is begun anew from
the segments, one of them at a time, while the spool goes on. Leaves the files to `log` and what has to go to `store`.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from edge.spool.ends import furthest
from edge.spool.frame import Damage, Found
from edge.spool.index import AlarmRow, ArrivalRow, Entry, Index, IndexRefusedError, SourceEnd
from edge.spool.log import SegmentLog
from edge.spool.recovery import Content
from protocols.link import Lane

INDEX_EVERY_NS = 30_000_000_000  # how far the index may be behind; a start reads that much of the segments
# The end of a source that the index has never had is soon in it: when its only segment goes or is damaged, nothing else knows that there
# was anything, and numbers would be given a second time.
NEW_SOURCE_NS = 1_000_000_000
MOST_BEHIND = 65_536  # batches that are kept for an index which takes none, some 20 MB; of alarms all are
_ANEW_EVERY_S = 60.0  # a medium that damages each new index is not read for ever
_ANEW = "the spool's index is damaged and begun anew from the segments"

_log = structlog.get_logger()


@dataclass(slots=True)
class _Behind:
    """What is durable and not yet in the index."""

    since_ns: int = 0  # the first of it
    entries: dict[tuple[int, int], Entry] = field(default_factory=dict[tuple[int, int], Entry])
    sources: dict[str, SourceEnd] = field(default_factory=dict[str, SourceEnd])
    alarms: list[AlarmRow] = field(default_factory=list[AlarmRow])
    arrivals: list[ArrivalRow] = field(default_factory=list[ArrivalRow])
    positions: dict[int, list[tuple[int, int]]] = field(default_factory=dict[int, list[tuple[int, int]]])
    holes: dict[tuple[int, int], Entry] = field(default_factory=dict[tuple[int, int], Entry])  # by lane and last number
    forgotten: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])  # segments: log and number
    removed: list[tuple[int, int, int]] = field(
        default_factory=list[tuple[int, int, int]]
    )  # lane, first and last number

    ages: Mapping[tuple[int, int], int] | None = None

    def forget(self, log: int, segment: int) -> None:
        """Nothing is in a segment any more."""
        self.forgotten.add((log, segment))
        self.entries = {k: e for k, e in self.entries.items() if (e.log, e.location.segment) != (log, segment)}
        self.holes = {k: e for k, e in self.holes.items() if (e.log, e.location.segment) != (log, segment)}

    def remove(self, lane: int, first: int, last: int) -> None:
        """These batches are nowhere any more."""
        self.removed.append((lane, first, last))
        self.entries = {k: e for k, e in self.entries.items() if k[0] != lane or not first <= k[1] <= last}

    def keep_alarms(self) -> None:
        """Only where the batches of alarms lie, and what no segment says: the rest is read from the segments again."""
        self.entries = {k: e for k, e in self.entries.items() if k[0] == Lane.ALARM}
        self.holes, self.forgotten = {}, set()
        for rows in (self.alarms, self.arrivals, self.removed):
            rows.clear()

    def with_later(self, later: "_Behind") -> "_Behind":
        """Both, as if the index had not been written between them."""
        for segment in later.forgotten:
            self.forget(*segment)
        for run in later.removed:
            self.remove(*run)
        return _Behind(
            self.since_ns or later.since_ns,
            self.entries | later.entries,
            self.sources | later.sources,
            self.alarms + later.alarms,
            self.arrivals + later.arrivals,
            self.positions | later.positions,
            self.holes | later.holes,
            self.forgotten,
            self.removed,
            self.ages if later.ages is None else later.ages,
        )


class Places:
    """From any thread. `mend` is for the thread that keeps house; IndexRefusedError from what needs an index that does not answer."""

    def __init__(
        self,
        index: Index,
        logs: Mapping[int, SegmentLog],
        clock_ns: Callable[[], int],
        is_held: Callable[[int, int], bool],
        positions: Callable[[], Mapping[int, list[tuple[int, int]]]],
    ) -> None:
        """`is_held(lane, n)`: whether a batch was not given up; `positions`: what the hub has, by lane."""
        self.index = index
        self._logs, self._clock, self._is_held, self._positions = logs, clock_ns, is_held, positions
        self._lock, self._flushing = threading.Lock(), threading.Lock()
        self._behind = _Behind()
        self._flushed = _Behind()  # until it can be found in the index
        self._unread: list[tuple[int, int, int]] | None = (
            None  # (log, segment, bytes) of an index that is begun anew, last first
        )
        self._begun_s = float("-inf")
        self._known = set[str]()  # sources whose end the index has, or is about to have
        with suppress(IndexRefusedError):
            self._known |= {s.source for s in index.sources()}
        self._has_new = False  # whether a source that the index has never had is behind
        self._most, self._is_short = MOST_BEHIND, False  # whether something of what is behind was let go of

    def wrote(
        self,
        entries: Iterable[Entry],
        sources: Iterable[SourceEnd],
        alarms: Iterable[AlarmRow],
        arrivals: Iterable[ArrivalRow],
    ) -> None:
        """These are durable."""
        with self._lock:
            self._behind.entries.update(((e.lane, e.n), e) for e in entries)
            self._behind.since_ns = self._behind.since_ns or self._clock()
            self._behind.sources.update((s.source, s) for s in sources)
            if not self._behind.sources.keys() <= self._known:
                self._known |= self._behind.sources.keys()
                self._has_new = True
            self._behind.alarms += alarms
            self._behind.arrivals += arrivals
            if len(self._behind.entries) > self._most:
                self._behind.keep_alarms()
                self._most, self._is_short = len(self._behind.entries) + MOST_BEHIND, True

    def learn(self, ends: Mapping[str, SourceEnd], arrivals: Sequence[ArrivalRow]) -> None:
        """These sources end there at least, and these packages came, whatever the index says."""
        known, before = self.source_ends(), {(a.lane, a.device, a.identity) for a in self.index.arrivals()}
        further = {source: end for source, end in furthest(known, ends).items() if known.get(source) != end}
        more = [a for a in arrivals if (a.lane, a.device, a.identity) not in before]
        with self._lock:
            self._behind.sources.update(further)
            self._behind.arrivals += more
            if further or more:
                self._behind.since_ns = self._behind.since_ns or self._clock()

    def arrivals(self) -> list[ArrivalRow]:
        """The packages that are known again, oldest first."""
        with self._lock:
            newer = [*self._flushed.arrivals, *self._behind.arrivals]
        rows = {(a.lane, a.device, a.identity): a for a in (*self.index.arrivals(), *newer)}
        return sorted(rows.values(), key=lambda a: a.n)

    def acknowledged(self, lane: int, ranges: Sequence[tuple[int, int]]) -> None:
        """The hub has these of a lane."""
        with self._lock:
            self._behind.positions[lane] = list(ranges)
            self._behind.since_ns = self._behind.since_ns or self._clock()

    def aged(self, ages: Mapping[tuple[int, int], int]) -> None:
        """Since when the hub has had what is in the segments; written with what comes next, since there is no hurry."""
        with self._lock:
            self._behind.ages = ages

    def find(self, lane: int, n: int) -> Entry | None:
        """The batch with this number, or the hole that covers it."""
        with self._lock:
            entry = self._behind.entries.get((lane, n)) or self._flushed.entries.get((lane, n))
            forgotten = self._behind.forgotten | self._flushed.forgotten
        entry = entry or self._whole().find(lane, n)
        return None if entry is None or (entry.log, entry.location.segment) in forgotten else entry

    def holes(self, lane: int, first: int, last: int) -> list[Entry]:
        """Holes that overlap these numbers."""
        newer = self._newer_holes()
        found = [e for e in newer.values() if e.lane == lane and e.last >= first and e.n <= last]
        return _with_newer(self._whole().holes(lane, first, last), newer, found)

    def holes_in(self, log: int, segment: int) -> list[Entry]:
        """Holes whose frame lies in a segment, and in no newer one."""
        newer = self._newer_holes()
        found = [e for e in newer.values() if (e.log, e.location.segment) == (log, segment)]
        return _with_newer(self._whole().holes_in(log, segment), newer, found)

    def _newer_holes(self) -> dict[tuple[int, int], Entry]:
        """Those that the index may not have yet; to be looked at before it, so that none is between the two."""
        with self._lock:
            return self._flushed.holes | self._behind.holes

    def neighbours(self, lane: int, first: int, last: int, most: int) -> tuple[list[Entry], list[Entry]]:
        """Up to about `most` batches before `first` and as many behind `last`, both in rising order."""
        with self._lock:
            newer = [e for b in (self._flushed, self._behind) for e in b.entries.values() if e.lane == lane]
        before, behind = self._whole().neighbours(lane, first, last, most)
        placed = {e.n: e for e in (*before, *behind, *newer) if self._is_held(lane, e.n)}
        return (
            [placed[n] for n in sorted(placed) if n < first][-most:],
            [placed[n] for n in sorted(placed) if n > last][:most],
        )

    def made_holes(self, holes: Iterable[Entry]) -> None:
        """These frames of holes are durable."""
        with self._lock:
            self._behind.holes.update(((e.lane, e.last), e) for e in holes)
            self._behind.since_ns = self._behind.since_ns or self._clock()

    def forget(self, log: int, segment: int) -> None:
        """A segment was deleted."""
        with self._lock:
            self._behind.forget(log, segment)
            self._behind.since_ns = self._behind.since_ns or self._clock()

    def remove(self, lane: int, first: int, last: int) -> None:
        """These batches cannot be read any more."""
        with self._lock:
            self._behind.remove(lane, first, last)
            self._behind.since_ns = self._behind.since_ns or self._clock()

    def source_ends(self) -> dict[str, SourceEnd]:
        """Where the durable samples of each source end."""
        ends = {s.source: s for s in self.index.sources()}
        with self._lock:
            return {**ends, **self._behind.sources}

    def is_due(self, most_batches: int) -> bool:
        """Whether the index is far enough behind that it is worth the pages."""
        with self._lock:
            behind_ns = abs(self._clock() - self._behind.since_ns) if self._behind.since_ns else 0
            every_ns = NEW_SOURCE_NS if self._has_new else INDEX_EVERY_NS
            return behind_ns >= every_ns or len(self._behind.entries) >= most_batches

    @property
    def behind(self) -> int:
        """Batches that are not in the index."""
        with self._lock:
            return len(self._behind.entries) + len(self._flushed.entries)

    def flush(self) -> None:
        """Bring the index up to what is durable; OSError when the disk does not take it, which is tried again with what comes later."""
        with self._flushing:
            self._whole()
            with self._lock:
                if self._is_short:
                    raise IndexRefusedError(_ANEW)
                behind, self._behind = self._behind, _Behind()
                self._has_new = False
                self._flushed, self._most = behind, MOST_BEHIND
            entries = [*behind.entries.values(), *behind.holes.values()]
            ends: dict[int, tuple[int, int]] = {}
            for e in entries:
                end = (e.location.segment, e.location.offset + e.location.size)
                ends[e.log] = max(ends.get(e.log, end), end)
            try:
                self.index.write(
                    entries,
                    [(log, *end) for log, end in ends.items()],
                    behind.sources.values(),
                    behind.alarms,
                    behind.arrivals,
                    behind.positions,
                    gone=(behind.forgotten, behind.removed),
                    ages=behind.ages,
                )
            except OSError:
                # A later write says how far the index goes: it may not pass over what this one did not take.
                with self._lock:
                    self._behind = behind.with_later(self._behind)
                raise
            finally:
                with self._lock:
                    self._flushed = _Behind()

    # -- an index that is damaged

    @property
    def is_whole(self) -> bool:
        """Whether the index can be asked: it is not damaged, and not being made."""
        return self._unread is None and not self.index.damaged and not self._is_short

    def _whole(self) -> Index:
        """The index, when it can be asked."""
        if not self.is_whole:
            raise IndexRefusedError(_ANEW)
        return self.index

    def mend(self) -> None:
        """Begin a damaged index anew, or read one segment more for it. OSError: it goes on at the next call."""
        if self.is_whole:
            return
        with self._flushing:
            if self._unread is None or self.index.damaged or self._is_short:
                self._begin_anew()
            if self._unread:
                self._read_again(*self._unread[-1])
                self._unread.pop()
            if self._unread is not None and not self._unread:
                self.index.write(acknowledged=self._positions())
                self._unread = None
                _log.info("spool-index-made-anew")

    def _begin_anew(self) -> None:
        now_s = time.monotonic()
        if now_s - self._begun_s < _ANEW_EVERY_S:
            return
        self._begun_s = now_s
        _log.error(
            "spool-index-damaged", what_to_do="it is made anew from the segments; look at the disk if it comes again"
        )
        with self._lock:
            self._unread = []  # before the rest: nobody may take what is there for the whole
            self._is_short = False
        in_order = [
            (key, s.number, s.used if s.number == log.current else s.size)
            for key, log in self._logs.items()
            for s in log.in_order()
        ]
        self._unread = in_order[::-1]
        self.index.clear()

    def _read_again(self, key: int, number: int, used: int) -> None:
        """Take the frames of one segment into the index, as far as it was written when that was begun anew."""
        content = Content()
        try:
            for item in self._logs[key].frames(number):
                if isinstance(item, Damage) or item.offset + item.size > used:
                    continue
                if self._is_there(item):
                    content.add(item, key, number)
        except FileNotFoundError:
            return  # it was let go of meanwhile
        content.write(self.index, key, number, used)

    def _is_there(self, item: Found) -> bool:
        return item.frame.is_hole or self._is_held(item.frame.lane, item.frame.n)


def _with_newer(known: Iterable[Entry], newer: Mapping[tuple[int, int], Entry], found: Iterable[Entry]) -> list[Entry]:
    """Holes of the index as far as there is no newer one for the same numbers, and the newer ones that are asked for."""
    return sorted([*(e for e in known if (e.lane, e.last) not in newer), *found], key=lambda e: (e.lane, e.last))
