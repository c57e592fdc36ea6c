"""Make models/weights/lethal.json: `wardlink models train lethal [--folds]`.

Learns from vfdb and DS1 of mitdb, DS1 also with the electrode movement of nstdb; DS2 and the paced records are never read.
The folds are one table for each vfdb record left out, and four for quarters of DS1. The same input
gives the same bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.signal import frames, lethal
from models.training import boost
from models.training.corpus import DS1, VFDB
from models.training.shelf import table_bytes
from protocols.ecgfile.wfdb import read_annotations, read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FIBRILLATION = frozenset({"VFIB", "VFL", "VF"})
LETHAL = FIBRILLATION | {"VT"}
LEFT_OUT = frozenset({"NOISE", "ASYS"})  # may hide anything
WHOLE_S = 3.2  # of the window must be lethal for a positive
ROWS_A_RECORD = 900  # of one class and lead, so that no patient outvotes the others
SEED = 20
VERSION = "1"
SETTINGS = boost.Settings()


@dataclass(frozen=True, eq=False)
class Windows:
    """A record's windows: features (windows, leads, features), 1 or 0 for lethal and for fibrillation, -1 for unused."""

    record: str
    values: "Floats"
    lethal: "NDArray[np.intp]"
    fibrillation: "NDArray[np.intp]"


def windows(recordings: Path, record: str, *, noisy: bool) -> Windows:
    """Features and labels of `vfdb/419` and the like; noisy: with electrode movement of nstdb and swings added."""
    path = recordings / record
    read = read_record(path)
    samples = _moved(read.physical(), recordings, int(path.name), read.fs_hz) if noisy else read.physical()
    _, hops = frames.feed(frames.begin(len(samples), read.fs_hz), samples, read.fs_hz)
    slow = np.concatenate([hop.slow for hop in hops], axis=1)
    ends = np.arange(lethal.WINDOW_HOPS, len(hops) + 1)
    values = np.stack(
        [lethal.features(slow[:, frames.SLOW_HOP * e - lethal.WINDOW : frames.SLOW_HOP * e]) for e in ends]
    )
    seconds: Floats = ends * frames.plan(read.fs_hz).hop_s - np.float64(frames.HALF_KERNEL / 180)
    rhythm = [(a.sample / read.fs_hz, a.aux[1:]) for a in read_annotations(path) if a.aux.startswith("(")]
    if record.startswith("mitdb") and path.name != "207":
        rhythm = [(at, "N" if name == "VT" else name) for at, name in rhythm]  # runs of a few beats, no window of VT
    lethal_s = _overlap(seconds, rhythm, LETHAL)
    unused = (_overlap(seconds, rhythm, LEFT_OUT) > 0) | ((lethal_s > 0.05) & (lethal_s < WHOLE_S))
    fibrillation_s = _overlap(seconds, rhythm, FIBRILLATION)
    is_lethal = np.where(unused, -1, (lethal_s >= WHOLE_S).astype(int))
    return Windows(record, values, is_lethal, np.where(is_lethal == 1, (fibrillation_s > lethal_s / 2).astype(int), -1))


def _moved(samples: "Floats", recordings: Path, seed: int, fs_hz: float) -> "Floats":
    random = np.random.default_rng(seed)
    n = samples.shape[1]
    movement, wander = (read_record(recordings / "nstdb" / name).physical()[:, :n] for name in ("em", "bw"))
    shift = random.integers(0, n, 2)
    added = np.roll(movement, shift[0], 1) * random.uniform(0.2, 1.2) + np.roll(wander, shift[1], 1) * random.uniform(
        0.5, 4
    )
    t: Floats = np.arange(n, dtype=np.float64) / np.float64(fs_hz)
    phase = 2 * np.pi * np.cumsum(1 + 0.4 * np.sin(t / 17)) / fs_hz
    swing = np.array([random.uniform(0.3, 1.5), random.uniform(0.1, 0.6)])[:, None] * np.sin(phase)
    return samples * random.uniform(0.3, 1.2) + added + swing


def _overlap(ends_s: "Floats", rhythm: list[tuple[float, str]], names: frozenset[str]) -> "Floats":
    """Seconds of each 4 s window that stand under one of the rhythms."""
    total = np.zeros(len(ends_s))
    for i, (start, name) in enumerate(rhythm):
        if name in names:
            end = rhythm[i + 1][0] if i + 1 < len(rhythm) else float("inf")
            total += np.clip(np.minimum(ends_s, end) - np.maximum(ends_s - 4, start), 0, None)
    return total


def train(used: list[Windows]) -> dict[str, object]:
    """The table of `models.signal.trees` for these records."""
    return boost.table(VERSION, lethal.FEATURES, [_forest(used, "lethal"), _forest(used, "fibrillation")])


def _forest(used: list[Windows], target: str) -> boost.Forest:
    random = np.random.default_rng(SEED)
    values: list[Floats] = []
    wanted: list[Floats] = []
    for record in used:
        label = record.lethal if target == "lethal" else record.fibrillation
        for kind in (0, 1):
            rows = np.flatnonzero(label == kind)
            if len(rows) > ROWS_A_RECORD:
                rows = np.sort(random.choice(rows, ROWS_A_RECORD, replace=False))
            for lead in range(record.values.shape[1]):
                values.append(record.values[rows, lead])
                wanted.append(np.full(len(rows), float(kind)))
    all_wanted = np.concatenate(wanted)
    share = all_wanted.mean()
    weight: Floats = np.asarray(np.where(all_wanted > 0, 0.5 / share, 0.5 / (1 - share)), np.float64)
    return boost.fit(np.concatenate(values), all_wanted, weight, SETTINGS)


def _job(job: tuple[Path, str, bool]) -> Windows:
    return windows(job[0], job[1], noisy=job[2])


def _table(job: tuple[str, list[Windows]]) -> tuple[str, bytes]:
    name, used = job
    return name, table_bytes(train(used))


def made(recordings: Path, *, folds: bool) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each table (`models.training.procedures.Made`)."""
    jobs = [(recordings, f"vfdb/{r}", False) for r in VFDB]
    jobs += [(recordings, f"mitdb/{r}", noisy) for noisy in (False, True) for r in DS1]
    with get_context("spawn").Pool() as pool:
        records = pool.map(_job, jobs, chunksize=1)
        tables: list[tuple[str, list[Windows]]] = [("lethal.json", records)]
        if folds:
            tables += [
                (f"folds/lethal-{name}.json", [w for w in records if w.record != f"vfdb/{name}"]) for name in VFDB
            ]
            for k in range(4):
                held = {f"mitdb/{r}" for r in DS1[k::4]}
                tables.append((f"folds/lethal-ds1-{k}.json", [w for w in records if w.record not in held]))
        yield from pool.imap(_table, tables)
