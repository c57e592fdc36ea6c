"""A spool is worked with while its disk is recorded; then it is opened as each power cut would have left it.

What has to hold, whatever was cut: every batch that was reported durable reads back as it was written, or the spool had given it up
before for want of room and holds its Gap; no number has two meanings, now or after the spool was written on.
"""

import asyncio
import pickle
import random
import shutil
import sqlite3
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.spool import Limits, Spool
from edge.spool.frame import Frame
from edge.spool.keyring import KeySource
from edge.spool.store import LOG_OF, Store
from protocols.link import Lane, Position
from protocols.nomenclature import EVT_FAULT
from protocols.record import DeviceEvent, Record, Times
from protocols.wire import encode_batch
from tests.fixtures.spool_records import ECG, T0_NS, alarm, heart_rate, noisy_waveform
from tests.power_cuts.disk import Data, Disk, Luck, Name, Note, Operation, lay_out, left

LIMITS = Limits(total_bytes=7 * 4096, segment_bytes=4096, alarm_segment_bytes=4096)
_HEADER = struct.Struct("<4sBBHIQ")  # magic, version, flags, lane, length, n
_FRAME_BYTES = 48  # header and checksum
SHARES = (0.0, 0.3, 0.5, 0.8, 1.0)


@dataclass(frozen=True, slots=True)
class Durable:
    """The spool said so of a batch."""

    lane: Lane
    n: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The index as it was on the disk at some moment: a later crash may find it so."""

    data: bytes


@dataclass
class Work:
    """What was done and recorded. `meaning`: what each number was given to; `written`, `removed`: which batches were, by which operation."""

    root: str
    operations: Sequence[Operation]
    meaning: dict[tuple[Lane, int], bytes]
    written: list[tuple[int, frozenset[tuple[Lane, int]]]]
    removed: list[tuple[int, frozenset[tuple[Lane, int]]]]


@dataclass
class Proof:
    """How much was tried."""

    operations: int = 0
    durable: int = 0
    given_up: int = 0
    prefixes: int = 0
    cuts: int = 0
    lost_something: int = 0  # cuts behind which a batch that nobody was told of is not there

    def __str__(self) -> str:
        return (
            f"{self.operations} operations, {self.durable} batches durable, {self.given_up} given up for room;"
            f" {self.prefixes} prefixes and {self.cuts} cuts opened, {self.lost_something} of them had lost unreported batches"
        )


_LEAST = 35  # batches; of some seeds the steps append fewer


class LossError(AssertionError):
    """What a power cut took that had been reported, or gave a second meaning."""


class _Worker:
    """Drives a spool at random."""

    def __init__(self, root: Path, chance: random.Random, *, deaf: bool) -> None:
        self._root, self._chance = root, chance
        self._disk = Disk(str(root), deaf)
        self._meaning: dict[tuple[Lane, int], bytes] = {}
        self._snapshots: list[bytes] = []
        self._made = 0

    async def work(self, steps: int) -> Work:
        with self._disk.recording():
            spool = await self._open()
            for _ in range(steps):
                match self._chance.choices(
                    ["append", "group", "acknowledge", "flush", "snapshot", "again"], (40, 12, 8, 5, 4, 2)
                )[0]:
                    case "append":
                        await self._append(spool, 1)
                    case "group":
                        await self._append(spool, self._chance.randint(2, 6))
                    case "acknowledge":
                        lane = self._chance.choice(list(Lane))
                        spool.acknowledged(lane, Position([(1, self._chance.randint(1, max(1, spool.newest(lane))))]))
                    case "flush":
                        await asyncio.to_thread(spool._store.flush)
                    case "snapshot":
                        self._disk.note(Snapshot(_index(self._root / "spool")))
                    case _:
                        await spool.close()
                        spool = await self._open()
            while self._made < _LEAST:
                await self._append(spool, 1)
            await spool.close()
        operations = self._disk.operations
        written = [(at, _batches(one)) for at, one in enumerate(operations) if isinstance(one, Data)]
        return Work(str(self._root), operations, self._meaning, written, _removed(operations, dict(written)))

    async def _open(self) -> Spool:
        return await Spool.open(self._root / "spool", lambda: T0_NS, LIMITS, KeySource(self._root / "spool.key"))

    async def _append(self, spool: Spool, batches: int) -> None:
        lanes = self._chance.choices((Lane.WAVEFORM, Lane.NUMERIC, Lane.EVENT, Lane.ALARM), (6, 3, 2, 1), k=batches)
        futures: list[tuple[Lane, asyncio.Future[int]]] = []
        for lane in lanes:
            self._made += 1
            records = [_record(lane, self._made, self._chance)]
            n = spool.newest(lane) + 1
            self._meaning[lane, n] = encode_batch(lane.wire, n, T0_NS, records)
            futures.append((lane, spool.append(lane, records)))
        for lane, future in futures:
            future.add_done_callback(lambda done, lane=lane: self._disk.note(Durable(lane, done.result())))
        await asyncio.gather(*(future for _, future in futures))


def _record(lane: Lane, number: int, chance: random.Random) -> Record:
    match lane:
        case Lane.WAVEFORM:
            return noisy_waveform(1000 * number, chance.choice((25, 60, 250)))
        case Lane.NUMERIC:
            return heart_rate(number, T0_NS + number)
        case Lane.EVENT:
            text = f"{number}-" + "x" * chance.choice((10, 300, 900))
            return DeviceEvent(ECG, EVT_FAULT, Times(T0_NS, corrected_ns=T0_NS), (("bytes", text),))
        case Lane.ALARM:
            return alarm()


def _index(spool: Path) -> bytes:
    """The index as a reader sees it: a state that was on its way to the disk."""
    copy = spool.parent / "index.copy"
    source, target = sqlite3.connect(spool / "index.sqlite3"), sqlite3.connect(copy)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()
    data = copy.read_bytes()
    copy.unlink()
    return data


def _removed(
    operations: Sequence[Operation], written: dict[int, frozenset[tuple[Lane, int]]]
) -> list[tuple[int, frozenset[tuple[Lane, int]]]]:
    """When each segment was removed, and the batches that had been written to it."""
    inodes: dict[str, int] = {}
    held: dict[int, set[tuple[Lane, int]]] = {}
    found: list[tuple[int, frozenset[tuple[Lane, int]]]] = []
    for at, one in enumerate(operations):
        match one:
            case Data():
                held.setdefault(one.inode, set()).update(written[at])
            case Name(inode=0) if one.path.endswith(".seg"):
                found.append((at, frozenset(held.get(inodes[one.path], set()))))
            case Name():
                inodes[one.path] = one.inode
            case _:
                pass
    return found


def _batches(write: Data) -> frozenset[tuple[Lane, int]]:
    """The batches, without holes, in what was written to a segment; none of another file."""
    numbers: set[tuple[Lane, int]] = set()
    at = 0
    while write.data[at : at + 4] == b"WLF1":
        _, _, flags, lane, length, n = _HEADER.unpack_from(write.data, at)
        if not flags & 1:
            numbers.add((Lane(lane), n))
        at += _FRAME_BYTES + length
    return frozenset(numbers)


@dataclass
class _Replay:
    """Opens what is left in a folder that is made anew each time."""

    work: Work
    folder: Path
    proof: Proof
    _turn: int = 0
    _unreported: set[tuple[Lane, int]] = field(default_factory=set[tuple[Lane, int]])

    def check(self, until: int, luck: Luck | None, index: str, *, on: bool) -> None:
        """Cut behind `until` operations. `index`: gone or stale; `on`: write on, and open once more without an index."""
        self._turn += 1
        here = self.folder / str(self._turn)
        here.mkdir()
        operations = self.work.operations[:until]
        lay_out(left(operations, luck), self.work.root, here)
        notes = [one.said for one in operations if isinstance(one, Note)]
        snapshots = [s.data for s in notes if isinstance(s, Snapshot)]
        if index == "stale" and snapshots and (here / "spool").exists():
            (here / "spool" / "index.sqlite3").write_bytes(snapshots[-1])
        durable = {(d.lane, d.n) for d in notes if isinstance(d, Durable)}
        gone = {key for at, keys in self.work.removed if at < until for key in keys}
        self._unreported = {key for at, keys in self.work.written if at < until for key in keys} - durable - gone
        try:
            meaning = self._open(here, durable, gone, self.work.meaning, on=on)
            if on:
                (here / "spool" / "index.sqlite3").unlink()
                self._open(here, {*durable, *(meaning.keys() - self.work.meaning.keys())}, gone, meaning, on=False)
        except AssertionError as error:
            what = "killed" if luck is None else f"share {luck.share}"
            msg = f"cut behind operation {until} of {len(self.work.operations)}, {what}, index {index}: {error}"
            raise LossError(msg) from error
        shutil.rmtree(here)

    def _open(
        self,
        here: Path,
        durable: Iterable[tuple[Lane, int]],
        gone: set[tuple[Lane, int]],
        meaning: dict[tuple[Lane, int], bytes],
        *,
        on: bool,
    ) -> dict[tuple[Lane, int], bytes]:
        dropped: list[tuple[Lane, int, int]] = []
        keys = KeySource(here / "spool.key")
        store = Store(here / "spool", LIMITS, keys, lambda: T0_NS, lambda *what: dropped.append(what))
        try:
            held = {(lane, n) for lane in Lane for a, b in store.held(lane) for n in range(a, b + 1)}
            for key in held:
                assert store.read(*key) == meaning[key], f"{key[0].name} {key[1]} is not what it was"
            self.proof.lost_something += bool(self._unreported - held)
            self._unreported = set()
            for lane, n in durable:
                assert n <= store.newest[lane], f"{lane.name} {n} would be given again"
                if (lane, n) not in held:
                    assert (lane, n) in gone, f"{lane.name} {n} was reported durable and is not there"
                    assert store.gaps_for(lane, n, n), f"{lane.name} {n} went for room, and no Gap tells of it"
            if not on:
                return meaning
            dropped.clear()
            further = dict(meaning)
            for lane in Lane:
                n = store.newest[lane] + 1
                payload = encode_batch(lane.wire, n, T0_NS, [heart_rate(7, T0_NS + 7)])
                store.write(LOG_OF[lane], [Frame(lane, n, T0_NS, payload)], (), (), (), lambda: True)
                store.newest[lane] = n
                further[lane, n] = payload
            gone |= {(lane, n) for lane, first, last in dropped for n in range(first, last + 1)}
            return further
        finally:
            store.close()


def prove(folder: Path, seed: int, *, steps: int = 40, cuts: int = 500, deaf: bool = False) -> Proof:
    """One workload: every prefix of its operations, and `cuts` random cuts at random moments. LossError says what was lost.

    The work of a seed is the same each time; how the two writer threads interleave is the machine's matter. What a LossError is about
    is kept in `folder`, for `replay`.
    """
    root = folder / f"work-{seed}"
    root.mkdir()
    work = asyncio.run(_Worker(root, random.Random(seed), deaf=deaf).work(steps))
    whole = left(work.operations, None)
    for path, data in whole.items():
        assert data is None or Path(path).read_bytes() == data, f"{path} was written past the shim"
    there = {str(p) for p in (root / "spool").rglob("*") if p.is_file() and not p.name.startswith("index.sqlite3")}
    assert there == {path for path, data in whole.items() if data is not None and "/spool/" in path}
    shutil.rmtree(root)
    kept = folder / f"work-{seed}.pickle"
    kept.write_bytes(pickle.dumps(work))
    proof = replay(kept, seed, cuts=cuts)
    kept.unlink()
    return proof


def replay(kept: Path, seed: int, *, cuts: int = 500) -> Proof:
    """The second half of `prove`, with work that was kept. LossError."""
    work: Work = pickle.loads(kept.read_bytes())
    folder = kept.with_suffix(".replays")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    chance = random.Random(seed)
    notes = [one.said for one in work.operations if isinstance(one, Note)]
    proof = Proof(len(work.operations), sum(isinstance(n, Durable) for n in notes))
    proof.given_up = len({key for _, keys in work.removed for key in keys})
    replays = _Replay(work, folder, proof)
    for until in range(len(work.operations) + 1):
        replays.check(until, None, chance.choice(("gone", "stale")), on=until % 10 == 0)
        proof.prefixes += 1
    for cut in range(cuts):
        luck = Luck(chance, chance.choice(SHARES))
        until = chance.randint(1, len(work.operations))
        replays.check(until, luck, chance.choice(("gone", "stale")), on=cut % 5 == 0)
        proof.cuts += 1
    shutil.rmtree(folder)
    return proof
