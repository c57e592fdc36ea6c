"""Figures `qrs` and `qrs-1`: missed and false beats over all 48 records of mitdb."""

from collections.abc import Sequence
from pathlib import Path

from models.evaluation.beats import BeatScore, compare_beats
from models.signal.monitor import find_beats
from tests.figures import corpus, parallel
from tests.figures.entry import Entry, Figure


def score_record(recordings: Path, name: str, *, both: bool) -> BeatScore:
    """One record by EC57; both leads through the whole chain, or the first by the detector alone."""
    record, annotations = corpus.load(recordings, f"mitdb/{name}")
    reference, flutter = corpus.reference_beats(record.fs_hz, annotations)
    if both:
        found = corpus.screen(record).beats_s
    else:
        found = tuple(s / record.fs_hz for s in find_beats(record.physical()[0], record.fs_hz))
    return compare_beats(reference, found, excluded=flutter)


def _job(job: tuple[Path, str, bool]) -> tuple[str, BeatScore]:
    return job[1], score_record(job[0], job[1], both=job[2])


def _measure(recordings: Path, *, both: bool) -> Sequence[Entry]:
    jobs = [(recordings, name, both) for name in (*corpus.DS1, *corpus.DS2, *corpus.PACED)]
    scores = dict(parallel.over(_job, jobs))
    wrong = {name: s.missed + s.false for name, s in scores.items()}
    offsets = [o for s in scores.values() for o in s.offsets_s]
    beats = sum(s.matched + s.missed for s in scores.values())
    return [
        Entry(
            id="qrs" if both else "qrs-1",
            group="accuracy",
            value=sum(wrong.values()),
            unit="wrong beats",
            gate=200 if both else 280,
            goal=90 if both else 150,
            reference="OSEA 378, gqrs 490",
            higher_is_better=False,
            n=beats,
            details={
                "missed": sum(s.missed for s in scores.values()),
                "false": sum(s.false for s in scores.values()),
                "DS1": sum(wrong[r] for r in corpus.DS1),
                "DS2": sum(wrong[r] for r in corpus.DS2),
                "paced": sum(wrong[r] for r in corpus.PACED),
                "worst": dict(sorted(wrong.items(), key=lambda item: -item[1])[:8]),
                "within_50_ms_percent": round(100 * sum(abs(o) <= 0.05 for o in offsets) / len(offsets), 2),
            },
        )
    ]


def measure_both(recordings: Path) -> Sequence[Entry]:
    """Both leads, whole chain."""
    return _measure(recordings, both=True)


def measure_first(recordings: Path) -> Sequence[Entry]:
    """Lead 0 alone."""
    return _measure(recordings, both=False)


FIGURES = (
    Figure("qrs", "accuracy", measure_both, ("mitdb",), yields=("qrs",)),
    Figure("qrs-1", "accuracy", measure_first, ("mitdb",), yields=("qrs-1",)),
)
