"""What the gateway's own page shows, kept in memory: beds of the placement, their strips, numbers, links and alarms, as they pass.

Fed with every record that goes to the spool. Leaves sockets to `server`, tickets to `terms` and what may be acknowledged to
`service`; knows no person, for no identity is known at a gateway.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import UUID

from edge.local.evidence import Strips
from edge.local.strips import Screen, Stream
from edge.pipeline.queues import QUEUES
from protocols.nomenclature import TERMS, TermKind
from protocols.record import AlarmCondition, Evidence, Gap, Observation, Presence, Record, SourcePath, WaveformGroup

if TYPE_CHECKING:
    from protocols.live_frame import Frame
    from protocols.uplink_pb2 import PlacedBed, Placement

EVENTS_KEPT = QUEUES["local-events"].bound
ENDED_KEPT = 200
_AHEAD_MS = 5_000  # a device's time may be put down so far ahead of the gateway's
_OFTEN_NS = 60_000_000_000  # a device that nobody expects is shown as live so long after its last word


@dataclass(frozen=True, slots=True)
class Number:
    """A measured number of a bed. `order` counts numbers as they came, so that a screen asks for those it has not had."""

    order: int
    code: str
    value: float
    unit: str
    at_ms: int
    quality: str


@dataclass(frozen=True, slots=True)
class Seen:
    """That somebody has acknowledged an alarm: `by` as pages call them, "" where only the hub knows."""

    by: str
    at_ms: int


@dataclass(slots=True)
class Alarm:
    """An alarm as the gateway knows it: its newest change, what decided it, who has seen it, and what happened (kind, ms, who).

    The strip of what decided it is packed away (`Room.evidence`).
    """

    point: str
    now: AlarmCondition
    detected_ms: int
    evidence: Evidence | None = None
    seen: Seen | None = None
    story: list[tuple[str, int, str]] = field(default_factory=list[tuple[str, int, str]])

    @property
    def shown_as(self) -> Presence:
        """A latched signal stays until somebody has seen it, and no longer (IEC 60601-1-8, 6.10), as the hub folds it."""
        latched = self.now.presence is Presence.LATCHED
        return Presence.ENDED if latched and self.seen is not None else self.now.presence


@dataclass(slots=True)
class Bed:
    """A bed of the placement. `leads`: (source, code) by index; `link` is (state, since_ms, device)."""

    key: int
    placed: "PlacedBed"
    leads: list[tuple[SourcePath, str]] = field(default_factory=list[tuple[SourcePath, str]])
    numbers: dict[str, Number] = field(default_factory=dict[str, Number])

    @property
    def point(self) -> str:
        """Ward and bed."""
        return self.placed.point_of_care

    @property
    def ward(self) -> str:
        """The ward's id in addresses."""
        return self.point.partition("/")[0]

    @property
    def name(self) -> str:
        """The bed's id in its ward."""
        return self.point.partition("/")[2]


@dataclass(frozen=True, slots=True)
class Link:
    """How the way from a bed's devices is; the worst off of them."""

    state: str
    since_ms: int
    device: str


class Room:
    """One for an agent. `shape` changes when leads have other numbers than before."""

    def __init__(
        self,
        gateway: str,
        is_up: Callable[[str], bool | None],
        now_ns: Callable[[], int],
        name_of: Callable[[str], str],
    ) -> None:
        """`is_up`: how a device is, None when nobody expects it. `name_of`: whom a ticket of an acknowledgement names."""
        self.gateway, self.now_ns = gateway, now_ns
        self._is_up, self._name_of = is_up, name_of
        self._beds: dict[str, Bed] = {}
        self._keys: dict[str, int] = {}
        self._at: dict[str, str] = {}
        self._streams: dict[SourcePath, Stream] = {}
        self._heard_ns: dict[str, int] = {}
        self._numbers = 0
        self._clock = 0  # told with samples: from the time, so that it is another also when the agent began anew
        self.alarms: dict[UUID, Alarm] = {}
        self._strips = Strips()
        # Events count on from the time, so that a page which was here before the agent began anew is not misled.
        self.last_event = now_ns() // 1_000_000
        self._log: deque[tuple[int, str, UUID]] = deque(maxlen=EVENTS_KEPT)
        self.shape = 0
        self.resets = 0
        self.news = asyncio.Event()

    def place(self, placement: "Placement") -> None:
        """Which beds there are, and which devices are at each."""
        before = {point: tuple(bed.placed.devices) for point, bed in self._beds.items()}
        beds: dict[str, Bed] = {}
        for placed in placement.beds:
            key = self._keys.setdefault(placed.point_of_care, len(self._keys) + 1)
            bed = Bed(key, placed)
            old = self._beds.get(placed.point_of_care)
            if old is not None and tuple(placed.devices) == before[placed.point_of_care]:
                bed.leads, bed.numbers = old.leads, old.numbers
            beds[placed.point_of_care] = bed
        self._beds = beds
        self._at = {device: bed.point for bed in beds.values() for device in bed.placed.devices}
        if before != {point: tuple(bed.placed.devices) for point, bed in beds.items()}:
            self.shape += 1
            for source, stream in sorted(self._streams.items(), key=lambda one: str(one[0])):
                if stream.last is not None:
                    self._know_leads(source, stream.last)
        self.resets += 1
        self._tell()

    def restore(self, active: Iterable[AlarmCondition]) -> None:
        """The alarms that had not ended when the agent stopped."""
        self.take(tuple(active))

    def take(self, records: Sequence[Record]) -> None:
        """What goes to the spool now."""
        for record in records:
            device = record.source.device
            if record.source.is_recorded and not isinstance(record, AlarmCondition):
                continue  # of another time: nothing of it is live
            match record:
                case WaveformGroup():
                    self._heard_ns[device] = record.times.gateway_ns
                    if any(not code.startswith("WDL_") for code in record.leads):
                        self._streams.setdefault(record.source, Stream()).add(record)
                        self._know_leads(record.source, record)
                case Gap() if record.source in self._streams:
                    self._streams[record.source].add(record)
                case Observation():
                    self._heard_ns[device] = record.times.gateway_ns
                    self._take_number(record)
                case AlarmCondition():
                    self._take_alarm(record)
                case _:
                    pass
        if any(isinstance(record, AlarmCondition) for record in records):
            self._forget_ended()
        self._tell()

    def clock_stepped(self, by_ns: int) -> None:
        """The gateway's clock was set by so much: since when a device was heard is told by the clock as it is now."""
        self._heard_ns = {device: heard_ns + by_ns for device, heard_ns in self._heard_ns.items()}
        if by_ns < 0:
            self._clock = max(self._clock + 1, self.now_ns() // 1_000_000)
            for stream in self._streams.values():
                stream.set_back(self._clock)
        self._tell()

    def acknowledged_at_hub(self, alarms: Iterable[UUID]) -> None:
        """Somebody has seen these at the hub, which says no name."""
        for identity in alarms:
            alarm = self.alarms.get(identity)
            if alarm is not None and alarm.seen is None:
                self._see(alarm, Seen("", self.now_ns() // 1_000_000))
        self._tell()

    def beds(self, ward: str) -> list[Bed]:
        """The beds of a ward that this gateway has devices at."""
        return [bed for bed in self._beds.values() if bed.ward == ward]

    def link(self, bed: Bed) -> Link:
        """The link of a bed."""
        found = [self._link_of(device) for device in bed.placed.devices]
        return min(found, key=lambda one: _WORST.index(one.state), default=Link("never", 0, ""))

    def alarms_of(self, ward: str) -> list[Alarm]:
        """What goes on in a ward or waits to be seen."""
        return [
            alarm
            for alarm in self.alarms.values()
            if alarm.point.partition("/")[0] == ward and not (alarm.shown_as is Presence.ENDED and alarm.seen)
        ]

    def alarm(self, ward: str, identity: UUID) -> Alarm | None:
        """An alarm of a ward."""
        found = self.alarms.get(identity)
        return found if found is not None and found.point.partition("/")[0] == ward else None

    def evidence(self, alarm: Alarm) -> Evidence | None:
        """What decided an alarm, with its strip if that is one of the newest."""
        return alarm.evidence and self._strips.whole(alarm.now.id, alarm.evidence)

    def can_resume(self, event: int) -> bool:
        """Whether everything behind an event is still known."""
        eldest = self._log[0][0] if self._log else self.last_event + 1
        return eldest - 1 <= event <= self.last_event

    def since(self, ward: str, event: int) -> Iterator[tuple[int, Alarm]]:
        """The events of a ward behind one, each with its alarm as it is now."""
        for number, point, identity in self._log:
            if number > event and point.partition("/")[0] == ward and identity in self.alarms:
                yield number, self.alarms[identity]

    def frames(self, ward: str, screen: Screen) -> Iterator["Frame"]:
        """What a screen has not had of the strips of a ward."""
        for bed in self.beds(ward):
            by_source: dict[SourcePath, dict[str, int]] = {}
            for index, (source, code) in enumerate(bed.leads):
                by_source.setdefault(source, {})[code] = index
            for source, indexes in by_source.items():
                yield from screen.take(bed.key, indexes, source, self._streams[source])

    def _link_of(self, device: str) -> Link:
        heard_ns = self._heard_ns.get(device, 0)
        since_ms = heard_ns // 1_000_000
        up = self._is_up(device)
        if up is None:
            up = self.now_ns() - heard_ns < _OFTEN_NS
        if up:
            return Link("live", since_ms, device) if heard_ns else Link("never", 0, device)
        return Link("device_silent", since_ms, device) if heard_ns else Link("never", 0, device)

    def _know_leads(self, source: SourcePath, group: WaveformGroup) -> None:
        bed = self._beds.get(self._at.get(source.device, ""))
        if bed is None:
            return
        new = [(source, code) for code in group.leads if (source, code) not in bed.leads]
        if new:
            bed.leads += new
            self.resets += 1

    def _take_number(self, record: Observation) -> None:
        bed = self._beds.get(self._at.get(record.source.device, ""))
        if bed is None or isinstance(record.value, str):
            return
        at_ms = record.times.best_ns // 1_000_000
        known = bed.numbers.get(record.code)
        # One that lies ahead of the gateway's clock is from before that was set back, and hides nothing.
        is_ahead = known is not None and known.at_ms > self.now_ns() // 1_000_000 + _AHEAD_MS
        if known is None or is_ahead or at_ms >= known.at_ms:
            self._numbers += 1
            bed.numbers[record.code] = Number(
                self._numbers, record.code, record.value, record.unit, at_ms, record.quality.value
            )

    def _take_alarm(self, record: AlarmCondition) -> None:
        at_ms = record.detected_ns // 1_000_000
        if record.evidence is not None:
            record = replace(record, evidence=self._strips.keep(record.id, record.evidence))
        alarm = self.alarms.get(record.id)
        if alarm is None:
            point = self._at.get(record.source.device, "")
            alarm = self.alarms[record.id] = Alarm(point, record, at_ms)
            alarm.story.append(("detected", at_ms, self.gateway))
        elif record.acknowledged is None:
            kind = "changed" if record.presence is Presence.PRESENT else record.presence.value
            alarm.story.append((kind, at_ms, self.gateway))
        alarm.now = record
        alarm.evidence = alarm.evidence or record.evidence
        if record.acknowledged is not None and alarm.seen is None:
            name = self._name_of(record.acknowledged.ticket)
            self._see(alarm, Seen(name, record.acknowledged.at_ns // 1_000_000))
        else:
            self._happened(alarm)

    def _forget_ended(self) -> None:
        ended = [one.now.id for one in self.alarms.values() if one.shown_as is Presence.ENDED]
        for identity in ended[:-ENDED_KEPT]:
            del self.alarms[identity]
            self._strips.forget(identity)

    def _see(self, alarm: Alarm, seen: Seen) -> None:
        alarm.seen = seen
        alarm.story.append(("acknowledged", seen.at_ms, seen.by))
        self._happened(alarm)

    def _happened(self, alarm: Alarm) -> None:
        self.last_event += 1
        self._log.append((self.last_event, alarm.point, alarm.now.id))

    def _tell(self) -> None:
        """Wake every screen."""
        self.news.set()
        self.news = asyncio.Event()


_WORST = ("device_silent", "never", "live")


def in_order(bed: Bed) -> list[tuple[int, SourcePath, str]]:
    """The leads of a bed as a page lays them out: those of the ECG first."""
    numbered = [(index, source, code) for index, (source, code) in enumerate(bed.leads)]
    return sorted(numbered, key=lambda lead: (not _is_ecg(lead[2]), str(lead[1]), lead[0]))


def _is_ecg(code: str) -> bool:
    return code in TERMS and TERMS[code].kind is TermKind.LEAD
