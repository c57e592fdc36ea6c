"""Figure `af`: atrial fibrillation and flutter in mitdb by duration, from the beats that the product finds."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from models.evaluation.episodes import DurationScore, behind, score_duration
from models.signal.monitor import find_beats
from models.signal.rhythm import fibrillation
from models.training.corpus import DS1, DS2, PACED, models_without
from tests.figures import corpus, parallel
from tests.figures.entry import Entry, Figure

ATRIAL = frozenset({"AFIB", "AFL"})
FROM_S = 300.0


def score_record(recordings: Path, name: str) -> DurationScore:
    """Seconds of one record, the first lead alone; ventricular flutter is left out."""
    record, annotations = corpus.load(recordings, f"mitdb/{name}")
    beats = find_beats(record.physical()[0], record.fs_hz, models_without(f"mitdb/{name}"))
    _, verdicts = fibrillation.step(fibrillation.begin(), beats, record.fs_hz)
    claimed = [(v.first / record.fs_hz, v.last / record.fs_hz) for v in verdicts if v.fibrillation]
    rhythms = corpus.rhythms(record.fs_hz, record.raw.shape[1], annotations)
    atrial = [(a, b) for a, b, r in rhythms if r in ATRIAL]
    rest = [(a, b) for a, b, r in rhythms if r not in ATRIAL and r != "VFL"]
    return score_duration(*(behind(part, FROM_S) for part in (atrial, rest, claimed)))


def _job(job: tuple[Path, str]) -> tuple[str, DurationScore]:
    return job[1], score_record(*job)


def measure(recordings: Path) -> Sequence[Entry]:
    """Over all 48 records; nothing was learned from any of them."""
    names = (*DS1, *DS2, *PACED)
    scores = dict(parallel.over(_job, [(recordings, name) for name in names]))
    total = sum(scores.values(), DurationScore())
    rate = partial(Entry, group="accuracy", unit="%", higher_is_better=True, gate=93, goal=97, n=len(scores))
    missed = {n: round(s.positive_s - s.claimed_positive_s) for n, s in scores.items()}
    false = {n: round(s.claimed_negative_s) for n, s in scores.items()}
    details: dict[str, object] = {
        "missed_s": {n: s for n, s in sorted(missed.items(), key=lambda i: -i[1]) if s >= 10},
        "false_s": {n: s for n, s in sorted(false.items(), key=lambda i: -i[1]) if s >= 10},
        "atrial_s": round(total.positive_s),
        "rest_s": round(total.negative_s),
        "specificity": round(total.specificity, 2),
    }
    return [
        rate(id="af-se", value=round(total.sensitivity, 2), reference="97", details=details),
        rate(id="af-pp", value=round(total.positive_predictivity, 2), reference="97"),
    ]


FIGURES = (Figure("af", "accuracy", measure, ("mitdb",), yields=("af-se", "af-pp")),)
