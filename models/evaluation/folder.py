"""Judge every annotated record of a folder by the models that are installed, or by others: what a site does with its own data first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.beats import BY_SYMBOL, LEARNING_S, BeatClass, BeatScore, Interval, compare_beats
from models.evaluation.episodes import behind, score_duration, score_episodes, union
from models.evaluation.played import Played, ecg_of, play
from models.evaluation.report import Result, person
from models.evaluation.runs import RunScore, compare_runs
from models.signal import monitor
from protocols.ecgfile.wfdb import read_annotations, read_record
from protocols.errors import DecodeError

if TYPE_CHECKING:
    from models.signal.weights import Models
    from protocols.ecgfile.wfdb import Annotation, WfdbRecord

NONE_ALONE: Mapping[str, BeatScore] = MappingProxyType({})
LETHAL = frozenset({"VFIB", "VFL", "VF", "VT"})


@dataclass(frozen=True)
class Job:
    """A record to judge. `from_s`: what is before is not counted. `each_lead`: by each of its leads alone as well.

    `models`: from a record's name those that judge it; None for those that are installed.
    """

    path: Path
    annotator: str = "atr"
    from_s: float = LEARNING_S
    each_lead: bool = False
    models: "Callable[[str], Models] | None" = None


@dataclass(frozen=True)
class LeftOut:
    """A record that cannot be judged, and why."""

    name: str
    why: str


def records(folder: Path) -> list[Path]:
    """The records of a folder, without extension, by name."""
    return sorted(path.with_suffix("") for path in folder.glob("*.hea"))


def judge(job: Job) -> Result | LeftOut:
    """Play a record and compare what came out with its annotations."""
    name = job.path.name
    try:
        record = ecg_of(read_record(job.path))
        marks = read_annotations(job.path, job.annotator)
    except FileNotFoundError as error:
        return LeftOut(name, f"there is no {Path(error.filename).name}")
    except DecodeError as error:
        return LeftOut(name, f"cannot be read: {error}")
    except ValueError as error:
        return LeftOut(name, f"cannot be screened: {error}")
    end_s = record.raw.shape[1] / record.fs_hz
    if not any(mark.symbol in BY_SYMBOL or mark.aux.startswith("(") for mark in marks):
        return LeftOut(name, f"{name}.{job.annotator} has neither beats nor rhythms")
    if end_s <= job.from_s:
        return LeftOut(name, f"it is {end_s:.0f} s long, and the first {job.from_s:.0f} s are not counted")
    models = None if job.models is None else job.models(name)
    played = play(record, models)
    alone = _by_lead(record, marks, models, job.from_s) if job.each_lead and len(record.raw) > 1 else NONE_ALONE
    return result(name, record, marks, played, job.from_s, alone)


def result(
    name: str,
    record: "WfdbRecord",
    marks: "Sequence[Annotation]",
    played: Played,
    from_s: float = LEARNING_S,
    alone: Mapping[str, BeatScore] = NONE_ALONE,
) -> Result:
    """Compare what was made of a record with its annotations; `alone`: what was made of each lead by itself."""
    fs_hz, end_s = record.fs_hz, record.raw.shape[1] / record.fs_hz
    lethal = lethal_stretches(fs_hz, end_s, marks)
    claimed = behind((one for of_code in played.holding.values() for one in of_code), from_s)
    counted, quiet = behind(lethal, from_s), without((from_s, end_s), lethal)
    return Result(
        name,
        tuple(signal.description or str(row) for row, signal in enumerate(record.header.signals)),
        person(record.header.comments),
        compare(fs_hz, marks, played, from_s),
        dict(alone),
        score_duration(counted, quiet, claimed),
        score_episodes(counted, claimed),
        runs(fs_hz, marks, played, from_s),
    )


def compare(fs_hz: float, marks: "Sequence[Annotation]", played: Played, from_s: float = LEARNING_S) -> BeatScore:
    """Beats by EC57; flutter of the ventricle, between `[` and `]`, is left out. Nothing where no beats are annotated."""
    beats = [mark for mark in marks if mark.symbol in BY_SYMBOL]
    if not beats:
        return BeatScore()
    return compare_beats(
        [mark.sample / fs_hz for mark in beats],
        [at / fs_hz for at in played.beats],
        [BY_SYMBOL[mark.symbol] for mark in beats],
        list(played.beats.values()),
        from_s=from_s,
        excluded=flutter(fs_hz, marks),
    )


def runs(fs_hz: float, marks: "Sequence[Annotation]", played: Played, from_s: float = LEARNING_S) -> RunScore:
    """Runs of ventricular beats by EC57, without those in flutter. Nothing where no beats are annotated."""
    beats = [mark for mark in marks if mark.symbol in BY_SYMBOL]
    if not beats:
        return RunScore()
    return compare_runs(
        [(mark.sample / fs_hz, BY_SYMBOL[mark.symbol] is BeatClass.V) for mark in beats],
        [(at / fs_hz, kind is BeatClass.V) for at, kind in played.beats.items()],
        from_s=from_s,
        excluded=flutter(fs_hz, marks),
    )


def lethal_stretches(fs_hz: float, end_s: float, marks: "Sequence[Annotation]") -> list[Interval]:
    """Where the annotations have fibrillation, flutter or tachycardia of the ventricle: between `[` and `]`, or by the name of a rhythm."""
    named = [(mark.sample / fs_hz, mark.aux.strip("\0")[1:]) for mark in marks if mark.aux.startswith("(")]
    by_name = ((at, end) for (at, name), (end, _) in pairwise([*named, (end_s, "")]) if name in LETHAL)
    return union([*flutter(fs_hz, marks), *by_name])


def _by_lead(
    record: "WfdbRecord", marks: "Sequence[Annotation]", models: "Models | None", from_s: float
) -> Mapping[str, BeatScore]:
    alone: dict[str, BeatScore] = {}
    for row, signal in enumerate(record.header.signals[: monitor.MAX_LEADS]):
        header = replace(record.header, signals=(signal,))
        one = replace(record, header=header, raw=np.ascontiguousarray(record.raw[row : row + 1]))
        name = signal.description or str(row)
        alone[name] = alone.get(name, BeatScore()) + compare(record.fs_hz, marks, play(one, models), from_s)
    return alone


def flutter(fs_hz: float, marks: "Sequence[Annotation]") -> list[Interval]:
    """Stretches of flutter of the ventricle, from `[` to `]`, seconds; EC57 leaves their beats out."""
    found: list[Interval] = []
    begun: float | None = None
    for mark in marks:
        if mark.symbol == "[":
            begun = mark.sample / fs_hz
        elif mark.symbol == "]" and begun is not None:
            found.append((begun, mark.sample / fs_hz))
            begun = None
    return found


def without(whole: Interval, gone: Sequence[Interval]) -> list[Interval]:
    """What of `whole` no stretch of `gone`, ascending and apart, covers."""
    left: list[Interval] = []
    at, to_s = whole
    for begin, end in gone:
        if begin < to_s and end > at:
            left.append((at, begin))
            at = end
    return [(a, b) for a, b in (*left, (at, to_s)) if b > a]
