"""SQLite index of the spool: where each batch lies, what is acknowledged, where each source ends, which alarms are active.

It is a convenience: all but the acknowledged positions can be rebuilt from the segments, and those the hub states again. The
packages of devices that have come are kept longer than their segments. Numbers, places and names of sources lie open in it; the
records of alarms are sealed as their batches are.
It is written behind the segments, so that no append waits for it. One writing thread; reads may come from any.
"""

import errno
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from edge.spool.keys import SealError, Seals
from edge.spool.log import Location

SCHEMA_VERSION = 2
_OPEN_ALARMS = 1  # the version in which the records of alarms were not sealed
# A sender repeats only what was not acknowledged, so at most what it keeps in flight (mosquitto: 100 unless set).
ARRIVALS_KEPT = 1024  # of each device and lane
# What SQLite says of a file whose bytes are wrong, or whose tables are gone; and of one that was removed or replaced beneath it.
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH}
_MOVED = {sqlite3.SQLITE_READONLY_DBMOVED, sqlite3.SQLITE_IOERR_SHORT_READ}

# Any other refusal, at least once a minute for so long: the file is of no use, whatever the reason.
_REFUSED_NS, _APART_NS = 300_000_000_000, 60_000_000_000
# Nobody but the agent writes here. A start waits for whoever looks into it with a tool; afterwards what is measured would wait too.
_LOCKED_AT_START_S, _LOCKED_MS = 10.0, 200

# A cache of 256 kB: rows are written at one end and asked for in their order. SQLite's own 2 MB took two hours to fill, page by page.
_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA cache_size = -256;
CREATE TABLE IF NOT EXISTS batch (lane INTEGER, n INTEGER, last INTEGER, closed_ns INTEGER, log INTEGER, segment INTEGER,
    offset INTEGER, size INTEGER, PRIMARY KEY (lane, n)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hole (lane INTEGER, n INTEGER, last INTEGER, closed_ns INTEGER, log INTEGER, segment INTEGER,
    offset INTEGER, size INTEGER, PRIMARY KEY (lane, last)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scanned (log INTEGER PRIMARY KEY, segment INTEGER, used INTEGER);
CREATE TABLE IF NOT EXISTS acknowledged (lane INTEGER, first INTEGER, last INTEGER, PRIMARY KEY (lane, first));
CREATE TABLE IF NOT EXISTS source (source TEXT PRIMARY KEY, end_sample INTEGER, end_ns INTEGER);
CREATE TABLE IF NOT EXISTS alarm (id BLOB PRIMARY KEY, segment INTEGER, record BLOB);
CREATE TABLE IF NOT EXISTS arrival (lane INTEGER, device TEXT, identity BLOB, n INTEGER,
    PRIMARY KEY (lane, device, identity)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS age (log INTEGER, segment INTEGER, since_ns INTEGER, PRIMARY KEY (log, segment)) WITHOUT ROWID;
"""
_VERSION = (
    f"PRAGMA user_version = {SCHEMA_VERSION};"  # written to a new file only: it takes a page, and a full disk has none
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A batch, or a hole from `n` to `last` (0: a batch)."""

    lane: int
    n: int
    last: int
    closed_ns: int
    log: int
    location: Location


@dataclass(frozen=True, slots=True)
class SourceEnd:
    """Where the stored samples of a source end."""

    source: str
    end_sample: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """The newest stored record of an alarm; `record` is empty when the alarm has ended."""

    id: bytes
    segment: int
    record: bytes


@dataclass(frozen=True, slots=True)
class ArrivalRow:
    """A device's package whose records of a lane are durable in batch `n`."""

    lane: int
    device: str
    identity: bytes
    n: int


class IndexRefusedError(OSError):
    """The index does not answer, or the disk does not take what is to be written to it: it is full, or damaged."""


class Index:
    """The index file. One that SQLite says is damaged, or of another version, is begun anew (`fresh`).

    Every method raises IndexRefusedError when SQLite refuses. `damaged` is then whether trying again is of no use, and only `clear` is.
    """

    def __init__(self, path: Path | None, seals: Seals, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """Open or make it; None: in memory, for as long as this object. `seals`: for the records of alarms. IndexRefusedError: the file is as it was."""
        self._path, self._seals = path, seals
        self._lock, self._monotonic_ns = threading.Lock(), monotonic_ns
        self._refused_ns: tuple[int, int] | None = None  # first and last of a run of refusals
        self._aside = False
        self.damaged = False
        self.fresh = path is None or not path.exists()
        try:
            version = self._look()
            if version and not self.damaged:
                self.alarms()
        except SealError:
            self.damaged = True
        except IndexRefusedError:
            if not self.damaged:
                self.close()
                raise
        if self.damaged:
            self.clear()
        with self._asking():
            self._db.execute(f"PRAGMA busy_timeout = {_LOCKED_MS}")

    def _look(self) -> int:
        """Open the file, see whether it is whole, bring it up to this version; the version that it had (0: new)."""
        with self._asking():
            self._db = self._open()
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone() if version else ("ok",)
            self.damaged = version not in (0, _OPEN_ALARMS, SCHEMA_VERSION) or verdict != "ok"
            if not self.damaged:
                if version == _OPEN_ALARMS:
                    self._seal_alarms()
                self._db.executescript(_SCHEMA if version else _SCHEMA + _VERSION)
            return int(version)

    def clear(self) -> None:
        """Begin anew with an empty file. One that only refused is put aside: its bytes may be good, and its blocks are not used again."""
        self.damaged = True
        with self._asking():
            self._db.close()
            if self._path is not None:
                self._remove(self._path)
            self._db = self._open()
            self._db.executescript(_SCHEMA + _VERSION)
        self.fresh, self.damaged, self._aside, self._refused_ns = True, False, False, None

    def _remove(self, path: Path) -> None:
        for suffix in ("", "-wal", "-shm"):
            file = path.with_name(path.name + suffix)
            if self._aside and file.exists():
                file.replace(path.with_name(f"{path.name}.refused{suffix}"))
            else:
                file.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if hasattr(self, "_db"):
                self._db.close()

    def write(
        self,
        entries: Iterable[Entry] = (),
        scanned: Iterable[tuple[int, int, int]] = (),
        sources: Iterable[SourceEnd] = (),
        alarms: Iterable[AlarmRow] = (),
        arrivals: Iterable[ArrivalRow] = (),
        acknowledged: Mapping[int, Sequence[tuple[int, int]]] = MappingProxyType({}),
        gone: tuple[Iterable[tuple[int, int]], Iterable[tuple[int, int, int]]] = ((), ()),
        ages: Mapping[tuple[int, int], int] | None = None,
    ) -> None:
        """Take in what was written to segments; `scanned` says up to which byte of which segment of each log.

        `acknowledged` replaces the ranges of its lanes. `gone`, before all that: segments (log, number) that were deleted, and batches
        (lane, first, last) that cannot be read any more. `ages` replaces all that are there.
        """
        rows = [(e.lane, e.n, e.last, e.closed_ns, e.log, *_where(e.location)) for e in entries]
        with self._writing():
            execute = self._db.executemany
            segments = list(gone[0])
            execute("DELETE FROM batch WHERE log = ? AND segment = ?", segments)
            execute("DELETE FROM hole WHERE log = ? AND segment = ?", segments)
            execute("DELETE FROM batch WHERE lane = ? AND n BETWEEN ? AND ?", gone[1])
            execute("INSERT OR REPLACE INTO batch VALUES (?,?,?,?,?,?,?,?)", (r for r in rows if not r[2]))
            execute("INSERT OR REPLACE INTO hole VALUES (?,?,?,?,?,?,?,?)", (r for r in rows if r[2]))
            execute("INSERT OR REPLACE INTO scanned VALUES (?,?,?)", scanned)
            execute(
                "INSERT OR REPLACE INTO source VALUES (?,?,?)", ((s.source, s.end_sample, s.end_ns) for s in sources)
            )
            for a in alarms:
                if a.record:
                    self._db.execute("INSERT OR REPLACE INTO alarm VALUES (?,?,?)", (a.id, a.segment, self._sealed(a)))
                else:
                    self._db.execute("DELETE FROM alarm WHERE id = ?", (a.id,))
            self._write_arrivals(list(arrivals))
            if ages is not None:
                self._db.execute("DELETE FROM age")
                execute("INSERT INTO age VALUES (?,?,?)", [(*segment, since) for segment, since in ages.items()])
            for lane, ranges in acknowledged.items():
                self._db.execute("DELETE FROM acknowledged WHERE lane = ?", (lane,))
                self._db.executemany("INSERT INTO acknowledged VALUES (?,?,?)", [(lane, a, b) for a, b in ranges])

    def forget(self, log: int, segment: int) -> None:
        """A segment was deleted."""
        self.write(gone=([(log, segment)], ()))

    def find(self, lane: int, n: int) -> Entry | None:
        """The batch with this number, or the hole that covers it."""
        with self._asking():
            row = self._db.execute("SELECT * FROM batch WHERE lane = ? AND n = ?", (lane, n)).fetchone()
            if row is None:
                query = "SELECT * FROM hole WHERE lane = ? AND last >= ? AND n <= ? ORDER BY last LIMIT 1"
                row = self._db.execute(query, (lane, n, n)).fetchone()
        return None if row is None else _entry(row)

    def held(self, lane: int) -> list[tuple[int, int]]:
        """The batches of a lane, without holes, as closed ranges in order."""
        query = """
            SELECT MIN(n), MAX(n) FROM (SELECT n, n - ROW_NUMBER() OVER (ORDER BY n) AS island FROM batch WHERE lane = ?)
            GROUP BY island ORDER BY 1"""
        with self._asking():
            return [(int(a), int(b)) for a, b in self._db.execute(query, (lane,)).fetchall()]

    def closed_between(self, lane: int, from_ns: int, to_ns: int) -> list[tuple[int, int]]:
        """The batches of a lane that were closed in that time (`to_ns` exclusive), as closed ranges in order."""
        query = """
            SELECT MIN(n), MAX(n) FROM (SELECT n, n - ROW_NUMBER() OVER (ORDER BY n) AS island FROM batch
            WHERE lane = ? AND closed_ns >= ? AND closed_ns < ?) GROUP BY island ORDER BY 1"""
        with self._asking():
            return [(int(a), int(b)) for a, b in self._db.execute(query, (lane, from_ns, to_ns)).fetchall()]

    def kept_from_ns(self, lane: int) -> int:
        """When the oldest batch of a lane was closed; 0 when there is none."""
        with self._asking():
            row = self._db.execute("SELECT closed_ns FROM batch WHERE lane = ? ORDER BY n LIMIT 1", (lane,)).fetchone()
        return 0 if row is None else int(row[0])

    def holes(self, lane: int, first: int, last: int) -> list[Entry]:
        """Holes that overlap these numbers."""
        with self._asking():
            query = "SELECT * FROM hole WHERE lane = ? AND last >= ? AND n <= ? ORDER BY last"
            rows = self._db.execute(query, (lane, first, last)).fetchall()
        return [_entry(r) for r in rows]

    def holes_in(self, log: int, segment: int) -> list[Entry]:
        """Holes whose frame lies in a segment."""
        with self._asking():
            rows = self._db.execute("SELECT * FROM hole WHERE log = ? AND segment = ?", (log, segment)).fetchall()
        return [_entry(r) for r in rows]

    def neighbours(self, lane: int, first: int, last: int, most: int) -> tuple[list[Entry], list[Entry]]:
        """Up to `most` batches before `first` (newest first) and behind `last` (oldest first)."""
        with self._asking():
            before = self._db.execute(
                "SELECT * FROM batch WHERE lane = ? AND n < ? ORDER BY n DESC LIMIT ?", (lane, first, most)
            ).fetchall()
            behind = self._db.execute(
                "SELECT * FROM batch WHERE lane = ? AND n > ? ORDER BY n LIMIT ?", (lane, last, most)
            ).fetchall()
        return [_entry(r) for r in before], [_entry(r) for r in behind]

    def ranges(self, lane: int) -> list[tuple[int, int]]:
        """The numbers of a lane that are there as batch or hole, as closed ranges in order."""
        query = """
            WITH both AS (SELECT n, n AS last FROM batch WHERE lane = ?1 UNION ALL SELECT n, last FROM hole WHERE lane = ?1),
            marked AS (SELECT n, last, n > 1 + COALESCE(MAX(last) OVER
                (ORDER BY n, last ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), -1) AS begins FROM both),
            grouped AS (SELECT n, last, SUM(begins) OVER (ORDER BY n, last) AS island FROM marked)
            SELECT MIN(n), MAX(last) FROM grouped GROUP BY island ORDER BY 1"""
        with self._asking():
            return [(int(a), int(b)) for a, b in self._db.execute(query, (lane,)).fetchall()]

    def segments(self) -> list[tuple[int, int, int, int, int, int]]:
        """(log, segment, lane, first n, last n, newest closed_ns) of all batches."""
        query = "SELECT log, segment, lane, MIN(n), MAX(n), MAX(closed_ns) FROM batch GROUP BY log, segment, lane"
        with self._asking():
            return self._db.execute(query).fetchall()

    def scanned(self) -> dict[int, tuple[int, int]]:
        """Log to (segment, byte) up to which the index knows it."""
        with self._asking():
            rows = self._db.execute("SELECT log, segment, used FROM scanned").fetchall()
        return {log: (segment, used) for log, segment, used in rows}

    def sources(self) -> list[SourceEnd]:
        """The end of each waveform source."""
        with self._asking():
            return [SourceEnd(*row) for row in self._db.execute("SELECT source, end_sample, end_ns FROM source")]

    def alarms(self) -> list[AlarmRow]:
        """Alarms that have not ended; SealError when a record was not sealed with a key of this spool."""
        with self._asking():
            rows = self._db.execute("SELECT id, segment, record FROM alarm ORDER BY rowid").fetchall()
        return [AlarmRow(key, segment, self._seals.open(record, key)) for key, segment, record in rows]

    def arrivals(self) -> list[ArrivalRow]:
        """The packages that are known again, oldest first."""
        query = "SELECT lane, device, identity, n FROM arrival ORDER BY n"
        with self._asking():
            return [ArrivalRow(*row) for row in self._db.execute(query)]

    def ages(self) -> dict[tuple[int, int], int]:
        """Since when the hub has had what is in a segment (log, number), by the clock of `ages`."""
        with self._asking():
            rows = self._db.execute("SELECT log, segment, since_ns FROM age").fetchall()
        return {(log, segment): since for log, segment, since in rows}

    def acknowledged(self) -> dict[int, list[tuple[int, int]]]:
        """Lane to acknowledged ranges."""
        result: dict[int, list[tuple[int, int]]] = {}
        with self._asking():
            for lane, first, last in self._db.execute(
                "SELECT lane, first, last FROM acknowledged ORDER BY lane, first"
            ):
                result.setdefault(lane, []).append((first, last))
        return result

    @contextmanager
    def _asking(self) -> Generator[None]:
        """One thread at a time; what SQLite refuses is an IndexRefusedError."""
        try:
            with self._lock:
                yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", None)
            self.damaged = self.damaged or code in _MOVED or (code is not None and code & 0xFF in _DAMAGED)
            if code != sqlite3.SQLITE_FULL and not self.damaged:
                self._note_refusal()
            msg = f"the spool's index: {error}"
            raise IndexRefusedError(errno.ENOSPC if code == sqlite3.SQLITE_FULL else errno.EIO, msg) from error

    def _note_refusal(self) -> None:
        now_ns = self._monotonic_ns()
        since_ns, last_ns = self._refused_ns or (now_ns, now_ns)
        self._refused_ns = (since_ns if now_ns - last_ns <= _APART_NS else now_ns, now_ns)
        if now_ns - self._refused_ns[0] >= _REFUSED_NS:
            self.damaged = self._aside = True

    @contextmanager
    def _writing(self) -> Generator[None]:
        """One transaction; IndexRefusedError, and nothing of it is in the index."""
        with self._asking(), self._db:
            yield

    def _sealed(self, alarm: AlarmRow) -> bytes:
        return self._seals.seal(alarm.record, alarm.id)

    def _seal_alarms(self) -> None:
        """Bring a file of the version before up to this one, and leave nothing open in it."""
        self._db.execute("PRAGMA secure_delete = ON")
        with self._db:
            rows = self._db.execute("SELECT id, segment, record FROM alarm").fetchall()
            for alarm in (AlarmRow(*row) for row in rows):
                self._db.execute("UPDATE alarm SET record = ? WHERE id = ?", (self._sealed(alarm), alarm.id))
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _write_arrivals(self, arrivals: list[ArrivalRow]) -> None:
        """Within a transaction."""
        rows = [(a.lane, a.device, a.identity, a.n) for a in arrivals]
        self._db.executemany("INSERT OR REPLACE INTO arrival VALUES (?,?,?,?)", rows)
        for lane, device in {(a.lane, a.device) for a in arrivals}:
            self._db.execute(
                "DELETE FROM arrival WHERE lane = ?1 AND device = ?2 AND n < (SELECT n FROM arrival"
                " WHERE lane = ?1 AND device = ?2 ORDER BY n DESC LIMIT 1 OFFSET ?3)",
                (lane, device, ARRIVALS_KEPT - 1),
            )

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path or ":memory:", check_same_thread=False, timeout=_LOCKED_AT_START_S)


def _where(location: Location) -> tuple[int, int, int]:
    return location.segment, location.offset, location.size


def _entry(row: tuple[int, int, int, int, int, int, int, int]) -> Entry:
    lane, n, last, closed_ns, log, segment, offset, size = row
    return Entry(lane, n, last, closed_ns, log, Location(segment, offset, size))
