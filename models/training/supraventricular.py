"""Make the trees that tell supraventricular ectopic beats from normal ones: `wardlink models train supraventricular`, behind `qrs`.

They learn from the N and S beats that teach the network of classes (`models.training.beats`), by the same records and folds. Of a class every
record counts alike. With so few patients a tree asks few features of few beats, and the mean of two forests is taken. The same input
gives the same bytes.
"""

from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.beats import BeatClass
from models.signal.beats import OF_S
from models.training import boost, corpus
from models.training.beats import Taught, all_taught, held_out
from models.training.corpus import DS1
from models.training.shelf import table_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

VERSION = "1"
SETTINGS = boost.Settings(depth=5, trees=100, rate=0.07, ridge=20.0, least_weight=50.0, asked=0.2, seen=0.5)
SEEDS = (1, 2)
SHARES = {BeatClass.N: 0.6, BeatClass.S: 0.4}
EVERY = 2  # of the normal beats


def train(used: Sequence[Taught]) -> dict[str, object]:
    """The table of `models.signal.trees` for these records."""
    classes: list[tuple[float, list[Floats]]] = []
    for kind, share in SHARES.items():
        rows = [np.flatnonzero((t.kind == kind) & t.judged)[:: EVERY if kind == BeatClass.N else 1] for t in used]
        of_records = [
            np.concatenate([t.features[at], t.beside_last[at]], axis=1, dtype=np.float64)
            for t, at in zip(used, rows, strict=True)
        ]
        classes.append((share, of_records))
    return boost.table(VERSION, OF_S, [boost.drawn(classes, SETTINGS, SEEDS)])


def made(recordings: Path, *, folds: bool) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each table (`models.training.procedures.Made`)."""
    known = all_taught(recordings, folds=folds)
    jobs = [("supraventricular.json", [known[name] for name in DS1])]
    for fold in range(corpus.BEAT_FOLDS if folds else 0):
        out = held_out(fold)
        jobs.append((f"folds/supraventricular-{fold}.json", [t for name, t in known.items() if name not in out]))
    with get_context("spawn").Pool(2) as pool:
        yield from pool.imap(_table, jobs)


def _table(job: tuple[str, list[Taught]]) -> tuple[str, bytes]:
    name, used = job
    return name, table_bytes(train(used))
