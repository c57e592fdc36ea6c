"""Figure `patterns`: bigeminy, trigeminy and pauses of mitdb, and runs of ventricular beats, each record by models that never saw it."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

from models.evaluation.beats import BY_SYMBOL, LEARNING_S, Interval
from models.evaluation.episodes import DurationScore, EpisodeScore, behind, score_duration, score_episodes, union
from models.evaluation.folder import flutter, runs, without
from models.evaluation.runs import COUPLET, LONG, SHORT, RunScore
from models.signal.rhythm.patterns import PAUSE_S, Pattern
from protocols.ecgfile.wfdb import Annotation, read_annotations, read_record
from tests.figures import unseen
from tests.figures.entry import Entry, Figure

NAMED: Mapping[Pattern, str] = {Pattern.BIGEMINY: "(B", Pattern.TRIGEMINY: "(T"}
SORTS = {COUPLET: "couplets", SHORT: "short-runs", LONG: "long-runs"}


def stretches(fs_hz: float, end_s: float, marks: Sequence[Annotation], name: str) -> list[Interval]:
    """Where the annotations name a rhythm so."""
    named = [(mark.sample / fs_hz, mark.aux.strip("\0")) for mark in marks if mark.aux.startswith("(")]
    return union((at, end) for (at, aux), (end, _) in pairwise([*named, (end_s, "")]) if aux == name)


def pauses(fs_hz: float, marks: Sequence[Annotation]) -> list[Interval]:
    """Annotated beats that are more than two seconds apart, without flutter between them."""
    beats = [mark.sample / fs_hz for mark in marks if mark.symbol in BY_SYMBOL]
    fluttering = flutter(fs_hz, marks)
    return [(a, b) for a, b in pairwise(beats) if b - a > PAUSE_S and not any(a < d and c < b for c, d in fluttering)]


def measure(recordings: Path) -> Sequence[Entry]:
    """Over all 48 records behind their first five minutes."""
    by_duration = {pattern: DurationScore() for pattern in NAMED}
    of_pauses, of_runs = EpisodeScore(), RunScore()
    wrong: dict[str, dict[str, int]] = {pattern: {} for pattern in NAMED}
    for name, played in unseen.played(recordings).items():
        path = recordings / "mitdb" / name
        record, marks = read_record(path), read_annotations(path)
        fs_hz, end_s = record.fs_hz, record.raw.shape[1] / record.fs_hz
        for pattern, aux in NAMED.items():
            here = behind(stretches(fs_hz, end_s, marks, aux), LEARNING_S)
            claimed = behind(played.patterns.get(pattern, ()), LEARNING_S)
            score = score_duration(here, without((LEARNING_S, end_s), here), claimed)
            by_duration[pattern] += score
            if score.claimed_negative_s >= 1:
                wrong[pattern][name] = round(score.claimed_negative_s)
        told = behind(played.patterns.get(Pattern.PAUSE, ()), LEARNING_S)
        of_pauses += score_episodes(behind(pauses(fs_hz, marks), LEARNING_S), told)
        of_runs += runs(fs_hz, marks, played)
    return [*_durations(by_duration, wrong), *_pauses(of_pauses), *_runs(of_runs)]


_rate = partial(Entry, group="accuracy", unit="%", higher_is_better=True, gate=None, goal=None, reference="")


def _durations(scores: Mapping[Pattern, DurationScore], wrong: Mapping[str, Mapping[str, int]]) -> list[Entry]:
    out: list[Entry] = []
    for pattern, score in scores.items():
        details: dict[str, object] = {"annotated_s": round(score.positive_s), "told_elsewhere_s": wrong[pattern]}
        seconds = round(score.positive_s)
        out += [
            _rate(id=f"{pattern}-se", value=round(score.sensitivity, 2), n=seconds, details=details),
            _rate(id=f"{pattern}-pp", value=round(score.positive_predictivity, 2), n=seconds),
        ]
    return out


def _pauses(score: EpisodeScore) -> list[Entry]:
    return [
        _rate(id="pause-se", value=round(score.sensitivity, 2), n=score.reference),
        _rate(id="pause-pp", value=round(score.positive_predictivity, 2), n=score.claimed),
    ]


def _runs(score: RunScore) -> list[Entry]:
    return [
        entry
        for sort, name in SORTS.items()
        for met in [score.sorts[sort]]
        for entry in (
            _rate(id=f"{name}-se", value=round(met.sensitivity, 2), n=met.reference),
            _rate(id=f"{name}-pp", value=round(met.positive_predictivity, 2), n=met.claimed),
        )
    ]


FIGURES = (
    Figure(
        "patterns", "accuracy", measure, ("mitdb",), cached=False,
        yields=tuple(
            f"{name}-{rate}" for name in (*NAMED, "pause", *SORTS.values()) for rate in ("se", "pp")
        ),
    ),
)  # fmt: skip
