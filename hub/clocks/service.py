"""What can be done with the clocks of a device: see their segments, see what a correction would move, apply it, take it back."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hub.clocks.domain import (
    EARLIEST,
    LATEST,
    LEARNED_FROM,
    LEAST_READINGS,
    LEAST_SPAN_S,
    MOST_DRIFT_PPM,
    MOST_SHIFT_S,
    Correction,
    Model,
    Preview,
    Reading,
    Retiming,
    Segment,
    learned,
)
from hub.core.errors import ConflictError, InvalidError, NotFoundError
from hub.core.policy import policy
from hub.core.principal import tenant_of
from hub.core.sql import load_queries

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from psycopg.rows import TupleRow

    from hub.core.audit import AuditLog
    from hub.core.db import Connection, Database
    from hub.core.principal import Principal

_QUERIES = load_queries("hub.clocks")
_ROWS = 20  # of segments: those of each are counted


class SealedError(ConflictError):
    """Samples of the segment lie in blocks, which only the role worker may open (`hub.store.sealing.open_segment`)."""

    def __init__(self, segment_id: int, blocks: int) -> None:
        super().__init__(
            f"{blocks} blocks of samples of the segment are sealed.",
            "Use the command `wardlink hub clock` at the hub's machine: it opens them first.",
            reason="sealed",
        )
        self.segment_id = segment_id


class Clocks:
    """The clocks of a tenant's devices."""

    def __init__(self, database: "Database", audit: "AuditLog") -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit

    @policy("clock.read")
    async def named(self, principal: "Principal", name: str) -> int:
        """The id of a device; NotFoundError."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            row = await (await connection.execute(_QUERIES["device"], {"tenant": tenant, "name": name})).fetchone()
        if row is None:
            raise NotFoundError(
                f"There is no device {name!r}.", "A device is in the ledger once a gateway has heard it."
            )
        return int(row[0])

    @policy("clock.read")
    async def of(self, principal: "Principal", device_id: int) -> tuple[list[Segment], list[Retiming]]:
        """The segments of a device's clock and what was done with them, the newest first."""
        tenant = tenant_of(principal)
        values: dict[str, object] = {"tenant": tenant, "device": device_id, "segment": None, "limit": _ROWS}
        async with self._database.transaction(tenant) as connection:
            segments = await (await connection.execute(_QUERIES["segments"], values)).fetchall()
            done = await (await connection.execute(_QUERIES["retimings"], values)).fetchall()
        return [Segment(*row) for row in segments], [_retiming(row) for row in done]

    @policy("clock.retime")
    async def preview(
        self, principal: "Principal", device_id: int, segment_id: int, shift_s: float | None, drift_ppm: float = 0.0
    ) -> Preview:
        """What a correction would move; `shift_s` None: the one that the segment's own readings tell."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            segment = await _segment(connection, tenant, device_id, segment_id)
            correction = await _correction(connection, segment, shift_s, drift_ppm)
            alarms = await _alarms(connection, tenant, device_id, segment)
        return _previewed(segment, correction, len(alarms))

    @policy("clock.retime")
    async def retime(
        self,
        principal: "Principal",
        device_id: int,
        segment_id: int,
        shift_s: float | None,
        drift_ppm: float = 0.0,
        *,
        reason: str,
    ) -> Retiming:
        """Move a segment's rows, in one transaction with what says so: the log of moves, the marks of alarms, the audit."""
        tenant = tenant_of(principal)
        _checked_reason(reason)
        async with self._database.transaction(tenant) as connection:
            await _segment(connection, tenant, device_id, segment_id)
            await connection.execute(_QUERIES["lock_device"], {"device": device_id})
            segment = await _segment(
                connection, tenant, device_id, segment_id
            )  # as it is now that nobody else moves it
            if not segment.observations and not segment.waveforms:
                raise ConflictError("The segment has no rows.", "Choose one that has.", reason="empty")
            correction = await _correction(connection, segment, shift_s, drift_ppm)
            preview = _previewed(segment, correction, 0)
            if (
                preview.new_from is None
                or preview.new_to is None
                or not EARLIEST <= preview.new_from <= preview.new_to <= LATEST
            ):
                raise InvalidError("The times would lie before 1970 or after 2199.", "State another correction.")
            alarms = await _alarms(connection, tenant, device_id, segment)
            values: dict[str, object] = {
                "tenant": tenant,
                "device": device_id,
                "segment": segment_id,
                "base": correction.base,
                "shift_us": correction.shift_us,
                "drift_ppm": correction.drift_ppm,
                "model": correction.model,
                "reason": reason,
                "who": str(principal),
                "from": segment.from_time,
                "to": segment.to_time,
            }
            retiming_id = await _one(connection, "retiming", values)
            values["retiming"] = retiming_id
            into = await _one(connection, "moved_segment", values)
            moved = await _move(connection, values | {"into": into, "sign": 1})
            middle = correction.base if segment.from_time is None else segment.from_time
            gaps = {"only": None, "by_us": round(correction.at_s(middle) * 1e6)}
            values["gaps"] = await _one(connection, "move_gaps", values | gaps)
            await connection.execute(_QUERIES["note_moved"], values | moved)
            await _mark(connection, values, alarms, "retimed")
            told = {"segment": segment_id, "retiming": retiming_id, "shift_us": correction.shift_us}
            told |= {"drift_ppm": correction.drift_ppm, "model": correction.model, "reason": reason, **moved}
            await self.audit.write(connection, principal, "clock.retime", f"device:{device_id}", told)
            found = await (await connection.execute(_QUERIES["one_retiming"], values)).fetchone()
        return _retiming(_there(found, retiming_id))

    @policy("clock.retime")
    async def undo(self, principal: "Principal", retiming_id: int, *, reason: str) -> Retiming:
        """Move the rows back to where the gateway had them. ConflictError when that was done."""
        tenant = tenant_of(principal)
        _checked_reason(reason)
        values: dict[str, object] = {"tenant": tenant, "retiming": retiming_id, "who": str(principal), "reason": reason}
        async with self._database.transaction(tenant) as connection:
            row = _there(await (await connection.execute(_QUERIES["one_retiming"], values)).fetchone(), retiming_id)
            done, (device_id, from_time, to_time, gaps) = _retiming(row), row[14:]
            await connection.execute(_QUERIES["lock_device"], {"device": device_id})
            if await (await connection.execute(_QUERIES["note_undone"], values)).fetchone() is None:
                raise ConflictError("The move was taken back already.", "Load the page again.", reason="undone")
            moved_segment = await _one(connection, "moved_segment_of", values)
            values |= {"device": device_id, "segment": moved_segment, "into": done.segment_id, "sign": -1}
            values |= {"base": done.correction.base, "shift_us": done.correction.shift_us}
            values |= {"drift_ppm": done.correction.drift_ppm, "from": from_time, "to": to_time}
            moved = await _move(connection, values)
            back = {"only": gaps, "by_us": -round(done.correction.at_s(from_time) * 1e6)}
            await connection.execute(_QUERIES["move_gaps"], values | back)
            alarms = [a for (a,) in await (await connection.execute(_QUERIES["alarms"], values)).fetchall()]
            await _mark(connection, values, alarms, "retiming_undone")
            told = {"segment": done.segment_id, "retiming": retiming_id, "reason": reason, **moved}
            await self.audit.write(connection, principal, "clock.undo", f"device:{device_id}", told)
            row = _there(await (await connection.execute(_QUERIES["one_retiming"], values)).fetchone(), retiming_id)
        return _retiming(row)


async def _segment(connection: "Connection", tenant: int, device_id: int, segment_id: int) -> Segment:
    values = {"tenant": tenant, "device": device_id, "segment": segment_id, "limit": 1}
    row = await (await connection.execute(_QUERIES["segments"], values)).fetchone()
    if row is None:
        raise NotFoundError(f"The device has no clock segment {segment_id}.", "Look at the device's segments.")
    return Segment(*row)


async def _correction(
    connection: "Connection", segment: Segment, shift_s: float | None, drift_ppm: float
) -> Correction:
    if shift_s is not None:
        if not (abs(shift_s) <= MOST_SHIFT_S and abs(drift_ppm) <= MOST_DRIFT_PPM):
            raise InvalidError(
                f"Correction by {shift_s:g} s and {drift_ppm:g} ppm: expected at most {MOST_SHIFT_S:g} s and {MOST_DRIFT_PPM:g} ppm.",
                "State another correction.",
            )
        return Correction(segment.from_time or segment.first_seen, shift_s, drift_ppm)
    values: Mapping[str, object] = {"segment": segment.segment_id, "most": LEARNED_FROM}
    rows = await (await connection.execute(_QUERIES["clocks"], values)).fetchall()
    found = learned([Reading(at, late_ms / 1e3, by_ms / 1e3) for at, late_ms, by_ms in rows])
    if found is None:
        raise ConflictError(
            f"The segment's readings tell no clock: {LEAST_READINGS} with a time of the device over {LEAST_SPAN_S:g} s are needed.",
            "State the correction yourself.",
            reason="nothing-learned",
        )
    return found


async def _alarms(connection: "Connection", tenant: int, device_id: int, segment: Segment) -> "list[UUID]":
    values = {"tenant": tenant, "device": device_id, "from": segment.from_time, "to": segment.to_time}
    return [alarm for (alarm,) in await (await connection.execute(_QUERIES["alarms"], values)).fetchall()]


async def _move(connection: "Connection", values: "Mapping[str, object]") -> dict[str, int]:
    """Move the rows; what is kept of observations hears of where they were and where they are. SealedError."""
    row = await (await connection.execute(_QUERIES["open_segment"], values)).fetchone()
    if row is not None and row[0]:
        raise SealedError(int(str(values["segment"])), row[0])
    await _tell_touched(connection, values["segment"])
    row = await (await connection.execute(_QUERIES["move"], values)).fetchone()
    await _tell_touched(connection, values["into"])
    return {"observations": 0, "waveforms": 0} if row is None else {"observations": row[0], "waveforms": row[1]}


async def _tell_touched(connection: "Connection", segment: object) -> None:
    rows = await (await connection.execute(_QUERIES["touched"], {"segment": segment})).fetchall()
    for series, from_time, to_time in rows:
        await connection.execute(_QUERIES["tell_touched"], {"series": series, "from": from_time, "to": to_time})


async def _mark(connection: "Connection", values: "Mapping[str, object]", alarms: "list[UUID]", kind: str) -> None:
    if alarms:
        await connection.execute(_QUERIES["lock_alarms"], values)
        await connection.execute(_QUERIES["mark_alarms"], {**values, "alarms": alarms, "kind": kind})


async def _one(connection: "Connection", query: str, values: "Mapping[str, object]") -> int:
    row = await (await connection.execute(_QUERIES[query], values)).fetchone()
    if row is None:
        msg = f"query {query} gave no row"
        raise LookupError(msg)
    return row[0]


def _previewed(segment: Segment, correction: Correction, alarms: int) -> Preview:
    def moved(moment: datetime | None) -> datetime | None:
        if moment is None:
            return None
        try:
            return moment + timedelta(seconds=correction.at_s(moment))
        except OverflowError:
            return None

    return Preview(segment, correction, alarms, moved(segment.from_time), moved(segment.to_time))


def _retiming(row: "TupleRow") -> Retiming:
    retiming_id, segment_id, base, shift_us, drift_ppm, model, *rest = row[:14]
    return Retiming(retiming_id, segment_id, Correction(base, shift_us / 1e6, drift_ppm, Model(model)), *rest)


def _there(row: "TupleRow | None", retiming_id: int) -> "TupleRow":
    if row is None:
        raise NotFoundError(f"There is no move {retiming_id}.", "Look at the device's segments.")
    return row


def _checked_reason(reason: str) -> None:
    if not 1 <= len(reason.strip()) <= 400:
        raise InvalidError("A move needs a reason of at most 400 characters.", "Say why the times are moved.")
