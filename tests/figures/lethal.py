"""Figures `vf`, `vf-mit` and `alarm-time`: lethal rhythms, each record judged by weights that never saw it."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from models.evaluation.beats import LEARNING_S, Interval
from models.evaluation.episodes import DurationScore, score_duration
from models.evaluation.played import seconds
from models.screening.placement import EXTREMES, AgeGroup
from models.screening.rhythm import LETHAL_ONSET_S
from models.training.corpus import VFDB, models_without
from protocols.nomenclature import ASYSTOLE, BRADY_EXTREME, TACHY_EXTREME, V_FIB, V_TACHY
from protocols.record import AlarmCondition, Presence
from tests.figures import corpus, unseen
from tests.figures.entry import Entry, Figure
from wardlink import parallel

FIBRILLATION = frozenset({"VFIB", "VFL", "VF"})
TACHYCARDIA = "VT"
LETHAL = FIBRILLATION | {TACHYCARDIA}
VENTRICULAR = frozenset({V_FIB, V_TACHY})
LIFE_THREATENING = frozenset({V_FIB, V_TACHY, ASYSTOLE, BRADY_EXTREME, TACHY_EXTREME})
NOT_COUNTED = frozenset({"NOISE", "ASYS"})
LEAD_IN_S = 30.0
EPISODE_S = 4.8  # the 17 of the recordings page: one is 4.9 s long, and annotations are good to a second
LIMIT_S = 9.0
PAUSES = "232"
CERTAIN_S = 1.0  # a pause this much longer than the limit must be alarmed before it ends


def claimed(screened: corpus.Screened) -> list[Interval]:
    """Stretches that the screening calls VF or VT, moved by its known delay."""
    out: list[Interval] = []
    before = 0.0
    for end, codes in screened.holding:
        if codes & VENTRICULAR:
            out.append((before - LETHAL_ONSET_S, end - LETHAL_ONSET_S))
        before = end
    return out


@dataclass(frozen=True)
class Played:
    """A whole record of vfdb: its annotated rhythms, and what the screening made of it."""

    rhythms: list[tuple[float, float, str]]
    screened: corpus.Screened


def play_record(recordings: Path, name: str) -> Played:
    """Play a record through the whole screening, with trees that never saw it."""
    record, annotations = corpus.load(recordings, f"vfdb/{name}")
    rhythms = corpus.rhythms(record.fs_hz, record.raw.shape[1], annotations)
    return Played(rhythms, corpus.screen(record, models_without(f"vfdb/{name}")))


def score_record(played: Played) -> tuple[DurationScore, DurationScore]:
    """A record of vfdb by duration: VF, flutter and VT together; VF and flutter alone."""
    counted = [(max(a, LEARNING_S), b, r) for a, b, r in played.rhythms if r not in NOT_COUNTED]
    negative = [(a, b) for a, b, r in counted if r not in LETHAL]
    found = claimed(played.screened)
    return (
        score_duration([(a, b) for a, b, r in counted if r in LETHAL], negative, found),
        score_duration([(a, b) for a, b, r in counted if r in FIBRILLATION], negative, found),
    )


@dataclass(frozen=True)
class Heard:
    """What the screening said to an episode, judged by what the rhythm was found to be on the episode's own signal.

    That is from LETHAL_ONSET_S behind the onset on, as a score lies so far behind its cause. An alarm of VF or VT stays present for
    eight seconds behind its rhythm, so that one stands says nothing of the rhythm.

    `delay_s`: onset to an alarm of VF or VT whose rhythm was found; None when there was none. `covered`: such an alarm stood when
    the onset came, and its rhythm was found on the episode's own signal LIMIT_S behind the onset at the latest; the delay runs to
    there, so it is LETHAL_ONSET_S at least. `left`: such an alarm stood and its rhythm was not found: it calls a nurse, as its
    signal does until somebody has seen it, and detects nothing. `fresh`: no life-threatening alarm of any kind stood at the onset.
    """

    delay_s: float | None
    covered: bool = False
    left: bool = False
    fresh: bool = False

    @property
    def detected(self) -> bool:
        """Whether it was alarmed in time."""
        return self.delay_s is not None and self.delay_s <= LIMIT_S


@dataclass(frozen=True)
class Episode:
    """An annotated episode and what was heard of it; `anew`: its rhythm is found in time also without what held before its onset."""

    record: str
    onset_s: float
    length_s: float
    heard: Heard
    anew: bool


def own_judgements(screened: corpus.Screened, onset_s: float) -> list[tuple[float, frozenset[str]]]:
    """When VF or VT held on the signal from the onset on, and which."""
    held = [(at, codes & VENTRICULAR) for at, codes in screened.holding if at >= onset_s + LETHAL_ONSET_S]
    return [(at, codes) for at, codes in held if codes]


def hear(
    said: Iterable[tuple[float, AlarmCondition]],
    own: Sequence[tuple[float, frozenset[str]]],
    onset_s: float,
    length_s: float,
) -> Heard:
    """Judge an episode by the changes of alarms, each with its second, in their order, and by its `own_judgements`."""
    begun: dict[object, tuple[str, float]] = {}
    stood: list[tuple[str, float, float, Presence]] = []  # code, from, to, what followed
    for at, alarm in said:
        if alarm.presence is Presence.PRESENT:
            begun.setdefault(alarm.id, (alarm.code, at))
        elif alarm.id in begun:
            stood.append((*begun.pop(alarm.id), at, alarm.presence))
    stood += [(*still, math.inf, Presence.PRESENT) for still in begun.values()]
    at_onset = [one for one in stood if one[1] < onset_s <= one[2] and one[0] in LIFE_THREATENING]
    before = [one for one in at_onset if one[0] in VENTRICULAR]
    latest_s = onset_s + min(length_s + LETHAL_ONSET_S, LIMIT_S)
    found = [at for code, _, to, _ in before for at, codes in own if at <= min(to, latest_s) and code in codes]
    raised = [
        since
        for code, since, to, _ in stood
        if since >= onset_s and any(since <= at <= to and code in codes for at, codes in own)
    ]
    left = not found and any(then is not Presence.ENDED for *_, then in before)
    return Heard(min((at - onset_s for at in found + raised), default=None), bool(found), left, not at_onset)


def episodes(recordings: Path, name: str) -> list[tuple[float, float]]:
    """Onset and length of a record's episodes; stretches that touch are one."""
    record, annotations = corpus.load(recordings, f"vfdb/{name}")
    found = corpus.rhythms(record.fs_hz, record.raw.shape[1], annotations)
    return [(a, b - a) for a, b, r in found if r in FIBRILLATION and b - a >= EPISODE_S]


def play_episode(recordings: Path, name: str, onset_s: float, length_s: float, lead_in_s: float = LEAD_IN_S) -> Episode:
    """Play from `lead_in_s` before the onset, and not beyond the episode's end."""
    record, _ = corpus.load(recordings, f"vfdb/{name}")
    start = max(0.0, onset_s - lead_in_s)
    end = onset_s + min(length_s, LIMIT_S + LETHAL_ONSET_S)
    before = corpus.screen(record, models_without(f"vfdb/{name}"), start, onset_s)
    behind = corpus.screen(record, None, onset_s, end, before.state)
    said = ((seconds(alarm.detected_ns), alarm) for alarm in (*before.alarms, *behind.alarms))
    anew = corpus.screen(record, None, onset_s, onset_s + min(length_s, LIMIT_S), corpus.forgetting(before.state))
    return Episode(
        name,
        onset_s,
        length_s,
        hear(said, own_judgements(behind, onset_s), onset_s, length_s),
        bool(own_judgements(anew, onset_s)),
    )


def tachycardias(played: Played) -> list[tuple[float, Heard]]:
    """Onset of each annotated run of VT in a whole record, however short, and what was heard of it."""
    said = [(seconds(alarm.detected_ns), alarm) for alarm in played.screened.alarms]
    return [
        (a, hear(said, own_judgements(played.screened, a), a, b - a)) for a, b, r in played.rhythms if r == TACHYCARDIA
    ]


def named_fibrillation(played: Played) -> list[float]:
    """Onset of each annotated run of VT that the screening calls VF at any moment, moved by its known delay."""
    named = [at - LETHAL_ONSET_S for at, codes in played.screened.holding if V_FIB in codes]
    return [a for a, b, r in played.rhythms if r == TACHYCARDIA and any(a <= at <= b for at in named)]


def _vf_job(job: tuple[Path, str]) -> tuple[str, tuple[DurationScore, DurationScore]]:
    return job[1], score_record(play_record(*job))


def _episode_job(job: tuple[Path, str, float, float]) -> Episode:
    return play_episode(*job)


def red_alarms(alarms: Iterable[AlarmCondition]) -> list[tuple[str, float, float | None]]:
    """Code, second and confidence of each that was raised and of which somebody dies."""
    return [
        (a.code, seconds(a.detected_ns), a.evidence.confidence if a.evidence else None)
        for a in alarms
        if a.presence is Presence.PRESENT and a.code in LIFE_THREATENING
    ]


def truly_lethal(recordings: Path, name: str) -> list[Interval]:
    """Stretches of a record of mitdb with VF, flutter or VT, and pauses that count as asystole, by its annotations."""
    record, annotations = corpus.load(recordings, f"mitdb/{name}")
    true = [(a, b) for a, b, r in corpus.rhythms(record.fs_hz, record.raw.shape[1], annotations) if r in LETHAL]
    beats, _ = corpus.reference_beats(record.fs_hz, annotations)
    return true + [(a, b) for a, b in pairwise(beats) if b - a >= EXTREMES[AgeGroup.ADULT].asystole_s]


def measure_vf(recordings: Path) -> Sequence[Entry]:
    """By duration over the 11 records."""
    scores = dict(parallel.over(_vf_job, [(recordings, r) for r in VFDB]))
    total = sum((s for s, _ in scores.values()), DurationScore(0, 0, 0, 0))
    fibrillation = sum((f for _, f in scores.values()), DurationScore(0, 0, 0, 0))
    per_record = {r: [round(s.sensitivity, 1), round(s.specificity, 1)] for r, (s, _) in scores.items()}
    rate = partial(Entry, group="accuracy", unit="%", higher_is_better=True, n=len(scores))
    return [
        rate(
            id="vf-se", value=round(total.sensitivity, 2), gate=93, goal=97, reference="96",
            details={"vf_and_flutter_alone": round(fibrillation.sensitivity, 2), "per_record_se_sp": per_record},
        ),
        rate(
            id="vf-sp", value=round(total.specificity, 2), gate=97, goal=99.5, reference="99",
            details={"hours": round(total.negative_s / 3600, 2)},
        ),
    ]  # fmt: skip


def measure_mit(recordings: Path) -> Sequence[Entry]:
    """Lethal alarms in mitdb that meet no annotated VF, flutter, VT, or pause of four seconds, within ten seconds.

    Extreme rates are told beside them: many are true, and no annotation says which.
    """
    false: list[list[object]] = []
    extremes: Counter[str] = Counter()
    for name, played in unseen.played(recordings).items():
        true = truly_lethal(recordings, name)
        for code, at, confidence in red_alarms(played.alarms):
            if code in (BRADY_EXTREME, TACHY_EXTREME):
                extremes[f"{name} {code}"] += 1
            elif not any(a - 1 <= at <= b + 10 for a, b in true):
                false.append([name, code, round(at, 1), confidence])
    return [
        Entry(
            id="vf-mit", group="accuracy", value=len(false), unit="false alarms in 24 h", gate=5, goal=1, reference="",
            higher_is_better=False, n=len(unseen.NAMES), details={"false": false, "extreme_rates": dict(extremes)},
        )
    ]  # fmt: skip


def measure_time(recordings: Path) -> Sequence[Entry]:
    """Onset to alarm of every episode of VF and flutter of five seconds or more."""
    jobs = [(recordings, r, a, n) for r in VFDB for a, n in episodes(recordings, r)]
    played = parallel.over(_episode_job, jobs)
    return [*_times("alarm-time", played), *_times("alarm-time-fresh", [e for e in played if e.heard.fresh])]


def _times(name: str, played: Sequence[Episode]) -> list[Entry]:
    """Mean and maximum over these episodes, with the episodes one by one."""
    delays = [e.heard.delay_s for e in played if e.heard.delay_s is not None]
    missed = len(played) - len(delays)
    details: dict[str, object] = {
        "missed": missed,
        "covered_by_a_standing_alarm": sum(e.heard.covered for e in played),
        "left_to_an_alarm_of_before": sum(e.heard.left and e.heard.delay_s is None for e in played),
        "found_without_what_held_before": sum(e.anew for e in played),
        "episodes": [
            [e.record, round(e.onset_s, 1), None if e.heard.delay_s is None else round(e.heard.delay_s, 1)]
            for e in played
        ],
    }
    time = partial(Entry, group="accuracy", unit="s", higher_is_better=False, n=len(played))
    note = f"{missed} episodes missed" if missed else ""
    mean, longest = (round(sum(delays) / len(delays), 2), round(max(delays), 2)) if delays else (math.inf, math.inf)
    return [
        time(id=f"{name}-mean", value=mean, gate=7, goal=5, reference="5.7-7.2", note=note),
        time(id=f"{name}-max", value=longest, gate=10, goal=7, reference="limit 10", note=note, details=details),
    ]


def measure_asystole(recordings: Path) -> Sequence[Entry]:
    """Last beat to alarm in the pauses of record 232 (sick sinus), less the pause that counts as asystole."""
    record, annotations = corpus.load(recordings, f"mitdb/{PAUSES}")
    beats, _ = corpus.reference_beats(record.fs_hz, annotations)
    limit = EXTREMES[AgeGroup.ADULT].asystole_s
    screened = corpus.screen(record)
    raised = [seconds(a.detected_ns) for a in screened.alarms if a.code == ASYSTOLE and a.presence is Presence.PRESENT]
    long = [(a, b) for a, b in pairwise(beats) if b - a >= limit + CERTAIN_S]
    delays = [next((at - a for at in raised if a < at <= b + CERTAIN_S), None) for a, b in long]
    missed = delays.count(None)
    found = [d - limit for d in delays if d is not None]
    return [
        Entry(
            id="alarm-time-asystole",
            group="accuracy",
            value=round(max(found), 2) if found else float("inf"),
            unit="s after the pause of 4 s",
            gate=2,
            goal=1,
            reference="",
            higher_is_better=False,
            n=len(long),
            note=f"{missed} pauses missed" if missed else "",
        )
    ]


FIGURES = (
    Figure("vf", "accuracy", measure_vf, ("vfdb",), yields=("vf-se", "vf-sp")),
    Figure("vf-mit", "accuracy", measure_mit, ("mitdb",), yields=("vf-mit",)),
    Figure(
        "alarm-time",
        "accuracy",
        measure_time,
        ("vfdb",),
        yields=("alarm-time-mean", "alarm-time-max", "alarm-time-fresh-mean", "alarm-time-fresh-max"),
    ),
    Figure("alarm-time-asystole", "accuracy", measure_asystole, ("mitdb",), yields=("alarm-time-asystole",)),
)
