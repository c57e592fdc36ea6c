"""Reads what the devices at beds measure: streams, the last strips, the newest numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hub.core.db import Connection
from hub.core.sql import load_queries
from hub.store.reading import read_groups, to_us
from hub.wards.domain import QUALITIES, Bed, Numeric, Reading, Stream, preferred, reading
from protocols import device_package_pb2 as pb
from protocols.live_frame import Frame, gap_frame, samples_frame
from protocols.microvolt import displayed
from protocols.record import WaveformGroup, is_recorded
from protocols.wire import decode_record
from protocols.wire.tables import CODEC

_QUERIES = load_queries("hub.wards")
NUMERIC_AGE = timedelta(days=1)
_LONGEST = timedelta(seconds=10)  # a group


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored group: which one it is, and its frames, a frame a lead."""

    source: str
    first_sample: int
    start_us: int
    n: int
    fs_hz: float
    frames: tuple[Frame, ...]


async def read_streams(connection: Connection, tenant: int, devices: Iterable[int]) -> list[Stream]:
    """All streams of devices, with the time of their last group."""
    values = {"tenant": tenant, "devices": list(devices)}
    rows = await (await connection.execute(_QUERIES["streams"], values)).fetchall()
    streams = [Stream(r[0], r[2], r[3], tuple(r[4]), r[5], r[6], tuple(r[7]), tuple(r[8]), tuple(r[9])) for r in rows]
    if not streams:
        return []
    last = await connection.execute(_QUERIES["last_waveforms"], {"streams": [s.stream_id for s in streams]})
    newest = {row[0]: row[1] for row in await last.fetchall()}
    return [replace(s, newest=newest.get(s.stream_id)) for s in streams]


async def read_numerics(connection: Connection, tenant: int, beds: Sequence[Bed]) -> dict[int, dict[str, Numeric]]:
    """The newest number of each code at each bed, not older than a day: bed key -> code -> number."""
    at = {device.device_id: bed.key for bed in beds for device in bed.devices}
    values = {"tenant": tenant, "devices": list(at), "since": datetime.now(UTC) - NUMERIC_AGE}
    found: dict[int, dict[str, Reading]] = {}
    if at:
        for device, source, code, unit, averaging_ns, time, value, quality in await (
            await connection.execute(_QUERIES["numerics"], values)
        ).fetchall():
            if is_recorded(source):
                continue
            number = Numeric(code, value, unit, to_us(time) // 1000, str(QUALITIES[int(quality)]))
            here = found.setdefault(at[device], {})
            here[code] = preferred(here.get(code), reading(source, number, averaging_ns))
    return {key: {code: kept.number for code, kept in here.items()} for key, here in found.items()}


async def read_strips(connection: Connection, tenant: int, bed: Bed, seconds: float) -> list[Stored]:
    """The last `seconds` that there are of each stream of a bed, in order of time, however long ago they were."""
    found: list[Stored] = []
    window = timedelta(seconds=seconds)
    for stream in bed.streams:
        # A stream may have gone on, or begun, since `newest` was read.
        last = await (await connection.execute(_QUERIES["last_waveforms"], {"streams": [stream.stream_id]})).fetchone()
        newest = last[1] if last else stream.newest
        if newest is None:
            continue
        mine: list[Stored] = []
        for stored in await read_groups(connection, {stream.stream_id: stream}, newest - window, newest + _LONGEST):
            start_us = to_us(stored.start)
            group = stored_group(stream, start_us, stored.n, stored.first_sample, stored.codec, stored.samples)
            frames = tuple(group_frames(bed, group))
            mine.append(Stored(stream.source, stored.first_sample, start_us, stored.n, stream.fs_hz, frames))
        end_us = max((_end_us(stored) for stored in mine), default=0)
        found += [stored for stored in mine if _end_us(stored) > end_us - seconds * 1e6]
        found += await _gaps(connection, tenant, bed, stream, newest - window, newest + _LONGEST)
    found.sort(key=lambda stored: stored.start_us)
    return found


def _end_us(stored: Stored) -> float:
    return stored.start_us + stored.n / stored.fs_hz * 1e6


async def _gaps(
    connection: Connection, tenant: int, bed: Bed, stream: Stream, from_time: datetime, to_time: datetime
) -> list[Stored]:
    values = {"tenant": tenant, "sources": [stream.source], "from": from_time, "to": to_time}
    rows = await (await connection.execute(_QUERIES["gaps"], values)).fetchall()
    return [
        Stored(
            path,
            -1,
            to_us(start),
            0,
            stream.fs_hz,
            tuple(
                gap_frame(bed.key, lead.index, to_us(start) / 1000, to_us(end) / 1000, reason)
                for lead in bed.leads
                if lead.source == path
            ),
        )
        for path, start, end, reason in rows
    ]


def stored_group(stream: Stream, start_us: int, n: int, first_sample: int, codec: int, samples: bytes) -> WaveformGroup:
    """A stored row as the record that it was."""
    scales = zip(stream.gains, stream.offsets, stream.units, strict=True)
    message = pb.Record(
        source=stream.source,
        times=pb.Times(gateway_ns=start_us * 1000),
        waveform=pb.WaveformGroup(
            leads=stream.leads,
            fs_hz=stream.fs_hz,
            first_sample=first_sample,
            dtype=pb.DTYPE_INT16 if stream.dtype == "<i2" else pb.DTYPE_INT32,
            codec=CODEC[codec],
            n=n,
            samples=samples,
            scales=[pb.Scale(gain=gain, offset=offset, unit=unit) for gain, offset, unit in scales],
        ),
    )
    record = decode_record(message)
    assert isinstance(record, WaveformGroup)
    return record


def group_frames(bed: Bed, group: WaveformGroup, clock: int = 0) -> list[Frame]:
    """The frames of a group, one for each lead that the bed knows. `clock`: as live frames tell it."""
    samples, steps = displayed(group)
    t0_ms = group.times.best_ns // 1000 / 1000
    indexes = bed.indexes(str(group.source), group.leads)
    return [
        samples_frame(bed.key, index, group.fs_hz, step, t0_ms, group.first_sample, line.tobytes(), clock)
        for index, step, line in zip(indexes, steps, samples, strict=True)
        if index is not None
    ]
