"""Fit models/weights/delineate.json: `wardlink models train delineate [--folds]`.

Learns from the boundaries that ludb's cardiologists drew in each lead, with R waves of the product's own detector. There are ten
folds, each without a tenth of the records. The same input gives the same bytes on the same machine.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.signal.delineate import decide, grid, measure
from models.signal.delineate.weights import BOUNDARIES, FOLDS, Table, fold_of
from models.signal.resting import beats_of_all
from models.training.shelf import table_bytes
from protocols.ecgfile.wfdb import Annotation, WfdbRecord, read_annotations, read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")
VERSION = "2"
# Gains of the headers make every lead of every record 1 mV from its lowest to its highest sample, and III is not II - I (57 % of the limb leads
# apart, the median of 100 records). With one step for all leads it is (5 %); a step of 1 uV makes V4 2.5 mV and lead I 1.1 mV tall.
STEP_MV = 0.001
NEAR_S = 0.150  # a boundary further away is another one
RIDGE = 300.0
HUBER = 5.0  # grid samples: 20 ms; what lies further away pulls no harder
ROUNDS = 8
SEEN_IN = 6  # leads with an annotated P wave: the beat has one


@dataclass(frozen=True, slots=True)
class Drawn:
    """An annotated wave: `p`, `N` or `t`, its first and last sample."""

    kind: str
    onset: int
    offset: int


@dataclass(frozen=True, eq=False)
class Recording:
    """A record of ludb with what was drawn in each lead, in the order of LEADS, and the R waves that the detector finds."""

    name: str
    samples: "Floats"
    fs_hz: float
    drawn: tuple[tuple[Drawn, ...], ...]
    peaks: tuple[int, ...]


def drawn_waves(annotations: Sequence[Annotation]) -> tuple[Drawn, ...]:
    """Waves with both ends; one of which an end is not drawn is left out."""
    out: list[Drawn] = []
    onset: int | None = None
    kind: str | None = None
    for mark in annotations:
        if mark.symbol == "(":
            onset, kind = mark.sample, None
        elif mark.symbol in ("p", "N", "t"):
            kind = mark.symbol
        elif mark.symbol == ")":
            if onset is not None and kind is not None:
                out.append(Drawn(kind, onset, mark.sample))
            onset = kind = None
    return tuple(out)


def millivolt(record: WfdbRecord) -> "Floats":
    """Samples of a record of ludb, whose steps are STEP_MV in every lead."""
    gains = np.array([signal.gain for signal in record.header.signals])
    return record.physical() * gains[:, None] * STEP_MV


def load(recordings: Path, name: str) -> Recording:
    """Read `ludb/NAME`."""
    path = recordings / "ludb" / name
    record = read_record(path)
    samples = millivolt(record)
    drawn = tuple(drawn_waves(read_annotations(path, lead)) for lead in LEADS)
    return Recording(name, samples, record.fs_hz, drawn, beats_of_all(samples, record.fs_hz))


def names(recordings: Path) -> list[str]:
    """Records of ludb that are there, in their order."""
    return sorted((p.stem for p in (recordings / "ludb").glob("*.hea")), key=int)


def measured(recording: Recording) -> tuple[measure.Measured, ...]:
    """The record's beats as they are measured."""
    fs_hz = recording.fs_hz
    rest = np.full((len(recording.samples), round(3 * fs_hz)), np.nan)
    state = measure.begin(len(recording.samples), fs_hz)
    return measure.feed(state, np.concatenate([recording.samples, rest], axis=1), recording.peaks, fs_hz)[1]


@dataclass(frozen=True, eq=False)
class Rows:
    """For one boundary: rows, how many grid samples the drawn one is behind the anchor (NaN without one), the beats' middles."""

    rows: "Floats"
    wanted: "Floats"
    lead: "NDArray[np.intp]"
    start: "Floats"  # anchor less middle


def _kind(name: str) -> str:
    return {"p": "p", "q": "N", "t": "t"}[name[0]]


def boundary_rows(recording: Recording, beats: Sequence[measure.Measured], name: str) -> Rows:
    """Every lead of every beat of a record."""
    rule = grid.plan(recording.fs_hz)
    ends: list[list[int]] = [
        sorted(d.onset if name.endswith("_on") else d.offset for d in lead if d.kind == _kind(name))
        for lead in recording.drawn
    ]
    rows: list[Floats] = []
    wanted: list[float] = []
    leads: list[int] = []
    start: list[float] = []
    for beat in beats:
        if name not in beat.places:
            continue
        place = beat.places[name]
        rows.append(place.rows)
        leads_of: list[int] = place.leads.tolist()
        for lead in leads_of:
            at = rule.sample_of(beat.base + place.anchor)
            i = bisect_left(ends[lead], at)
            near = min(ends[lead][max(0, i - 1) : i + 1], key=lambda end: abs(end - at), default=None)
            ok = near is not None and abs(near - at) <= NEAR_S * recording.fs_hz
            wanted.append(rule.grid_of(near) - beat.base - place.anchor if ok and near is not None else np.nan)
            leads.append(lead)
            start.append(place.anchor - beat.middle)
    if not rows:
        return Rows(np.zeros((0, 0)), np.zeros(0), np.zeros(0, np.intp), np.zeros(0))
    return Rows(np.concatenate(rows), np.array(wanted), np.array(leads), np.array(start))


def ridge(rows: "Floats", wanted: "Floats", amount: float = RIDGE) -> "Floats":
    """Factors by ridge regression whose residuals beyond HUBER weigh less; the first column is the constant."""
    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    mean[0], spread[0] = 0.0, 1.0
    scaled = (rows - mean) / spread
    weight = np.ones(len(wanted))
    penalty: Floats = amount * np.diag(np.concatenate([[0.0], np.ones(rows.shape[1] - 1)]))
    factors: Floats = np.zeros(len(penalty))
    for _ in range(ROUNDS):
        heavy = scaled * weight[:, None]
        factors = np.asarray(np.linalg.solve(heavy.T @ scaled + penalty, heavy.T @ wanted), np.float64)
        weight = np.minimum(1, HUBER / np.maximum(np.abs(wanted - scaled @ factors), 1e-9))
    out = factors / spread
    out[0] -= (factors[1:] * mean[1:] / spread[1:]).sum()
    return out


def logistic(rows: "Floats", wanted: "Floats") -> "Floats":
    """Factors of a logistic regression with a small penalty; the first is the constant."""
    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    scaled: Floats = np.column_stack([np.ones(len(rows)), (rows - mean) / spread])
    factors: Floats = np.zeros(len(scaled[0]))
    for _ in range(30):
        chance = 1 / (1 + np.exp(-scaled @ factors))
        slope = scaled.T @ (chance - wanted) + np.concatenate([[0.0], factors[1:]])
        bend = (scaled * (chance * (1 - chance))[:, None]).T @ scaled + np.eye(len(factors))
        factors = factors - np.asarray(np.linalg.solve(bend, slope), np.float64)
    out = np.concatenate([factors[:1], factors[1:] / spread])
    out[0] -= (factors[1:] * mean / spread).sum()
    return out


def p_evidence(recording: Recording, beats: Sequence[measure.Measured]) -> "tuple[Floats, Floats]":
    """Evidence of each beat inside what was annotated, and whether a P wave was drawn before it."""
    rule = grid.plan(recording.fs_hz)
    fs_hz = recording.fs_hz
    marked = [lead for lead in recording.drawn if lead]
    first = float(np.median([lead[0].onset for lead in marked]))
    last = float(np.median([lead[-1].offset for lead in marked]))
    rows: list[tuple[float, ...]] = []
    wanted: list[float] = []
    for beat in beats:
        onset = rule.sample_of(beat.base + beat.places["qrs_on"].anchor)
        if beat.evidence is None or onset - 0.08 * fs_hz < first or onset > last:
            continue
        seen = sum(
            any(
                d.kind == "p" and -0.06 * fs_hz < onset - d.offset < 0.4 * fs_hz and onset - d.onset < 0.6 * fs_hz
                for d in lead
            )
            for lead in recording.drawn
        )
        rows.append(beat.evidence)
        wanted.append(float(seen >= SEEN_IN))
    return np.array(rows).reshape(-1, 4), np.array(wanted)


@dataclass(frozen=True, eq=False)
class Taught:
    """What a record teaches."""

    name: str
    boundary: dict[str, Rows]
    evidence: "tuple[Floats, Floats]"


def teach(job: tuple[Path, str]) -> Taught:
    """Read and measure a record."""
    recording = load(*job)
    beats = measured(recording)
    return Taught(job[1], {n: boundary_rows(recording, beats, n) for n in BOUNDARIES}, p_evidence(recording, beats))


def fit(taught: Sequence[Taught]) -> Table:
    """The table of `models.signal.delineate.weights`."""
    boundary: dict[str, list[float]] = {}
    steady: dict[str, list[float]] = {}
    for name in BOUNDARIES:
        parts = [t.boundary[name] for t in taught if len(t.boundary[name].wanted)]
        known = [np.isfinite(p.wanted) for p in parts]
        factors = ridge(
            np.concatenate([p.rows[k] for p, k in zip(parts, known, strict=True)]),
            np.concatenate([p.wanted[k] for p, k in zip(parts, known, strict=True)]),
        )
        boundary[name] = [float(f"{v:.6g}") for v in factors]
        if name in decide.STEADY:
            rows = [_steady(p, factors) for p in parts]
            left = [(p.wanted - p.rows @ factors)[k] for p, k in zip(parts, known, strict=True)]
            steady[name] = [
                float(f"{v:.6g}")
                for v in ridge(
                    np.concatenate([r[k] for r, k in zip(rows, known, strict=True)]), np.concatenate(left), amount=1.0
                )
            ]
    evidence = logistic(
        np.concatenate([t.evidence[0] for t in taught]), np.concatenate([t.evidence[1] for t in taught])
    )
    present = [float(f"{v:.6g}") for v in evidence]
    records = [t.name for t in taught]
    return {"version": VERSION, "records": records, "boundary": boundary, "steady": steady, "p_present": present}


def _steady(part: Rows, factors: "Floats") -> "Floats":
    """Rows of `decide.steady_rows` in the order of the beats, one lead at a time."""
    position = part.start + part.rows @ factors
    out = np.zeros((len(position), 3))
    for lead in np.unique(part.lead):
        mine = np.flatnonzero(part.lead == lead)
        earlier = np.full((1, decide.REMEMBERED), np.nan)
        for i in mine:
            out[i] = decide.steady_rows(position[i : i + 1], earlier)[0]
            earlier = np.concatenate([earlier[:, 1:], position[i : i + 1, None]], axis=1)
    return out


def made(recordings: Path, *, folds: bool) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each table (`models.training.procedures.Made`)."""
    taught = [teach((recordings, name)) for name in names(recordings)]
    yield "delineate.json", table_bytes(fit(taught))
    for fold in range(FOLDS if folds else 0):
        yield f"folds/delineate-{fold}.json", table_bytes(fit([t for t in taught if fold_of(t.name) != fold]))
