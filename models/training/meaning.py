"""Make models/weights/lethal-meaning.json: `wardlink models train lethal-meaning`.

How sure a score of lethal rhythm is, learned from scores of records by trees that never saw them (models/weights/folds), and
what is usual at each node of the trees, so that what is unusual can be told. Reads vfdb and DS1 of mitdb; DS2 and the paced
records are never read. The same input gives the same bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.beats import LEARNING_S
from models.signal import card, explain, frames, lethal, trees, weights
from models.training.corpus import DS1, VFDB
from models.training.lethal import LEFT_OUT, LETHAL
from models.training.shelf import table_bytes
from protocols.ecgfile.wfdb import read_annotations, read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

VERSION = "1"
LEADS = 2  # the monitor looks at no more (models.signal.monitor)
# How far a score lies behind what it is of: half its window and half its smoothing (models.screening.rhythm, figure `vf`).
BEHIND_S = 3.0
RECORDS = (*(f"vfdb/{name}" for name in VFDB), *(f"mitdb/{name}" for name in DS1))
_STEPS = 50


@dataclass(frozen=True, eq=False)
class Hops:
    """A record's lethal scores by trees that never saw it, whether the annotated rhythm was lethal there, and the features.

    `end_s`: where each score was told. `values`: of every window and usable lead (rows, features); `positive`: of each row whether it is lethal, the same way.
    """

    record: str
    end_s: "Floats"
    scores: "Floats"
    right: "NDArray[np.bool_]"
    values: "Floats"
    positive: "NDArray[np.bool_]"


def hops(recordings: Path, record: str) -> Hops:
    """Score `vfdb/419` and the like from the sixth minute on; NOISE and ASYS are left out, as they may hide anything."""
    path = recordings / record
    read = read_record(path)
    samples = read.physical()[:LEADS]
    unseen = _unseen_by(record)
    marks = [(a.sample / read.fs_hz, a.aux[1:]) for a in read_annotations(path) if a.aux.startswith("(")]
    starts = np.array([at for at, _ in marks])
    state = lethal.begin(len(samples))
    hop_s = frames.plan(read.fs_hz).hop_s
    ends: list[float] = []
    scores: list[float] = []
    right: list[bool] = []
    values: list[Floats] = []
    positive: list[bool] = []
    framed = frames.begin(len(samples), read.fs_hz)
    found: list[tuple[frames.Hop, lethal.LethalScore | None]] = []
    for part in frames.blocks(samples, read.fs_hz):
        framed, completed = frames.feed(framed, part, read.fs_hz)
        if completed:
            state, told = lethal.steps(
                state, [hop.slow for hop in completed], [hop.missing for hop in completed], unseen
            )
            found += zip(completed, told, strict=True)
    for hop, score in found:
        end_s = (hop.number + 1) * hop_s
        at = int(np.searchsorted(starts, end_s - BEHIND_S, "right")) - 1
        name = marks[at][1] if at >= 0 else ""
        if score is None or end_s < LEARNING_S or name in LEFT_OUT:
            continue
        ends.append(end_s)
        scores.append(score.lethal)
        right.append(name in LETHAL)
        values.append(score.windows[-1].values)
        positive += [name in LETHAL] * len(values[-1])
    return Hops(record, np.array(ends), np.array(scores), np.array(right), np.concatenate(values), np.array(positive))


def _unseen_by(record: str) -> trees.Trees:
    folder, name = record.split("/")
    return weights.lethal_without(name if folder == "vfdb" else f"ds1-{DS1.index(name) % 4}")


def platt(scores: "Floats", right: "NDArray[np.bool_]") -> tuple[float, float]:
    """Slope and shift from the log-odds of scores to those of being right, by Newton's method on the logistic loss."""
    odds = np.array([explain.log_odds(float(score)) for score in scores])
    inputs = np.column_stack([odds, np.ones(len(odds))])
    found = np.array([1.0, 0.0])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ found, -30, 30)))
        curve = (inputs * (chance * (1 - chance))[:, None]).T @ inputs
        step = np.linalg.solve(curve, inputs.T @ (right - chance))
        found = found + step / max(1.0, float(np.abs(step).max()))  # far from the end a whole step may lead away
    return round(float(found[0]), 4), round(float(found[1]), 4)


def usual(forest: trees.Trees, values: "Floats") -> "Floats":
    """Mean output of the windows that come to each node of the lethal trees, shape (trees, nodes); of none: of its leaves."""
    feature, threshold = forest.feature[explain.LETHAL], forest.threshold[explain.LETHAL]
    count, nodes = feature.shape
    found = np.zeros((count, 2 * nodes + 1))
    came = np.zeros((count, 2 * nodes + 1))
    found[:, nodes:] = forest.leaf[explain.LETHAL]
    for tree in range(count):
        node = np.zeros(len(values), np.intp)
        for _ in range((nodes + 1).bit_length() - 1):
            asked = feature[tree, node]
            node = 2 * node + 1 + (values[np.arange(len(values)), asked] > threshold[tree, node])
        came[tree, nodes:] = np.bincount(node - nodes, minlength=nodes + 1)
    for node in range(nodes - 1, -1, -1):
        left, right = 2 * node + 1, 2 * node + 2
        came[:, node] = came[:, left] + came[:, right]
        share = np.where(came[:, node] > 0, came[:, left] / np.maximum(came[:, node], 1), 0.5)
        found[:, node] = share * found[:, left] + (1 - share) * found[:, right]
    return found[:, :nodes]


def table(used: Sequence[Hops], forest: trees.Trees) -> dict[str, object]:
    """What `models.signal.explain` reads."""
    slope, shift = platt(np.concatenate([u.scores for u in used]), np.concatenate([u.right for u in used]))
    values, positive = np.concatenate([u.values for u in used]), np.concatenate([u.positive for u in used])
    of = {group.shown: values[:, lethal.FEATURES.index(group.shown)] for group in explain.GROUPS}
    limits = {name: (np.median(v[positive]) + np.median(v[~positive])) / 2 for name, v in of.items()}
    return {
        "version": VERSION,
        "weights": forest.sha256,
        "slope": slope,
        "shift": shift,
        "limits": {name: round(float(limit), 4) for name, limit in limits.items()},
        "expected": [[round(v, 6) for v in tree] for tree in usual(forest, values).tolist()],
    }


def _job(job: tuple[Path, str]) -> Hops:
    return hops(*job)


def made(recordings: Path, *, folds: bool) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of the table (`models.training.procedures.Made`); it has no folds, its constants are fitted to those of the trees."""
    del folds
    with get_context("spawn").Pool() as pool:
        used = pool.map(_job, [(recordings, record) for record in RECORDS], chunksize=1)
    forest = trees.load("lethal.json", card.of("lethal").sha256["lethal.json"], lethal.FEATURES)
    yield "lethal-meaning.json", table_bytes(table(used, forest))
