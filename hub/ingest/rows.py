"""Turns the records of a batch into rows, and says which of them cannot be stored and why.

What is refused here goes to quarantine with its bytes. Leaves the rows of readings and samples to `measured`, those of events and
alarms to `told`, transactions to `writer`.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hub.alarms.domain import Place
from hub.alarms.intake import AlarmChange, Seen
from hub.core.live import LiveKind, LiveMessage
from hub.ingest import ledger
from hub.ingest.checks import is_time, moment, read, shown
from hub.ingest.measured import Measured, New, Origin, battery
from hub.ingest.quarantined import MAX_HELD, NOT_ADMITTED, Held, RejectedError, held_record
from hub.ingest.told import Insert, Told
from hub.store.rollups import Minute
from protocols import device_package_pb2 as wire
from protocols.link.lane import EPOCH_BYTES
from protocols.nomenclature import BATTERY_CHARGE
from protocols.record import DeviceEvent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hub.ingest.acknowledged import Tickets
    from hub.ingest.catalog import GatewayCatalog
    from protocols.uplink_pb2 import Batch, Envelope

_ORIGINS_KEPT = 10_000
_LONGEST_NAME = 63  # of a gateway
_ALWAYS = frozenset({"event", "alarm", "gap"})  # kinds that need no admission

_LIVE: dict[str, LiveKind] = {
    "observation": LiveKind.NUMERIC,
    "waveform": LiveKind.WAVEFORM,
    "event": LiveKind.EVENT,
    "gap": LiveKind.GAP,
}  # alarms are told by the writer, with the ids of their events

# What pages show by its time. That there is a new recording is news whenever it was made.
_OF_NOW = frozenset({LiveKind.WAVEFORM, LiveKind.NUMERIC, LiveKind.GAP})

# What shows that a device's data arrive. An event or alarm may tell just the opposite: that the device has fallen silent.
_MEASURED = frozenset({"observation", "waveform"})


@dataclass(slots=True)
class Rows:
    """What one batch becomes."""

    observations: list[bytes] = field(default_factory=list[bytes])
    waveforms: list[bytes] = field(default_factory=list[bytes])
    inserts: list[Insert] = field(default_factory=list[Insert])
    ledger: list[Insert] = field(
        default_factory=list[Insert]
    )  # what the ledger learns of devices; each names its `device`
    alarms: list[AlarmChange] = field(default_factory=list[AlarmChange])
    held: list[Held] = field(default_factory=list[Held])
    touched: set[Minute] = field(default_factory=set[Minute])  # minutes of series whose rollups it changes
    live: list[LiveMessage] = field(default_factory=list[LiveMessage])
    newest: dict[str, int] = field(
        default_factory=dict[str, int]
    )  # device -> newest gateway time of what it measured, ns
    refused: dict[str, int] = field(
        default_factory=dict[str, int]
    )  # device -> records that its quarantine has no room for

    def set_clock(self, clock: int | None) -> None:
        """Say to listeners how often the gateway's clock was set back; None: what it measured is from before, and no page shows it as now."""
        if clock is None:
            self.live = [message for message in self.live if message.kind not in _OF_NOW]
        elif clock:
            self.live = [replace(message, event_id=clock) for message in self.live]

    def __len__(self) -> int:
        return len(self.observations) + len(self.waveforms) + len(self.inserts) + len(self.alarms) + len(self.held)


class RowMaker:
    """Makes rows for one gateway and epoch."""

    def __init__(
        self,
        catalog: "GatewayCatalog",
        gateway: str,
        now_ns: Callable[[], int],
        with_live: Callable[[], bool],
        tickets: "Tickets",
        *,
        needs_admission: bool = True,
        forwards: bool = False,
        notes_heard: bool = True,
    ) -> None:
        """`now_ns` is the hub's clock; `with_live` says whether anybody listens. `needs_admission` false: somebody has released it.

        `forwards`: it is a hub, and may hand on what other gateways took in. `notes_heard`: whether it tells the ledger that devices
        were heard, which waits for whoever else has their rows.
        """
        self.catalog, self._gateway, self._now_ns, self._with_live = catalog, gateway, now_ns, with_live
        self._needs_admission, self._forwards, self._notes_heard = needs_admission, forwards, notes_heard
        self._tickets = tickets
        self._measured, self._told = Measured(catalog), Told(catalog, gateway)
        self._origins: dict[tuple[str, bytes], Origin] = {}

    async def make(self, batch: "Batch") -> Rows:
        """Take every record of the batch, in order; what is refused stands in `held`."""
        return await self.make_some(batch, enumerate(batch.records))

    async def make_some(self, batch: "Batch", numbered: "Iterable[tuple[int, Envelope]]") -> Rows:
        """Take some records of the batch: (index in the batch, record)."""
        rows = Rows()
        now_ns = self._now_ns()
        live = self._with_live()
        for index, envelope in numbered:
            try:
                await self._take(rows, batch, index, envelope, now_ns, live=live)
            except RejectedError as error:
                self._hold(rows, held_record(index, envelope, error))
                if envelope.record.HasField("alarm"):
                    await self._raise_anyway(rows, batch, index, envelope, now_ns, error)
        return rows

    def _origin(self, path: str, epoch: bytes) -> Origin:
        found = self._origins.get((path, epoch))
        if found is None:
            if len(self._origins) >= _ORIGINS_KEPT:
                self._origins.clear()
            found = self._origins[path, epoch] = Origin.of(path, epoch)
        return found

    def _is_usual(self, device: str, gateway_ns: int) -> bool:
        """Whether the device is admitted, and the ledger has heard of it lately: so with nearly every record."""
        return device in self.catalog.admitted and not self._is_to_be_noted(device, gateway_ns)

    def _is_to_be_noted(self, device: str, gateway_ns: int) -> bool:
        return self._notes_heard and gateway_ns - self.catalog.heard.get(device, 0) >= ledger.SEEN_EVERY_NS

    async def _admit(self, rows: Rows, device: str, gateway_ns: int, kind: str) -> None:
        """Refuse what a device measures before somebody has admitted it.

        What it says of itself fills the ledger meanwhile, and an alarm is raised whoever it comes from (decision 0047).
        """
        if not device or device == self._gateway:
            return
        admitted = self.catalog.admitted.get(device) or await self.catalog.is_admitted(device)
        self._heard(rows, device, gateway_ns)
        if not admitted and kind not in _ALWAYS:
            raise RejectedError(NOT_ADMITTED, "not_admitted", device=device)

    async def _raise_anyway(
        self, rows: Rows, batch: "Batch", index: int, envelope: "Envelope", now_ns: int, error: RejectedError
    ) -> None:
        """The bytes wait for a person, but a patient's alarm does not: it is raised at the hub's time, marked, if it can be read."""
        if error.reason != "origin":
            with suppress(RejectedError):
                change = await self._told.alarm(envelope.record, batch.closed_ns, now_ns, marked=str(error))
                place, told_by = self._place(batch, index, envelope), _told_by(envelope)
                rows.alarms.append(replace(change, place=place, origin=told_by))

    def _place(self, batch: "Batch", index: int, envelope: "Envelope") -> Place | None:
        """Where the gateway that took the record in has put it; a hub below that does not tell it has put it nowhere."""
        if not envelope.HasField("origin"):
            return Place(self.catalog.epoch, batch.n, index)
        origin = envelope.origin
        return Place(origin.epoch, origin.n, origin.index) if origin.n else None

    async def _take(
        self, rows: Rows, batch: "Batch", index: int, envelope: "Envelope", now_ns: int, *, live: bool
    ) -> None:
        record = envelope.record
        times = record.times
        gateway_ns = times.gateway_ns
        best_ns = times.corrected_ns if times.HasField("corrected_ns") else gateway_ns
        if not (is_time(gateway_ns, now_ns) and is_time(best_ns, now_ns)):
            raise RejectedError("time", "time", gateway=shown(gateway_ns), corrected=shown(best_ns), now=shown(now_ns))
        epoch = self.catalog.epoch
        if envelope.HasField("origin"):
            epoch = envelope.origin.epoch
            if not self._forwards or len(epoch) != EPOCH_BYTES:
                raise RejectedError("origin", "origin")
        kind = record.WhichOneof("kind") or ""
        origin = self._origin(record.source, epoch)
        device = origin.device
        if self._needs_admission and not self._is_usual(device, gateway_ns):
            await self._admit(rows, device, gateway_ns, kind)
        if kind in _MEASURED:
            while (new := self._measure(rows, origin, record, times, best_ns)) is not None:
                await self._measured.learn(new)
            if not origin.is_recorded and gateway_ns > rows.newest.get(device, 0):
                rows.newest[device] = gateway_ns
        elif kind == "alarm":
            change = await self._told.alarm(record, batch.closed_ns, now_ns)
            place, seen = self._place(batch, index, envelope), self._seen(rows, index, envelope, now_ns)
            rows.alarms.append(replace(change, place=place, seen=seen, origin=_told_by(envelope)))
        else:
            rows.inserts.append(await self._told.insert(record, kind, best_ns))
            if kind == "event":
                self._read_event(rows, record, index, best_ns)
        if live and kind == "document":
            rows.live.append(LiveMessage(LiveKind.DOCUMENT, self.catalog.tenant_id, record.source.encode()))
        elif live and kind in _LIVE:
            rows.live.append(LiveMessage(_LIVE[kind], self.catalog.tenant_id, record.SerializeToString()))

    def _measure(self, rows: Rows, origin: Origin, record: wire.Record, times: wire.Times, best_ns: int) -> New | None:
        """Add the row of a reading or of samples, or tell what has to be learnt first."""
        if not record.HasField("observation"):
            row = self._measured.waveform(origin, times, record.waveform, best_ns)
            if not isinstance(row, bytes):
                return row
            rows.waveforms.append(row)
            return None
        reading = record.observation
        row = self._measured.observation(origin, times, reading, best_ns, rows.touched)
        if not isinstance(row, bytes):
            return row
        rows.observations.append(row)
        if reading.code == BATTERY_CHARGE:
            rows.ledger.append(("battery", battery(origin.device, reading.number, best_ns)))
        return None

    def _seen(self, rows: Rows, index: int, envelope: "Envelope", now_ns: int) -> Seen | None:
        """Who has acknowledged the alarm at the gateway; one whose ticket does not hold is put aside, the alarm goes on."""
        alarm = envelope.record.alarm
        if not alarm.HasField("acknowledged"):
            return None
        try:
            return self._tickets.seen(alarm.acknowledged, self._gateway, now_ns)
        except RejectedError as error:
            self._hold(rows, held_record(index, envelope, error))
            return None

    def _read_event(self, rows: Rows, record: wire.Record, index: int, best_ns: int) -> None:
        """Read in an event what the ledger keeps of a device, and bytes that nobody could read."""
        event = read(record, DeviceEvent)
        told = ledger.told(event)
        if told is not None:
            rows.ledger.append(("told", told))
        flooding = ledger.flooding(event, moment(best_ns))
        if flooding is not None:
            rows.ledger.append(("flooding", flooding))
        unread = ledger.unread(event, index)
        if unread is not None:
            rows.held.append(unread)

    def _heard(self, rows: Rows, device: str, gateway_ns: int) -> None:
        """Note for the ledger that a device was heard, now and then."""
        if self._is_to_be_noted(device, gateway_ns):
            self.catalog.heard[device] = gateway_ns
            rows.ledger.append(("heard", {"device": device, "at": moment(gateway_ns)}))

    def _hold(self, rows: Rows, held: Held) -> None:
        """Put a record aside; of a device that waits for admission only as many as there is room for, the rest is counted."""
        if held.reason == NOT_ADMITTED:
            waiting = self.catalog.waiting.get(held.device, 0)
            if waiting >= MAX_HELD:
                rows.refused[held.device] = rows.refused.get(held.device, 0) + 1
                return
            self.catalog.waiting[held.device] = waiting + 1
        rows.held.append(held)


def _told_by(envelope: "Envelope") -> str:
    """The gateway that took a record in, when a hub hands it on; empty when it is the one that sends it."""
    return envelope.origin.gateway[:_LONGEST_NAME]
