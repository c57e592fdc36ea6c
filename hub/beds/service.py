"""What can be done at a bed's page: read the stay's trends, past strips, alarms and time-line; write a note.

A bed of a ward that the principal may not see is as if it were not there. Reads are audited: once a session, bed and ten
minutes, and past strips by the hour that was looked at.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hub.alarms.domain import Past
from hub.alarms.store import from_ms
from hub.beds import store
from hub.beds.domain import (
    STRIP_LONGEST,
    BedDetail,
    Note,
    Timeline,
    Trends,
    Window,
    bucket_width_ms,
    review_bed,
    window,
)
from hub.core.errors import InvalidError, NotFoundError
from hub.core.policy import allowed, policy
from hub.core.principal import tenant_of
from hub.devices.service import read_devices
from hub.placement.domain import Stay, Ward
from hub.wards.domain import Bed, Stream
from hub.wards.store import read_streams
from protocols.live_frame import Frame
from protocols.nomenclature import BATTERY_CHARGE, TERMS, TermKind

if TYPE_CHECKING:
    from hub.alarms.service import AlarmService
    from hub.core.audit import AuditLog
    from hub.core.db import Connection, Database
    from hub.core.principal import Principal
    from hub.placement.service import Placement
    from hub.wards.room import Room
    from hub.wards.service import WardService

NOTE_LONGEST = 2000
_HOUR_MS = 3_600_000
# About so many rows of vital signs in a time-line: it is read, not measured.
_VITAL_ROWS = 24
# How often a sensor's rest is looked at: often enough for a turn of minutes, and a stay of three days is read in about a second.
_FELT_STEPS_S = (5.0, 15.0, 30.0, 60.0, 120.0)
_FELT_POINTS = 2160
_LOOK_TOLD_S = 10.0  # ingest forgets it after a minute
_AHEAD = timedelta(minutes=1)  # of a browser's clock


class Beds:
    """The beds of the wards that a principal may see."""

    def __init__(
        self,
        database: "Database",
        audit: "AuditLog",
        placement: "Placement",
        alarms: "AlarmService",
        wards: "WardService",
        room: "Room",
    ) -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit
        self._placement = placement
        self._alarms = alarms
        self._wards = wards
        self._room = room
        self._looked: dict[int, float] = {}  # bed to when ingest was told that somebody looks, on the steady clock

    @policy("ward.read")
    async def find(self, principal: "Principal", ward: str, bed: str) -> tuple[Ward, int]:
        """The ward and the key of a bed by its address; NotFoundError."""
        found = await self._wards.enter(principal, ward)
        for key, point in (await self._placement.points(principal)).items():
            if point.ward.ward_id == found.ward_id and point.bed == bed:
                return found, key
        raise NotFoundError(f"There is no bed {bed!r} in this ward.", "Go back to the ward and choose a bed.")

    @policy("ward.read")
    async def get(self, principal: "Principal", key: int) -> BedDetail:
        """A bed with the leads and measurements of the last 72 hours."""
        stay = await self._stay(principal, key, window(None, None, datetime.now(UTC)))
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            bed, _ = await self._review(connection, tenant, stay)
            series = await store.read_series(connection, tenant, stay)
            devices = await read_devices(connection, tenant, [device.device_id for device in bed.devices])
        await self._note_read(principal, "bed.read", key)
        measures = tuple(dict.fromkeys(code for _, _, _, code, _, _ in series))
        return BedDetail(bed, stay, measures, tuple(devices))

    @policy("trend.read")
    async def trends(
        self, principal: "Principal", key: int, codes: Sequence[str], wanted: tuple[int | None, int | None], points: int
    ) -> Trends:
        """The readings of `codes` between `wanted` (ms) in at most about `points` buckets, with gaps, alarms and notes."""
        unknown = [code for code in codes if code not in TERMS or TERMS[code].kind is not TermKind.METRIC]
        if unknown:
            raise InvalidError(
                f"{unknown[0]!r} is no measurement of the nomenclature.",
                "Name codes such as MDC_ECG_HEART_RATE.",
                reason="code",
            )
        asked = _window(wanted)
        width_ms = bucket_width_ms(asked, points)
        stay = await self._stay(principal, key, asked)
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            if self._is_new_look(key):
                await store.tell_looked_at(connection, tenant, stay)
            trends = await store.read_trends(connection, tenant, stay, codes, width_ms)
            holes = await store.read_holes(connection, tenant, stay)
            # who may not read the time-line sees the curves without what somebody wrote
            notes = (
                await store.read_notes(connection, tenant, stay, asked) if allowed(principal, "timeline.read") else []
            )
        alarms = await self._alarms.past(principal, stay)
        await self._note_read(principal, "trend.read", key)
        return Trends(stay.point.bed, asked, width_ms, tuple(trends), tuple(holes), tuple(alarms), tuple(notes))

    @policy("alarm.read")
    async def alarms(
        self, principal: "Principal", key: int, wanted: tuple[int | None, int | None]
    ) -> tuple[Stay, list[Past]]:
        """The alarms of the stay, the newest first."""
        stay = await self._stay(principal, key, _window(wanted))
        found = await self._alarms.past(principal, stay)
        await self._note_read(principal, "bed.read", key)
        return stay, found

    @policy("waveform.read")
    async def strips(self, principal: "Principal", key: int, wanted: tuple[int | None, int | None]) -> list[Frame]:
        """What is stored of the bed's strips in a stretch of at most a minute; then the gaps that were told."""
        asked = _window(wanted, STRIP_LONGEST)
        stay = await self._stay(principal, key, asked)
        await self._note_read(principal, "waveform.read", key, hour=store.to_ms(asked.start) // _HOUR_MS)
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            if self._is_new_look(key):
                await store.tell_looked_at(connection, tenant, stay)
            bed, streams = await self._review(connection, tenant, stay)
            return await store.read_frames(connection, tenant, bed, stay, streams)

    @policy("timeline.read")
    async def timeline(self, principal: "Principal", key: int, wanted: tuple[int | None, int | None]) -> Timeline:
        """Vital signs, alarms, those that a pulse spoke against, episodes of rhythm, how the patient lay, and notes, together."""
        asked = _window(wanted)
        stay = await self._stay(principal, key, asked)
        tenant = tenant_of(principal)
        step_ms = max(_HOUR_MS // 4, bucket_width_ms(asked, _VITAL_ROWS))
        felt_s = _felt_step_s(stay)
        async with self._database.transaction(tenant) as connection:
            series = await store.read_series(connection, tenant, stay)
            measured = dict.fromkeys(row[3] for row in series)
            codes = [code for code in measured if code.startswith("MDC_") and code != BATTERY_CHARGE]
            vital_signs = await store.read_trends(connection, tenant, stay, codes, step_ms)
            streams = await read_streams(connection, tenant, {span.device_id for span in stay.spans})
            turns = await store.read_turns(connection, stay, streams, felt_s)
            doubted = await store.read_doubted(connection, tenant, stay)
            episodes = await store.read_episodes(connection, tenant, stay)
            notes = await store.read_notes(connection, tenant, stay, asked)
        alarms = await self._alarms.past(principal, stay)
        await self._note_read(principal, "timeline.read", key)
        parts = (tuple(vital_signs), tuple(alarms), tuple(doubted), tuple(episodes), tuple(turns), tuple(notes))
        return Timeline(stay.point.bed, asked, step_ms, *parts)

    @policy("note.write")
    async def write_note(self, principal: "Principal", key: int, text: str, at_ms: int | None) -> Note:
        """Write a note about the patient who is at the bed now; InvalidError for an empty text or a time to come."""
        now = datetime.now(UTC)
        text = text.strip()
        if not 1 <= len(text) <= NOTE_LONGEST:
            raise InvalidError(
                f"A note of {len(text)} characters: expected 1 to {NOTE_LONGEST}.", "Write it shorter.", reason="note"
            )
        at = now if at_ms is None else from_ms(at_ms)
        if at > now + _AHEAD:
            raise InvalidError("A note about a time to come.", "Give the time of what you saw.", reason="note")
        stay = await self._stay(principal, key, window(None, None, now))
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            note = await store.write_note(connection, tenant, stay, str(principal), store.to_ms(at), text)
            await self.audit.write(connection, principal, "note.write", f"bed:{key}", {"note": note.note_id})
        return note

    def _is_new_look(self, key: int) -> bool:
        """Whether ingest has not lately been told that somebody looks at this bed."""
        now_s = time.monotonic()
        if now_s - self._looked.get(key, -_LOOK_TOLD_S) < _LOOK_TOLD_S:
            return False
        self._looked[key] = now_s
        return True

    async def _stay(self, principal: "Principal", key: int, asked: Window) -> Stay:
        return await self._placement.stay(principal, key, asked.start, asked.end)

    async def _review(self, connection: "Connection", tenant: int, stay: Stay) -> tuple[Bed, list[Stream]]:
        """The bed with the leads of its last 72 hours, so that a lead has one number whatever stretch is asked for."""
        key = stay.point.point_of_care_id
        layout = await self._room.layout(tenant)
        if key not in layout.beds:
            layout = await self._room.look_again(tenant)
        bed = layout.beds[key]
        devices = {span.device_id for span in stay.spans} | {device.device_id for device in bed.devices}
        streams = await read_streams(connection, tenant, devices)
        return review_bed(bed, streams), streams

    async def _note_read(self, principal: "Principal", action: str, key: int, hour: int = 0) -> None:
        await self.audit.look(principal, action, f"bed:{key}", {"from_ms": hour * _HOUR_MS} if hour else None)


def _felt_step_s(stay: Stay) -> float:
    begins, ends = [span.start for span in stay.spans], [span.end for span in stay.spans]
    long_s = (max(ends) - min(begins)).total_seconds() if begins else 0.0
    return next((step_s for step_s in _FELT_STEPS_S if long_s <= step_s * _FELT_POINTS), _FELT_STEPS_S[-1])


def _window(wanted: tuple[int | None, int | None], longest: timedelta | None = None) -> Window:
    start, end = (None if ms is None else from_ms(ms) for ms in wanted)
    now = datetime.now(UTC)
    return window(start, end, now) if longest is None else window(start, end, now, longest)
