"""Rows of what is told rather than measured: events, gaps, claims, documents and alarms; rare, so each is read as its record first.

What cannot be stored is a RejectedError. Leaves readings and samples to `measured`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from psycopg.types.json import Jsonb

from hub.alarms.intake import AlarmChange
from hub.ingest.checks import OLDEST_NS, is_time, moment, read, shown
from hub.ingest.measured import source_id
from hub.ingest.quarantined import RejectedError
from protocols import device_package_pb2 as wire
from protocols.nomenclature import EVT_GATEWAY_STATUS
from protocols.record import AlarmCondition, DeviceEvent, Document, Gap, SubjectClaim

if TYPE_CHECKING:
    from hub.ingest.catalog import GatewayCatalog

MARK = "hub_note"  # parameter of an alarm that was raised at the hub's time, with the reason

Insert: TypeAlias = tuple[str, Mapping[str, object]]  # name of the query, parameters


@dataclass(frozen=True, slots=True)
class Told:
    """Makes rows of what one gateway tells."""

    catalog: "GatewayCatalog"
    gateway: str

    async def insert(self, record: wire.Record, kind: str, best_ns: int) -> Insert:
        """The insert of an event, gap, claim or document."""
        if kind == "event":
            return await self._event(record, best_ns)
        if kind == "gap":
            return await self._gap(record)
        if kind == "subject":
            return await self._subject(record, best_ns)
        if kind == "document":
            return await self._document(record, best_ns)
        raise RejectedError("kind", "kind_unknown")

    async def _event(self, record: wire.Record, best_ns: int) -> Insert:
        event = read(record, DeviceEvent)
        if event.code == EVT_GATEWAY_STATUS and event.source.device == self.gateway:
            return "gateway_status", {"status": Jsonb(dict(event.params)), "at": moment(best_ns)}
        device_ns = event.times.device_ns
        return "device_event", {
            "source": await source_id(self.catalog, record.source),
            "time": moment(best_ns),
            "device_time": None if device_ns is None else moment(device_ns),
            "code": event.code,
            "params": Jsonb(dict(event.params)),
            "text": event.text,
        }

    async def _gap(self, record: wire.Record) -> Insert:
        gap = read(record, Gap)
        if gap.from_ns < OLDEST_NS:
            raise RejectedError("gap", "gap_time", at=shown(gap.from_ns))
        return "gap", {
            "source": await source_id(self.catalog, record.source),
            "from_time": moment(gap.from_ns),
            "to_time": moment(gap.to_ns),
            "from_sample": gap.from_sample,
            "to_sample": gap.to_sample,
            "reason": gap.reason,
            "recoverable": gap.recoverable,
        }

    async def _subject(self, record: wire.Record, best_ns: int) -> Insert:
        claim = read(record, SubjectClaim)
        return "subject_claim", {
            "source": await source_id(self.catalog, record.source),
            "time": moment(best_ns),
            "key_id": claim.key_id,
            "sealed": claim.sealed,
        }

    async def _document(self, record: wire.Record, best_ns: int) -> Insert:
        document = read(record, Document)
        return "document", {
            "source": await source_id(self.catalog, record.source),
            "time": moment(best_ns),
            "sha256": bytes.fromhex(document.sha256),
            "media_type": document.media_type,
            "content": document.content,
        }

    async def alarm(self, record: wire.Record, closed_ns: int, now_ns: int, marked: str = "") -> AlarmChange:
        """The change of an alarm whose batch was closed at `closed_ns`; `marked` is why times or evidence of it are not to be used: the hub's time stands for them."""
        alarm = record.alarm
        onset_ns, detected_ns, sent_ns = alarm.onset_ns, alarm.detected_ns, closed_ns
        evidence = alarm.evidence.SerializeToString() if alarm.HasField("evidence") else None
        if marked:
            onset_ns = detected_ns = sent_ns = now_ns
            plain = wire.Record()
            plain.CopyFrom(record)
            plain.alarm.ClearField("evidence")
            condition, evidence = read(plain, AlarmCondition), None
        else:
            condition = read(record, AlarmCondition)
        for ns in (onset_ns, detected_ns):
            if not is_time(ns, now_ns):
                raise RejectedError("time", "alarm_time", at=shown(ns), now=shown(now_ns))
        if not is_time(sent_ns, now_ns):
            sent_ns = now_ns
        params = dict(condition.params)
        if marked:
            params[MARK] = marked
        return AlarmChange(
            alarm_id=alarm.id,
            source_id=await source_id(self.catalog, record.source),
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
