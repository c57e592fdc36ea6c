"""Figure `delineate`: where waves begin and end, against the boundaries that a cardiologist drew in ludb.

Each record is judged by weights that never saw it; R waves come from the product's own detector.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from models.evaluation.beats import NOBODY, pairs
from models.signal import delineate
from models.signal.delineate import Beat, Bounds, weights
from models.training.delineate import SEEN_IN, Drawn, Recording, load, names
from tests.figures.entry import Entry, Figure
from wardlink import parallel

KINDS = ("p", "N", "t")
APART_S = 0.12
# SD that a program may have against the median of referees: CSE Working Party, Eur Heart J 6:815, 1985.
CSE_MS = {"p-on": 10.2, "p-off": 12.7, "qrs-on": 6.5, "qrs-off": 11.6, "t-end": 30.6}
BOUNDARY = {
    "p-on": ("p", 0),
    "p-off": ("p", 1),
    "qrs-on": ("N", 0),
    "qrs-off": ("N", 1),
    "t-on": ("t", 0),
    "t-end": ("t", 1),
}
GOAL_T_END_MS = 15.0


@dataclass
class Score:
    """Of one kind of wave: errors in milliseconds of onset and offset, waves found, missed and false."""

    onset: list[float] = field(default_factory=list[float])
    offset: list[float] = field(default_factory=list[float])
    found: int = 0
    missed: int = 0
    false: int = 0

    def add(
        self, drawn: Sequence[tuple[float, float]], said: Sequence[tuple[float, float]], span: tuple[float, float]
    ) -> None:
        """Compare the waves of a record, seconds; what is said outside the stretch that was drawn counts neither way."""
        middle = [(a + b) / 2 for a, b in drawn]
        other = [(a + b) / 2 for a, b in said]
        matched = [(i, j) for i, j in pairs(middle, other) if NOBODY not in (i, j)]
        self.found += len(matched)
        self.missed += len(drawn) - len(matched)
        taken = {j for _, j in matched}
        self.false += sum(j not in taken and span[0] <= at <= span[1] for j, at in enumerate(other))
        for i, j in matched:
            self.onset.append(1000 * (said[j][0] - drawn[i][0]))
            self.offset.append(1000 * (said[j][1] - drawn[i][1]))


@dataclass
class Judged:
    """A record: scores by kind, of each lead and of all leads together."""

    name: str
    lead: dict[str, Score]
    together: dict[str, Score]


def _of(beat: "Beat | delineate.LeadBeat", kind: str) -> Bounds | None:
    return {"p": beat.p, "N": beat.qrs, "t": beat.t}[kind]


def _seconds(waves: Sequence[Bounds | None], fs_hz: float) -> list[tuple[float, float]]:
    return [(w.onset / fs_hz, w.offset / fs_hz) for w in waves if w is not None]


def drawn_together(leads: Sequence[Sequence[Drawn]], kind: str, fs_hz: float) -> list[tuple[float, float]]:
    """Waves that are drawn in SEEN_IN leads or more: medians of their ends."""
    each = sorted(
        ((d.onset + d.offset) / 2 / fs_hz, i, d) for i, lead in enumerate(leads) for d in lead if d.kind == kind
    )
    cuts = [i for i, (a, b) in enumerate(pairwise(at for at, _, _ in each), 1) if b - a > APART_S]
    groups = [each[a:b] for a, b in pairwise([0, *cuts, len(each)])]
    return [
        (float(np.median([d.onset for *_, d in g])) / fs_hz, float(np.median([d.offset for *_, d in g])) / fs_hz)
        for g in groups
        if len({i for _, i, _ in g}) >= SEEN_IN
    ]


def judge(recording: Recording, beats: Sequence[Beat]) -> Judged:
    """Score the delineation of a record."""
    fs_hz = recording.fs_hz
    lead = {kind: Score() for kind in KINDS}
    together = {kind: Score() for kind in KINDS}
    spans = [(d[0].onset / fs_hz, d[-1].offset / fs_hz) for d in recording.drawn if d]
    common = (float(np.median([a for a, _ in spans])), float(np.median([b for _, b in spans])))
    for kind in KINDS:
        for number, drawn in enumerate(recording.drawn):
            if drawn:
                said = [_of(one, kind) for beat in beats for one in beat.leads if one.lead == number]
                mine = [(d.onset / fs_hz, d.offset / fs_hz) for d in drawn if d.kind == kind]
                lead[kind].add(mine, _seconds(said, fs_hz), (drawn[0].onset / fs_hz, drawn[-1].offset / fs_hz))
        every = drawn_together(recording.drawn, kind, fs_hz)
        together[kind].add(every, _seconds([_of(beat, kind) for beat in beats], fs_hz), common)
    return Judged(recording.name, lead, together)


def judge_record(job: tuple[Path, str]) -> Judged:
    """Delineate and score `ludb/NAME`."""
    recording = load(*job)
    beats = delineate.delineate(recording.samples, recording.peaks, recording.fs_hz, weights.without(recording.name))
    return judge(recording, beats)


def _entries(prefix: str, judged: Sequence[Judged], *, each: bool) -> list[Entry]:
    scores = {kind: [(j.name, (j.lead if each else j.together)[kind]) for j in judged] for kind in KINDS}
    out: list[Entry] = []
    for name, (kind, side) in BOUNDARY.items():
        errors = [(record, s.onset if side == 0 else s.offset) for record, s in scores[kind]]
        every = np.array([e for _, some in errors for e in some])
        found, missed, false = (sum(getattr(s, what) for _, s in scores[kind]) for what in ("found", "missed", "false"))
        means = [float(np.mean(some)) for _, some in errors if some]
        spreads = sorted(float(np.std(some)) for _, some in errors if some)
        worst = sorted(((round(float(np.mean(np.square(some))) ** 0.5, 1), record) for record, some in errors if some))
        limit = CSE_MS.get(name)
        out.append(
            Entry(
                id=f"{prefix}-{name}",
                group="accuracy",
                value=round(float(every.std()), 2),
                unit="ms SD",
                gate=None if limit is None else round(1.5 * limit, 2),
                goal=None if limit is None else GOAL_T_END_MS if name == "t-end" else limit,
                reference="" if limit is None else f"CSE {limit}",
                higher_is_better=False,
                n=len(every),
                details={
                    "bias_ms": round(float(every.mean()), 1),
                    "median_absolute_ms": round(float(np.median(np.abs(every))), 1),
                    "se_pp": [round(100 * found / (found + missed), 2), round(100 * found / (found + false), 2)],
                    "sd_of_record_means_ms": round(float(np.std(means)), 1),
                    "sd_within_records_ms_median_and_largest": [
                        round(float(np.median(spreads)), 1),
                        round(spreads[-1], 1),
                    ],
                    "worst_records_rms_ms": worst[-4:],
                },
            )
        )
    return out


def measure(recordings: Path) -> Sequence[Entry]:
    """All leads together, which is what the CSE tolerances are about, and each lead for itself."""
    judged = parallel.over(judge_record, [(recordings, name) for name in names(recordings)])
    return [*_entries("delineate", judged, each=False), *_entries("delineate-lead", judged, each=True)]


FIGURES = (
    Figure(
        "delineate",
        "accuracy",
        measure,
        ("ludb",),
        yields=tuple(f"{prefix}-{name}" for prefix in ("delineate", "delineate-lead") for name in BOUNDARY),
    ),
)
