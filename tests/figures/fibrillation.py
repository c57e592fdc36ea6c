"""Figure `af`: atrial fibrillation and flutter in mitdb by duration, each record by a table and networks that never saw it."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from models.evaluation.episodes import DurationScore, behind, score_duration
from models.signal import monitor, weights
from models.signal.rhythm.atrial import Verdict
from models.training import fibrillation
from models.training.corpus import DS1, DS2, PACED
from tests.figures import corpus
from tests.figures.entry import Entry, Figure
from wardlink import parallel

FROM_S = 300.0
PIECE_S = 60.0


def score_record(recordings: Path, name: str) -> DurationScore:
    """Seconds of one record, both leads; ventricular flutter is left out."""
    record, _ = corpus.load(recordings, f"mitdb/{name}")
    (fold,) = (fold for fold in range(fibrillation.FOLDS) if name in fibrillation.held_out(fold))
    models = replace(fibrillation.unseen_by(name), atrial=weights.atrial(fold), describes=False)
    samples = record.physical()
    state, verdicts, end = monitor.begin(len(samples), record.fs_hz, models), list[Verdict](), 0
    piece = round(PIECE_S * record.fs_hz)
    for at in range(0, samples.shape[1], piece):
        state, findings = monitor.feed(state, samples[:, at : at + piece], record.fs_hz, models)
        verdicts += [verdict for finding in findings for verdict in finding.atria]
        end = max([end, *(beat for finding in findings for beat in finding.beats)])
    return compare(recordings, name, verdicts, end, record.fs_hz, samples.shape[1] / record.fs_hz)


def compare(
    recordings: Path, name: str, verdicts: Sequence[Verdict], end: int, fs_hz: float, end_s: float
) -> DurationScore:
    """Verdicts beside the annotated rhythms. What holds at the last verdict holds up to `end`, the last beat."""
    claimed = [(v.first / fs_hz, v.last / fs_hz) for v in verdicts if v.fibrillation]
    if verdicts and verdicts[-1].fibrillation:
        claimed.append((verdicts[-1].last / fs_hz, end / fs_hz))
    positive, negative = fibrillation.rhythms(recordings, name, fs_hz, end_s)
    return score_duration(*(behind(part, FROM_S) for part in (positive, negative, claimed)))


def _job(job: tuple[Path, str]) -> tuple[str, DurationScore]:
    return job[1], score_record(*job)


def measure(recordings: Path) -> Sequence[Entry]:
    """Over all 48 records, each unseen by what judges it."""
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
