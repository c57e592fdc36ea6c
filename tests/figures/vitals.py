"""Figures `pulse` and `resp`: pulse from the plethysmogram and breaths from the impedance wave and the ECG, on every bidmc record at hand."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.certainty import interval
from models.signal import monitor, weights
from models.signal.vitals import breath, heart_breath, pulse
from tests.figures.entry import Entry, Figure
from wardlink import parallel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FS_HZ = 125.0
CHUNK = 125
SAME_BREATH_S = 0.3  # a breath marked twice


@dataclass(frozen=True, eq=False)
class Bedside:
    """A record: its waves and its numerics a second by name, and the breaths of each annotator, seconds."""

    waves: "dict[str, Floats]"
    numbers: "dict[str, Floats]"
    breaths_s: tuple[list[float], ...]


def names(recordings: Path) -> list[str]:
    """The records there are, `bidmc_01` and the like."""
    return sorted(path.name.removesuffix("_Signals.csv") for path in (recordings / "bidmc").glob("*_Signals.csv"))


def load(recordings: Path, name: str) -> Bedside:
    """Read the three tables of a record."""
    folder = recordings / "bidmc"
    marks = _table(folder / f"{name}_Breaths.csv").values()
    breaths = tuple(_once(np.sort(column[np.isfinite(column)]) / FS_HZ) for column in marks)
    return Bedside(_table(folder / f"{name}_Signals.csv"), _table(folder / f"{name}_Numerics.csv"), breaths)


def _table(path: Path) -> "dict[str, Floats]":
    with path.open() as lines:
        columns = [name.strip() for name in next(lines).split(",")]
        values = np.genfromtxt(lines, delimiter=",", ndmin=2)
    return {name: np.ascontiguousarray(values[:, i]) for i, name in enumerate(columns)}


def _once(times_s: "Floats") -> list[float]:
    kept: list[float] = []
    for at in times_s.tolist():
        if not kept or at - kept[-1] > SAME_BREATH_S:
            kept.append(at)
    return kept


@dataclass(frozen=True)
class Errors:
    """Absolute errors of a record, /min: their sum and number, against another reference, and how many seconds could have been told."""

    summed: float = 0.0
    told: int = 0
    other: float = 0.0
    other_told: int = 0
    possible: int = 0

    @property
    def mean(self) -> float:
        """Mean absolute error, NaN where nothing was told."""
        return self.summed / self.told if self.told else float("nan")


def compare(
    told: "Sequence[tuple[float, float | None]]", reference: "Floats", other: "Floats", from_s: float
) -> Errors:
    """Each second's rate as it stood then, against what the reference says at that second; `told`: seconds and rates, in order."""
    ends = [at for at, _ in told]
    errors = others = np.zeros(0)
    possible = 0
    for second in range(int(np.ceil(from_s)), min(len(reference), int(ends[-1]) + 1)):
        if not np.isfinite(reference[second]):
            continue
        possible += 1
        rate = told[bisect_right(ends, second) - 1][1]
        if rate is None:
            continue
        errors = np.append(errors, abs(rate - reference[second]))
        if np.isfinite(other[second]):
            others = np.append(others, abs(rate - other[second]))
    return Errors(float(errors.sum()), len(errors), float(others.sum()), len(others), possible)


def annotated(breaths_s: tuple[list[float], ...], seconds: int, window_s: float) -> "Floats":
    """Breaths a minute by the annotators in the window that ends at each second: the mean over those who marked three or more in it."""
    out = np.full(seconds, np.nan)
    for second in range(seconds):
        rates: list[float] = []
        for marks in breaths_s:
            inside = marks[bisect_left(marks, second - window_s) : bisect_right(marks, second)]
            if len(inside) >= 3:
                rates.append(60 * (len(inside) - 1) / (inside[-1] - inside[0]))
        if rates:
            out[second] = sum(rates) / len(rates)
    return out


def pulses_of(bed: Bedside) -> Errors:
    """The pulse of the plethysmogram against the monitor's pulse; beside it against its heart rate from the ECG."""
    state = pulse.begin(FS_HZ)
    told: list[tuple[float, float | None]] = []
    wave = bed.waves["PLETH"]
    for at in range(0, len(wave), CHUNK):
        state, found = pulse.feed(state, wave[at : at + CHUNK], FS_HZ)
        told += [(f.end / FS_HZ, f.rate_per_min) for f in found]
    return compare(told, bed.numbers["PULSE"], bed.numbers["HR"], pulse.RATE_S)


def breaths_of(bed: Bedside) -> tuple[Errors, Errors]:
    """Breaths a minute of the impedance wave and of the ECG, against the annotated breaths; beside it against the monitor's number."""
    reference = annotated(bed.breaths_s, len(bed.numbers["RESP"]), breath.WINDOW_S)
    state = breath.begin(FS_HZ)
    told: list[tuple[float, float | None]] = []
    wave = bed.waves["RESP"]
    for at in range(0, len(wave), CHUNK):
        state, found = breath.feed(state, wave[at : at + CHUNK], FS_HZ)
        told += [(f.end / FS_HZ, f.rate_per_min) for f in found]
    impedance = compare(told, reference, bed.numbers["RESP"], breath.WINDOW_S)
    lead = next((bed.waves[n] for n in ("II", "V", "AVR", "I", "III", "MCL", "MCL1", "V5") if n in bed.waves), None)
    if lead is None:
        return impedance, Errors()
    models = weights.product()
    watched, moved = monitor.begin(1, FS_HZ, models), heart_breath.begin(FS_HZ)
    told = []
    for at in range(0, len(lead), CHUNK):
        part = lead[at : at + CHUNK]
        watched, beats = monitor.feed(watched, part[None], FS_HZ, models)
        moved, breaths = heart_breath.feed(moved, part, beats, FS_HZ)
        told += [(f.end / FS_HZ, f.rate_per_min) for f in breaths]
    return impedance, compare(told, reference, bed.numbers["RESP"], breath.WINDOW_S)


def _pulse_job(job: tuple[Path, str]) -> tuple[str, Errors]:
    return job[1], pulses_of(load(*job))


def _resp_job(job: tuple[Path, str]) -> tuple[str, Errors, Errors]:
    return job[1], *breaths_of(load(*job))


def _entry(
    name: str, unit: str, limits: tuple[float | None, float | None], scores: dict[str, Errors], other: str
) -> Entry:
    rows = np.array([[e.summed, e.told] for e in scores.values()])
    total = rows.sum(axis=0)
    others = sum(e.other for e in scores.values()), sum(e.other_told for e in scores.values())
    return Entry(
        id=name,
        group="accuracy",
        value=round(float(total[0] / total[1]), 3) if total[1] else float("inf"),
        unit=unit,
        gate=limits[0],
        goal=limits[1],
        reference="",
        higher_is_better=False,
        n=len(scores),
        interval=interval(rows, lambda sums: float(sums[0] / sums[1]) if sums[1] else float("nan")),
        details={
            "per_record": {name: round(e.mean, 2) if e.told else None for name, e in scores.items()},
            "told_percent": round(100 * float(total[1]) / max(1, sum(e.possible for e in scores.values())), 1),
            f"against_the_monitors_{other}": round(others[0] / others[1], 3) if others[1] else None,
        },
    )


def measure_pulse(recordings: Path) -> Sequence[Entry]:
    """Pulse of the plethysmogram."""
    scores = dict(parallel.over(_pulse_job, [(recordings, name) for name in names(recordings)]))
    return [_entry("pulse", "/min, mean absolute error", (1.5, 0.8), scores, "heart_rate")]


def measure_resp(recordings: Path) -> Sequence[Entry]:
    """Breaths of the impedance wave; of the ECG alone, which is experimental and has no gate."""
    found = parallel.over(_resp_job, [(recordings, name) for name in names(recordings)])
    unit = "/min, mean absolute error"
    return [
        _entry("resp", unit, (2.5, 1.5), {name: e for name, e, _ in found}, "number"),
        _entry("resp-ecg", unit, (None, None), {name: e for name, _, e in found}, "number"),
    ]


FIGURES = (
    Figure("pulse", "accuracy", measure_pulse, ("bidmc",), yields=("pulse",)),
    Figure("resp", "accuracy", measure_resp, ("bidmc",), yields=("resp", "resp-ecg")),
)
