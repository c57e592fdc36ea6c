"""The whole state of a ward for one person: beds, who is there, numbers, limits, links, open alarms; and the last strips."""

import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub.alarms.domain import Alarm
from hub.core.policy import allowed, policy
from hub.ecgs.domain import EcgRef
from hub.placement.domain import LimitInForce, Ward, Who
from hub.wards.domain import Bed, Link, LinkState, Numeric, bed_link
from hub.wards.store import Stored, read_numerics, read_strips

if TYPE_CHECKING:
    from hub.alarms.service import AlarmService
    from hub.core.audit import AuditLog
    from hub.core.db import Database
    from hub.core.principal import Principal
    from hub.ecgs.service import Ecgs
    from hub.placement.service import Placement
    from hub.wards.room import Room

STRIP_SECONDS = 10.0
_LIVE_MS = 3000


@dataclass(frozen=True, slots=True)
class BedView:
    """What stands at a bed."""

    bed: Bed
    who: Who | None
    numerics: tuple[Numeric, ...]
    limits: tuple[LimitInForce, ...]
    link: Link
    ecg: EcgRef | None = None  # the newest resting ECG of the stay


@dataclass(frozen=True, slots=True)
class WardView:
    """What stands in a ward. `last_event_id`: every alarm event up to it is in `alarms`."""

    ward: Ward
    beds: tuple[BedView, ...]
    alarms: tuple[Alarm, ...]
    now_ms: int
    last_event_id: int


class WardService:
    """Puts a ward together from the features that own its parts."""

    def __init__(
        self,
        database: "Database",
        audit: "AuditLog",
        placement: "Placement",
        alarms: "AlarmService",
        ecgs: "Ecgs",
        room: "Room",
    ) -> None:
        """`database` as the role web."""
        self._ecgs = ecgs
        self._database = database
        self.audit = audit
        self._placement = placement
        self._alarms = alarms
        self._room = room

    @policy("ward.read")
    async def enter(self, principal: "Principal", slug: str) -> Ward:
        """The ward, if the principal may see it (else NotFoundError); that somebody looks goes into the audit."""
        ward = await self._placement.ward(principal, slug)
        await self.audit.look(principal, "ward.read", f"ward:{ward.ward_id}")
        return ward

    @policy("ward.read")
    async def view(self, principal: "Principal", slug: str) -> WardView:
        """Everything that a ward page shows."""
        ward = await self.enter(principal, slug)
        tenant = principal.tenant_id or 0
        layout = await self._room.layout(tenant)
        beds = layout.of_ward(ward.ward_id)
        keys = [bed.key for bed in beds]
        async with self._database.transaction(tenant) as connection:
            numerics = await read_numerics(connection, tenant, beds)
        for bed in beds:
            numerics.setdefault(bed.key, {}).update(self._room.numbers_set_back(tenant, bed))
        people = await self._placement.patients(principal, keys)
        limits = await self._placement.limits(principal, keys)
        alarms, newest = await self._alarms.open(principal, keys)
        with_ecgs = [bed.key for bed in beds if bed.recorders] if allowed(principal, "ecg.read") else []
        ecgs = await self._ecgs.newest(principal, with_ecgs)
        now_ms = time.time_ns() // 1_000_000
        views = tuple(
            BedView(
                bed,
                people.get(bed.key),
                tuple(numerics.get(bed.key, {}).values()),
                tuple(limits.get(bed.key, ())),
                self._room.link(tenant, bed) or _stored_link(bed, numerics.get(bed.key, {}).values(), now_ms),
                ecgs.get(bed.key),
            )
            for bed in beds
        )
        return WardView(ward, views, tuple(alarms), now_ms, newest)

    @policy("waveform.read")
    async def strips(self, principal: "Principal", ward: Ward) -> AsyncIterator[list[Stored]]:
        """The last 10 s of each bed's strips, a list a bed."""
        tenant = principal.tenant_id or 0
        layout = await self._room.layout(tenant)
        return self._strips(tenant, layout.of_ward(ward.ward_id))

    async def _strips(self, tenant: int, beds: list[Bed]) -> AsyncIterator[list[Stored]]:
        for bed in beds:
            if bed.streams:
                async with self._database.transaction(tenant) as connection:
                    yield await read_strips(connection, tenant, bed, STRIP_SECONDS)


def _stored_link(bed: Bed, numbers: Iterable[Numeric], now_ms: int) -> Link:
    """The link as the store tells it, while ingest has told nothing yet."""
    samples = (int(s.newest.timestamp() * 1000) for s in bed.streams if s.newest)
    newest = max((*samples, *(number.at_ms for number in numbers)), default=0)
    if not newest:
        return bed_link(bed, {})
    state = LinkState.LIVE if now_ms - newest < _LIVE_MS else LinkState.GATEWAY_LOST
    device = bed.devices[0]
    return Link(state, newest, device.gateway, device.name)
