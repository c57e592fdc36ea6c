"""Live data of all wards in one web process: takes what ingest pushes, hands it to the screens of the ward it belongs to.

Nothing here is a store: a screen that comes new reads the database first. Which device is at which bed is read again when
the placement changes or a device measures something new.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

import psycopg
import structlog
from google.protobuf.message import DecodeError as ProtobufError
from psycopg_pool import PoolTimeout

from hub.core.live import LiveKind, LiveMessage
from hub.core.principal import system
from hub.wards.clients import EventClient, WaveClient
from hub.wards.domain import (
    Bed,
    Layout,
    Link,
    LinkState,
    Numeric,
    Reading,
    bed_link,
    is_shown,
    lay_out,
    preferred,
    reading,
    without_hub,
)
from hub.wards.holes import Holes
from hub.wards.store import NUMERIC_AGE, group_frames, read_streams
from hub.wards.traced import PageTraces
from protocols import device_package_pb2 as pb
from protocols.errors import DecodeError
from protocols.live_frame import gap_frame
from protocols.record import Gap, Observation, Record, WaveformGroup
from protocols.wire import decode_record

if TYPE_CHECKING:
    from hub.alarms.follower import AlarmFollower
    from hub.core.db import Database
    from hub.placement.service import Placement

# Strips show the last seconds only: what comes later than this behind the newest of its source is for the database alone.
STRIP_S = 15.0
# ingest says within 2 s that a device is silent; this is for the case that it cannot (a limit promised to people is 3 s).
SILENT_S = 2.5
_TICK_S = 0.25
_RELOAD_S = 1.0
# What reading a message can raise, JSON of any shape and depth included.
_UNREADABLE = (ProtobufError, DecodeError, ValueError, KeyError, TypeError, OverflowError, RecursionError)
_TIMED = frozenset({LiveKind.WAVEFORM, LiveKind.NUMERIC})
_ASKED = 1000  # kinds of measurement remembered as looked up


@dataclass(slots=True)
class _Source:
    """What the room remembers of a source of samples."""

    newest_ns: int
    end_sample: int
    end_ns: int
    heard_s: float
    holes: Holes


@dataclass(slots=True)
class _Tenant:
    """The live state of one tenant."""

    layout: Layout
    links: dict[str, Link] = field(default_factory=dict[str, Link])
    numerics: dict[tuple[int, str], Reading] = field(default_factory=dict[tuple[int, str], Reading])
    sources: dict[str, _Source] = field(default_factory=dict[str, _Source])
    stale: bool = False
    read_at_s: float = 0.0
    whole_s: dict[str, float] = field(default_factory=dict[str, float])  # by gateway, as `Holes.due` takes it
    asked: set[tuple[str, tuple[str, ...]]] = field(default_factory=set[tuple[str, tuple[str, ...]]])
    clocks: dict[tuple[str, LiveKind], int] = field(default_factory=dict[tuple[str, LiveKind], int])

    def set_back(self, device: str, kind: LiveKind, at_ns: int) -> None:
        """The clock of a device's gateway was set back to `at_ns`: what has a later time is older, and hides nothing."""
        if kind is LiveKind.WAVEFORM:
            ahead = [n for n, s in self.sources.items() if n.partition("/")[0] == device and s.newest_ns > at_ns]
            for name in ahead:
                del self.sources[name]
        else:
            late = [k for k, r in self.numerics.items() if r.device == device and r.number.at_ms > at_ns // 1_000_000]
            for key in late:
                del self.numerics[key]

    def forget_moved(self) -> None:
        """Keep of each device what belongs to the bed where it is now: what it measured at another is no number of that bed."""
        at = self.layout.by_device
        self.numerics = {(key, code): r for (key, code), r in self.numerics.items() if at.get(r.device) == key}
        self.clocks = {(device, kind): clock for (device, kind), clock in self.clocks.items() if device in at}

    def is_due(self, now_s: float) -> bool:
        """Whether the layout is to be read anew; not more than once a second."""
        return self.stale and now_s - self.read_at_s > _RELOAD_S


class Room:
    """One for a web process. Start `run` and `tend` as tasks."""

    def __init__(self, database: "Database", placement: "Placement", follower: "AlarmFollower") -> None:
        """`database` as the role web."""
        self._database = database
        self._placement = placement
        self._follower = follower
        self._tenants: dict[int, _Tenant] = {}
        self._before: dict[int, _Tenant] = {}  # of the database that was put back: what goes by names holds
        self._reading = asyncio.Lock()
        self._changes = 0
        self._waves: set[WaveClient] = set()
        self._events: set[EventClient] = set()
        self._connected = True
        self.traces = PageTraces(database)
        self.closing = False

    async def run(self, messages: AsyncIterator[LiveMessage]) -> None:
        """Take what ingest pushes, until cancelled."""
        async for message in messages:
            try:
                await self._take(message)
            except _UNREADABLE as error:
                structlog.get_logger().error("live-message-unreadable", kind=message.kind.name, detail=str(error))
            except (psycopg.Error, PoolTimeout, OSError) as error:
                structlog.get_logger().error("live-layout-not-read", error=type(error).__name__)

    async def tend(self) -> None:
        """Watch for silence, and read layouts anew that have changed; until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            now_s = time.monotonic()
            for tenant_id, tenant in tuple(self._tenants.items()):
                if self._tenants.get(tenant_id) is not tenant:
                    continue  # begun anew while another was read
                self._watch(tenant, now_s)
                self._tell_holes(tenant, now_s)
                if tenant.is_due(now_s):
                    try:
                        await self._reload(tenant_id)
                    except (psycopg.Error, PoolTimeout, OSError) as error:
                        structlog.get_logger().error("live-layout-not-read", error=type(error).__name__)

    async def layout(self, tenant_id: int) -> Layout:
        """The tenant's beds, read when this is the first to ask, or the first after a change."""
        tenant = await self._tenant(tenant_id)
        if tenant.is_due(time.monotonic()):
            await self._reload(tenant_id)
        return tenant.layout

    def link(self, tenant_id: int, bed: Bed) -> Link | None:
        """What is known live of a bed's link; None when nothing has been heard of any of its devices."""
        tenant = self._tenants.get(tenant_id)
        if tenant is None or not any(device.name in tenant.links for device in bed.devices):
            return None
        return bed_link(bed, tenant.links)

    def numbers_set_back(self, tenant_id: int, bed: Bed) -> dict[str, Numeric]:
        """The live numbers of devices whose gateway's clock was set back: by its time what is stored from before seems newer."""
        tenant = self._tenants.get(tenant_id)
        if tenant is None or not tenant.clocks:
            return {}
        here = {device.name for device in bed.devices if (device.name, LiveKind.NUMERIC) in tenant.clocks}
        since_ms = (time.time() - NUMERIC_AGE.total_seconds()) * 1000
        return {
            code: kept.number
            for (key, code), kept in tenant.numerics.items()
            if key == bed.key and kept.device in here and kept.number.at_ms >= since_ms
        }

    async def look_again(self, tenant_id: int) -> Layout:
        """The tenant's beds, read anew: somebody names one that was not there."""
        await self._reload(tenant_id)
        return (await self._tenant(tenant_id)).layout

    def placement_changed(self, tenant_id: int | None) -> None:
        """Who is where has changed; None: perhaps anywhere."""
        self._changes += 1
        for key, tenant in self._tenants.items():
            if tenant_id in (None, key):
                tenant.stale, tenant.read_at_s = True, 0.0

    @contextmanager
    def waves(self, client: WaveClient) -> Generator[WaveClient]:
        """Let a screen have the strips of its ward."""
        self._waves.add(client)
        try:
            yield client
        finally:
            self._waves.discard(client)

    @contextmanager
    def events(self, client: EventClient) -> Generator[EventClient]:
        """Let a screen have the numbers and links of its ward."""
        self._events.add(client)
        try:
            yield client
        finally:
            self._events.discard(client)

    def begin_anew(self) -> None:
        """The database is another: screens come again, and who is where is read before anything is handed on."""
        self._before |= self._tenants
        self._tenants.clear()
        for client in (*self._waves, *self._events):
            client.close()

    def close(self) -> None:
        """End every connection, so that the process can stop."""
        self.closing = True
        for client in (*self._waves, *self._events):
            client.close()

    async def _tenant(self, tenant_id: int) -> _Tenant:
        found = self._tenants.get(tenant_id)
        if found is None:
            async with self._reading:
                found = self._tenants.get(tenant_id)
                if found is None:
                    changes = self._changes
                    layout = await self._read_layout(tenant_id)
                    # A change that was told while it was read may not be in it.
                    found = _Tenant(layout, stale=changes != self._changes)
                    before = self._before.pop(tenant_id, None)
                    if before is not None:
                        found.links, found.sources, found.clocks = before.links, before.sources, before.clocks
                        found.whole_s = before.whole_s
                    self._tenants[tenant_id] = found
        return found

    async def _read_layout(self, tenant_id: int) -> Layout:
        hub = system("wards.room", tenant_id)
        with self._database.in_one_history():
            points = await self._placement.points(hub)
            devices = await self._placement.devices(hub)
            async with self._database.transaction(tenant_id) as connection:
                streams = await read_streams(connection, tenant_id, [d.device_id for d in devices])
        return lay_out(points, devices, streams)

    async def _reload(self, tenant_id: int) -> None:
        tenant = await self._tenant(tenant_id)
        async with self._reading:  # one after another: what was read first must not be the last word
            tenant.stale, tenant.read_at_s = False, time.monotonic()
            try:
                layout = await self._read_layout(tenant_id)
            except BaseException:
                tenant.stale = True
                raise
            before, tenant.layout = tenant.layout, layout
            tenant.forget_moved()
        if len(tenant.asked) > _ASKED:
            tenant.asked.clear()
        for ward_id in {bed.point.ward.ward_id for bed in tenant.layout.beds.values()}:
            if _shape(before, ward_id) != _shape(tenant.layout, ward_id):
                for client in self._events:
                    if client.ward_id == ward_id:
                        client.start_over()

    async def _take(self, message: LiveMessage) -> None:
        match message.kind:
            case LiveKind.CONNECTED:
                self._connected = True
                self.placement_changed(None)  # which devices measure what was not told meanwhile
                self._follower.look()
            case LiveKind.LOST:
                self._connected = False
                self._lose_everything()
            case LiveKind.ALARM:
                if self.traces.awaits:
                    await self._trace_alarm(message)
                self._follower.look()
            case LiveKind.TRACE:
                self.traces.announced(message)
            case LiveKind.LINK:
                await self._take_link(message)
            case LiveKind.BACKLOG:
                await self._take_backlog(message)
            case LiveKind.DOCUMENT:
                await self._take_document(message)
            case _:
                await self._take_record(message)

    async def _take_link(self, message: LiveMessage) -> None:
        tenant = await self._tenant(message.tenant_id)
        body = json.loads(message.payload)
        link = Link(LinkState(body["state"]), int(body["since_ms"]), str(body["gateway"]), str(body["device"]))
        if link.device not in tenant.layout.by_device:
            tenant.stale = True
        if link.state is LinkState.LIVE:
            for name, source in tenant.sources.items():
                if name.partition("/")[0] == link.device:
                    source.heard_s = time.monotonic()
        self._set_link(tenant, link)

    async def _take_backlog(self, message: LiveMessage) -> None:
        tenant = await self._tenant(message.tenant_id)
        body = json.loads(message.payload)
        tenant.whole_s[str(body["gateway"])] = inf if body["waits"] else time.monotonic()

    async def _take_document(self, message: LiveMessage) -> None:
        """A recording has come: the screens of its bed fetch the state in which it is named."""
        tenant = await self._tenant(message.tenant_id)
        bed = tenant.layout.of_source(message.payload.decode())
        if bed is not None:
            tenant.stale = True
            for client in self._event_clients(bed):
                client.start_over()

    async def _take_record(self, message: LiveMessage) -> None:
        tenant = await self._tenant(message.tenant_id)
        wire = pb.Record.FromString(message.payload)
        record = decode_record(wire)
        bed = tenant.layout.of_source(str(record.source))
        if self.traces.awaits:
            kind = wire.WhichOneof("kind") or ""
            self.traces.came(message.tenant_id, wire.source, kind, wire.times.gateway_ns)
        clock = (record.source.device, message.kind)
        if bed is not None and message.kind in _TIMED and message.event_id not in {0, tenant.clocks.get(clock)}:
            tenant.clocks[clock] = message.event_id
            tenant.set_back(*clock, record.times.gateway_ns)
        try:
            await self._hand_on(message.tenant_id, tenant, bed, record)
        finally:
            self.traces.not_handed("not_at_a_bed" if bed is None else "not_shown_live")

    async def _trace_alarm(self, message: LiveMessage) -> None:
        """Alarms reach the screens from the log (`hub.alarms.follower`); which of them is followed is said here."""
        tenant = await self._tenant(message.tenant_id)
        wire = pb.Record.FromString(message.payload)
        bed = tenant.layout.of_source(wire.source)
        self.traces.came(message.tenant_id, wire.source, wire.WhichOneof("kind") or "", wire.times.gateway_ns)
        if bed is not None:
            self.traces.handed([("alarm", message.event_id)], len(self._event_clients(bed)))
        self.traces.not_handed("not_at_a_bed")

    async def _hand_on(self, tenant_id: int, tenant: _Tenant, bed: Bed | None, record: Record) -> None:
        if bed is None:
            return
        if record.source.is_recorded:
            # Not live. But of which devices there are recordings is a part of the layout.
            tenant.stale = tenant.stale or (
                isinstance(record, WaveformGroup) and record.source.device not in bed.recorders
            )
            return
        if isinstance(record, WaveformGroup):
            if is_shown(record.leads):
                bed = await self._with_leads(tenant_id, tenant, bed, record)
                if self._tenants.get(tenant_id) is tenant:  # else the bed's number may be another's by now
                    self._take_waveform(tenant, bed, record)
        elif isinstance(record, Observation):
            self._take_numeric(tenant, bed, record)
        elif isinstance(record, Gap):
            known = tenant.sources.get(str(record.source))
            if known is not None:
                known.holes.told(record.from_ns, record.to_ns)
            self._tell_gap(bed, str(record.source), (record.from_ns, record.to_ns), record.reason)

    async def _with_leads(self, tenant_id: int, tenant: _Tenant, bed: Bed, group: WaveformGroup) -> Bed:
        """The bed with the leads of this group: a device that measures something new is looked up once, and at once."""
        what = str(group.source), group.leads
        if what in tenant.asked or None not in bed.indexes(*what):
            return bed
        tenant.asked.add(what)
        await self._reload(tenant_id)
        return tenant.layout.beds.get(bed.key, bed)

    def _take_waveform(self, tenant: _Tenant, bed: Bed, group: WaveformGroup) -> None:
        name = str(group.source)
        start_ns, end_ns = group.times.best_ns, group.time_of(group.end_sample)
        known = tenant.sources.get(name)
        fresh = known is None or end_ns > known.newest_ns
        holes = known.holes if known is not None else Holes()
        if known is not None and not fresh:
            holes.came(group.first_sample, group.end_sample, start_ns, end_ns)
            if known.newest_ns - end_ns > STRIP_S * 1e9:
                return
        elif known is not None and group.first_sample > known.end_sample and start_ns > known.end_ns:
            holes.jumped(known.end_sample, group.first_sample, known.end_ns, start_ns, time.monotonic())
        clients = self._wave_clients(bed)
        clock = tenant.clocks.get((group.source.device, LiveKind.WAVEFORM), 0)
        frames = group_frames(bed, group, clock) if clients else []
        for frame in frames:
            for client in clients:
                client.put(frame)
        self.traces.handed([frame.place for frame in frames], len(clients))
        if fresh:
            tenant.sources[name] = _Source(end_ns, group.end_sample, end_ns, time.monotonic(), holes)
            link = tenant.links.get(group.source.device)
            if link is None or link.state is not LinkState.LIVE:
                gateway = link.gateway if link else next((d.gateway for d in bed.devices), "")
                self._set_link(tenant, Link(LinkState.LIVE, start_ns // 1_000_000, gateway, group.source.device))

    def _take_numeric(self, tenant: _Tenant, bed: Bed, record: Observation) -> None:
        if isinstance(record.value, str):
            return
        at_ms = record.times.best_ns // 1_000_000
        number = Numeric(record.code, record.value, record.unit, at_ms, record.quality.value)
        new = reading(str(record.source), number, record.averaging_ns)
        kept = tenant.numerics.get((bed.key, record.code))
        if preferred(kept, new) is not new:
            return  # of a backlog, or of a source that another goes before
        tenant.numerics[bed.key, record.code] = new
        clients = self._event_clients(bed)
        for client in clients:
            client.numeric(bed.key, number)
        self.traces.handed([("numeric", bed.key, number)], len(clients))

    def _watch(self, tenant: _Tenant, now_s: float) -> None:
        for name, source in tenant.sources.items():
            device = name.partition("/")[0]
            link = tenant.links.get(device)
            if now_s - source.heard_s > SILENT_S and link is not None and link.state is LinkState.LIVE:
                since_ms = source.end_ns // 1_000_000
                self._set_link(tenant, Link(LinkState.DEVICE_SILENT, since_ms, link.gateway, device))

    def _tell_holes(self, tenant: _Tenant, now_s: float) -> None:
        for name, source in tenant.sources.items():
            bed = tenant.layout.of_source(name)
            link = tenant.links.get(name.partition("/")[0])
            whole_s = tenant.whole_s.get(link.gateway, 0.0) if link is not None else 0.0
            for hole in source.holes.due(now_s, whole_s):
                if bed is not None:
                    self._tell_gap(bed, name, hole, "unknown")

    def _tell_gap(self, bed: Bed, source: str, between_ns: tuple[int, int], reason: str) -> None:
        for lead in bed.leads:
            if lead.source == source:
                frame = gap_frame(bed.key, lead.index, between_ns[0] / 1e6, between_ns[1] / 1e6, reason)
                for client in self._wave_clients(bed):
                    client.put(frame)

    def _lose_everything(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        for tenant in (*self._tenants.values(), *self._before.values()):
            # What is still to come is not known until ingest is there again.
            tenant.whole_s = dict.fromkeys(tenant.whole_s, inf)
            for link in tuple(tenant.links.values()):
                self._set_link(tenant, without_hub(link, now_ms))

    def _set_link(self, tenant: _Tenant, link: Link) -> None:
        if tenant.links.get(link.device) == link:
            return
        tenant.links[link.device] = link
        bed = tenant.layout.of_source(link.device)
        if bed is not None:
            for client in self._event_clients(bed):
                client.link(bed.key, bed_link(bed, tenant.links))

    def _wave_clients(self, bed: Bed) -> list[WaveClient]:
        return [client for client in self._waves if client.ward_id == bed.point.ward.ward_id]

    def _event_clients(self, bed: Bed) -> list[EventClient]:
        return [client for client in self._events if client.ward_id == bed.point.ward.ward_id]


def _shape(layout: Layout, ward_id: int) -> list[object]:
    """What a screen has built its tiles on."""
    return [(bed.key, bed.point.bed, bed.leads, bed.devices, bed.recorders) for bed in layout.of_ward(ward_id)]
