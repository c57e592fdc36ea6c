"""A recording played through the whole screening, and what it said as annotations that the public reference programs can score.

`bxb` compares the beats, `epicmp` what lies between `[` and `]`; a run of ventricular tachycardia is a change of rhythm, `(VT`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.beats import BeatClass, Interval
from models.evaluation.episodes import union
from models.screening import chain
from models.screening.assess import MILLIVOLT
from models.screening.rhythm import LETHAL_ONSET_S
from models.signal import frames
from models.signal.beats import Kind
from models.signal.rhythm.atrial import Verdict
from protocols.ecgfile.wfdb import Annotation
from protocols.nomenclature import V_FIB, V_TACHY, lead
from protocols.record import NS_PER_S, AlarmCondition, Scale, SourcePath, Times, WaveformGroup

if TYPE_CHECKING:
    from models.signal.weights import Models
    from protocols.ecgfile.wfdb import WfdbRecord

START_NS = 1_700_000_000 * NS_PER_S
SOURCE = SourcePath("recording", ("ecg",))
GROUP_S = 1.0  # as most devices send: findings depend on no group's length, only a lead's quality is one mark a group
CLASS: Mapping[str, BeatClass] = {
    str(Kind.N): BeatClass.N,
    str(Kind.S): BeatClass.S,
    str(Kind.V): BeatClass.V,
    str(Kind.Q): BeatClass.Q,
    str(Kind.P): BeatClass.Q,
}
UNKNOWN_LEADS = ("II", "V1")  # what a recording is taken for that names its leads otherwise
NO_ECG = frozenset(
    {"RESP", "PLETH", "ABP", "ART", "CVP", "PAP", "ICP"}
)  # as PhysioNet's monitors name them; RESP is in mV in some


def lead_code(name: str, row: int) -> str:
    """The lead of a signal by its name in the header; ML2 and MLII are II of a Holter recorder."""
    known = {"MLII": "II", "ML2": "II", "MLIII": "III"}.get(name.upper(), name)
    try:
        return lead(known)
    except ValueError:
        return lead(UNKNOWN_LEADS[min(row, len(UNKNOWN_LEADS) - 1)])


def ecg_of(record: "WfdbRecord") -> "WfdbRecord":
    """The record with its ECG alone; ValueError where it has none, or at a rate that is not screened."""
    frames.plan(record.fs_hz)
    signals = record.header.signals
    rows = [row for row, s in enumerate(signals) if s.unit in MILLIVOLT and s.description.upper() not in NO_ECG]
    if not rows:
        msg = f"none of {', '.join(f'{s.description} ({s.unit})' for s in signals)} is an ECG in volts"
        raise ValueError(msg)
    if len(rows) == len(signals):
        return record
    header = replace(record.header, signals=tuple(signals[row] for row in rows))
    return replace(record, header=header, raw=record.raw[rows])


def groups(
    record: "WfdbRecord", from_s: float = 0, to_s: float | None = None, group_s: float = GROUP_S
) -> Iterator[WaveformGroup]:
    """A record's stretch as groups; the sample numbers are the record's own."""
    fs_hz = record.fs_hz
    first = round(from_s * fs_hz)
    last = record.raw.shape[1] if to_s is None else min(round(to_s * fs_hz), record.raw.shape[1])
    n = round(group_s * fs_hz)
    leads = tuple(lead_code(signal.description, row) for row, signal in enumerate(record.header.signals))
    scales = tuple(Scale(1 / s.gain, -s.baseline / s.gain, s.unit) for s in record.header.signals)
    for at in range(first, last, n):
        part = np.ascontiguousarray(record.raw[:, at : min(at + n, last)], "<i2")
        yield WaveformGroup(
            SOURCE, leads, fs_hz, at, part.tobytes(), "<i2", scales, Times(START_NS + round(at / fs_hz * NS_PER_S))
        )


def seconds(ns: int) -> float:
    """Time in a record that was played."""
    return (ns - START_NS) / NS_PER_S


@dataclass(frozen=True)
class Played:
    """What the screening made of a record. `beats`: sample numbers, ascending, with the class of each; `holding`: stretches in seconds.

    `holding` is by code, VF and VT, moved by the known delay of the score. `alarms`: each change. `patterns`: stretches in seconds by name.
    `atria`: whether they fibrillated or fluttered, stretch by stretch.
    """

    fs_hz: float
    beats: Mapping[int, BeatClass]
    holding: Mapping[str, tuple[Interval, ...]]
    alarms: tuple[AlarmCondition, ...]
    patterns: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict[str, tuple[Interval, ...]])
    atria: tuple[tuple[Interval, bool], ...] = ()

    def annotations(self) -> list[Annotation]:
        """Beats as N, S, V and Q, fibrillation between `[` and `]`, tachycardia from `(VT` to `(N`."""
        names = {BeatClass.N: "N", BeatClass.S: "S", BeatClass.V: "V", BeatClass.Q: "Q"}
        marks = [Annotation(at, names[kind]) for at, kind in self.beats.items()]
        for code, begins, ends in ((V_FIB, ("[", ""), ("]", "")), (V_TACHY, ("+", "(VT"), ("+", "(N"))):
            for from_s, to_s in self.holding.get(code, ()):
                edges = zip((from_s, to_s), (begins, ends), strict=True)
                marks += [
                    Annotation(max(0, round(at_s * self.fs_hz)), symbol, aux=aux) for at_s, (symbol, aux) in edges
                ]
        return sorted(marks, key=lambda mark: mark.sample)


def play(record: "WfdbRecord", models: "Models | None" = None) -> Played:
    """Play the ECG of a whole record, as fast as it goes. ValueError where it has none, or at a rate that is not screened."""
    record = ecg_of(record)
    return play_groups(groups(record), record.fs_hz, models)


def play_groups(source: Iterable[WaveformGroup], fs_hz: float, models: "Models | None" = None) -> Played:
    """Play groups of one ECG, as `groups` makes them."""
    state = chain.begin(models=models)
    found: dict[int, BeatClass] = {}
    alarms: list[AlarmCondition] = []
    held: list[tuple[float, frozenset[str]]] = [(0.0, frozenset())]
    seen: dict[str, list[Interval]] = {}
    atria: list[tuple[Interval, bool]] = []
    for group in source:
        state, out = chain.step(state, group)
        alarms += [one for one in out if isinstance(one, AlarmCondition)]
        watch = state.rhythm.watches[SOURCE]
        for hop in watch.newest:
            finding = hop.finding
            found |= dict.fromkeys((watch.base + at for at in finding.beats), BeatClass.Q)
            found |= {watch.base + at: CLASS[named.kind] for at, named in finding.classified}
            held.append(((watch.base + finding.end) / fs_hz, hop.shown))
            for one in (*finding.seen, *finding.atria):
                edges = (watch.base + one.first) / fs_hz, (watch.base + one.last) / fs_hz
                if isinstance(one, Verdict):
                    atria.append((edges, one.fibrillation))
                else:
                    seen.setdefault(str(one.pattern), []).append(edges)
    stretches = {code: tuple(_stretches(held, code)) for code in (V_FIB, V_TACHY)}
    patterns = {name: tuple(union(edges)) for name, edges in seen.items()}
    return Played(fs_hz, dict(sorted(found.items())), stretches, tuple(alarms), patterns, tuple(atria))


def _stretches(held: list[tuple[float, frozenset[str]]], code: str) -> Iterator[Interval]:
    begun: float | None = None
    for (before_s, _), (_, codes) in pairwise(held):
        if code in codes and begun is None:
            begun = before_s
        elif code not in codes and begun is not None:
            yield max(0.0, begun - LETHAL_ONSET_S), before_s - LETHAL_ONSET_S
            begun = None
    if begun is not None:
        yield max(0.0, begun - LETHAL_ONSET_S), held[-1][0]
