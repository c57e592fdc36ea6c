"""Turns the records of a batch into rows, and says which of them cannot be stored and why.

Works on the wire's messages themselves rather than on `protocols.record`, because a row then costs a third (decision 0045).
What is refused here goes to quarantine with its bytes; leaves transactions to `writer`.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from psycopg.types.json import Jsonb

from hub.alarms.intake import AlarmChange
from hub.core.live import LiveKind, LiveMessage
from hub.ingest import ledger, pgcopy
from hub.ingest.quarantined import MAX_HELD, NOT_ADMITTED, Held, RejectedError, held_record
from protocols import device_package_pb2 as wire
from protocols.codec import decode
from protocols.errors import DecodeError
from protocols.nomenclature import BATTERY_CHARGE, EVT_GATEWAY_STATUS
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    DeviceEvent,
    Document,
    Gap,
    Record,
    SourcePath,
    SubjectClaim,
)
from protocols.wire import decode_record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hub.ingest.catalog import GatewayCatalog, SeriesKey, StreamKey
    from protocols.uplink_pb2 import Batch, Envelope

# A gateway whose clock is further ahead than this does not know the time; its data would hide everything that is real.
MAX_AHEAD_NS = 24 * 3600 * NS_PER_S
OLDEST_NS = 946_684_800 * NS_PER_S  # 2000-01-01
MAX_TEXT = 4096
MARK = "hub_note"  # parameter of an alarm that was raised at the hub's time, with the reason
_EXPECTED_TIME = "expected 2000 to 24 h ahead of the hub's"
_MAX_BIGINT = 2**63 - 1
_DTYPES = {wire.DTYPE_INT16: "<i2", wire.DTYPE_INT32: "<i4"}
_COMPARATORS = frozenset({"", "<", "<=", ">=", ">"})

_ALWAYS = frozenset({"event", "alarm", "gap"})  # kinds that need no admission

_LIVE: dict[str, LiveKind] = {
    "observation": LiveKind.NUMERIC,
    "waveform": LiveKind.WAVEFORM,
    "event": LiveKind.EVENT,
    "gap": LiveKind.GAP,
}  # alarms are told by the writer, with the ids of their events

# What shows that a device's data arrive. An event or alarm may tell just the opposite: that the device has fallen silent.
_MEASURED = frozenset({"observation", "waveform"})

T = TypeVar("T", bound=Record)
Insert: TypeAlias = tuple[str, Mapping[str, object]]  # name of the query, parameters


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
    live: list[LiveMessage] = field(default_factory=list[LiveMessage])
    newest: dict[str, int] = field(
        default_factory=dict[str, int]
    )  # device -> newest gateway time of what it measured, ns
    refused: dict[str, int] = field(
        default_factory=dict[str, int]
    )  # device -> records that its quarantine has no room for

    def __len__(self) -> int:
        return len(self.observations) + len(self.waveforms) + len(self.inserts) + len(self.alarms) + len(self.held)


@dataclass(frozen=True, slots=True)
class RowMaker:
    """Makes rows for one gateway and epoch. `now_ns` is the hub's clock; `with_live` says whether anybody listens."""

    catalog: "GatewayCatalog"
    gateway: str
    now_ns: Callable[[], int]
    with_live: Callable[[], bool]
    needs_admission: bool = True  # false for what somebody has released

    async def make(self, batch: "Batch") -> Rows:
        """Take every record of the batch, in order; what is refused stands in `held`."""
        return await self.make_some(batch, enumerate(batch.records))

    async def make_some(self, batch: "Batch", numbered: "Iterable[tuple[int, Envelope]]") -> Rows:
        """Take some records of the batch: (index in the batch, record)."""
        rows = Rows()
        now_ns = self.now_ns()
        live = self.with_live()
        for index, envelope in numbered:
            try:
                await self._take(rows, batch, index, envelope, now_ns, live=live)
            except RejectedError as error:
                self._hold(rows, held_record(index, envelope, error))
                if envelope.record.HasField("alarm"):
                    await self._raise_anyway(rows, batch, envelope.record, now_ns, error)
        return rows

    async def _admit(self, rows: Rows, record: wire.Record, kind: str | None) -> None:
        """Refuse what a device measures before somebody has admitted it.

        What it says of itself fills the ledger meanwhile, and an alarm is raised whoever it comes from (decision 0047).
        """
        device = record.source.partition("/")[0]
        if not device or device == self.gateway or not self.needs_admission:
            return
        admitted = self.catalog.admitted.get(device) or await self.catalog.is_admitted(device)
        self._heard(rows, device, record.times.gateway_ns)
        if not admitted and kind not in _ALWAYS:
            raise RejectedError(NOT_ADMITTED, f"device {device} waits for its admission")

    async def _raise_anyway(
        self, rows: Rows, batch: "Batch", record: wire.Record, now_ns: int, error: RejectedError
    ) -> None:
        """The bytes wait for a person, but a patient's alarm does not: it is raised at the hub's time, marked, if it can be read."""
        if error.reason != "origin":
            with suppress(RejectedError):
                rows.alarms.append(await self._alarm(record, batch, now_ns, marked=error.detail))

    async def _take(
        self, rows: Rows, batch: "Batch", index: int, envelope: "Envelope", now_ns: int, *, live: bool
    ) -> None:
        record = envelope.record
        times = record.times
        gateway_ns = times.gateway_ns
        best_ns = times.corrected_ns if times.HasField("corrected_ns") else gateway_ns
        if not (OLDEST_NS <= gateway_ns <= now_ns + MAX_AHEAD_NS and OLDEST_NS <= best_ns <= now_ns + MAX_AHEAD_NS):
            raise RejectedError(
                "time",
                f"gateway time {_shown(gateway_ns)}, corrected {_shown(best_ns)}: {_EXPECTED_TIME} {_shown(now_ns)}",
            )
        if envelope.HasField("origin"):
            raise RejectedError(
                "origin", "a record of another gateway: this version of the hub takes no forwarded records"
            )
        kind = record.WhichOneof("kind")
        await self._admit(rows, record, kind)
        if kind == "observation":
            rows.observations.append(await self._observation(record, best_ns))
            if record.observation.code == BATTERY_CHARGE:
                rows.ledger.append(("battery", self._battery(record, best_ns)))
        elif kind == "waveform":
            rows.waveforms.append(await self._waveform(record, best_ns))
        elif kind == "alarm":
            rows.alarms.append(await self._alarm(record, batch, now_ns))
        else:
            rows.inserts.append(await self._insert(record, kind or "", best_ns))
            if kind == "event":
                self._told(rows, record, index)
        device = record.source.partition("/")[0]
        if kind in _MEASURED and gateway_ns > rows.newest.get(device, 0):
            rows.newest[device] = gateway_ns
        if live and kind in _LIVE:
            rows.live.append(LiveMessage(_LIVE[kind], self.catalog.tenant_id, record.SerializeToString()))

    async def _insert(self, record: wire.Record, kind: str, best_ns: int) -> Insert:
        if kind == "event":
            return await self._event(record, best_ns)
        if kind == "gap":
            return await self._gap(record)
        if kind == "subject":
            return await self._subject(record, best_ns)
        if kind == "document":
            return await self._document(record, best_ns)
        raise RejectedError("kind", "no kind that this version knows")

    def _told(self, rows: Rows, record: wire.Record, index: int) -> None:
        """Read in an event what the ledger keeps of a device, and bytes that nobody could read."""
        event = _read(record, DeviceEvent)
        told = ledger.told(event)
        if told is not None:
            rows.ledger.append(("told", told))
        unread = ledger.unread(event, index)
        if unread is not None:
            rows.held.append(unread)

    def _heard(self, rows: Rows, device: str, gateway_ns: int) -> None:
        """Note for the ledger that a device was heard, now and then."""
        if gateway_ns - self.catalog.heard.get(device, 0) >= ledger.SEEN_EVERY_NS:
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

    async def _observation(self, record: wire.Record, best_ns: int) -> bytes:
        reading = record.observation
        held = reading.WhichOneof("value")
        if held == "number":
            value, text, kind = reading.number, None, "number"
            if not math.isfinite(value):
                raise RejectedError("value", f"{reading.code}: {value} is no number that was measured")
        elif held is None:
            raise RejectedError("value", f"{reading.code}: no value")
        else:
            kind = held
            value, text = None, reading.text if held == "text" else reading.coded
            _checked("value", text, empty=True)
        comparator = reading.comparator
        if comparator and comparator not in _COMPARATORS:
            raise RejectedError("comparator", f"{comparator!r}: expected <, <=, >= or >")
        quality = reading.quality
        if not 1 <= quality <= 7:
            raise RejectedError("quality", f"{quality}: expected 1 to 7")
        key = (record.source, reading.code, reading.site, reading.unit, reading.averaging_ns, kind)
        series_id = self.catalog.series.get(key)
        if series_id is None:
            series_id = await self._new_series(key)
        device_offset, gateway_offset, uncertainty, segment = await self._offsets(record, best_ns)
        return pgcopy.observation(
            best_ns, series_id, quality, value, gateway_offset, uncertainty, device_offset, segment, comparator, text
        )

    @staticmethod
    def _battery(record: wire.Record, best_ns: int) -> Mapping[str, object]:
        percent = min(max(record.observation.number, 0.0), 100.0)
        return {"device": record.source.partition("/")[0], "percent": percent, "at": moment(best_ns)}

    async def _new_series(self, key: "SeriesKey") -> int:
        path, code, site, unit, averaging, _ = key
        _checked("code", code)
        _checked("site", site, empty=True)
        _checked("unit", unit)
        if averaging > _MAX_BIGINT:
            raise RejectedError("averaging", f"{averaging} ns is no averaging period")
        await self._source(path)
        return await self.catalog.series_id(key)

    async def _source(self, path: str) -> int:
        found = self.catalog.sources.get(path)
        if found is not None:
            return found
        _checked("source", path)
        try:
            SourcePath.parse(path)
        except ValueError as error:
            raise RejectedError("source", str(error)) from error
        return await self.catalog.source_id(path)

    async def _offsets(self, record: wire.Record, best_ns: int) -> tuple[float | None, float, float, int | None]:
        """Device and gateway clock as differences to the stored time, uncertainty (all ms), and the clock segment's id."""
        times = record.times
        segment: int | None = None
        number = times.clock_segment
        if number:
            device = record.source.partition("/")[0]
            segment = self.catalog.segments.get((device, number))
            if segment is None:
                segment = await self.catalog.segment_id(device, number)
        device_offset = (times.device_ns - best_ns) / 1e6 if times.HasField("device_ns") else None
        return device_offset, (times.gateway_ns - best_ns) / 1e6, times.uncertainty_ns / 1e6, segment

    async def _waveform(self, record: wire.Record, best_ns: int) -> bytes:
        group = record.waveform
        dtype = _DTYPES.get(group.dtype)
        if dtype is None:
            raise RejectedError("dtype", f"{group.dtype}: expected 1 (int16) or 2 (int32)")
        leads, scales, quality = tuple(group.leads), group.scales, bytes(group.quality)
        if not leads or len(scales) != len(leads) or (quality and len(quality) != len(leads)):
            raise RejectedError("shape", f"{len(leads)} leads with {len(scales)} scales and {len(quality)} qualities")
        if any(not 1 <= q <= 7 for q in quality):
            raise RejectedError("quality", f"{list(quality)}: expected 1 to 7 a lead")
        try:
            # Decoded to see that readers will be able to; stored as it came.
            decode(group.codec, group.samples, leads=len(leads), n=group.n, dtype=dtype)
        except DecodeError as error:
            raise RejectedError("samples", str(error)) from error
        key = (
            record.source,
            leads,
            group.fs_hz,
            dtype,
            tuple(s.gain for s in scales),
            tuple(s.offset for s in scales),
            tuple(s.unit for s in scales),
        )
        stream_id = self.catalog.streams.get(key)
        if stream_id is None:
            stream_id = await self._new_stream(key)
        device_offset, gateway_offset, uncertainty, segment = await self._offsets(record, best_ns)
        return pgcopy.waveform(
            best_ns,
            stream_id,
            group.n,
            group.first_sample,
            group.codec,
            quality,
            group.samples,
            gateway_offset,
            uncertainty,
            device_offset,
            segment,
        )

    async def _new_stream(self, key: "StreamKey") -> int:
        path, leads, fs_hz, _, gains, offsets, units = key
        if not 0 < fs_hz < 1e6:
            raise RejectedError("fs_hz", f"{fs_hz}: expected more than 0 and less than 1e6")
        if not all(math.isfinite(x) for x in (*gains, *offsets)) or 0.0 in gains:
            raise RejectedError("scale", f"gains {gains}, offsets {offsets}: expected finite numbers, and no gain of 0")
        for lead in leads:
            _checked("lead", lead)
        for unit in units:
            _checked("unit", unit)
        await self._source(path)
        return await self.catalog.stream_id(key)

    async def _alarm(self, record: wire.Record, batch: "Batch", now_ns: int, marked: str = "") -> AlarmChange:
        """Make the change; `marked` is why times or evidence of it are not to be used: the hub's time stands for them."""
        alarm = record.alarm
        onset_ns, detected_ns, sent_ns = alarm.onset_ns, alarm.detected_ns, batch.closed_ns
        evidence = alarm.evidence.SerializeToString() if alarm.HasField("evidence") else None
        if marked:
            onset_ns = detected_ns = sent_ns = now_ns
            plain = wire.Record()
            plain.CopyFrom(record)
            plain.alarm.ClearField("evidence")
            condition, evidence = _read(plain, AlarmCondition), None
        else:
            condition = _read(record, AlarmCondition)
        for ns in (onset_ns, detected_ns):
            if not OLDEST_NS <= ns <= now_ns + MAX_AHEAD_NS:
                raise RejectedError("time", f"alarm at {_shown(ns)}: {_EXPECTED_TIME} {_shown(now_ns)}")
        if not OLDEST_NS <= sent_ns <= now_ns + MAX_AHEAD_NS:
            sent_ns = now_ns
        params = dict(condition.params)
        if marked:
            params[MARK] = marked
        return AlarmChange(
            alarm_id=alarm.id,
            source_id=await self._source(record.source),
            code=condition.code,
            priority=str(condition.priority),
            kind=str(condition.kind),
            presence=str(condition.presence),
            onset_ns=onset_ns,
            detected_ns=detected_ns,
            sent_ns=sent_ns,
            params=params,
            evidence=evidence,
            record=record.SerializeToString(),
        )

    async def _event(self, record: wire.Record, best_ns: int) -> Insert:
        event = _read(record, DeviceEvent)
        if event.code == EVT_GATEWAY_STATUS and event.source.device == self.gateway:
            return "gateway_status", {"status": Jsonb(dict(event.params)), "at": moment(best_ns)}
        device_ns = event.times.device_ns
        return "device_event", {
            "source": await self._source(record.source),
            "time": moment(best_ns),
            "device_time": None if device_ns is None else moment(device_ns),
            "code": event.code,
            "params": Jsonb(dict(event.params)),
            "text": event.text,
        }

    async def _gap(self, record: wire.Record) -> Insert:
        gap = _read(record, Gap)
        if gap.from_ns < OLDEST_NS:
            raise RejectedError("gap", f"from {_shown(gap.from_ns)}: expected a time after 2000")
        return "gap", {
            "source": await self._source(record.source),
            "from_time": moment(gap.from_ns),
            "to_time": moment(gap.to_ns),
            "from_sample": gap.from_sample,
            "to_sample": gap.to_sample,
            "reason": gap.reason,
            "recoverable": gap.recoverable,
        }

    async def _subject(self, record: wire.Record, best_ns: int) -> Insert:
        claim = _read(record, SubjectClaim)
        return "subject_claim", {
            "source": await self._source(record.source),
            "time": moment(best_ns),
            "key_id": claim.key_id,
            "sealed": claim.sealed,
        }

    async def _document(self, record: wire.Record, best_ns: int) -> Insert:
        document = _read(record, Document)
        return "document", {
            "source": await self._source(record.source),
            "time": moment(best_ns),
            "sha256": bytes.fromhex(document.sha256),
            "media_type": document.media_type,
            "content": document.content,
        }


def _read(record: wire.Record, kind: type[T]) -> T:
    """Read a rare record by `protocols.wire`, whose refusal is the hub's."""
    try:
        found = decode_record(record)
    except DecodeError as error:
        raise RejectedError(error.where.split(",")[0], str(error)) from error
    if not isinstance(found, kind):
        raise RejectedError("kind", f"{type(found).__name__}: expected {kind.__name__}")
    if any("\x00" in text for text in _texts(found)):
        raise RejectedError("text", "a NUL in a text, which the database cannot hold")
    return found


def _texts(record: Record) -> "Iterable[str]":
    match record:
        case DeviceEvent() | AlarmCondition():
            yield record.code
            yield from (part for param in record.params for part in param if isinstance(part, str))
            yield record.text if isinstance(record, DeviceEvent) else ""
        case SubjectClaim():
            yield record.key_id
        case Document():
            yield record.media_type
        case _:
            pass


def moment(ns: int) -> datetime:
    """Nanoseconds since 1970 as a datetime in UTC, to the microsecond."""
    whole, rest = divmod(ns, NS_PER_S)
    return datetime.fromtimestamp(whole, UTC).replace(microsecond=rest // 1000)


def _shown(ns: int) -> str:
    return moment(ns).isoformat(timespec="seconds")


def _checked(what: str, text: str, *, empty: bool = False) -> None:
    if (not text and not empty) or len(text) > MAX_TEXT or "\x00" in text:
        raise RejectedError(
            what, f"{text[:40]!r}: expected {'at most' if empty else '1 to'} {MAX_TEXT} characters and no NUL"
        )
