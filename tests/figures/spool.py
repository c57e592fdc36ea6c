"""Figures `spool-writes` and `size-72h`: what the spool writes to the disk for what it is given, and how large it becomes."""

import itertools
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge.spool import KeySource, Limits
from edge.spool.frame import Frame
from edge.spool.store import RECORD_LOG, WAVEFORM_LOG, Store
from protocols.ecgfile.wfdb import WfdbRecord, read_record
from protocols.link import Lane, Position
from protocols.nomenclature import HEART_RATE, lead
from protocols.record import NS_PER_S, Observation, Record, Scale, SourcePath, Times, WaveformGroup
from protocols.wire import encode_batch
from tests.figures.entry import Entry, Figure

DEVICES = 8
LEADS, FS_HZ = 12, 500
RECORD_S = 10  # of ludb
READINGS = 5  # a second of each device
T0_NS = 1_790_000_000 * NS_PER_S
GROUPS_OF_A_BATCH = 3  # of one second and twelve leads: 16 KB, where the agent closes a batch
SHORT_S, LONG_S = 120, 1200
RAW_BYTES_PER_S = LEADS * FS_HZ * 2


@dataclass(frozen=True, slots=True)
class Commit:
    """What becomes durable together: encoded batches of each lane."""

    at_ns: int
    waveforms: list[bytes]
    numerics: list[bytes]


@dataclass(frozen=True, slots=True)
class Written:
    """`payload`: bytes of the encoded batches; `disk`: bytes of pages given to the block layer; `kept`: bytes in the files."""

    payload: int
    disk: int
    kept: int


def _groups(record: WfdbRecord, device: int, begin_s: int, part_s: float) -> Iterator[WaveformGroup]:
    leads = tuple(lead(signal.description.upper().replace("AV", "aV")) for signal in record.header.signals)
    scales = tuple(Scale(1000 / signal.gain, 0.0, "uV") for signal in record.header.signals)
    n = round(part_s * FS_HZ)
    for k in range(RECORD_S * FS_HZ // n):
        at = T0_NS + round((begin_s + k * part_s) * NS_PER_S)
        samples = record.raw[:, k * n : (k + 1) * n].astype("<i2").tobytes()
        first = begin_s * FS_HZ + k * n
        source = SourcePath(f"cart-{device}", ("ecg",))
        yield WaveformGroup(source, leads, FS_HZ, first, samples, "<i2", scales, Times(at, corrected_ns=at))


def _readings(device: int, at_ns: int) -> list[Record]:
    source = SourcePath(f"cart-{device}", ("ecg",))
    return [
        Observation(source, HEART_RATE, 60.0 + device + k, "/min", Times(at_ns, corrected_ns=at_ns))
        for k in range(READINGS)
    ]


def commits(recordings: Path, seconds: int, part_s: float) -> Iterator[Commit]:
    """Eight devices that play ludb, each other records; a commit each `part_s` of what came, readings once a second."""
    names = sorted((recordings / "ludb").glob("*.hea"), key=lambda p: int(p.stem) if p.stem.isdecimal() else 0)
    records = [read_record(path.with_suffix("")) for path in names if path.stem.isdecimal()]
    turn = itertools.cycle(records)
    numbers = {lane: itertools.count(1) for lane in (Lane.WAVEFORM, Lane.NUMERIC)}

    def batch(lane: Lane, at_ns: int, of: Sequence[Record]) -> bytes:
        return encode_batch(lane.wire, next(numbers[lane]), at_ns, of)

    per_second = round(1 / part_s)
    for begin_s in range(0, seconds, RECORD_S):
        playing = [_groups(next(turn), device, begin_s, part_s) for device in range(DEVICES)]
        for k, groups in enumerate(zip(*playing, strict=True)):
            at_ns = T0_NS + round((begin_s + (k + 1) * part_s) * NS_PER_S)
            size = GROUPS_OF_A_BATCH * per_second
            waveforms = [batch(Lane.WAVEFORM, at_ns, groups[i : i + size]) for i in range(0, DEVICES, size)]
            due = (k + 1) % per_second == 0
            readings = [r for device in range(DEVICES) for r in _readings(device, at_ns)] if due else []
            yield Commit(at_ns, waveforms, [batch(Lane.NUMERIC, at_ns, readings)] if readings else [])


def spool_writes(folder: Path, played: Sequence[Commit]) -> Written:
    """The blocking half of the spool, with encryption, at the commits' own times; the hub acknowledges each second."""
    now = [T0_NS]
    store = Store(folder / "spool", Limits(), KeySource(folder / "spool.key"), lambda: now[0], lambda *_: None)
    before = _disk_bytes()
    for commit in played:
        now[0] = commit.at_ns
        for lane, key, payloads in (
            (Lane.WAVEFORM, WAVEFORM_LOG, commit.waveforms),
            (Lane.NUMERIC, RECORD_LOG, commit.numerics),
        ):
            frames = [Frame(lane, store.newest[lane] + 1 + i, commit.at_ns, data) for i, data in enumerate(payloads)]
            if frames:
                store.write(key, frames, (), (), (), lambda: True)
                store.newest[lane] = frames[-1].n
                store.acknowledged(lane, Position([(1, frames[-1].n)]))
        store.flush_if_due()
    used = sum(segment.used for log in store._logs.values() for segment in log.segments.values())
    store.close()
    payload = sum(len(p) for commit in played for p in (*commit.waveforms, *commit.numerics))
    return Written(payload, _disk_bytes() - before, used + (folder / "spool" / "index.sqlite3").stat().st_size)


def sqlite_writes(folder: Path, played: Sequence[Commit]) -> Written:
    """The reference: the same batches as rows of one table, in WAL mode, each commit synced."""
    path = folder / "reference.sqlite3"
    database = sqlite3.connect(path)
    database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
    database.execute("CREATE TABLE batch (lane INTEGER, n INTEGER, at_ns INTEGER, payload BLOB, PRIMARY KEY (lane, n))")
    database.commit()
    before, n = _disk_bytes(), itertools.count(1)
    for commit in played:
        rows = [(4, next(n), commit.at_ns, p) for p in commit.waveforms]
        rows += [(3, next(n), commit.at_ns, p) for p in commit.numerics]
        database.executemany("INSERT INTO batch VALUES (?,?,?,?)", rows)
        database.commit()
    database.close()
    payload = sum(len(p) for commit in played for p in (*commit.waveforms, *commit.numerics))
    return Written(payload, _disk_bytes() - before, path.stat().st_size)


def _disk_bytes() -> int:
    for line in Path("/proc/self/io").read_text().splitlines():
        name, _, value = line.partition(": ")
        if name == "write_bytes":
            return int(value)
    msg = "/proc/self/io has no line write_bytes"
    raise ValueError(msg)


def _in_folder(work: Callable[[Path, Sequence[Commit]], Written], played: Sequence[Commit]) -> Written:
    folder = Path(tempfile.mkdtemp(prefix="wl-spool-"))
    try:
        written = work(folder, played)
    finally:
        shutil.rmtree(folder)
    if written.disk < written.payload:
        msg = f"{folder} is on no disk whose writes are counted ({written.disk} bytes); set TMPDIR to one"
        raise ValueError(msg)
    return written


def _measure(recordings: Path, *, seconds: int) -> Sequence[Entry]:
    second, quarter = (list(commits(recordings, seconds, part_s)) for part_s in (1.0, 0.25))
    os.sync()
    spool, reference = _in_folder(spool_writes, second), _in_folder(sqlite_writes, second)
    live, live_reference = _in_folder(spool_writes, quarter), _in_folder(sqlite_writes, quarter)
    told = f"SQLite {sqlite3.sqlite_version}, WAL, synchronous FULL: {reference.disk / reference.payload:.2f}"
    raw = DEVICES * seconds * RAW_BYTES_PER_S
    return [
        Entry(
            id="spool-writes", group="edge", value=round(spool.disk / spool.payload, 3), unit="bytes a payload byte",
            gate=2, goal=1.3, reference=told, higher_is_better=False, n=len(second),
            details={
                "payload bytes a second": round(spool.payload / seconds),
                "of SQLite's": round(spool.disk / reference.disk, 2),
                "with commits each 250 ms": round(live.disk / live.payload, 2),
                "SQLite's with commits each 250 ms": round(live_reference.disk / live_reference.payload, 2),
            },
        ),
        Entry(
            id="size-72h", group="edge", value=round(spool.kept / raw, 3), unit="of raw",
            gate=0.35, goal=0.25, reference="", higher_is_better=False, n=DEVICES * seconds // RECORD_S,
            details={
                "MB a device-hour": round(spool.kept / DEVICES / seconds * 3600 / 1e6, 2),
                "payload alone": round(spool.payload / raw, 3),
                "with groups of 250 ms": round(live.kept / raw, 3),
            },
        ),
    ]  # fmt: skip


FIGURES = (
    Figure(
        "spool-writes",
        "edge",
        partial(_measure, seconds=SHORT_S),
        data=("ludb",),
        code=("edge/spool", "protocols", "tests/figures"),
        cached=False,
        yields=("spool-writes", "size-72h"),
        long=partial(_measure, seconds=LONG_S),
    ),
)
