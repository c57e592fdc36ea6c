"""Make the trees that tell fibrillation and flutter of the atria: `wardlink models train fibrillation`.

They learn from the windows of all 48 records of mitdb, as beats found and named by networks that never saw the record are described;
ventricular flutter and windows about a change of rhythm teach nothing. With so few patients the figure `af` scores each record by the
table of a fold that did not see it; that of the product has seen all. The same input gives the same bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.episodes import overlap_s
from models.signal import monitor, weights
from models.signal.rhythm import atrial
from models.signal.weights import Models
from models.training import boost, corpus
from models.training.corpus import DS1, DS2, PACED
from models.training.shelf import table_bytes
from protocols.ecgfile.wfdb import read_annotations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.evaluation.beats import Interval

    Floats = NDArray[np.float64]

VERSION = "2"
ATRIAL = frozenset({"AFIB", "AFL"})
NEITHER = "VFL"
# Eight records have the rhythm: each fold leaves one of them out, and every eighth of the others.
WITH = ("201", "202", "203", "210", "217", "219", "221", "222")
FOLDS = len(WITH)
ROWS_A_RECORD = 200  # of one class
SURE = 0.8  # of the middle of a window must be of one rhythm to teach it
SETTINGS = boost.Settings(depth=3, trees=100, rate=0.1, ridge=50.0, least_weight=20.0, asked=0.2, seen=0.5)
SEEDS = (1, 2)
PIECE_S = 60.0


@dataclass(frozen=True, eq=False)
class Taught:
    """The windows of a record: features (windows, features), and 1 or 0 for atrial or not, -1 for unused."""

    record: str
    values: "Floats"
    atrial: "NDArray[np.intp]"


def held_out(fold: int) -> tuple[str, ...]:
    """The records that a fold (0 to 7) never saw."""
    others = sorted({*DS1, *DS2, *PACED} - set(WITH))
    return (WITH[fold], *others[fold::FOLDS])


def rhythms(recordings: Path, name: str, fs_hz: float, end_s: float) -> "tuple[list[Interval], list[Interval]]":
    """Seconds annotated as atrial, and those as something else but ventricular flutter."""
    marks = [(a.sample / fs_hz, a.aux[1:]) for a in read_annotations(recordings / "mitdb" / name) if a.aux[:1] == "("]
    ends = [at for at, _ in marks[1:]] + [end_s]
    spans = [((at, end), rhythm) for (at, rhythm), end in zip(marks, ends, strict=True)]
    return [s for s, r in spans if r in ATRIAL], [s for s, r in spans if r not in ATRIAL and r != NEITHER]


def unseen_by(name: str) -> Models:
    """Networks of which none saw this record of mitdb, nor was made to say anything of the atria."""
    named = sorted((*DS1, *DS2))
    fold = named.index(name) % corpus.BEAT_FOLDS if name in named else None
    return replace(weights.naming(corpus.models_without(f"mitdb/{name}"), fold), atrial=None, describes=True)


def taught(recordings: Path, name: str) -> Taught:
    """What `mitdb/NAME` teaches."""
    record, models = corpus.mitdb(recordings, name), unseen_by(name)
    samples = record.leads.astype(np.float64)
    state, found = monitor.begin(len(samples), record.fs_hz, models), list[atrial.Window]()
    piece = round(PIECE_S * record.fs_hz)
    for at in range(0, samples.shape[1], piece):
        state, findings = monitor.feed(state, samples[:, at : at + piece], record.fs_hz, models)
        found += [window for finding in findings for window in finding.windows]
    return labelled(recordings, name, found, record.fs_hz, samples.shape[1] / record.fs_hz)


def labelled(recordings: Path, name: str, found: Sequence[atrial.Window], fs_hz: float, end_s: float) -> Taught:
    """Windows with the rhythm that most of their middle is of."""
    positive, negative = rhythms(recordings, name, fs_hz, end_s)
    kind: list[int] = []
    for window in found:
        middle = (window.first / fs_hz, window.last / fs_hz)
        least = SURE * (middle[1] - middle[0])
        kind.append(1 if overlap_s(positive, [middle]) > least else 0 if overlap_s(negative, [middle]) > least else -1)
    values = np.array([window.values for window in found]).reshape(-1, len(atrial.FEATURES))
    return Taught(name, values, np.array(kind, np.intp))


def train(used: Sequence[Taught]) -> dict[str, object]:
    """The table of `models.signal.trees` for these records: evenly drawn windows, both rhythms of the same weight, and so every record of one."""
    classes: list[tuple[float, list[Floats]]] = []
    for kind in (0, 1):
        of_records: list[Floats] = []
        for record in used:
            rows = np.flatnonzero(record.atrial == kind)
            if len(rows) > ROWS_A_RECORD:
                rows = rows[np.linspace(0, len(rows) - 1, ROWS_A_RECORD).astype(np.intp)]
            of_records.append(record.values[rows])
        classes.append((0.5, of_records))
    return boost.table(VERSION, atrial.FEATURES, [boost.drawn(classes, SETTINGS, SEEDS)])


def made(recordings: Path, *, folds: bool) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each table (`models.training.procedures.Made`)."""
    names = sorted((*DS1, *DS2, *PACED))
    with get_context("spawn").Pool(2) as pool:
        records = pool.map(partial(taught, recordings), names, chunksize=1)
    yield from tables(records, folds=folds)


def tables(records: Sequence[Taught], *, folds: bool) -> Iterator[tuple[str, bytes]]:
    """The table of the product, and those of the folds."""
    yield "fibrillation.json", table_bytes(train(records))
    for fold in range(FOLDS if folds else 0):
        out = held_out(fold)
        yield f"folds/fibrillation-{fold}.json", table_bytes(train([r for r in records if r.record not in out]))
