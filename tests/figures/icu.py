"""Figure `icu-alarm`: alarms of intensive-care monitors, each true or false, judged by the whole screening as its devices would send it.

The rules of the PhysioNet/CinC Challenge 2015, real-time: nothing behind the alarm at 300 s is heard, the event lies within the ten
seconds before, and a true alarm that is suppressed costs five. The limits are the challenge's definitions where these are limits of a rate.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.evaluation.certainty import interval
from models.screening import chain
from models.screening.critical_items import AgeGroup, Item, Table
from models.screening.critical_table import SHIPPED
from models.screening.placement import Placement
from protocols.ecgfile.wfdb import WfdbRecord, read_record
from protocols.nomenclature import (
    ART_WAVE,
    ASYSTOLE,
    BRADY_EXTREME,
    EVT_ALARM_HELD,
    PLETH,
    TACHY_EXTREME,
    V_FIB,
    V_TACHY,
    lead,
)
from protocols.record import NS_PER_S, AlarmCondition, DeviceEvent, Presence, Scale, SourcePath, Times, WaveformGroup
from tests.figures.entry import Entry, Figure
from wardlink import parallel

START_NS = 1_700_000_000 * NS_PER_S
ALARM_S = 300.0
WINDOW_S = 10.0
MISSED = 5  # what a suppressed true alarm weighs
GROUP_S = 1.0
ECG, BESIDE = SourcePath("monitor", ("ecg",)), SourcePath("monitor", ("pulse",))
LEADS = {"I": "I", "II": "II", "III": "III", "V": "V1", "MCL": "V2"}
WAVES = {"PLETH": PLETH, "ABP": ART_WAVE}
VENTRICULAR = frozenset({V_FIB, V_TACHY})
CODES = {
    "Asystole": frozenset({ASYSTOLE}),
    "Bradycardia": frozenset({BRADY_EXTREME}),
    "Tachycardia": frozenset({TACHY_EXTREME}),
    "Ventricular_Flutter_Fib": VENTRICULAR,  # either is red, and calls the same people
    "Ventricular_Tachycardia": VENTRICULAR,
}
NEVER_SUPPRESSED = frozenset({"Asystole", "Ventricular_Flutter_Fib"})
SLOW_PER_MIN, FAST_PER_MIN = 50.0, 140.0


@dataclass(frozen=True)
class Judged:
    """A record: what the monitor alarmed, whether that was true, whether we alarm too, and whether one was held in the window."""

    name: str
    kind: str
    is_true: bool
    alarmed: bool
    held: bool

    @property
    def cell(self) -> str:
        """Its cell of the confusion matrix."""
        return ("t" if self.alarmed == self.is_true else "f") + ("p" if self.alarmed else "n")


def placement() -> Placement:
    """A bed whose limits for the extremes are those by which its monitor alarmed, at once as it did.

    The challenge counts beats (five slower than 40, seventeen faster than 140); a rate over six seconds, as ours is, waits as long, and
    for the slow ones lags behind them: at 50 it has fallen when five beats slower than 40 are over.
    """

    def own(item: Item) -> Item:
        if item.age_group is AgeGroup.ADULT and item.code == BRADY_EXTREME:
            return replace(item, red_low=SLOW_PER_MIN, delay_s=0.0)
        if item.age_group is AgeGroup.ADULT and item.code == TACHY_EXTREME:
            return replace(item, red_high=FAST_PER_MIN, delay_s=0.0)
        return item

    return Placement(table=Table(1, tuple(own(item) for item in SHIPPED.items)))


def stream(record: WfdbRecord) -> Iterator[WaveformGroup]:
    """What a monitor sends until the alarm: a second of its ECG leads, then of the pulse waves beside them."""
    names = [signal.description for signal in record.header.signals]
    parts = (
        (ECG, [i for i, name in enumerate(names) if name in LEADS]),
        (BESIDE, [i for i, name in enumerate(names) if name in WAVES]),
    )
    size = round(GROUP_S * record.fs_hz)
    for at in range(0, min(record.raw.shape[1], round(ALARM_S * record.fs_hz)), size):
        for source, rows in parts:
            if rows:
                yield _group(record, source, rows, at, size)


def _group(record: WfdbRecord, source: SourcePath, rows: list[int], at: int, size: int) -> WaveformGroup:
    signals = [record.header.signals[i] for i in rows]
    units = [{"ABP": "mm[Hg]", "PLETH": "1"}.get(signal.description, signal.unit) for signal in signals]
    return WaveformGroup(
        source,
        tuple(lead(LEADS[s.description]) if s.description in LEADS else WAVES[s.description] for s in signals),
        record.fs_hz,
        at,
        np.ascontiguousarray(record.raw[rows, at : at + size], "<i2").tobytes(),
        "<i2",
        tuple(Scale(1 / s.gain, -s.baseline / s.gain, u) for s, u in zip(signals, units, strict=True)),
        Times(START_NS + round((at + size) / record.fs_hz * NS_PER_S)),
    )


def play(record: WfdbRecord, *, with_pulse: bool = True) -> list[AlarmCondition | DeviceEvent]:
    """Every change of an alarm and every event of the record up to its alarm."""
    state = chain.begin(placement())
    told: list[AlarmCondition | DeviceEvent] = []
    for group in stream(record):
        if with_pulse or group.source == ECG:
            state, out = chain.step(state, group)
            told += [one for one in out if isinstance(one, AlarmCondition | DeviceEvent)]
    return told


def stood(told: Sequence[AlarmCondition | DeviceEvent], codes: frozenset[str]) -> bool:
    """Whether an alarm of these codes was raised, or was present, in the window before the monitor's."""
    from_ns = START_NS + round((ALARM_S - WINDOW_S) * NS_PER_S)
    present: set[object] = set()
    for one in told:
        if isinstance(one, AlarmCondition) and one.code in codes:
            if one.presence is Presence.PRESENT:
                present.add(one.id)
            elif one.detected_ns < from_ns:
                present.discard(one.id)
    return bool(present)


def judge(recordings: Path, line: str) -> tuple[Judged, Judged]:
    """A line of the list of alarms, `record,kind,1`: with the pulse, and without it."""
    name, kind, truth = line.split(",")
    record = read_record(recordings / "cinc2015" / name)
    told = play(record)
    touched = any(isinstance(one, DeviceEvent) and one.code == EVT_ALARM_HELD for one in told)
    alone = play(record, with_pulse=False) if touched else told
    from_ns = START_NS + round((ALARM_S - WINDOW_S) * NS_PER_S)
    held = any(
        isinstance(one, DeviceEvent)
        and one.code == EVT_ALARM_HELD
        and one.times.best_ns >= from_ns
        and dict(one.params)["alarm"] in CODES[kind]
        for one in told
    )
    fused = Judged(name, kind, truth == "1", stood(told, CODES[kind]), held)
    return fused, Judged(name, kind, truth == "1", stood(alone, CODES[kind]), held=False)


def score(cells: "Counter[str]") -> float:
    """The challenge's score, percent."""
    weighed = cells["tp"] + cells["tn"] + cells["fp"] + MISSED * cells["fn"]
    return 100 * (cells["tp"] + cells["tn"]) / weighed if weighed else float("nan")


def lines(recordings: Path) -> list[str]:
    """The alarms there are."""
    return (recordings / "cinc2015" / "ALARMS").read_text().split()


def _job(job: tuple[Path, str]) -> tuple[Judged, Judged]:
    return judge(*job)


def measure(recordings: Path) -> Sequence[Entry]:
    """The score with the pulse, without it beside it, and the true asystole and fibrillation that are lost by holding."""
    found = parallel.over(_job, [(recordings, line) for line in lines(recordings)])
    fused, alone = [a for a, _ in found], [b for _, b in found]
    rows = np.array([[one.cell == cell for cell in ("tp", "fp", "fn", "tn")] for one in fused], float)
    lethal = [(a, b) for a, b in found if a.is_true and a.kind in NEVER_SUPPRESSED]
    lost = sum(a.held or (b.alarmed and not a.alarmed) for a, b in lethal)
    missed = sum(not a.alarmed for a, _ in lethal)
    by_kind = {kind: dict(Counter(one.cell for one in fused if one.kind == kind)) for kind in CODES}
    return [
        Entry(
            id="icu-alarm",
            group="accuracy",
            value=round(score(Counter(one.cell for one in fused)), 2),
            unit="% of the challenge's score, real-time",
            gate=75.0,
            goal=88.0,
            reference="81.39 (the challenge's best, on its hidden records)",
            higher_is_better=True,
            n=len(fused),
            interval=interval(rows, _score_of),
            details={
                "by_kind": by_kind,
                "false_alarms": [one.name for one in fused if one.cell == "fp"],
                "missed": [one.name for one in fused if one.cell == "fn"],
                "without_pulse": round(score(Counter(one.cell for one in alone)), 2),
                "held_in_the_window": [one.name for one in fused if one.held],
                "silenced_by_the_pulse": [a.name for a, b in found if b.alarmed and not a.alarmed],
            },
        ),
        Entry(
            id="icu-alarm-lost",
            group="accuracy",
            value=lost + missed,
            unit="true asystole and ventricular flutter or fibrillation not alarmed",
            gate=0,
            goal=0,
            reference="",
            higher_is_better=False,
            n=len(lethal),
            interval=(0.0, _upper(len(lethal))) if lost + missed == 0 else None,
            details={
                "held": lost,
                "missed": missed,
                "interval": "95 %, of the share that is lost, exact for none seen",
            },
        ),
    ]


def _score_of(sums: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> float:
    tp, fp, fn, tn = (float(one) for one in sums)
    return 100 * (tp + tn) / (tp + tn + fp + MISSED * fn)


def _upper(n: int) -> float:
    """Upper end of the exact two-sided 95 % interval (Clopper and Pearson) of a share of which none of n was seen."""
    return round(1 - 0.025 ** (1 / n), 3)


FIGURES = (Figure("icu-alarm", "accuracy", measure, ("cinc2015",), yields=("icu-alarm", "icu-alarm-lost")),)
