"""Groups of waveforms as they were measured, whether they are hot or sealed: takes the rows that the database's reading functions return.

`read_waveforms` and `sample_waveforms` (migration 0011) give hot groups and whole blocks in one snapshot; here the groups come out of
the blocks, in the order of time, and what lies outside of the stretch falls away. Leaves who may read to those that ask.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from hub.core.db import Connection
from hub.core.sql import load_queries
from hub.store.blocks import Block, unpack
from protocols.codec import RAW

_QUERIES = load_queries("hub.store")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Shape(Protocol):
    """What has to be known of a stream to read its groups."""

    @property
    def leads(self) -> Sequence[str]:
        """The codes of its leads."""
        ...

    @property
    def fs_hz(self) -> float:
        """Samples a second."""
        ...

    @property
    def dtype(self) -> str:
        """Either "<i2" or "<i4"."""
        ...


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """A group; `samples` by `codec`, shape (leads, n); `quality`: a byte a lead, or empty."""

    stream_id: int
    start: datetime
    n: int
    first_sample: int
    codec: int
    quality: bytes
    samples: bytes


def to_us(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """The moment of microseconds since 1970."""
    return _EPOCH + us * _MICROSECOND


async def read_groups(
    connection: Connection, streams: Mapping[int, Shape], from_time: datetime, to_time: datetime
) -> list[StoredGroup]:
    """The groups of streams that reach into a stretch, in order of time; the transaction says of which tenant."""
    values = {"streams": list(streams), "from": from_time, "to": to_time}
    rows = await (await connection.execute(_QUERIES["groups"], values, binary=True)).fetchall()
    found: list[StoredGroup] = []
    for row in rows:
        shape = streams[row[0]]
        for group in await _groups(shape, row):
            end = group.start + timedelta(seconds=group.n / shape.fs_hz)
            if group.start < to_time and end > from_time:
                found.append(group)
    found.sort(key=lambda g: (g.start, g.stream_id, g.first_sample))
    return found


async def sample_groups(
    connection: Connection, streams: Mapping[int, Shape], from_time: datetime, to_time: datetime, step_s: float
) -> list[StoredGroup]:
    """The first group of each stream that begins in each step, counted from `from_time`; by stream and time."""
    values = {"streams": list(streams), "from": from_time, "to": to_time, "step_s": step_s}
    rows = await (await connection.execute(_QUERIES["samples"], values, binary=True)).fetchall()
    first: dict[tuple[int, int], StoredGroup] = {}
    for row in rows:
        for group in await _groups(streams[row[0]], row):
            if from_time <= group.start < to_time:
                place = group.stream_id, int((group.start - from_time) / timedelta(seconds=step_s))
                if place not in first or group.start < first[place].start:
                    first[place] = group
    return [first[place] for place in sorted(first)]


async def _groups(shape: Shape, row: Sequence[object]) -> list[StoredGroup]:
    """One row: a hot group, or the groups of a block."""
    stream_id, start, n, first_sample, number, quality, samples, groups, marks = row
    assert isinstance(stream_id, int)
    assert isinstance(start, datetime)
    assert isinstance(n, int)
    assert isinstance(number, int)
    assert isinstance(quality, bytes)
    assert isinstance(samples, bytes)
    if marks is None:
        assert isinstance(first_sample, int)
        return [StoredGroup(stream_id, start, n, first_sample, number, quality, samples)]
    assert isinstance(groups, int)
    assert isinstance(marks, bytes)
    block = Block(to_us(start), to_us(start), groups, n, number, marks, samples)
    # Up to 4 MB are unpacked: elsewhere, so that live pages do not wait for it.
    opened = await asyncio.to_thread(unpack, block, len(shape.leads), shape.dtype)
    return [
        StoredGroup(stream_id, from_us(g.start_us), g.n, g.first_sample, RAW, g.quality, g.samples.tobytes())
        for g in opened
    ]
