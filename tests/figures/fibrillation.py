"""Figure `af`: atrial fibrillation and flutter in mitdb by duration, each record by a table and networks that never saw it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from models.evaluation.episodes import DurationScore, behind, score_duration
from models.evaluation.played import Played
from models.training import fibrillation
from tests.figures import corpus, unseen
from tests.figures.entry import Entry, Figure

FROM_S = 300.0


def score_record(recordings: Path, name: str) -> DurationScore:
    """Seconds of one record, both leads through the whole screening; ventricular flutter is left out."""
    return compare(recordings, name, unseen.played(recordings)[name])


def compare(recordings: Path, name: str, played: Played) -> DurationScore:
    """What was said of the atria beside the annotated rhythms. What holds last holds up to the last beat."""
    record, _ = corpus.load(recordings, f"mitdb/{name}")
    claimed = [edges for edges, fibrillating in played.atria if fibrillating]
    if played.atria and played.atria[-1][1]:
        claimed.append((played.atria[-1][0][1], max(played.beats) / played.fs_hz))
    positive, negative = fibrillation.rhythms(recordings, name, record.fs_hz, record.raw.shape[1] / record.fs_hz)
    return score_duration(*(behind(part, FROM_S) for part in (positive, negative, claimed)))


def measure(recordings: Path) -> Sequence[Entry]:
    """Over all 48 records, each unseen by what judges it."""
    scores = {name: score_record(recordings, name) for name in unseen.NAMES}
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
