"""Figure `robustness`: beats, ventricular beats and lethal rhythms under disturbances, one at a time; a page of what remains of each.

Six minutes of eight records of DS2 and of eight of vfdb, each by models that never saw the record, as recorded and disturbed: moving electrodes,
lost leads, gains, mains, rates, bits, lost packets. The whole screening is run; nothing before it knows of the disturbance.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import resample_poly

from models.evaluation.beats import BY_SYMBOL, BeatScore
from models.evaluation.episodes import DurationScore, behind, score_duration
from models.evaluation.folder import compare, lethal_stretches, without
from models.evaluation.played import SOURCE, START_NS, lead_code, play_groups
from models.signal import card
from models.training.corpus import VFDB, models_without
from protocols.ecgfile.wfdb import Annotation, read_record
from protocols.record import NS_PER_S, Scale, Times, WaveformGroup
from tests.figures import corpus
from tests.figures.entry import Entry, Figure
from tests.figures.kept import ROOT
from tests.figures.noise_stress import noise_power, signal_power
from wardlink import parallel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PAGE = ROOT / "docs" / "reference" / "figures" / "robustness.md"
BEATS = ("100", "105", "200", "202", "213", "221", "228", "233")
LETHAL = VFDB[:8]
BEATS_FROM_S, LENGTH_S, BEFORE_VF_S = 300.0, 360.0, 120.0
LEARNS_S = 30.0  # what is before is not counted
STEP_MV = 0.001
LARGEST_MV = 400.0  # what the first stage of a 24-bit recorder takes; the others say their own
GROUP_S = 0.5
NOISE_OVER_S = 300.0


@dataclass(frozen=True, eq=False)
class Signal:
    """Samples (leads, n) in millivolt, NaN where lost; as they are stored: steps and the largest value, millivolt."""

    samples: "Floats"
    fs_hz: float
    step_mv: float = STEP_MV
    largest_mv: float = LARGEST_MV


@dataclass(frozen=True, eq=False)
class Beside:
    """What a disturbance may ask for: the annotations, noise of electrodes at the signal's rate (2, n), and chance."""

    marks: Sequence[Annotation]
    noise: "Floats"
    chance: np.random.Generator


Disturbance = Callable[[Signal, Beside], Signal]


def _same(signal: Signal, beside: Beside) -> Signal:
    del beside
    return signal


def _electrodes(signal: Signal, beside: Beside, *, db: float) -> Signal:
    """Moving electrodes all the time, by the power of the complexes beside that of the noise (as in `qrs-noise`)."""
    beats = [mark.sample for mark in beside.marks if mark.symbol in BY_SYMBOL]
    out = signal.samples.copy()
    for row, lead in enumerate(signal.samples):
        heart = signal_power(lead, beats, signal.fs_hz) if beats else float(np.var(lead))
        power = noise_power(beside.noise[row % 2], signal.fs_hz)
        out[row] += np.sqrt(heart / power / 10 ** (db / 10)) * beside.noise[row % 2, : len(lead)]
    return Signal(out, signal.fs_hz)


def _lost(signal: Signal, beside: Beside, *, turns: tuple[int, ...]) -> Signal:
    """Ten seconds each one of these leads is lost, in turns."""
    del beside
    out = signal.samples.copy()
    ten_s = round(10 * signal.fs_hz)
    for number, at in enumerate(range(0, out.shape[1], ten_s)):
        out[turns[number % len(turns)], at : at + ten_s] = np.nan
    return Signal(out, signal.fs_hz)


def _gain(signal: Signal, beside: Beside, *, by: float) -> Signal:
    del beside
    return Signal(signal.samples * by, signal.fs_hz)


def _mains(signal: Signal, beside: Beside, *, hz: float, mv: float) -> Signal:
    del beside
    t = np.arange(signal.samples.shape[1]) / signal.fs_hz
    return Signal(signal.samples + mv * np.sin(2 * np.pi * hz * t), signal.fs_hz)


def _rate(signal: Signal, beside: Beside, *, fs_hz: int) -> Signal:
    del beside
    return Signal(resample_poly(signal.samples, fs_hz, round(signal.fs_hz), axis=1), float(fs_hz))


def _bits(signal: Signal, beside: Beside, *, bits: int, largest_mv: float) -> Signal:
    del beside
    return Signal(signal.samples, signal.fs_hz, 2 * largest_mv / 2**bits, largest_mv)


def _packets(signal: Signal, beside: Beside, *, share: float) -> Signal:
    """Packets of a tenth of a second are lost, each by chance."""
    out = signal.samples.copy()
    n = round(0.1 * signal.fs_hz)
    for at in range(0, out.shape[1], n):
        if beside.chance.random() < share:
            out[:, at : at + n] = np.nan
    return Signal(out, signal.fs_hz)


DISTURBANCES: Mapping[str, Disturbance] = {
    "as recorded": _same,
    **{f"moving electrodes, {db} dB": partial(_electrodes, db=db) for db in (24, 12, 6, 0, -6)},
    "second lead lost": partial(_lost, turns=(1,)),
    "first lead lost": partial(_lost, turns=(0,)),
    "one lead lost, in turns of 10 s": partial(_lost, turns=(0, 1)),
    **{f"gain x {by:g}": partial(_gain, by=by) for by in (0.25, 0.5, 2.0, 4.0)},
    "mains, 50 Hz, 0.5 mV": partial(_mains, hz=50.0, mv=0.5),
    "mains, 60 Hz, 0.5 mV": partial(_mains, hz=60.0, mv=0.5),
    **{f"{fs_hz} samples a second": partial(_rate, fs_hz=fs_hz) for fs_hz in (100, 125, 250, 500, 1000)},
    **{
        f"{bits} bits of {2 * mv:g} mV": partial(_bits, bits=bits, largest_mv=mv)
        for bits, mv in ((8, 5.0), (10, 5.0), (12, 10.0), (16, 32.0), (24, 187.5))
    },
    "1 % of packets lost": partial(_packets, share=0.01),
    "5 % of packets lost": partial(_packets, share=0.05),
}


def stored(signal: Signal, leads: Sequence[str]) -> Iterator[WaveformGroup]:
    """The signal as its device sends it: in steps, cut off at its largest value, in groups of half a second."""
    info = np.iinfo(np.int32)
    steps = np.rint(np.clip(signal.samples, -signal.largest_mv, signal.largest_mv) / signal.step_mv)
    raw = np.where(np.isnan(steps), info.min, steps).astype("<i4")
    n = round(GROUP_S * signal.fs_hz)
    scales = (Scale(signal.step_mv, 0.0, "mV"),) * len(raw)
    for at in range(0, raw.shape[1], n):
        times = Times(START_NS + round(at / signal.fs_hz * NS_PER_S))
        part = np.ascontiguousarray(raw[:, at : at + n]).tobytes()
        yield WaveformGroup(SOURCE, tuple(leads), signal.fs_hz, at, part, "<i4", scales, times)


@dataclass(frozen=True)
class Outcome:
    """Of a record: beats, and lethal rhythm by duration."""

    beats: BeatScore = field(default_factory=BeatScore)
    lethal: DurationScore = field(default_factory=DurationScore)

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(self.beats + other.beats, self.lethal + other.lethal)


def excerpt(recordings: Path, name: str) -> tuple[Signal, tuple[str, ...], list[Annotation]]:
    """Six minutes of a record, what its leads are, and the annotations counted from the begin of the excerpt."""
    record, marks = corpus.load(recordings, name)
    fs_hz, end_s = record.fs_hz, record.raw.shape[1] / record.fs_hz
    from_s = BEATS_FROM_S
    if name.startswith("vfdb"):
        found = lethal_stretches(fs_hz, end_s, marks)
        from_s = max(0.0, min(found[0][0] - BEFORE_VF_S, end_s - LENGTH_S))
    first, last = round(from_s * fs_hz), round((from_s + LENGTH_S) * fs_hz)
    before = [mark for mark in marks if mark.sample < first and mark.aux.startswith("(")]
    inside = [mark for mark in marks if first <= mark.sample < last]
    moved = [Annotation(max(0, mark.sample - first), mark.symbol, aux=mark.aux) for mark in (*before[-1:], *inside)]
    codes = tuple(lead_code(signal.description, row) for row, signal in enumerate(record.header.signals))
    return Signal(record.physical()[:, first:last], fs_hz), codes, moved


def judge(recordings: Path, name: str, what: str) -> Outcome:
    """One record under one disturbance."""
    signal, leads, marks = excerpt(recordings, name)
    noise = read_record(recordings / "nstdb" / "em")
    at_rate = resample_poly(noise.physical(), round(signal.fs_hz), round(noise.fs_hz), axis=1)
    beside = Beside(marks, at_rate, np.random.default_rng(int(name.rpartition("/")[2])))
    disturbed = DISTURBANCES[what](signal, beside)
    played = play_groups(stored(disturbed, leads), disturbed.fs_hz, models_without(name))
    if name.startswith("mitdb"):
        again = disturbed.fs_hz / signal.fs_hz
        at = [Annotation(round(mark.sample * again), mark.symbol, aux=mark.aux) for mark in marks]
        return Outcome(beats=compare(disturbed.fs_hz, at, played, LEARNS_S))
    lethal = lethal_stretches(signal.fs_hz, LENGTH_S, marks)
    claimed = behind((one for of_code in played.holding.values() for one in of_code), LEARNS_S)
    quiet = without((LEARNS_S, LENGTH_S), lethal)
    return Outcome(lethal=score_duration(behind(lethal, LEARNS_S), quiet, claimed))


def _job(job: tuple[Path, str, str]) -> tuple[str, Outcome]:
    return job[2], judge(*job)


def measure(recordings: Path) -> Sequence[Entry]:
    """Write the page into build/, and with RECORD=1 into the documentation; F1 of beats as recorded and at worst but for noise below 6 dB."""
    names = [*(f"mitdb/{one}" for one in BEATS), *(f"vfdb/{one}" for one in LETHAL)]
    found = parallel.over(_job, [(recordings, name, what) for name in names for what in DISTURBANCES])
    totals = {what: sum((one for at, one in found if at == what), Outcome()) for what in DISTURBANCES}
    text = page(totals)
    for file in (ROOT / "build" / PAGE.name, *([PAGE] if os.environ.get("RECORD") else [])):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    details = {what: row(one) for what, one in totals.items()}
    rate = partial(
        Entry, group="robustness", unit="F1, %", gate=None, goal=None, reference="", higher_is_better=True, n=len(BEATS)
    )
    usual = {
        what: one.beats.detection.f1
        for what, one in totals.items()
        if what not in ("moving electrodes, 0 dB", "moving electrodes, -6 dB")
    }
    worst = min(usual, key=lambda what: usual[what])
    return [
        rate(id="robustness-as-recorded", value=round(usual["as recorded"], 2), details=dict(details)),
        rate(id="robustness-worst", value=round(usual[worst], 2), details={"disturbance": worst}),
    ]


def row(outcome: Outcome) -> list[float]:
    """QRS Se and +P, VEB Se and +P, lethal rhythm Se and Sp of time, per cent."""
    beats, lethal = outcome.beats, outcome.lethal
    of_beats = [beats.detection, beats.ventricular]
    return [
        *(round(rate, 2) for one in of_beats for rate in (one.sensitivity, one.positive_predictivity)),
        round(lethal.sensitivity, 2),
        round(lethal.specificity, 2),
    ]


def judges() -> list[str]:
    """What judged, by the hashes of its files."""
    return [
        f"{name}: {', '.join(f'`{one[:12]}`' for one in card.of(name).sha256.values())}"
        for name in ("qrs", "beats", "lethal")
    ]


def page(totals: Mapping[str, Outcome]) -> str:
    """The page."""
    lines = [
        "# robustness: what remains under a disturbance",
        "",
        f"Six minutes each of mitdb {', '.join(BEATS)} (from minute 5 on) and of vfdb {', '.join(LETHAL)} (from two minutes before their first lethal rhythm), as recorded and with one",
        "disturbance all the time; the whole screening, by models that never saw the record. Beats by EC57 (gross, all eight records together), fibrillation, flutter and tachycardia of the ventricle",
        "by duration; the first 30 s are not counted. All in per cent. Written by `RECORD=1 make figures ONLY=robustness`.",
        "",
        *(f"- {line}" for line in judges()),
        "",
        "| disturbance | QRS Se | QRS +P | VEB Se | VEB +P | VF and VT, Se of time | Sp of time |",
        "|---|---|---|---|---|---|---|",
        *(f"| {what} | {' | '.join(f'{value:.2f}' for value in row(one))} |" for what, one in totals.items()),
        "",
        "**How it is disturbed.** Moving electrodes: record `em` of nstdb in both leads, at a ratio of the power of the complexes to that of the noise as `qrs-noise` measures it, without a pause. Lost leads are samples",
        "that are missing, as a device says it. Mains are a sine of 0.5 mV amplitude. Rates are made from the recorded ones (360 and 250 Hz) by polyphase filters. Bits: steps of the range over so many",
        "levels, cut off at its ends. Packets last a tenth of a second and are lost by chance (seeded).",
        "",
        "**Where it comes from.** With the first lead lost 200 makes nearly all of the missed beats: four of five of its normal complexes are below 0.15 mV in the second, and such are not to be",
        "counted as beats (IEC 60601-2-27, 201.12.1.101.15).",
    ]
    return "\n".join(lines) + "\n"


FIGURES = (
    Figure(
        "robustness",
        "robustness",
        measure,
        ("mitdb", "vfdb", "nstdb"),
        yields=("robustness-as-recorded", "robustness-worst"),
        cached=False,
    ),
)
