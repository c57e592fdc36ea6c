"""Opens a spool's segments: reads what the index does not know, and notes what is damaged.

Runs once, before any thread writes; a spool without an index is rebuilt from its segments alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError as ProtobufError

from edge.spool.frame import HEADER_BYTES, Damage, Found
from edge.spool.held import arrivals_of, records_of, source_ends
from edge.spool.index import AlarmRow, ArrivalRow, Entry, Index, SourceEnd
from edge.spool.log import Location, SegmentLog
from protocols.device_package_pb2 import PRESENCE_ENDED
from protocols.device_package_pb2 import Record as WireRecord

MAX_SKIP = 4096


@dataclass(frozen=True, slots=True)
class Torn:
    """Damaged bytes behind the last good frame of a log: up to `batches` may have been there."""

    log: int
    segment: int
    damage: Damage

    @property
    def batches(self) -> int:
        """How many batches the bytes can have held at most."""
        return min(MAX_SKIP, self.damage.size // HEADER_BYTES + 1)


@dataclass(slots=True)
class Recovered:
    """What opening found, for the log and the metrics."""

    rebuilt: bool = False
    damages: list[tuple[int, int, Damage]] = field(default_factory=list[tuple[int, int, Damage]])
    torn: list[Torn] = field(default_factory=list[Torn])


@dataclass(slots=True)
class Content:
    """What the frames of a segment tell the index."""

    entries: list[Entry] = field(default_factory=list[Entry])
    sources: dict[str, SourceEnd] = field(default_factory=dict[str, SourceEnd])
    alarms: list[AlarmRow] = field(default_factory=list[AlarmRow])
    arrivals: list[ArrivalRow] = field(default_factory=list[ArrivalRow])

    def add(self, item: Found, log: int, segment: int) -> None:
        """Take the next frame."""
        self.entries.append(_entry(item, log, segment))
        if item.frame.is_hole:
            return
        try:
            records = records_of(item.frame.payload)
            self.arrivals += arrivals_of(item.frame.payload)
        except ProtobufError:
            return  # the checksum is good, so these are the bytes that were appended; the hub says what is wrong with them
        self.sources.update((s.source, s) for s in source_ends(records))
        self.alarms += alarm_rows(records, segment)

    def write(self, index: Index, log: int, segment: int, used: int) -> None:
        """Into the index, which then knows the segment up to `used`. OSError."""
        index.write(self.entries, [(log, segment, used)], self.sources.values(), self.alarms, self.arrivals)


def recover(index: Index, logs: Mapping[int, SegmentLog], known: Callable[[int], bool]) -> Recovered:
    """Bring index and segments to the same state. `known`: whether a lane number is one of ours."""
    result = Recovered()
    scanned = index.scanned()
    lost = [k for k, (segment, _) in scanned.items() if k in logs and segment not in logs[k].segments]
    if index.fresh or lost or (not scanned and any(log.segments for log in logs.values())):
        result.rebuilt = any(log.segments for log in logs.values())
        if not index.fresh:
            index.clear()
        scanned = {}
    for log, segment, lane, first, last, newest_ns in index.segments():
        there = logs[log].segments.get(segment) if log in logs else None
        if there is None:
            index.forget(log, segment)
        else:
            there.spans[lane] = (first, last)
            there.newest_ns = max(there.newest_ns, newest_ns)
    for key, log in logs.items():
        at, used = scanned.get(key, (0, 0))
        for number in sorted(n for n in log.segments if n >= at):
            begin = used if number == at else 0
            log.segments[number].used = begin
            _scan_segment(index, key, log, number, begin, known, result)
        torn = [
            d
            for k, number, d in result.damages
            if k == key and number == log.current and d.offset >= log.segments[number].used
        ]
        if torn:
            result.torn.append(Torn(key, log.current, torn[-1]))
        else:
            log.go_on()
    return result


def alarm_rows(records: "list[WireRecord]", segment: int) -> list[AlarmRow]:
    """The newest record of each alarm; empty bytes for one that has ended."""
    return [
        AlarmRow(r.alarm.id, segment, b"" if r.alarm.presence == PRESENCE_ENDED else r.SerializeToString())
        for r in records
        if r.HasField("alarm")
    ]


def _scan_segment(
    index: Index,
    key: int,
    log: SegmentLog,
    number: int,
    begin: int,
    known: Callable[[int], bool],
    result: Recovered,
) -> None:
    segment, content = log.segments[number], Content()
    for item in log.frames(number, begin):
        if isinstance(item, Damage) or not known(item.frame.lane):
            damage = item if isinstance(item, Damage) else Damage(item.offset, item.size)
            result.damages.append((key, number, damage))
            continue
        segment.note(item.frame, item.offset + item.size)
        content.add(item, key, number)
    content.write(index, key, number, segment.used)


def _entry(found: Found, log: int, segment: int) -> Entry:
    frame = found.frame
    return Entry(frame.lane, frame.n, frame.last, frame.closed_ns, log, Location(segment, found.offset, found.size))
