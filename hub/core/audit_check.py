"""Whether the audit's chains hold: walks each writer's from its first entry and compares every hash, number and column.

Whoever can also write the table of heads could cut a chain at its end, or take a whole writer away. So each check leaves the
heads that it saw in the audit (of another writer) and in the process's log, and the next one looks for them.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias, cast

from hub.core.audit import Value, entry_hash
from hub.core.db import Connection
from hub.core.sql import load_queries

ACTION = "audit.verify"

_QUERIES = load_queries("hub.core")
_GENESIS = bytes(32)
_HEAD = "head "
_ROUNDING = timedelta(microseconds=10)  # the column's time goes through a double

# writer -> seq -> hash, as earlier checks saw them
Seen: TypeAlias = dict[str, dict[int, bytes]]


@dataclass(frozen=True, slots=True)
class Break:
    """Where a writer's chain does not hold."""

    writer: str
    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a writer."""

    writer: str
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: the first break of each writer, and the heads of all."""

    breaks: tuple[Break, ...]
    heads: tuple[Head, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over all heads: who keeps it elsewhere can tell later whether anything before it was touched."""
        text = "".join(f"{head.writer}\n{head.seq}\n{head.hash.hex()}\n" for head in self.heads)
        return hashlib.sha256(text.encode()).hexdigest()

    def details(self) -> dict[str, Value]:
        """What the audit keeps of it."""
        found: dict[str, Value] = {f"{b.writer}#{b.seq}": b.reason for b in self.breaks}
        return {**found, **{f"{_HEAD}{h.writer}": f"{h.seq} {h.hash.hex()}" for h in self.heads}}


async def check(connection: Connection, batch: int = 1000) -> Checked:
    """Walk every writer's chain, `batch` entries at a time; needs the role worker or owner."""
    # What earlier checks saw is read first: a check that ends meanwhile saw heads that the ones below may not reach.
    seen = await _seen(connection)
    rows = await (await connection.execute(_QUERIES["heads"])).fetchall()
    heads = tuple(Head(str(writer), int(seq), bytes(digest)) for writer, seq, digest in rows)
    found = [await _walk(connection, head, seen.pop(head.writer, {}), batch) for head in heads]
    gone = [Break(writer, max(known), "the whole writer is gone") for writer, known in seen.items()]
    return Checked((*(one for one in found if one is not None), *gone), heads)


async def _walk(connection: Connection, head: Head, seen: Mapping[int, bytes], batch: int) -> Break | None:
    seq, prev = 0, _GENESIS
    while seq < head.seq:
        values = {"writer": head.writer, "after": seq, "until": head.seq, "batch": batch}
        rows = await (await connection.execute(_QUERIES["chain"], values)).fetchall()
        if not rows:
            return Break(head.writer, seq + 1, f"entries {seq + 1} to {head.seq} are missing")
        for row_seq, prev_hash, row_hash, body, *columns in rows:
            if row_seq != seq + 1:
                return Break(head.writer, seq + 1, f"entries {seq + 1} to {row_seq - 1} are missing")
            seq = int(row_seq)
            if bytes(prev_hash) != prev:
                return Break(head.writer, seq, "the entry does not follow the one before it")
            prev = entry_hash(prev, head.writer, seq, str(body))
            if bytes(row_hash) != prev or not _columns_hold(str(body), columns):
                return Break(head.writer, seq, "the entry was changed")
            if seen.get(seq, prev) != prev:
                return Break(head.writer, seq, "the chain was made anew: an earlier check saw another entry here")
    if prev != head.hash:
        return Break(head.writer, head.seq, "the last entry was changed")
    if seen and max(seen) > head.seq:
        return Break(head.writer, head.seq + 1, f"entries {head.seq + 1} to {max(seen)} are missing: a check saw them")
    return None


def _columns_hold(body: str, columns: list[object]) -> bool:
    """Whether the columns, by which entries are searched, still say what the hashed body says."""
    said = cast("dict[str, object]", json.loads(body))
    *plain, at = columns
    meant = datetime.fromtimestamp(cast("int", said["at_ns"]) / 1e9, UTC)
    same = plain == [said[name] for name in ("tenant", "principal", "action", "target", "outcome")]
    return same and isinstance(at, datetime) and abs(at - meant) < _ROUNDING


async def _seen(connection: Connection) -> Seen:
    seen: Seen = {}
    for (body,) in await (await connection.execute(_QUERIES["bodies"], {"action": ACTION})).fetchall():
        try:
            details = json.loads(body)["details"]
            for name, value in details.items():
                if name.startswith(_HEAD):
                    seq, digest = value.split()
                    seen.setdefault(name.removeprefix(_HEAD), {})[int(seq)] = bytes.fromhex(digest)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # not an entry that a check wrote: the walk over its chain tells that it was changed
    return seen
