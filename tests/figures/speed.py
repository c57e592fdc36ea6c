"""Figures `qrs-speed` and `holter-24h`: how fast beats are found beside a detector in C, and what a day of three leads costs."""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import process_time
from typing import TYPE_CHECKING

import numpy as np

from models.signal import monitor, weights
from models.signal.qrs import stream
from models.training.corpus import DS1, DS2, PACED
from protocols.ecgfile.wfdb import read_record
from tests.figures.entry import Entry, Figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RECORDS = ("100", "200", "228")
SIGNAL_S, STEP_S = 300, 1
RUNS = 7
GATE, GOAL = 0.05, 0.3


def measure_detector(recordings: Path) -> Sequence[Entry]:
    """Both leads of three records, ours in steps of a second, sleepecg's a lead at a time; by turns, median of the ratios."""
    read = {name: read_record(recordings / "mitdb" / name) for name in RECORDS}
    leads = [np.ascontiguousarray(r.physical()[:, : round(SIGNAL_S * r.fs_hz)], np.float64) for r in read.values()]
    fs_hz = read[RECORDS[0]].fs_hz
    samples = sum(x.size for x in leads)
    its = _sleepecg(leads, fs_hz) if find_spec("sleepecg") is not None else None
    _cpu_s(lambda: _ours(leads, fs_hz))
    ours, ratios, reference = list[float](), list[float](), list[float]()
    for _ in range(RUNS):
        spent = _cpu_s(lambda: _ours(leads, fs_hz))
        ours.append(samples / spent / 1e6)
        if its is not None:
            reference.append(samples / _cpu_s(its) / 1e6)
            ratios.append(ours[-1] / reference[-1])
    missing = "" if its is not None else "not run: sleepecg (extra dev) is missing"
    return [
        Entry(
            id="qrs-speed", group="signal", value=round(median(ratios), 4) if ratios else 0.0, unit="of sleepecg's C detector",
            gate=GATE, goal=GOAL, reference="sleepecg, detect_heartbeats, backend c, whole lead at once", higher_is_better=True,
            n=RUNS, interval=(min(ratios), max(ratios)) if ratios else None, note=missing,
            details={
                "million samples a CPU second": round(median(ours), 3),
                "the same of sleepecg": round(median(reference), 2) if reference else missing,
            },
        )
    ]  # fmt: skip


def measure_day(recordings: Path) -> Sequence[Entry]:
    """All 48 records of mitdb one behind the other, 24.1 hours, with a third lead that is the difference of the two."""
    models = weights.product()
    state, spent, hours, beats, rate_hz = None, 0.0, 0.0, 0, 0.0
    for name in sorted(DS1 + DS2 + PACED):
        record = read_record(recordings / "mitdb" / name)
        two = np.asarray(record.physical(), np.float64)
        three = np.concatenate([two, two[:1] - two[1:]])
        rate_hz = record.fs_hz
        state = state or monitor.begin(len(three), rate_hz, models)
        start = process_time()
        state, findings = monitor.feed(state, three, rate_hz, models)
        spent += process_time() - start
        hours += three.shape[1] / rate_hz / 3600
        beats += sum(len(f.beats) for f in findings)
    return [
        Entry(
            id="holter-24h", group="signal", value=round(spent / hours * 24, 1), unit="CPU s", gate=30, goal=5, reference="",
            higher_is_better=False, n=48, details={"hours": round(hours, 2), "beats": beats, "samples a second": rate_hz},
        )
    ]  # fmt: skip


def _cpu_s(do: Callable[[], object]) -> float:
    start = process_time()
    do()
    return process_time() - start


def _ours(leads: "list[Floats]", fs_hz: float) -> None:
    models = weights.product()
    step = round(STEP_S * fs_hz)
    for both in leads:
        state = stream.begin(len(both), fs_hz, models)
        for at in range(0, both.shape[1], step):
            state, _ = stream.feed(state, both[:, at : at + step], fs_hz, models)


def _sleepecg(leads: "list[Floats]", fs_hz: float) -> Callable[[], object]:
    """The reference, once run."""
    detector = import_module("sleepecg")

    def run() -> None:
        for both in leads:
            for lead in both:
                detector.detect_heartbeats(lead, fs_hz, backend="c")

    run()
    return run


FIGURES = (
    Figure("qrs-speed", "signal", measure_detector, ("mitdb",), cached=False, yields=("qrs-speed",)),
    Figure("holter-24h", "signal", measure_day, ("mitdb",), cached=False, yields=("holter-24h",)),
)
