"""Reads what was measured in a stay: buckets of readings, gaps, waveforms as frames, how a sensor lay; keeps notes."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from hub.alarms.store import from_ms, to_us
from hub.beds.domain import Bucket, Doubted, Episode, Hole, Note, Trend, Window
from hub.beds.episodes import Told, episodes_of
from hub.beds.posture import BODY_AXES, STIR_G, Turn, Vector, axes_of, turns
from hub.core.db import Connection
from hub.core.sql import load_queries
from hub.placement.domain import Span, Stay
from hub.store.missing import ToldGap, still_missing
from hub.store.reading import read_groups, sample_groups
from hub.wards.domain import Bed, Stream
from hub.wards.store import group_frames, stored_group
from protocols.live_frame import Frame, gap_frame
from protocols.nomenclature import EVT_ALARM_DOUBTED, EVT_ALARM_HELD, RHYTHM_EPISODES

_QUERIES = load_queries("hub.beds")
_AT_ONCE = 40  # groups decoded before others have their turn


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return to_us(moment) // 1000


async def read_series(connection: Connection, tenant: int, stay: Stay) -> list[tuple[int, int, str, str, str, str]]:
    """The series of the devices of a stay: (series, device, source path, code, site, unit)."""
    values = {"tenant": tenant, "devices": _devices(stay)}
    rows = await (await connection.execute(_QUERIES["series"], values)).fetchall()
    return [(int(r[0]), int(r[1]), r[2], r[3], r[4], r[5]) for r in rows]


async def read_trends(
    connection: Connection, tenant: int, stay: Stay, codes: Sequence[str], bucket_ms: int
) -> list[Trend]:
    """The readings of these codes in buckets, a trend a series; series without a reading are left out."""
    series = {row[0]: row for row in await read_series(connection, tenant, stay) if row[3] in codes}
    wanted = [(number, span) for number, row in series.items() for span in stay.spans if span.device_id == row[1]]
    if not wanted:
        return []
    values = {
        "series": [number for number, _ in wanted],
        "froms": [span.start for _, span in wanted],
        "tos": [span.end for _, span in wanted],
        "width_s": bucket_ms / 1000,
    }
    found: dict[int, list[Bucket]] = {}
    for number, at, least, most, mean, n, unusable in await (
        await connection.execute(_QUERIES["buckets"], values)
    ).fetchall():
        found.setdefault(number, []).append(Bucket(to_ms(at), least, most, mean, n, unusable))
    return [
        Trend(code, unit, path, site, tuple(found[number]))
        for number, (_, _, path, code, site, unit) in series.items()
        if number in found
    ]


async def tell_looked_at(connection: Connection, tenant: int, stay: Stay) -> None:
    """Tell ingest that somebody looks at the past of these devices, so that their gateways send what they still owe of it first."""
    values = {"tenant": tenant, "devices": list({span.device_id for span in stay.spans})}
    await connection.execute(_QUERIES["looked_at"], values)


async def read_holes(connection: Connection, tenant: int, stay: Stay) -> list[Hole]:
    """What is missing of a stay, cut to its stretches."""
    if not stay.spans:
        return []
    begin, end = _bounds(stay.spans)
    values = {"tenant": tenant, "devices": _devices(stay), "from": begin, "to": end}
    rows = await (await connection.execute(_QUERIES["holes"], values)).fetchall()
    gaps = await still_missing(connection, [ToldGap(*row) for row in rows], (begin, end))
    return [
        Hole(gap.path, to_ms(max(gap.from_time, span.start)), to_ms(min(gap.to_time, span.end)), gap.reason)
        for gap in gaps
        for span in stay.spans
        if span.device_id == gap.device_id and gap.from_time < span.end and gap.to_time > span.start
    ]


async def read_frames(
    connection: Connection, tenant: int, bed: Bed, stay: Stay, streams: Sequence[Stream]
) -> list[Frame]:
    """Everything that is stored of the strips in a stay, as frames in order of time; then the gaps."""
    by_id = {stream.stream_id: stream for stream in streams if stream.is_shown}
    if not by_id or not stay.spans:
        return []
    frames: list[Frame] = []
    begin, end = _bounds(stay.spans)
    for at, stored in enumerate(await read_groups(connection, by_id, begin, end)):
        stream = by_id[stored.stream_id]
        start = stored.start
        # A group is in when any of it is: the first of a stretch begins before it.
        stop = start + timedelta(seconds=stored.n / stream.fs_hz)
        if any(s.device_id == stream.device_id and start < s.end and stop > s.start for s in stay.spans):
            group = stored_group(stream, to_us(start), stored.n, stored.first_sample, stored.codec, stored.samples)
            frames += group_frames(bed, group)
        if at % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
    for hole in await read_holes(connection, tenant, stay):
        here = [lead for lead in bed.leads if lead.source == hole.source]
        frames += [gap_frame(bed.key, lead.index, hole.from_ms, hole.to_ms, hole.reason) for lead in here]
    return frames


async def read_turns(connection: Connection, stay: Stay, streams: Sequence[Stream], step_s: float) -> list[Turn]:
    """When a sensor that feels acceleration came to lie differently, looked at once in `step_s`."""
    by_id = {s.stream_id: (s, axes) for s in streams if (axes := axes_of(s.leads)) is not None}
    if not by_id or not stay.spans:
        return []
    end = _bounds(stay.spans)[1]
    # the same moments whenever it is asked: a turn keeps its time
    begin = datetime.fromtimestamp(-(-min(s.start for s in stay.spans).timestamp() // step_s) * step_s, UTC)
    felt: dict[tuple[str, tuple[str, ...]], list[tuple[int, Vector]]] = {}
    sensors = {stream_id: stream for stream_id, (stream, _) in by_id.items()}
    for at, stored in enumerate(await sample_groups(connection, sensors, begin, end, step_s)):
        stream, axes = by_id[stored.stream_id]
        start = stored.start
        if any(s.device_id == stream.device_id and s.start <= start < s.end for s in stay.spans):
            group = stored_group(stream, to_us(start), stored.n, stored.first_sample, stored.codec, stored.samples)
            along = group.physical()[[stream.leads.index(code) for code in axes]]
            if np.ptp(along, axis=1).max() < STIR_G:
                x, y, z = (float(mean) for mean in along.mean(axis=1))
                felt.setdefault((stream.source, axes), []).append((to_ms(start), (x, y, z)))
        if at % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
    return [
        turn
        for (source, axes), points in felt.items()
        for turn in turns(source, sorted(points), is_body=axes == BODY_AXES)
    ]


async def read_doubted(connection: Connection, tenant: int, stay: Stay) -> list[Doubted]:
    """Alarms of a stay that a pulse spoke against, the newest first."""
    told = await _read_events(connection, tenant, stay, [EVT_ALARM_HELD, EVT_ALARM_DOUBTED])
    return [_doubted(*event) for event in told]


async def read_episodes(connection: Connection, tenant: int, stay: Stay) -> list[Episode]:
    """Episodes of rhythm of a stay, the newest first."""
    return episodes_of(await _read_events(connection, tenant, stay, list(RHYTHM_EPISODES)))


async def _read_events(connection: Connection, tenant: int, stay: Stay, codes: list[str]) -> list[Told]:
    """Events of these codes that the devices of a stay told while they were its own, the newest first."""
    if not stay.spans:
        return []
    begin, end = _bounds(stay.spans)
    values = {"tenant": tenant, "devices": _devices(stay), "from": begin, "to": end, "codes": codes}
    rows = await (await connection.execute(_QUERIES["events"], values)).fetchall()
    return [
        (to_ms(at), path, code, params)
        for at, device, path, code, params in rows
        if any(span.device_id == device and span.start <= at < span.end for span in stay.spans)
    ]


def _doubted(at_ms: int, path: str, code: str, params: Mapping[str, object]) -> Doubted:
    rate = params.get("pulse_rate")
    return Doubted(
        at_ms,
        path,
        str(params.get("alarm", "")),
        code == EVT_ALARM_HELD,
        str(params.get("pulse", "")),
        float(rate) if isinstance(rate, int | float) else None,
        str(params.get("pulse_device", "")),
    )


async def read_notes(connection: Connection, tenant: int, stay: Stay, window: Window) -> list[Note]:
    """What was written about the patient of a stay; without a patient, about the bed."""
    values = {
        "tenant": tenant,
        "patient": stay.patient_id,
        "point": stay.point.point_of_care_id,
        "from": window.start,
        "to": window.end,
    }
    return [_note(row) for row in await (await connection.execute(_QUERIES["notes"], values)).fetchall()]


async def write_note(connection: Connection, tenant: int, stay: Stay, who: str, at_ms: int, text: str) -> Note:
    """Keep a note."""
    values: dict[str, object] = {
        "tenant": tenant,
        "patient": stay.patient_id,
        "point": stay.point.point_of_care_id,
        "at": from_ms(at_ms),
        "who": who,
        "text": text,
    }
    row = await (await connection.execute(_QUERIES["write_note"], values)).fetchone()
    assert row is not None
    return _note(row)


def _note(row: Sequence[object]) -> Note:
    number, at, written, who, text = row
    assert isinstance(number, int)
    assert isinstance(at, datetime)
    assert isinstance(written, datetime)
    return Note(number, to_ms(at), to_ms(written), str(who), str(text))


def _devices(stay: Stay) -> list[int]:
    return sorted({span.device_id for span in stay.spans})


def _bounds(spans: Sequence[Span]) -> tuple[datetime, datetime]:
    return min(span.start for span in spans), max(span.end for span in spans)
