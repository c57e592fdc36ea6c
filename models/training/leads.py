"""Fit models/weights/leads.json: `wardlink models train leads [--folds]`.

Learns from the records of ludb in sinus rhythm without a pacemaker, each in the six arrangements of three cables: by which exchange
undone the record comes back. There are ten folds, each without a tenth of the records.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.signal import delineate, leads
from models.signal.delineate import weights as delineate_weights
from models.signal.delineate.weights import FOLDS, fold_of
from models.signal.leads import ON, POINTS, Shapes, Swap, Table
from models.training.delineate import load, names
from models.training.shelf import table_bytes
from protocols.ecgfile.wfdb import read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Seen = dict[Swap, Shapes]

VERSION = "2"
NOT_ASKED = ("fibrillation", "flutter", "pacing")
RIDGE_FRONTAL = 0.02
RIDGE = 3.0  # of features in units of their spread
ROUNDS = 25


def asked(recordings: Path, name: str) -> bool:
    """Whether the cardiologist's diagnoses name a sinus rhythm without a pacemaker: then the question has an answer."""
    said = " ".join(read_record(recordings / "ludb" / name).header.comments).lower()
    return not any(word in said for word in NOT_ASKED)


def exchanged(samples: "Floats", swap: Swap) -> "Floats":
    """The twelve leads with the cables where the exchange hangs them; V1-V6 stay, as the mean of the three limbs does."""
    right, left, leg = leads.potentials(samples)[list(ON[swap])]
    return np.concatenate([[left - right, leg - right, leg - left, 1.5 * right, 1.5 * left, 1.5 * leg], samples[6:]])


def seen(recordings: Path, name: str) -> "Seen":
    """Median waves of `ludb/NAME` in each arrangement, delineated anew by weights that never saw the record."""
    record = load(recordings, name)
    place = delineate_weights.without(name)
    out: Seen = {}
    for swap in ON:
        moved = exchanged(record.samples, swap)
        beats = delineate.delineate(moved, record.peaks, record.fs_hz, place)
        out[swap] = leads.shapes(moved, beats, record.fs_hz)
    return out


def _frontal(waves: "Sequence[Floats]") -> "Floats":
    """Limb potentials from V1-V6 by ridge regression, every record as heavy."""
    both, own = np.zeros((3, 6)), np.zeros((6, 6))
    for wave in waves:
        limbs, chest = leads.potentials(wave), wave[6:]
        size = (limbs * limbs).sum() + (chest * chest).sum() + 1e-9
        both += limbs @ chest.T / size
        own += chest @ chest.T / size
    whole: Floats = own + RIDGE_FRONTAL * float(np.trace(own)) / 6 * np.eye(6)
    return np.asarray(both @ np.linalg.inv(whole), np.float64)


def _rows(records: "dict[str, Seen]", frontal: "dict[str, Floats]") -> "Floats":
    """(records x arrangements, exchanges undone, features)."""
    return np.array(
        [[leads.features(of[swap], undo, frontal) for undo in ON] for of in records.values() for swap in ON]
    )


def fit(records: "dict[str, Seen]") -> Table:
    """The table of `models.signal.leads`: conditional logit over the exchanges, each record as heavy as one, whatever its arrangements."""
    frontal = {
        name: _frontal([w for w in (getattr(s[Swap.NONE], name) for s in records.values()) if np.abs(w).sum() > 0])
        for name in POINTS
    }
    rows = _rows(records, frontal)
    spread = rows.reshape(-1, rows.shape[2]).std(axis=0) + 1e-6
    rows /= spread
    right = rows[np.arange(len(rows)), np.tile(np.arange(len(ON)), len(records))]
    factors: Floats = np.zeros(len(spread))
    for _ in range(ROUNDS):
        score = rows @ factors
        chance = np.exp(score - score.max(axis=1, keepdims=True))
        chance /= chance.sum(axis=1, keepdims=True)
        mean = (chance[:, :, None] * rows).sum(axis=1)
        slope = (mean - right).sum(axis=0) / len(ON) + RIDGE * factors
        flat = rows.reshape(-1, len(spread))
        squares = (flat * chance.reshape(-1, 1)).T @ flat - mean.T @ mean
        factors = factors - np.asarray(
            np.linalg.solve(squares / len(ON) + RIDGE * np.eye(len(spread)), slope), np.float64
        )
    return {
        "version": VERSION,
        "records": list(records),
        "frontal": {n: [[float(f"{v:.6g}") for v in row] for row in b] for n, b in frontal.items()},
        "factors": [float(f"{v:.6g}") for v in factors / spread],
    }


def made(recordings: Path, *, folds: bool) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each table (`models.training.procedures.Made`)."""
    records = {name: seen(recordings, name) for name in names(recordings) if asked(recordings, name)}
    yield "leads.json", table_bytes(fit(records))
    for fold in range(FOLDS if folds else 0):
        yield f"folds/leads-{fold}.json", table_bytes(fit({n: s for n, s in records.items() if fold_of(n) != fold}))
