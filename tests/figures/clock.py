"""Figures `clock-p95` and `clock-inside`: corrected times of devices whose crystals are off and whose clocks are set, against the truth.

The devices are simulated here: a true time, a crystal, a clock that shows something else, and a way on which nothing is early. Of the
product they share the records that go in and come out, and nothing of how it estimates.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from models.screening import align
from models.screening.align import AlignState
from protocols.nomenclature import SPO2, lead
from protocols.record import Observation, Record, Scale, SourcePath, Times, WaveformGroup
from tests.figures.entry import Entry, Figure

T0_S = 1_760_000_000
LASTS_S = 1800.0
PPM = 50.0
JITTER_S = 0.020
LEAST_DELAY_S = 0.001
FS_HZ, SIZE = 250.0, 25
SEEDS, LONG_SEEDS = 4, 60
KINDS = ("strip", "every second", "every five seconds")
LAWS = ("uniform", "half-normal", "exponential")
STEPS_S = (3600.0, -3600.0, 86400.0, -1.2, 1.2, -30.0, 30.0)  # summer time and back, a wrong date, set by a watch
DATES = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2099, 12, 31, tzinfo=UTC))  # a battery was changed


@dataclass(frozen=True, slots=True)
class Sent:
    """A record, and when its first sample was measured by the gateway's clock, were it perfect; seconds from T0_S."""

    record: WaveformGroup | Observation
    measured_s: float


@dataclass(frozen=True, slots=True)
class Score:
    """What became of a run: error and stated uncertainty of each time, seconds."""

    error_s: "np.ndarray[tuple[int], np.dtype[np.float64]]"
    stated_s: "np.ndarray[tuple[int], np.dtype[np.float64]]"


def _jitter(rng: np.random.Generator, law: str, n: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Of 20 ms: its whole range, its standard deviation (half-normal, before folding), its mean."""
    if law == "uniform":
        return rng.uniform(0, JITTER_S, n)
    if law == "half-normal":
        return np.abs(rng.normal(0, JITTER_S, n))
    return rng.exponential(JITTER_S, n)


def _shown(
    rng: np.random.Generator, true_s: "np.ndarray[tuple[int], np.dtype[np.float64]]", ppm: float
) -> Iterator[int]:
    """What the device's clock shows at each time, nanoseconds since 1970: steady between three settings."""
    set_at = np.sort(rng.uniform(300, LASTS_S - 60, 3))
    offset_s, done = float(rng.choice([0.0, -7.3, 5 * 3600.0])), 0
    for at in true_s:
        while done < len(set_at) and at >= set_at[done]:
            if rng.uniform() < 0.3:
                offset_s = DATES[int(rng.integers(2))].timestamp() - (T0_S + at)
            else:
                offset_s += float(rng.choice(STEPS_S))
            done += 1
        yield T0_S * 10**9 + round((at * (1 + ppm * 1e-6) + offset_s) * 1e9)


def device(seed: int, kind: str, law: str) -> Iterator[Sent]:
    """Half an hour of one device."""
    rng = np.random.default_rng((seed, KINDS.index(kind), LAWS.index(law)))
    ppm = float(rng.choice([-PPM, PPM, rng.uniform(-PPM, PPM)]))
    period_s = {"strip": SIZE / FS_HZ, "every second": 1.0, "every five seconds": 5.0}[kind] / (1 + ppm * 1e-6)
    true_s = np.arange(0.0, LASTS_S, period_s)
    arrival_s = np.maximum.accumulate(
        true_s + LEAST_DELAY_S + _jitter(rng, law, len(true_s))
    )  # in order, as on a stream
    for i, (at, came, shown) in enumerate(zip(true_s, arrival_s, _shown(rng, true_s, ppm), strict=True)):
        times = Times(T0_S * 10**9 + round(came * 1e9), shown)
        if kind == "strip":
            samples = bytes(2 * SIZE)
            scales = (Scale(1.0, 0.0, "uV"),)
            record: WaveformGroup | Observation = WaveformGroup(
                SourcePath("ecg"), (lead("II"),), FS_HZ, i * SIZE, samples, "<i2", scales, times
            )
        else:
            record = Observation(SourcePath("patch"), SPO2, 97.0, "%", times)
        yield Sent(record, float(at))


def score(sent: Iterable[Sent]) -> Score:
    """Align the records of a device, from the first."""
    state, error, stated = AlignState(), list[float](), list[float]()
    for one in sent:
        message: list[Record] = [one.record]
        state, _ = align.arrived(state, message)
        state, (aligned, *_) = align.step(state, one.record)
        error.append((aligned.times.best_ns - T0_S * 10**9) / 1e9 - one.measured_s)
        stated.append(aligned.times.uncertainty_ns / 1e9)
    return Score(np.array(error), np.array(stated))


def entries(seeds: int) -> Sequence[Entry]:
    """The worst kind and law of all: each is scored by itself over all its seeds."""
    rows: dict[str, dict[str, float]] = {}
    n = 0
    for kind in KINDS:
        for law in LAWS:
            runs = [score(device(seed, kind, law)) for seed in range(seeds)]
            error = np.abs(np.concatenate([r.error_s for r in runs]))
            stated = np.concatenate([r.stated_s for r in runs])
            n += len(error)
            rows[f"{kind}, {law}"] = {
                "p95_ms": round(float(np.percentile(error, 95)) * 1e3, 2),
                "inside": round(float(np.mean(error <= stated)) * 100, 3),
                "stated_p50_ms": round(float(np.median(stated)) * 1e3, 1),
                "max_ms": round(float(error.max()) * 1e3, 1),
            }
    p95, inside = [r["p95_ms"] for r in rows.values()], [r["inside"] for r in rows.values()]
    details: dict[str, object] = {"seeds": seeds, "worst_of": rows}
    return [
        Entry("clock-p95", "edge", max(p95), "ms, P95 error of the worst device", 20, 10, "", False, n, (min(p95), max(p95)), details=details),
        Entry("clock-inside", "edge", min(inside), "% inside the stated uncertainty", 95, 99, "", True, n, (min(inside), max(inside)), details=details),
    ]  # fmt: skip


def measure(_: Path) -> Sequence[Entry]:
    """The short form."""
    return entries(SEEDS)


def measure_long(_: Path) -> Sequence[Entry]:
    """The long form: many seeds."""
    return entries(LONG_SEEDS)


FIGURES = (
    Figure("clock", "edge", measure, yields=("clock-p95", "clock-inside"), long=measure_long),
)  # fmt: skip
