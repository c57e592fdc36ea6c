"""Everything that is stored of a source, hot or sealed, for who compares it with what was sent: tests of faults and of load.

Reads by the same functions of the database as `reading`, but synchronously, and over all time.
`connection` is the database's owner or superuser; nothing of the product that serves people reads so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from hub.core.sql import load_queries
from hub.store.blocks import Block, stretches, unpack
from hub.store.reading import to_us
from protocols import codec

if TYPE_CHECKING:
    import psycopg

_QUERIES = load_queries("hub.store")

Connection: TypeAlias = "psycopg.Connection[tuple[object, ...]]"


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples of a source that lie together. `samples`: shape (leads, n), raw units."""

    first_sample: int
    samples: codec.Samples


def spans(connection: Connection, path: str) -> list[tuple[int, int]]:
    """Number of the first sample and the one behind the last, of each group of a source, in no order; no sample is read."""
    found: list[tuple[int, int]] = []
    for first, n, groups, marks, leads in _rows(connection, "whole_spans", {"path": path}):
        if isinstance(marks, bytes):
            found += _spans_of(marks, int(str(groups)), int(str(leads)))
        else:
            found.append((int(str(first)), int(str(first)) + int(str(n))))
    return found


def pieces(connection: Connection, path: str, first: int = 0, end: int | None = None) -> list[Piece]:
    """The groups of a source that touch samples from `first` up to `end` (exclusive; None: to its newest), in the order of their numbers."""
    found: list[Piece] = []
    for start, n, at, number, samples, groups, marks, leads, dtype in _rows(connection, "whole_groups", {"path": path}):
        shape = int(str(leads)), str(dtype)
        if not isinstance(marks, bytes):
            if _touches(int(str(at)), int(str(n)), first, end):
                plain = codec.decode(int(str(number)), _bytes(samples), leads=shape[0], n=int(str(n)), dtype=shape[1])
                found.append(Piece(int(str(at)), plain))
            continue
        if any(_touches(a, b - a, first, end) for a, b in _spans_of(marks, int(str(groups)), shape[0])):
            assert isinstance(start, datetime)
            at_us = to_us(start)
            block = Block(at_us, at_us, int(str(groups)), int(str(n)), int(str(number)), marks, _bytes(samples))
            found += [
                Piece(group.first_sample, group.samples)
                for group in unpack(block, *shape)
                if _touches(group.first_sample, group.n, first, end)
            ]
    return sorted(found, key=lambda piece: piece.first_sample)


def readings(connection: Connection, devices: Sequence[str]) -> Iterator[tuple[str, str, float, float | None]]:
    """Source path, code, time by the device's clock in ms since 1970, and number of each reading of these devices."""
    for path, code, at_ms, value in _rows(connection, "whole_readings", {"paths": [f"{one}/%" for one in devices]}):
        yield str(path), str(code), float(str(at_ms)), None if value is None else float(str(value))


def counts(connection: Connection) -> dict[str, int]:
    """How many readings there are of each device."""
    return {str(device): int(str(n)) for device, n in _rows(connection, "whole_counts", {})}


def _rows(connection: Connection, query: str, values: dict[str, object]) -> list[tuple[object, ...]]:
    # The functions give rows of one tenant: an installation under test has one.
    connection.execute("select set_config('wardlink.tenant', (select min(tenant_id) from tenant)::text, false)")
    return connection.execute(_QUERIES[query], values, binary=True).fetchall()


@lru_cache(maxsize=4096)
def _spans_of(marks: bytes, groups: int, leads: int) -> tuple[tuple[int, int], ...]:
    return tuple((first, first + n) for first, n in stretches(marks, groups, leads))


def _touches(at: int, n: int, first: int, end: int | None) -> bool:
    return at + n > first and (end is None or at < end)


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
