"""What has gone up already: numbers of batches by the gateway, epoch and lane that took them in.

A hub whose database was put back to an older state gets batches from its gateways again, and puts them into the outbox again; this
file knows them. Numbers without a gap take one row however many they are.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeAlias

from protocols.link import Lane
from protocols.link.ranges import Ranges

Key: TypeAlias = tuple[str, bytes, Lane]

_SCHEMA: Final = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS passed (gateway TEXT, epoch BLOB, lane INTEGER, first INTEGER, last INTEGER,
    PRIMARY KEY (gateway, epoch, lane, first)) WITHOUT ROWID;
"""


class Passed:
    """Made of its file; `note` is durable when it returns."""

    def __init__(self, path: Path) -> None:
        """Open or make the file."""
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.executescript(_SCHEMA)
        self._ranges: dict[Key, Ranges] = {}
        for gateway, epoch, lane, first, last in self._db.execute(
            "SELECT gateway, epoch, lane, first, last FROM passed"
        ):
            self._ranges.setdefault((gateway, epoch, Lane(lane)), Ranges()).add(first, last)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def missing(self, key: Key, first: int, last: int) -> bool:
        """Whether any of these numbers has not gone up."""
        known = self._ranges.get(key)
        return known is None or not known.contains(first, last)

    def note(self, numbers: Iterable[tuple[Key, int, int]]) -> None:
        """These have gone up, or nothing of them does."""
        changed: set[Key] = set()
        for key, first, last in numbers:
            self._ranges.setdefault(key, Ranges()).add(first, last)
            changed.add(key)
        with self._db:
            for gateway, epoch, lane in changed:
                self._db.execute(
                    "DELETE FROM passed WHERE gateway = ? AND epoch = ? AND lane = ?", (gateway, epoch, lane)
                )
                rows = [(gateway, epoch, int(lane), a, b) for a, b in self._ranges[gateway, epoch, lane]]
                self._db.executemany("INSERT INTO passed VALUES (?,?,?,?,?)", rows)
