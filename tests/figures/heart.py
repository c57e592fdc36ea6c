"""Figures `qrs`, `qrs-1`, `qrs-unseen`, `qrs-time`, `qrs-rules` and `qrs-rules-1`: missed and false beats over all 48 records of mitdb."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.evaluation.beats import BeatScore, compare_beats
from models.signal import weights
from models.signal.monitor import find_beats
from models.training.corpus import DS1, DS2, PACED
from tests.figures import corpus, unseen
from tests.figures.entry import Entry, Figure
from wardlink import parallel

NEAR_S = 0.05


@dataclass(frozen=True, slots=True)
class Way:
    """How beats are found: through the whole screening, or by the detector alone of both leads or of the first; and by which models."""

    both: bool
    rules: bool = False
    whole: bool = False


def score_record(recordings: Path, name: str, way: Way) -> BeatScore:
    """One record by EC57."""
    record, annotations = corpus.load(recordings, f"mitdb/{name}")
    reference, flutter = corpus.reference_beats(record.fs_hz, annotations)
    models = weights.by_rules() if way.rules else weights.product()
    if way.whole:
        found = corpus.screen(record, models).beats_s
    else:
        leads = record.physical()[: 2 if way.both else 1]
        found = tuple(s / record.fs_hz for s in find_beats(leads, record.fs_hz, models))
    return compare_beats(reference, found, excluded=flutter)


def _job(job: tuple[Path, str, Way]) -> tuple[str, BeatScore]:
    return job[1], score_record(*job)


def scores_of(recordings: Path, way: Way, names: Sequence[str] = (*DS1, *DS2, *PACED)) -> dict[str, BeatScore]:
    """By record."""
    return dict(parallel.over(_job, [(recordings, name, way) for name in names]))


def entry(
    name: str, scores: dict[str, BeatScore], gate: float | None, goal: float | None, reference: str = ""
) -> Entry:
    """Missed and false beats of all records."""
    wrong = {record: s.missed + s.false for record, s in scores.items()}
    return Entry(
        id=name,
        group="accuracy",
        value=sum(wrong.values()),
        unit="wrong beats",
        gate=gate,
        goal=goal,
        reference=reference,
        higher_is_better=False,
        n=sum(s.matched + s.missed for s in scores.values()),
        details={
            "missed": sum(s.missed for s in scores.values()),
            "false": sum(s.false for s in scores.values()),
            "DS1": sum(wrong[r] for r in DS1),
            "DS2": sum(wrong[r] for r in DS2),
            "paced": sum(wrong[r] for r in PACED),
            "worst": dict(sorted(wrong.items(), key=lambda item: -item[1])[:8]),
        },
    )


def in_time(scores: dict[str, BeatScore]) -> Entry:
    """How many of the beats found lie within 50 ms of their annotation."""
    offsets = [o for s in scores.values() for o in s.offsets_s]
    return Entry(
        id="qrs-time",
        group="accuracy",
        value=round(100 * sum(abs(o) <= NEAR_S for o in offsets) / len(offsets), 2),
        unit="%",
        gate=99.5,
        goal=99.7,
        reference="",
        higher_is_better=True,
        n=len(offsets),
    )


def measure_both(recordings: Path) -> Sequence[Entry]:
    """Both leads, whole chain. The models of the product never saw DS2 and the paced records: what found their beats is in `unseen`."""
    seen = scores_of(recordings, Way(both=True, whole=True), DS1)
    scores = seen | {name: unseen.score(recordings, name) for name in (*DS2, *PACED)}
    return [entry("qrs", scores, 200, 90, "OSEA 378, gqrs 490")]


def measure_first(recordings: Path) -> Sequence[Entry]:
    """Lead 0 alone."""
    return [entry("qrs-1", scores_of(recordings, Way(both=False)), 280, 150, "OSEA 378, gqrs 490")]


def measure_unseen(recordings: Path) -> Sequence[Entry]:
    """Both leads, each record by models that never saw it."""
    scores = {name: unseen.score(recordings, name) for name in unseen.NAMES}
    return [entry("qrs-unseen", scores, 250, 120), in_time(scores)]


def measure_rules(recordings: Path) -> Sequence[Entry]:
    """What a gateway has on which networks cannot run; nothing was learned from any record."""
    return [
        entry(name, scores_of(recordings, Way(both=both, rules=True)), None, None, "OSEA 378, gqrs 490")
        for name, both in (("qrs-rules", True), ("qrs-rules-1", False))
    ]


FIGURES = (
    Figure("qrs", "accuracy", measure_both, ("mitdb",), yields=("qrs",)),
    Figure("qrs-1", "accuracy", measure_first, ("mitdb",), yields=("qrs-1",)),
    Figure("qrs-unseen", "accuracy", measure_unseen, ("mitdb",), yields=("qrs-unseen", "qrs-time")),
    Figure("qrs-rules", "accuracy", measure_rules, ("mitdb",), yields=("qrs-rules", "qrs-rules-1")),
)
