"""Moves what was measured a while ago from hot rows into blocks, and back.

Every slot of a stream, and every hour of a series, is moved in one transaction: whenever a worker ends, each group is in one place.
What comes late for a sealed slot is a hot row, which readers find as well, until the slot is opened and sealed with it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter

from hub.core.sql import load_queries
from hub.store.blocks import Block, Group, pack, parts, unpack
from hub.store.reading import from_us, to_us
from protocols import codec
from protocols.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from hub.core.db import Connection, Database

_QUERIES = load_queries("hub.store")

SLOT = timedelta(minutes=5)  # the functions of migration 0011 know it
HOUR = timedelta(hours=1)
MAX_GROUP = timedelta(seconds=10)
# Waveforms are sealed when what the uplink sends late in everyday use (back-off, live first) has come; readings when trends of the last
# day, which ask for seconds, have gone by.
HOT_WAVEFORMS = timedelta(minutes=10)
HOT_READINGS = timedelta(days=2)
_NULL_START = datetime(1970, 1, 1, tzinfo=UTC)

_SEALED = Counter("hub_sealed_total", "Groups and readings that were sealed into blocks", ["what"])
_FAILED = Counter("hub_sealing_failed_total", "Slots that stay hot because a group could not be decoded")


@dataclass(frozen=True, slots=True)
class Sealed:
    """What one run has done: `slots` of streams or hours of series, and what lies in them."""

    slots: int
    rows: int


def slot_of(moment: datetime) -> datetime:
    """The slot in which a group that begins at `moment` lies."""
    return moment - (moment - _NULL_START) % SLOT


async def seal_waveforms(
    database: "Database", before: datetime, checkpoint: "Callable[[str], Awaitable[None]] | None" = None
) -> Sealed:
    """Seal each slot that has ended by `before` and holds hot groups; the eldest of each stream first.

    `checkpoint(name)` is awaited at "taken", "sealed" and "committed": the tests of power loss end the process there.
    """
    slots = rows = 0
    cursor = _NULL_START
    end = slot_of(before)
    while True:
        async with database.connection() as connection:
            found = await (
                await connection.execute(_QUERIES["eldest_waveforms"], {"from": cursor, "to": end})
            ).fetchall()
        if not found:
            break
        slot = slot_of(min(start for _, start in found))
        for stream_id in sorted(s for s, start in found if slot_of(start) == slot):
            try:
                async with database.transaction() as connection:
                    sealed = await _seal_slot(connection, stream_id, slot, checkpoint)
            except DecodeError as error:
                _FAILED.inc()
                structlog.get_logger().error("slot-not-sealed", stream_id=stream_id, slot=str(slot), detail=str(error))
                continue
            if checkpoint is not None:
                await checkpoint("committed")
            slots += sealed > 0
            rows += sealed
        cursor = slot + SLOT
    _SEALED.labels("groups").inc(rows)
    return Sealed(slots, rows)


async def _seal_slot(
    connection: "Connection",
    stream_id: int,
    slot: datetime,
    checkpoint: "Callable[[str], Awaitable[None]] | None",
) -> int:
    values: Mapping[str, object] = {"stream": stream_id, "slot": slot, "end": slot + SLOT}
    locked = await (await connection.execute(_QUERIES["lock_stream"], values)).fetchone()
    if locked is None or not locked[0]:
        return 0  # another worker is at it
    leads, dtype, fs_hz = await _stream(connection, stream_id)
    groups = await _taken(connection, values, leads, dtype)
    if checkpoint is not None:
        await checkpoint("taken")
    groups.sort(key=lambda g: (g.start_us, g.first_sample))
    for part, some in enumerate(parts(groups)):
        block = pack(some)
        until_us = max(g.start_us + round(g.n / fs_hz * 1e6) for g in some)
        written = {
            **values,
            "part": part,
            "start": from_us(block.start_us),
            "last_start": from_us(block.last_start_us),
            "until": from_us(until_us),
            "groups": block.groups,
            "n": block.n,
            "codec": block.codec,
            "marks": block.marks,
            "samples": block.samples,
            "segments": sorted({g.clock_segment_id for g in some if g.clock_segment_id is not None}),
        }
        await connection.execute(_QUERIES["write_block"], written, binary=True)
    if checkpoint is not None:
        await checkpoint("sealed")
    return len(groups)


async def _stream(connection: "Connection", stream_id: int) -> tuple[int, str, float]:
    row = await (await connection.execute(_QUERIES["stream"], {"stream": stream_id})).fetchone()
    assert row is not None
    return int(row[0]), str(row[1]), float(row[2])


async def _taken(connection: "Connection", values: "Mapping[str, object]", leads: int, dtype: str) -> list[Group]:
    """Take the groups of a slot out of the hot table and out of its blocks."""
    groups: list[Group] = []
    for row in await (await connection.execute(_QUERIES["take_blocks"], values, binary=True)).fetchall():
        groups += unpack(Block(to_us(row[0]), to_us(row[0]), *row[1:]), leads, dtype)
    taken = await connection.execute(_QUERIES["take_groups"], values, binary=True)
    for (
        start,
        n,
        first_sample,
        number,
        quality,
        packed,
        device_ms,
        gateway_ms,
        uncertainty_ms,
        segment,
    ) in await taken.fetchall():
        samples = codec.decode(number, packed, leads=leads, n=n, dtype=dtype)
        groups.append(
            Group(to_us(start), n, first_sample, quality, samples, device_ms, gateway_ms, uncertainty_ms, segment)
        )
    return groups


async def open_waveforms(
    connection: "Connection", streams: "Sequence[int]", from_time: datetime, to_time: datetime
) -> int:
    """Put the blocks of streams that have groups in a stretch back among the hot groups, in the caller's transaction; returns how many groups.

    For what takes groups out or moves them (re-timing): afterwards `waveform` holds all there is of the stretch.
    """
    opened = 0
    for stream_id in sorted(streams):
        await connection.execute(_QUERIES["wait_for_stream"], {"stream": stream_id})
        leads, dtype, _ = await _stream(connection, stream_id)
        values = {"stream": stream_id, "slot": from_time - SLOT - MAX_GROUP, "end": to_time}
        for row in await (await connection.execute(_QUERIES["take_some_blocks"], values, binary=True)).fetchall():
            groups = unpack(Block(to_us(row[0]), to_us(row[0]), *row[1:]), leads, dtype)
            async with connection.cursor() as cursor:
                await cursor.executemany(_QUERIES["write_group"], [_row(stream_id, group) for group in groups])
            opened += len(groups)
    return opened


async def open_segment(connection: "Connection", segment_id: int) -> int:
    """Put the sealed groups of a clock segment back among the hot ones, in the caller's transaction; returns how many groups."""
    found = await (await connection.execute(_QUERIES["blocks_of_segment"], {"segment": segment_id})).fetchall()
    return sum([await open_waveforms(connection, [stream], first, last + SLOT) for stream, first, last in found])


def _row(stream_id: int, group: Group) -> dict[str, object]:
    number, packed = codec.encode(group.samples)
    return {
        "stream": stream_id,
        "start": from_us(group.start_us),
        "n": group.n,
        "first_sample": group.first_sample,
        "codec": number,
        "quality": group.quality,
        "samples": packed,
        "device_ms": group.device_offset_ms,
        "gateway_ms": group.gateway_offset_ms,
        "uncertainty_ms": group.uncertainty_ms,
        "segment": group.clock_segment_id,
    }


async def seal_readings(database: "Database", before: datetime) -> Sealed:
    """Seal each hour of a series that has ended by `before` and holds hot readings."""
    hours = rows = 0
    cursor = _NULL_START
    end = before - (before - _NULL_START) % HOUR
    while True:
        async with database.connection() as connection:
            found = await (
                await connection.execute(_QUERIES["eldest_observations"], {"from": cursor, "to": end})
            ).fetchall()
        if not found:
            break
        eldest = min(time for _, time in found)
        hour = eldest - (eldest - _NULL_START) % HOUR
        for series_id in sorted(s for s, time in found if time < hour + HOUR):
            async with database.transaction() as connection:
                row = await (
                    await connection.execute(_QUERIES["seal_hour"], {"series": series_id, "hour": hour})
                ).fetchone()
            sealed = int(row[0]) if row else 0
            hours += sealed > 0
            rows += sealed
        cursor = hour + HOUR
    _SEALED.labels("readings").inc(rows)
    return Sealed(hours, rows)


async def drop_empty_chunks(database: "Database", waveforms_before: datetime, readings_before: datetime) -> int:
    """Drop the chunks from which everything has been sealed."""
    dropped = 0
    for table, before in (("waveform", waveforms_before), ("observation", readings_before)):
        async with database.transaction() as connection:
            row = await (
                await connection.execute(_QUERIES["drop_empty_chunks"], {"table": table, "before": before})
            ).fetchone()
        dropped += int(row[0]) if row else 0
    return dropped
