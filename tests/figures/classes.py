"""Figures `veb`, `veb-folds` and `sveb-folds`: what the beats that the product finds are called, by EC57."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.beats import LEARNING_S, NOBODY, BeatClass, BeatScore, compare_beats, pairs
from models.evaluation.certainty import Roc, interval, roc
from models.evaluation.played import CLASS
from models.signal import monitor
from models.training import corpus
from models.training.corpus import DS2, PACED
from tests.figures import corpus as played
from tests.figures import unseen
from tests.figures.entry import Entry, Figure
from wardlink import parallel

if TYPE_CHECKING:
    from numpy.typing import NDArray

SICK_SINUS = "232"  # three quarters of the S beats of DS2
PIECE_S = 60.0
TOLD_APART = (BeatClass.N, BeatClass.S, BeatClass.V)  # in the order of a beat's chances
AT_FPR = (0.1, 0.5, 1, 2, 5, 10)  # per cent
DRAWS, SEED = 500, 57


@dataclass(frozen=True, eq=False)
class Chances:
    """Of beats that were found and are N, S or V: what was stated of each, shape (n, 3), and what it is."""

    stated: "NDArray[np.float64]"
    truth: "NDArray[np.int64]"


def score_record(recordings: Path, name: str) -> tuple[BeatScore, Chances]:
    """One record of DS2, by the models of the product, which never saw it."""
    record, annotations = played.load(recordings, f"mitdb/{name}")
    reference, flutter = played.reference_beats(record.fs_hz, annotations)
    symbols = [played.BY_SYMBOL[a.symbol] for a in annotations if a.symbol in played.BY_SYMBOL]
    models = corpus.models_without(f"mitdb/{name}")
    samples = record.physical()
    state, found = monitor.begin(len(samples), record.fs_hz, models), dict[int, BeatClass]()
    stated: dict[int, tuple[float, float, float]] = {}
    piece = round(PIECE_S * record.fs_hz)
    for at in range(0, samples.shape[1], piece):
        state, findings = monitor.feed(state, samples[:, at : at + piece], record.fs_hz, models)
        for finding in findings:
            found |= {beat: found.get(beat, BeatClass.Q) for beat in finding.beats}
            found |= {beat: CLASS[named.kind] for beat, named in finding.classified}
            stated |= {beat: named.chances for beat, named in finding.classified if named.chances is not None}
    order = sorted(found)
    detected = [at / record.fs_hz for at in order]
    score = compare_beats(reference, detected, symbols, [found[at] for at in order], excluded=flutter)
    known = [
        (stated[order[j]], symbols[i])
        for i, j in pairs(reference, detected)
        if NOBODY not in (i, j) and order[j] in stated and symbols[i] in TOLD_APART and reference[i] >= LEARNING_S
    ]
    return score, Chances(np.array([s for s, _ in known]).reshape(-1, 3), np.array([int(kind) for _, kind in known]))


def _job(job: tuple[Path, str]) -> tuple[str, tuple[BeatScore, Chances]]:
    return job[1], score_record(*job)


def curve(name: str, kind: BeatClass, of: Sequence[Chances]) -> Entry:
    """Area under the ROC of one kind against the other two, its interval by drawing records, and points of the curve in per cent."""

    def area(drawn: Sequence[Chances]) -> Roc:
        truth = np.concatenate([one.truth for one in drawn])
        return roc(np.concatenate([one.stated[:, kind] for one in drawn]), truth == kind)

    whole, chance, areas = area(of), np.random.default_rng(SEED), list[float]()
    for _ in range(DRAWS):
        drawn = [of[i] for i in chance.integers(0, len(of), len(of))]
        if any((one.truth == kind).any() for one in drawn):
            areas.append(area(drawn).area)
    low, high = np.percentile(areas, [2.5, 97.5])
    points = {
        f"{at:g}": round(100 * float(np.interp(at / 100, whole.false_positive, whole.sensitivity)), 1) for at in AT_FPR
    }
    return Entry(
        id=f"{name}-auc", group="accuracy", value=round(whole.area, 4), unit="area under the ROC", gate=None, goal=None, reference="",
        higher_is_better=True, n=sum(len(one.truth) for one in of), interval=(round(float(low), 4), round(float(high), 4)),
        details={"sensitivity_at_a_false_positive_rate_of": points},
    )  # fmt: skip


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
    found = dict(parallel.over(_job, [(recordings, name) for name in DS2]))
    scores, chances = {name: score for name, (score, _) in found.items()}, [one for _, one in found.values()]
    return [
        *entries("veb", scores, "ventricular", (96, 96), (98, 98), "OSEA 95.98 / 96.74"),
        curve("veb", BeatClass.V, chances),
        curve("sveb", BeatClass.S, chances),
    ]


def measure_folds(recordings: Path) -> Sequence[Entry]:
    """All 44 records that are not paced, each by a network that never saw it."""
    scores = {name: unseen.score(recordings, name) for name in unseen.NAMES if name not in PACED}
    rest = {name: s for name, s in scores.items() if name != SICK_SINUS}
    return [
        *entries("veb-folds", scores, "ventricular", (85, 90), (95, 95)),
        *entries("sveb-folds", scores, "supraventricular", (60, 60), (85, 85)),
        *entries("sveb-folds-without-232", rest, "supraventricular", (50, 50), (75, 75)),
    ]


_FOLDS = ("veb-folds", "sveb-folds", "sveb-folds-without-232")
FIGURES = (
    Figure("veb", "accuracy", measure_ds2, ("mitdb",), yields=("veb-se", "veb-pp", "veb-auc", "sveb-auc")),
    Figure(
        "veb-folds",
        "accuracy",
        measure_folds,
        ("mitdb",),
        yields=tuple(f"{n}-{s}" for n in _FOLDS for s in ("se", "pp")),
    ),
)
