"""The recordings that networks learn from, and who may learn from which: DS1 and ludb teach; DS2 and the paced records never do."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.beats import BY_SYMBOL, BeatClass
from models.signal import weights
from protocols.ecgfile.wfdb import read_annotations, read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.signal.weights import Models

    Samples = NDArray[np.float32]

# de Chazal et al., IEEE Trans Biomed Eng 51:1196, 2004.
DS1: tuple[str, ...] = (
    "101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122",
    "124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230",
)  # fmt: skip
DS2: tuple[str, ...] = (
    "100", "103", "105", "111", "113", "117", "121", "123", "200", "202", "210",
    "212", "213", "214", "219", "221", "222", "228", "231", "232", "233", "234",
)  # fmt: skip
PACED: tuple[str, ...] = ("102", "104", "107", "217")
FOLDS = 4  # of DS1 and ludb
BEAT_FOLDS = 10  # of DS1 and DS2
VFDB: tuple[str, ...] = ("419", "421", "422", "424", "427", "428", "430", "602", "607", "611", "615")


def fold_of(record: str) -> int | None:
    """Which fold leaves a record out, `mitdb/118` and the like; None of one that no network learns from."""
    folder, name = record.split("/")
    if folder == "mitdb" and name in DS1:
        return DS1.index(name) % FOLDS
    return int(name) % FOLDS if folder == "ludb" else None


def models_without(record: str, *, rules: bool = False) -> "Models":
    """Models that never saw this record; those of the product where these never did. With `rules` no networks."""
    folder, name = record.split("/")
    trees = name if folder == "vfdb" and name in VFDB else None
    if folder == "mitdb" and name in DS1:
        trees = f"ds1-{DS1.index(name) % 4}"
    return weights.without(trees, fold_of(record), rules=rules)


@dataclass(frozen=True, eq=False)
class Beats:
    """A recording with its beats. `leads`: millivolt, (leads, n); `at_s`, `kind`: of each beat; `judged_s`: where all beats are annotated."""

    name: str
    leads: "Samples"
    fs_hz: float
    at_s: "NDArray[np.float64]"
    kind: "NDArray[np.int64]"
    judged_s: tuple[tuple[float, float], ...]


@lru_cache(maxsize=64)
def mitdb(recordings: Path, name: str) -> Beats:
    """A record of mitdb; the flutter of 207 is not judged."""
    path = recordings / "mitdb" / name
    record = read_record(path)
    marks = read_annotations(path)
    beats = [(a.sample / record.fs_hz, BY_SYMBOL[a.symbol]) for a in marks if a.symbol in BY_SYMBOL]
    edges = [0.0]
    edges += [mark.sample / record.fs_hz for mark in marks if mark.symbol in "[]"]
    edges.append(record.raw.shape[1] / record.fs_hz)
    judged = tuple(zip(edges[::2], edges[1::2], strict=True))
    return Beats(
        name,
        record.physical().astype(np.float32),
        record.fs_hz,
        np.array([at for at, _ in beats]),
        np.array([int(kind) for _, kind in beats]),
        judged,
    )


@lru_cache(maxsize=256)
def ludb(recordings: Path, name: str) -> Beats:
    """A record of ludb: what lies between its first and its last annotated complex, of no class (Q)."""
    path = recordings / "ludb" / name
    record = read_record(path)
    at = [a.sample / record.fs_hz for a in read_annotations(path, "ii") if a.symbol == "N"]
    return Beats(
        f"ludb/{name}",
        record.physical().astype(np.float32),
        record.fs_hz,
        np.array(at),
        np.full(len(at), int(BeatClass.Q)),
        ((at[0] - 0.3, at[-1] + 0.3),) if at else (),
    )


def ludb_names(recordings: Path) -> list[str]:
    """Those that are there, in their order."""
    return sorted((p.stem for p in (recordings / "ludb").glob("*.hea")), key=int)


@lru_cache(maxsize=3)
def noise(recordings: Path, name: str) -> "Samples":
    """Two leads of `bw`, `em` or `ma` of nstdb at 360 Hz, in millivolt, without their mean."""
    values = read_record(recordings / "nstdb" / name).physical().astype(np.float32)
    return values - values.mean(axis=1, keepdims=True)
