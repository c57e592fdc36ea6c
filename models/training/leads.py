"""Fit models/weights/leads.json: `wardlink models train leads [--folds]`.

Learns from the records of ludb in sinus rhythm without a pacemaker, against their own exchanges: which of six arrangements is the one
that was recorded. There are ten folds, each without a tenth of the records.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.signal import delineate, leads
from models.signal.delineate import weights as delineate_weights
from models.signal.delineate.weights import FOLDS, fold_of
from models.signal.leads import ON, POINTS, Shapes, Table
from models.training.delineate import load, names
from models.training.shelf import table_bytes
from protocols.ecgfile.wfdb import read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

VERSION = "1"
NOT_ASKED = ("fibrillation", "flutter", "pacing")
RIDGE_FRONTAL = 0.02
RIDGE = 1.0
ROUNDS = 60


def asked(recordings: Path, name: str) -> bool:
    """Whether the cardiologist's diagnoses name a sinus rhythm without a pacemaker: then the question has an answer."""
    said = " ".join(read_record(recordings / "ludb" / name).header.comments).lower()
    return not any(word in said for word in NOT_ASKED)


def seen(recordings: Path, name: str) -> Shapes:
    """Median waves of `ludb/NAME`, delineated by weights that never saw it."""
    record = load(recordings, name)
    beats = delineate.delineate(record.samples, record.peaks, record.fs_hz, delineate_weights.without(name))
    return leads.shapes(record.samples, beats, record.fs_hz)


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


def fit(records: dict[str, Shapes]) -> Table:
    """The table of `models.signal.leads`: conditional logit over the exchanges of each record."""
    frontal = {
        name: _frontal([w for w in (getattr(s, name) for s in records.values()) if np.abs(w).sum() > 0])
        for name in POINTS
    }
    rows: Floats = np.array([[leads.features(s, swap, frontal) for swap in ON] for s in records.values()])
    factors: Floats = np.zeros(len(rows[0, 0]))
    for _ in range(ROUNDS):
        score = rows @ factors
        chance = np.exp(score - score.max(axis=1, keepdims=True))
        chance /= chance.sum(axis=1, keepdims=True)
        mean = (chance[:, :, None] * rows).sum(axis=1)
        slope = (mean - rows[:, 0]).sum(axis=0) + RIDGE * factors
        bend = np.einsum("nk,nkf,nkg->fg", chance, rows, rows) - mean.T @ mean + RIDGE * np.eye(len(factors))
        factors = factors - np.asarray(np.linalg.solve(bend, slope), np.float64)
    return {
        "version": VERSION,
        "records": list(records),
        "frontal": {n: [[float(f"{v:.6g}") for v in row] for row in b] for n, b in frontal.items()},
        "factors": [float(f"{v:.6g}") for v in factors],
    }


def made(recordings: Path, *, folds: bool) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each table (`models.training.procedures.Made`)."""
    records = {name: seen(recordings, name) for name in names(recordings) if asked(recordings, name)}
    yield "leads.json", table_bytes(fit(records))
    for fold in range(FOLDS if folds else 0):
        yield f"folds/leads-{fold}.json", table_bytes(fit({n: s for n, s in records.items() if fold_of(n) != fold}))
