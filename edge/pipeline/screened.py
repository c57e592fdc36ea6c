"""What every way in does with a device's records: faults become events, the screening chain takes one step a record.

Links (device.py) and message doors (edge/doors) both hand decoded records through here, so that a reading is screened the same
whichever way it came. Leaves queues, lanes and the disk to the caller.
"""

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING

from edge.health.metrics import FAULTS, RECORDS
from edge.pipeline.pulses import Pulses
from models.screening import chain, plausible
from models.screening.alarms import Life
from models.screening.placement import Placement
from protocols.errors import Fault
from protocols.nomenclature import EVT_FAULT
from protocols.record import (
    AlarmCondition,
    DeviceEvent,
    Gap,
    Observation,
    Params,
    Record,
    SourcePath,
    Times,
    WaveformGroup,
)

if TYPE_CHECKING:
    from uuid import UUID

    from prometheus_client import Counter

RAW_OF_LINK = 1024  # of a stretch of bytes between good packets
RAW_OF_MESSAGE = 4096
_READ_AS_HEX = 64
_TEXT = 4096  # what a text of an event may hold


class Screened:
    """The screening of one device, from decoded records to records for the lanes."""

    def __init__(
        self,
        device: str,
        placement: Placement,
        active: tuple[AlarmCondition, ...] = (),
        *,
        pulses: Pulses | None = None,
        raw_kept: int = RAW_OF_LINK,
        segments: int = 0,
    ) -> None:
        """`active`: the alarms of this device that the spool knows from before the start. `raw_kept`: bytes of a fault.

        `segments`: numbers of clock segments up to this one were given before. `pulses`: what devices of one place see of them.
        """
        self._device, self._source, self._raw_kept = device, SourcePath(device), raw_kept
        self._pulses, self._place, self._shows = pulses or Pulses(), placement.point_of_care, False
        self._chain = chain.begin(placement, active, segments=segments)
        self._counters: dict[type[Record], Counter] = {}  # looked up once a kind, not once a record

    def place(self, placement: Placement) -> None:
        """Go on under another placement."""
        self._chain = chain.configure(self._chain, placement)
        if placement.point_of_care != self._place:
            self._pulses.tell(self._place, self._device, ())
            self._place = placement.point_of_care

    def clock_stepped(self, by_ns: int) -> None:
        """The gateway's clock was set forward by `by_ns`."""
        self._chain = chain.stepped(self._chain, by_ns)

    def acknowledge(self, alarm: "UUID", times: Times) -> tuple[Record, ...]:
        """Somebody at the hub has acknowledged an alarm of this device."""
        self._chain, records = chain.acknowledge(self._chain, alarm, times)
        return records

    def link(self, times: Times, *, lost: bool, since_ns: int = 0, life: Life | None = None) -> tuple[Record, ...]:
        """The device's link has fallen silent at `since_ns`, or brings data. `life` of the alarm: a stream's, unless given."""
        self._chain, records = chain.link(self._chain, self._source, times, lost=lost, since_ns=since_ns, life=life)
        return records

    def flood(self, times: Times, *, since_ns: int, holds: bool) -> tuple[Record, ...]:
        """The device has sent more than it may since `since_ns`, or keeps its pace again."""
        self._chain, records = chain.flood(self._chain, self._source, times, since_ns=since_ns, holds=holds)
        return records

    def step(self, decoded: Iterable[Record | Fault]) -> list[Record]:
        """Screen what a decoder gave out at once, in its order; what was concluded from a record stands behind it."""
        decoded = list(decoded)
        out = self.arrived(decoded)
        out += self.each(decoded)
        return out

    def arrived(self, message: Iterable[Record | Fault]) -> list[Record]:
        """Hear of what a device sent at once, before its records are screened; events of its clock."""
        records = (item for item in message if not isinstance(item, Fault))
        self._chain, events = chain.arrived(self._chain, records)
        return list(events)

    def each(self, decoded: Iterable[Record | Fault]) -> list[Record]:
        """Screen records of a message that has been heard of."""
        out: list[Record] = []
        for item in decoded:
            record = self._kept(item)
            if isinstance(record, WaveformGroup) and self._place:
                self._chain = chain.beside(self._chain, self._pulses.beside(self._place, self._device))
            self._chain, screened = chain.step(self._chain, record)
            out += screened
        if waves := chain.pulses(self._chain):
            self._pulses.tell(self._place, self._device, waves)
        elif self._shows:
            self._pulses.tell(self._place, self._device, ())
        self._shows = bool(waves)
        self._count(out)
        return out

    def keep(self, decoded: Iterable[Record | Fault]) -> list[Record]:
        """Take what is no live measurement: nothing is aligned by its arrival and nothing is concluded from it."""
        out = [self._kept(item) for item in decoded]
        self._count(out)
        return out

    def _count(self, records: Iterable[Record]) -> None:
        for record in records:
            kind = type(record)
            counter = self._counters.get(kind)
            if counter is None:
                counter = self._counters[kind] = RECORDS.labels(device=self._device, kind=kind.__name__)
            counter.inc()

    def _kept(self, item: Record | Fault) -> Record:
        """What the spool has of it: a fault as an event, a reading marked where no sensor could truthfully report it."""
        if isinstance(item, Fault):
            return self.fault_told(item)
        return plausible.judged(item) if isinstance(item, Observation) else item

    def fault_told(self, fault: Fault) -> DeviceEvent:
        """A fault as an event with its bytes."""
        FAULTS.labels(device=self._device).inc()
        return fault_event(self._source, fault, self._raw_kept)


def is_word(decoded: Iterable[Record | Fault]) -> bool:
    """Whether there is something among it that the device said: noise on a line is none, nor is a hole that was counted."""
    return any(not isinstance(item, Fault | Gap) for item in decoded)


def fault_event(source: SourcePath, fault: Fault, raw_kept: int) -> DeviceEvent:
    """The event of a fault: `text` shows its bytes in hexadecimal, or in base64 (param `encoding`) going on in param `rest`."""
    raw = fault.raw[:raw_kept]
    params: Params = (
        ("where", fault.where[:_TEXT]),
        ("expected", fault.expected[:_TEXT]),
        ("found", fault.found[:_TEXT]),
        ("bytes", len(fault.raw)),
    )
    text = raw.hex(" ")
    if len(raw) > _READ_AS_HEX:
        encoded = base64.b64encode(raw).decode("ascii")
        text, params = encoded[:_TEXT], (*params, ("encoding", "base64"), ("rest", encoded[_TEXT:]))
    return DeviceEvent(source, EVT_FAULT, Times(fault.gateway_ns), params, text)
