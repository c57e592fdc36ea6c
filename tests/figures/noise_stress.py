"""Figure `qrs-noise`: records 118 and 119 with the electrode movement of nstdb added, as the program `nst` of the WFDB package does.

Moody et al., Comput Cardiol 11:381, 1984. From minute 5 on two minutes with noise and two without; the ratio is of the power of a sine
as tall as the mean QRS complex to the power of the noise, of each lead.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.beats import BY_SYMBOL, BeatClass, BeatScore, compare_beats
from models.training.corpus import models_without
from protocols.ecgfile.wfdb import read_record
from tests.figures import corpus
from tests.figures.entry import Entry, Figure
from wardlink import parallel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from protocols.ecgfile.wfdb import Annotation

    Floats = NDArray[np.float64]

RECORDS = ("118", "119")
FIRST_S, TURN_S = 300.0, 120.0
MEASURED = 300  # beats and seconds by which signal and noise are measured
TRIMMED = 0.05  # of either end of them
BEFORE_S, AFTER_S = 0.05, 0.1
GATES = {6: ("qrs-noise-6", 94.0, 97.0, "93.4"), 0: ("qrs-noise-0", 85.0, 90.0, "84.4")}
PRINTED_DB = (24, 18, 12, 6, 0, -6)


def trimmed_mean(values: "Floats") -> float:
    """Mean without the least and the greatest twentieth."""
    cut = round(TRIMMED * len(values))
    return float(np.mean(np.sort(values)[cut : len(values) - cut]))


def signal_power(lead: "Floats", beats: Sequence[int], fs_hz: float) -> float:
    """Power of a sine as tall as the mean QRS complex, mV^2."""
    before, after = round(BEFORE_S * fs_hz), round(AFTER_S * fs_hz)
    inside = [b for b in beats if before <= b < len(lead) - after][:MEASURED]
    return trimmed_mean(np.array([np.ptp(lead[b - before : b + after]) for b in inside])) ** 2 / 8


def noise_power(lead: "Floats", fs_hz: float) -> float:
    """Mean power of seconds of a noise, without their means, mV^2."""
    seconds = lead[: round(MEASURED * fs_hz)].reshape(MEASURED, -1)
    return trimmed_mean(seconds.std(axis=1)) ** 2


def noisy(
    leads: "Floats", annotations: "Sequence[Annotation]", noise: "Floats", fs_hz: float, snr_db: float
) -> "Floats":
    """Leads with noise, both (2, n) in millivolt, from `FIRST_S` on by turns of `TURN_S`."""
    normal = [a.sample for a in annotations if BY_SYMBOL.get(a.symbol) in (BeatClass.N, BeatClass.S)]
    t = np.arange(leads.shape[1]) / fs_hz
    on = (t >= FIRST_S) & ((t - FIRST_S) % (2 * TURN_S) < TURN_S)
    out = leads.copy()
    for i, lead in enumerate(leads):
        gain = np.sqrt(signal_power(lead, normal, fs_hz) / noise_power(noise[i], fs_hz) / 10 ** (snr_db / 10))
        out[i] += gain * noise[i, : len(lead)] * on
    return out


def score(recordings: Path, name: str, snr_db: float) -> BeatScore:
    """One record at one ratio, both leads through the whole screening, by a network that never saw the record."""
    record, annotations = corpus.load(recordings, f"mitdb/{name}")
    noise = read_record(recordings / "nstdb" / "em").physical()
    samples = noisy(record.physical(), annotations, noise, record.fs_hz, snr_db)
    gains = np.array([[s.gain, s.baseline] for s in record.header.signals])
    raw = np.rint(samples * gains[:, :1] + gains[:, 1:]).astype(record.raw.dtype)
    found = corpus.screen(replace(record, raw=raw), models_without(f"mitdb/{name}")).beats_s
    reference, flutter = corpus.reference_beats(record.fs_hz, annotations)
    return compare_beats(reference, found, excluded=flutter)


def _job(job: tuple[Path, str, float]) -> tuple[float, BeatScore]:
    return job[2], score(*job)


def measure(recordings: Path) -> Sequence[Entry]:
    """F1 over both records at 6 and 0 dB; the other ratios in the details."""
    found = parallel.over(_job, [(recordings, name, db) for db in PRINTED_DB for name in RECORDS])
    f1: dict[float, float] = {}
    for db in PRINTED_DB:
        scores = [s for at, s in found if at == db]
        hits, missed, false = (sum(getattr(s, k) for s in scores) for k in ("matched", "missed", "false"))
        f1[db] = round(100 * 2 * hits / (2 * hits + missed + false), 2)
    return [
        Entry(
            id=name, group="accuracy", value=f1[db], unit="F1, %", gate=gate, goal=goal, reference=reference,
            higher_is_better=True, n=len(RECORDS), details={"by_db": {str(at): value for at, value in f1.items()}},
        )
        for db, (name, gate, goal, reference) in GATES.items()
    ]  # fmt: skip


FIGURES = (
    Figure("qrs-noise", "accuracy", measure, ("mitdb", "nstdb"), yields=tuple(name for name, *_ in GATES.values())),
)
