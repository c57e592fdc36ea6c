"""Figures `veb`, `veb-folds` and `sveb-folds`: what the beats that the product finds are called, by EC57."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from models.evaluation import parallel
from models.evaluation.beats import BeatClass, BeatScore, compare_beats
from models.evaluation.certainty import interval
from models.signal import monitor, weights
from models.signal.beats import Kind
from models.training import beats, corpus
from models.training.corpus import DS2
from tests.figures import corpus as played
from tests.figures.entry import Entry, Figure

CLASS = {Kind.N: BeatClass.N, Kind.S: BeatClass.S, Kind.V: BeatClass.V, Kind.Q: BeatClass.Q}
SICK_SINUS = "232"  # three quarters of the S beats of DS2
PIECE_S = 60.0


def score_record(recordings: Path, name: str, fold: int | None) -> BeatScore:
    """One record; `fold` None: by the models of the product, else by those of a fold."""
    record, annotations = played.load(recordings, f"mitdb/{name}")
    reference, flutter = played.reference_beats(record.fs_hz, annotations)
    symbols = [played.BY_SYMBOL[a.symbol] for a in annotations if a.symbol in played.BY_SYMBOL]
    models = corpus.models_without(f"mitdb/{name}")
    models = replace(models, beats=weights.beats(fold))
    samples = record.physical()
    state, found = monitor.begin(len(samples), record.fs_hz, models), dict[int, BeatClass]()
    piece = round(PIECE_S * record.fs_hz)
    for at in range(0, samples.shape[1], piece):
        state, findings = monitor.feed(state, samples[:, at : at + piece], record.fs_hz, models)
        for finding in findings:
            found |= {beat: found.get(beat, BeatClass.Q) for beat in finding.beats}
            found |= {beat: CLASS[named.kind] for beat, named in finding.classified}
    order = sorted(found)
    detected = [at / record.fs_hz for at in order]
    return compare_beats(reference, detected, symbols, [found[at] for at in order], excluded=flutter)


def _job(job: tuple[Path, str, int | None]) -> tuple[str, BeatScore]:
    return job[1], score_record(*job)


def _rates(scores: Mapping[str, BeatScore], which: str) -> "np.ndarray":
    """True positive, false negative and false positive of each record."""
    of = [getattr(s, which) for s in scores.values()]
    return np.array([[r.true_positive, r.false_negative, r.false_positive] for r in of], np.float64)


def _share(column: int, sums: "np.ndarray") -> float:
    whole = sums[0] + sums[column]
    return float(100 * sums[0] / whole) if whole else float("nan")


def entries(
    name: str,
    scores: Mapping[str, BeatScore],
    which: str,
    gates: tuple[float, float],
    goals: tuple[float, float],
    reference: str = "",
) -> list[Entry]:
    """Gross Se and +P, with intervals by bootstrap over the records and the records that make most of what is wrong."""
    counts = _rates(scores, which)
    total = sum(scores.values(), BeatScore())
    rates = getattr(total, which)
    made = []
    for suffix, column, gate, goal in (("se", 1, gates[0], goals[0]), ("pp", 2, gates[1], goals[1])):
        low, high = interval(counts, partial(_share, column))
        worst = sorted(zip(scores, counts[:, column], strict=True), key=lambda item: -item[1])[:8]
        made.append(
            Entry(
                id=f"{name}-{suffix}",
                group="accuracy",
                value=round(_share(column, counts.sum(axis=0)), 2),
                unit="%",
                gate=gate,
                goal=goal,
                reference=reference,
                higher_is_better=True,
                n=int(counts[:, :2].sum()),
                interval=(round(low, 1), round(high, 1)),
                details={
                    "worst": {record: int(wrong) for record, wrong in worst},
                    "false_positive_rate": round(rates.false_positive_rate, 3),
                    "confusion": total.counts.tolist(),
                },
            )
        )
    return made


def measure_ds2(recordings: Path) -> Sequence[Entry]:
    """DS2 by the network of the product, which learned from DS1: printed, never chosen by."""
    scores = dict(parallel.over(_job, [(recordings, name, None) for name in DS2]))
    return entries("veb", scores, "ventricular", (96, 96), (98, 98), "OSEA 95.98 / 96.74")


def measure_folds(recordings: Path) -> Sequence[Entry]:
    """All 44 records that are not paced, each by a network that never saw it."""
    jobs = [(recordings, name, fold) for fold in range(corpus.BEAT_FOLDS) for name in beats.held_out(fold)]
    scores = dict(parallel.over(_job, jobs))
    rest = {name: s for name, s in scores.items() if name != SICK_SINUS}
    return [
        *entries("veb-folds", scores, "ventricular", (85, 90), (95, 95)),
        *entries("sveb-folds", scores, "supraventricular", (60, 60), (85, 85)),
        *entries("sveb-folds-without-232", rest, "supraventricular", (50, 50), (75, 75)),
    ]


_FOLDS = ("veb-folds", "sveb-folds", "sveb-folds-without-232")
FIGURES = (
    Figure("veb", "accuracy", measure_ds2, ("mitdb",), yields=("veb-se", "veb-pp")),
    Figure(
        "veb-folds",
        "accuracy",
        measure_folds,
        ("mitdb",),
        yields=tuple(f"{n}-{s}" for n in _FOLDS for s in ("se", "pp")),
    ),
)
