"""A report of what the screening finds in annotated recordings, as ANSI/AAMI EC57:2012 asks for it (4.3, 4.5, 5).

Record by record, gross and average, with intervals, by sex, age and lead. Markdown, so that it can be read as it is and be rendered.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.beats import LEARNING_S, MATCH_S, BeatClass, BeatScore, Rates, percent
from models.evaluation.certainty import average, interval
from models.evaluation.episodes import DurationScore, EpisodeScore
from models.evaluation.runs import RunScore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

YOUNG, OLD = 40, 65  # years
UNKNOWN = "not stated"
_FREE = re.compile(r"^(?P<age>-?\d+)\s+(?P<sex>[MF])\b")  # "69 M 1085 1629 x1", as mitdb has it
_NAMED = re.compile(r"<(?P<name>age|sex)>:?\s*(?P<value>[^<]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Person:
    """What a header tells of whom it was recorded from."""

    sex: str = UNKNOWN
    age: int | None = None

    @property
    def age_group(self) -> str:
        """Below 40, to 64, from 65 on."""
        if self.age is None:
            return UNKNOWN
        return f"below {YOUNG}" if self.age < YOUNG else f"{YOUNG} to {OLD - 1}" if self.age < OLD else f"from {OLD}"


def person(comments: Iterable[str]) -> Person:
    """From a header's comments: `<age>: 69 <sex>: M`, or the age and the sex alone as the older databases have them."""
    sex, age = UNKNOWN, None
    for line in comments:
        stated = {match["name"].lower(): match["value"].strip() for match in _NAMED.finditer(line)}
        if free := _FREE.match(line.strip()):
            stated = {"age": free["age"], "sex": free["sex"]}
        if (years := stated.get("age", "")).isdigit():
            age = int(years)
        if (letter := stated.get("sex", "")[:1].upper()) in {"M", "F"}:
            sex = {"M": "male", "F": "female"}[letter]
    return Person(sex, age)


@dataclass(frozen=True)
class Result:
    """A record: its leads' names, whose it is, beats by all leads and by each alone (lead's name), VF and VT by duration and episode.

    `runs`: those of ventricular beats.
    """

    name: str
    leads: tuple[str, ...]
    person: Person
    beats: BeatScore
    by_lead: Mapping[str, BeatScore] = field(default_factory=dict[str, BeatScore])
    lethal: DurationScore = field(default_factory=DurationScore)
    episodes: EpisodeScore = field(default_factory=EpisodeScore)
    runs: RunScore = field(default_factory=RunScore)


# What is asked of beats: heading, whose counts, which rate of them.
_QRS, _VEB, _SVEB = "detection", "ventricular", "supraventricular"
_ASKED: tuple[tuple[str, str, str], ...] = (
    ("QRS Se", _QRS, "sensitivity"),
    ("QRS +P", _QRS, "positive_predictivity"),
    ("VEB Se", _VEB, "sensitivity"),
    ("VEB +P", _VEB, "positive_predictivity"),
    ("VEB FPR", _VEB, "false_positive_rate"),
    ("SVEB Se", _SVEB, "sensitivity"),
    ("SVEB +P", _SVEB, "positive_predictivity"),
    ("SVEB FPR", _SVEB, "false_positive_rate"),
)
_OF_A_CLASS = ("sensitivity", "specificity", "positive_predictivity", "negative_predictivity", "f1")


def report(
    results: Sequence[Result], title: str, by: Sequence[str], left_out: Mapping[str, str], from_s: float = LEARNING_S
) -> str:
    """The whole report. `by`: what judged, a line each; `left_out`: records that were not judged, and why. ValueError without a result."""
    if not results:
        msg = "expected a record at least that was judged"
        raise ValueError(msg)
    parts = [
        f"# {title}",
        _how(len(results), from_s),
        "\n".join(f"- {line}" for line in by),
        *_beats(results),
        "## Ventricular fibrillation and tachycardia\n\n" + _lethal(results),
    ]
    if any(one.by_lead for one in results):
        parts.append("## By each lead alone\n\n" + _leads(results))
    if left_out:
        parts.append("## Not judged\n\n" + "\n".join(f"- {name}: {why}" for name, why in left_out.items()))
    return "\n\n".join(parts) + "\n"


def _how(records: int, from_s: float) -> str:
    return (
        f"{records} records. Beats match within {MATCH_S * 1000:.0f} ms; the first {from_s:.0f} s of each are not counted (ANSI/AAMI EC57:2012, "
        "4.3). *Gross* takes all beats together, *average* is the mean over records that have something to tell; intervals are of the gross "
        "figure, 95 %, by drawing records (2,000 times). All in per cent; a dash where there is nothing to divide by."
    )


def _beats(results: Sequence[Result]) -> list[str]:
    with_beats = [one for one in results if one.beats.counts.any()]
    if not with_beats:
        return ["## Beats\n\nNone is annotated."]
    return [
        "## Beats, record by record\n\n" + _records(with_beats),
        "## Of each kind of beat\n\n" + _kinds(with_beats),
        "## Runs of ventricular beats\n\n" + _runs(with_beats),
        "## What beats were called\n\n" + _confusion(sum((one.beats for one in with_beats), BeatScore())),
        "## By sex, age and leads\n\n" + _groups(with_beats),
    ]


def _records(results: Sequence[Result]) -> str:
    rows = [
        [one.name, str(one.beats.detection.true_positive + one.beats.missed), *_rates(one.beats)] for one in results
    ]
    total = sum((one.beats for one in results), BeatScore())
    rows.append(["**gross**", str(total.matched + total.missed), *_rates(total)])
    means = [average([_rate(one.beats, whose, which) for one in results]) for _, whose, which in _ASKED]
    rows.append(["**average**", "", *map(_shown, means)])
    spans = [_interval(results, whose, which) for _, whose, which in _ASKED]
    rows.append(["**interval**", "", *(f"{_shown(low)} to {_shown(high)}" for low, high in spans)])
    return _table(["record", "beats", *(heading for heading, _, _ in _ASKED)], rows)


def _kinds(results: Sequence[Result]) -> str:
    rows: list[list[str]] = []
    for name, whose in (("ventricular", _VEB), ("supraventricular", _SVEB)):
        rates = _total(results, whose)
        shown = [
            f"{_shown(getattr(rates, which))} ({_shown(low)} to {_shown(high)})"
            for which in _OF_A_CLASS
            for low, high in [_interval(results, whose, which)]
        ]
        rows.append([name, str(rates.true_positive + rates.false_negative), *shown])
    return _table(["ectopic beats", "n", "Se", "Sp", "+P (PPV)", "NPV", "F1"], rows)


def _runs(results: Sequence[Result]) -> str:
    rows: list[list[str]] = []
    for sort, total in sum((one.runs for one in results), RunScore()).sorts.items():
        each = [one.runs.sorts[sort] for one in results]
        counts = np.array([[m.reference, m.found, m.claimed, m.true] for m in each], np.float64)
        spans = [interval(counts, partial(_share, *of)) for of in ((1, 0), (3, 2))]
        rates = (total.sensitivity, total.positive_predictivity)
        shown = [
            f"{_shown(rate)} ({_shown(low)} to {_shown(high)})" for rate, (low, high) in zip(rates, spans, strict=True)
        ]
        rows.append([sort, str(total.reference), str(total.claimed), *shown])
    return _table(["", "annotated", "found", "Se", "+P"], rows[::-1])


def _share(part: int, whole: int, sums: "Floats") -> float:
    return percent(float(sums[part]), float(sums[whole]))


def _confusion(score: BeatScore) -> str:
    called = [kind for kind in BeatClass if score.counts[:, kind].any()]
    rows = [
        [f"**{_kind(kind)}**", *(f"{score.counts[kind, other]:,}" for other in called)]
        for kind in BeatClass
        if score.counts[kind].any()
    ]
    return _table(["annotated, called", *map(_kind, called)], rows)


def _kind(kind: BeatClass) -> str:
    return "no beat" if kind is BeatClass.NONE else kind.name


def _lethal(results: Sequence[Result]) -> str:
    some = [one for one in results if one.lethal.positive_s]
    if not some:
        return "None is annotated. " + _claimed(results)
    total, met = (
        sum((one.lethal for one in results), DurationScore()),
        sum((one.episodes for one in results), EpisodeScore()),
    )
    rows = [[one.name, *_durations(one.lethal), f"{one.episodes.met} of {one.episodes.reference}"] for one in some]
    rows.append(["**gross**", *_durations(total), f"{met.met} of {met.reference}"])
    each = [average([getattr(one.lethal, which) for one in some]) for which in _DURATIONS]
    rows.append(["**average**", f"{average([one.lethal.positive_s for one in some]):.0f}", *map(_shown, each), ""])
    table = _table(["record", "seconds", "Se of time", "Sp of time", "+P of time", "episodes met"], rows)
    return table + "\n\n" + _claimed(results)


_DURATIONS = ("sensitivity", "specificity", "positive_predictivity")


def _claimed(results: Sequence[Result]) -> str:
    without = [one for one in results if not one.lethal.positive_s]
    wrong = {one.name: one.lethal.claimed_negative_s for one in without if one.lethal.claimed_negative_s}
    found = ", ".join(f"{name} ({seconds:.0f} s)" for name, seconds in wrong.items()) or "none"
    return f"Of {len(without)} records without any, it is claimed in: {found}."


def _durations(score: DurationScore) -> list[str]:
    return [f"{score.positive_s:.0f}", *(_shown(getattr(score, which)) for which in _DURATIONS)]


def _groups(results: Sequence[Result]) -> str:
    ways: tuple[tuple[str, Callable[[Result], str]], ...] = (
        ("sex", lambda one: one.person.sex),
        ("age", lambda one: one.person.age_group),
        ("leads", lambda one: " and ".join(one.leads)),
    )
    rows: list[list[str]] = []
    for way, group_of in ways:
        for group in sorted({group_of(one) for one in results}):
            inside = [one for one in results if group_of(one) == group]
            rows.append([way, group, str(len(inside)), *_rates(sum((one.beats for one in inside), BeatScore()))])
    return _table(["", "group", "records", *(heading for heading, _, _ in _ASKED)], rows)


def _leads(results: Sequence[Result]) -> str:
    names = sorted({name for one in results for name in one.by_lead})
    rows: list[list[str]] = []
    for name in names:
        scores = [one.by_lead[name] for one in results if name in one.by_lead]
        rows.append([name, str(len(scores)), *_rates(sum(scores, BeatScore()))])
    return _table(["lead", "records", *(heading for heading, _, _ in _ASKED)], rows)


def _rates(score: BeatScore) -> list[str]:
    return [_shown(_rate(score, whose, which)) for _, whose, which in _ASKED]


def _rate(score: BeatScore, whose: str, which: str) -> float:
    rate: float = getattr(getattr(score, whose), which)
    return rate


def _total(results: Sequence[Result], whose: str) -> Rates:
    rates: Rates = getattr(sum((one.beats for one in results), BeatScore()), whose)
    return rates


def _interval(results: Sequence[Result], whose: str, which: str) -> tuple[float, float]:
    of = [getattr(one.beats, whose) for one in results]
    counts = [[r.true_positive, r.false_negative, r.false_positive, r.true_negative] for r in of]
    return interval(np.array(counts, np.float64), partial(_of_sums, which))


def _of_sums(which: str, sums: "Floats") -> float:
    rate: float = getattr(Rates(*(round(count) for count in sums)), which)
    return rate


def _shown(percent: float) -> str:
    return f"{percent:.2f}" if np.isfinite(percent) else "-"


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
