"""Whether what the devices measured is at the hub: each sample once and unchanged, or in one gap that says why.

A gap that says it can still be had (`recoverable`) is one no more where its samples came: what is stored counts.

The only place of this package that knows the hub's tables: samples and readings it has from `hub.store.whole`, hot or sealed.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hub.store.whole import pieces, readings, spans
from tests.faults.sent import Measured, Reading, Row

if TYPE_CHECKING:
    import psycopg

_GAPS = """
select from_sample, to_sample, reason, recoverable from gap join source p using (source_id)
 where p.path = %s and from_sample is not null and to_sample > %s and from_sample < %s"""
_HELD = "select reason, count(*) from quarantine where not (reason = 'undecodable' and %s) group by 1"
OVERRUN = "line overrun"  # what is lost when the machine is so busy that the agent does not read in time


@dataclass
class Found:
    """What a comparison came to. `lost`: samples by the reason of their gap; `wrong`: sentences, empty when all is well."""

    sent: int = 0
    lost: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])


def uncovered(
    connection: "psycopg.Connection[tuple[object, ...]]",
    marks: Mapping[str, tuple[int, int]],
    for_good: frozenset[str] = frozenset(),
) -> dict[str, list[tuple[int, int]]]:
    """By source path, the stretches of `marks` (first number, end exclusive) that are neither stored nor in a gap for good; {} when all are.

    `for_good`: reasons of gaps that are never filled here, although the gateway cannot know it.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for path, (first, end) in marks.items():
        gaps = connection.execute(_GAPS.encode(), (path, first, end)).fetchall()
        stretches = [
            (int(str(a)), int(str(b))) for a, b, reason, recoverable in gaps if not recoverable or reason in for_good
        ]
        stretches += [(a, b) for a, b in spans(connection, path) if b > first and a < end]
        at = first
        for a, b in [*sorted(stretches), (end, end)]:
            if a > at:
                found.setdefault(path, []).append((at, min(a, end)))
            at = max(at, b)
    return found


def compare(
    connection: "psycopg.Connection[tuple[object, ...]]",
    measured: Measured,
    marks: Mapping[str, tuple[int, int]],
    may_lose: Mapping[str, frozenset[str]],
) -> Found:
    """Compare by hash what was measured between `marks` with what is stored; `may_lose`: by source path the reasons of allowed gaps."""
    found = Found()
    for path, (first, end) in marks.items():
        sent = {n: row for n, row in measured.samples[path].items() if first <= n < end}
        found.sent += len(sent)
        stored, twice = _stored(connection, path, first, end)
        missing = dict[int, str]()
        for a, b, reason, recoverable in connection.execute(_GAPS.encode(), (path, first, end)):
            inside = range(max(first, int(str(a))), min(end, int(str(b))))
            missing |= dict.fromkeys((n for n in inside if not (recoverable and n in stored)), str(reason))
        if twice:
            found.wrong.append(f"{path}: {len(twice)} samples are stored twice, the first {min(twice)}")
        if more := stored.keys() - sent.keys():
            found.wrong.append(f"{path}: {len(more)} samples are stored that were never sent, the first {min(more)}")
        if both := stored.keys() & missing.keys():
            found.wrong.append(f"{path}: {len(both)} samples are stored and in a gap, the first {min(both)}")
        if silent := sent.keys() - stored.keys() - missing.keys():
            found.wrong.append(
                f"{path}: {len(silent)} samples are neither stored nor in a gap, the first {min(silent)}"
            )
        kept = sorted(stored.keys() & sent.keys())
        if digest(sent[n] for n in kept) != digest(stored[n] for n in kept):
            other = next(n for n in kept if sent[n] != stored[n])
            found.wrong.append(f"{path}: sample {other} was sent as {sent[other]}, stored as {stored[other]}")
        untaken = measured.untaken.get(path, set[int]())
        allowed = may_lose.get(path, frozenset[str]())
        lost = Counter(
            OVERRUN if n in untaken and reason not in allowed else reason for n, reason in missing.items() if n in sent
        )
        found.lost += lost
        for reason in lost.keys() - allowed - {OVERRUN}:
            found.wrong.append(
                f"{path}: {lost[reason]} samples were given up as {reason}, which this fault does not allow"
            )
    return found


def first_stored(connection: "psycopg.Connection[tuple[object, ...]]", path: str, most: int) -> tuple[int, list[Row]]:
    """The number of the first stored sample of a source, and up to `most` from there on without a hole; (0, []) for none."""
    first = min((a for a, _ in spans(connection, path)), default=None)
    if first is None:
        return 0, []
    samples, _ = _stored(connection, path, first, first + most)
    rows: list[Row] = []
    while first + len(rows) in samples:
        rows.append(samples[first + len(rows)])
    return first, rows


def digest(rows: Iterable[Row]) -> str:
    """SHA-256 of samples in their order, each as 32 bits a lead."""
    return hashlib.sha256(np.array(list(rows), dtype="<i4").tobytes()).hexdigest()


def compare_readings(
    connection: "psycopg.Connection[tuple[object, ...]]",
    measured: Iterable[Reading],
    devices: Iterable[str],
    until_ms: int,
) -> list[str]:
    """Sentences on readings of `devices` until that time of their clock that are missing or stored twice.

    What the gateway derives from the devices' signals stands in the same table; it was never sent, and is not asked for here.
    """
    sent = Counter(measured)
    stored = Counter(
        (path, code, round(at_ms), value)
        for path, code, at_ms, value in readings(connection, list(devices))
        if value is not None and at_ms <= until_ms + 0.5
    )
    wrong: list[str] = []
    again = Counter({reading: n for reading, n in (stored - sent).items() if reading in sent})
    for what, rest in (("missing", sent - stored), ("stored more often than sent", again)):
        if rest:
            wrong.append(f"{rest.total()} readings are {what}, one of them {min(rest)}")
    return wrong


def held(connection: "psycopg.Connection[tuple[object, ...]]", *, overrun: bool) -> list[str]:
    """Sentences on what lies in quarantine: a device of these tests sends nothing that has to.

    `overrun`: a line took a part of a packet, whose bytes are kept there.
    """
    return [f"{n} records are in quarantine: {reason}" for reason, n in connection.execute(_HELD.encode(), (overrun,))]


def _stored(
    connection: "psycopg.Connection[tuple[object, ...]]", path: str, first: int, end: int
) -> tuple[dict[int, Row], set[int]]:
    samples: dict[int, Row] = {}
    twice: set[int] = set()
    for piece in pieces(connection, path, first, end):
        for sample, row in enumerate(piece.samples.T.tolist(), piece.first_sample):
            if first <= sample < end:
                twice |= {sample} & samples.keys()
                samples[sample] = tuple(row)
    return samples, twice
