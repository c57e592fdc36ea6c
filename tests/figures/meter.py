"""Figure `hr-meter`: the heart rate that the screening tells of drawn signals, by the tests of IEC 60601-2-27:2011."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.screening import chain
from protocols.nomenclature import HEART_RATE, lead
from protocols.record import NS_PER_S, Observation, Scale, SourcePath, Times, WaveformGroup
from tests.figures import meter_ecg as drawn
from tests.figures.entry import Entry, Figure
from tests.figures.meter_ecg import Floats, Pulse, Wave
from wardlink import parallel

FS_HZ = (100, 250, 500, 1000)
LENGTH_S, FROM_S = 24.0, 13.0  # the standard gives 20 s to settle
STEP_S, STEPS_S = 17.0, 40.0
LSB_MV = 0.005
SOURCE = SourcePath("drawn", ("ecg",))
RATES = (30, 40, 60, 80, 100, 120, 150, 180, 200, 220, 250, 280, 300)
SHAPES = ((0.5, 0.07), (0.5, 0.12), (5.0, 0.07), (5.0, 0.12), (1.0, 0.1))
NEWBORN = ((0.5, 0.04), (5.0, 0.04))
WIDEST_TO, WIDE_S = 200, 0.1  # wider complexes than this are not asked for above this rate
PULSES = tuple((mv, s) for mv in (2, -2, 20, -200, 700, -700) for s in (0.0001, 0.0005, 0.002))
OVERSHOOTS = tuple((mv, s, t) for mv in (2, -2, 20, -700) for s in (0.0001, 0.002) for t in (0.004, 0.025, 0.1))
SEES_OVERSHOOT_HZ = 250  # below it an overshoot of 25 ms is six samples and a complex of 40 ms four
T_MV = (0.3, 0.6, 0.9, 1.2, 1.3, 1.4, 1.5)
# Means of the four patterns: 80, 60, 120, 90 /min. The figures of the standard are recordings; these are drawn like them.
PATTERNS = (
    ("3a ventricular bigeminy", 0.5, 1.0, drawn.VENTRICULAR, 80),
    ("3b slow alternating bigeminy", 0.6, 1.4, drawn.VENTRICULAR, 60),
    ("3c rapid alternating bigeminy", 0.38, 0.62, drawn.VENTRICULAR, 120),
    ("3d bidirectional systoles", 0.48, 2 / 1.5 - 0.48, drawn.INVERTED, 90),
)


@dataclass(frozen=True)
class Case:
    """A line at 20 kHz as a device of `fs_hz` gives it, and the rate that has to be told; None for none at all."""

    name: str
    line: Floats
    fs_hz: int
    wanted: float | None
    smooth: bool = False


def told(line: Floats, fs_hz: int, *, smooth: bool = False) -> list[tuple[float, float]]:
    """Each heart rate of the screening with the second at which it was told."""
    samples = drawn.sampled(line, fs_hz, smooth=smooth)
    raw = np.clip(np.rint(samples / LSB_MV), -32767, 32767).astype("<i2")
    state, rates = chain.begin(), list[tuple[float, float]]()
    n = fs_hz // 2
    for at in range(0, len(raw) - n + 1, n):
        times = Times(round(at / fs_hz * NS_PER_S))
        part = raw[at : at + n].tobytes()
        group = WaveformGroup(SOURCE, (lead("II"),), fs_hz, at, part, "<i2", (Scale(LSB_MV, 0.0, "mV"),), times)
        state, out = chain.step(state, group)
        rates += [
            ((at + n) / fs_hz, float(r.value)) for r in out if isinstance(r, Observation) and r.code == HEART_RATE
        ]
    return rates


def right(rate: float, wanted: float) -> bool:
    """Within 1 /min or 1 %, whichever is more."""
    return bool(abs(rate - wanted) <= max(1.0, 0.01 * wanted) + 1e-9)


def holds(case: Case) -> bool:
    """Whether every rate told behind the first seconds is right, and one is told every second; or none at all."""
    rates = [rate for at, rate in told(case.line, case.fs_hz, smooth=case.smooth) if at > FROM_S]
    if case.wanted is None:
        return not rates
    return len(rates) >= LENGTH_S - FROM_S - 1 and all(right(rate, case.wanted) for rate in rates)


def rhythm(rate: float, wave: Wave) -> Floats:
    """A steady rhythm of one complex."""
    return drawn.draw(LENGTH_S, [(t, wave) for t in drawn.steady(rate, 0.3, LENGTH_S)])


def tall_t(fs_hz: int) -> Iterator[tuple[float, Case]]:
    """T waves of every height, sign and shape behind complexes of 1 mV and 100 ms (201.12.1.101.17)."""
    for t_mv in T_MV:
        for sign in (1, -1):
            for half_sine in (False, True):
                wave = Wave(1.0, 0.1, sign * t_mv, half_sine)
                yield t_mv, Case(f"T {sign * t_mv} mV", rhythm(80, wave), fs_hz, 80)


def plain(fs_hz: int) -> Iterator[Case]:
    """Rates, complexes, patterns, hum, drift, and what is no complex (201.12.1.101.15, 201.7.9.2.9.101 b) 4))."""
    for rate in RATES:
        for mv, s in (*SHAPES, *NEWBORN):
            if s <= WIDE_S or rate <= WIDEST_TO:
                wave = Wave(mv, s, 0.2 * mv if rate <= 150 else 0)
                yield Case(f"{rate}/min {mv} mV {s * 1000:.0f} ms", rhythm(rate, wave), fs_hz, rate)
    low = rhythm(80, Wave(0.5, 0.1, 0.1))
    nothing = np.zeros_like(low)
    for hz in (50, 60):
        yield Case(f"mains {hz} Hz", drawn.mains(low, hz), fs_hz, 80)
        yield Case(f"mains {hz} Hz alone", drawn.mains(nothing, hz), fs_hz, None)
    yield Case("drift", drawn.drift(low), fs_hz, 80)
    yield Case("drift alone", drawn.drift(nothing), fs_hz, None)
    for s in (0.04, 0.07, 0.1, 0.12):
        yield Case(f"0.15 mV {s * 1000:.0f} ms", rhythm(80, Wave(0.15, s, 0)), fs_hz, None)
    yield Case("1 mV 10 ms", rhythm(80, Wave(1.0, 0.01, 0)), fs_hz, None)
    for name, short_s, long_s, other, rate in PATTERNS:
        onsets = drawn.pairs(short_s, long_s, 0.3, LENGTH_S)
        line = drawn.draw(LENGTH_S, [(t, other if i % 2 else Wave()) for i, t in enumerate(onsets)])
        yield Case(name, line, fs_hz, rate)


def paced(pulse: Pulse, fs_hz: int, *, smooth: bool) -> Iterator[Case]:
    """The pulse alone, with a complex 30 ms behind each, and without effect over another rhythm (201.12.1.101.13)."""
    name = f"{pulse.mv} mV {pulse.s * 1000} ms" + (f" overshoot {pulse.tail_s * 1000:.0f} ms" if pulse.tail_mv else "")
    onsets = drawn.steady(71, 0.4, LENGTH_S)
    pulses = [(t, pulse) for t in onsets]
    own = [(t, Wave()) for t in drawn.steady(43, 0.6, LENGTH_S)]
    yield Case(f"pulse {name}", drawn.draw(LENGTH_S, [], pulses), fs_hz, None, smooth)
    yield Case(f"paced {name}", drawn.draw(LENGTH_S, [(t + 0.03, Wave()) for t in onsets], pulses), fs_hz, 71, smooth)
    yield Case(f"ineffective {name}", drawn.draw(LENGTH_S, own, pulses), fs_hz, 43, smooth)


def pulses(fs_hz: int) -> Iterator[Case]:
    """Pulses without overshoot; behind a smooth converter only where a pulse is not half a complex long there."""
    for mv, s in PULSES:
        yield from paced(Pulse(mv, s), fs_hz, smooth=fs_hz >= 500)


def overshoots(fs_hz: int) -> Iterator[Case]:
    """Pulses with an overshoot of a quarter, 2 mV at the most."""
    for mv, s, tail_s in OVERSHOOTS:
        yield from paced(Pulse(mv, s, min(abs(mv) / 4, 2.0), tail_s), fs_hz, smooth=False)


def step_s(after: float, fs_hz: int, shift_s: float) -> float:
    """Seconds from the last beat of 80 /min until the rate told is right and stays so."""
    before = drawn.steady(80, 0.3 + shift_s, STEP_S)
    beats = [*before, *drawn.steady(after, before[-1] + 60 / after, STEPS_S)]
    rates = told(drawn.draw(STEPS_S, [(t, Wave()) for t in beats]), fs_hz)
    wrong = [at for at, rate in rates if at > before[-1] and not right(rate, after)]
    since = wrong[-1] if wrong else before[-1]
    return next((at for at, _ in rates if at > since), float("inf")) - before[-1]


@dataclass(frozen=True)
class Done:
    """What one kind of test gave at one rate: how many cases, which were wrong; seconds of the steps; the lowest T wave counted."""

    n: int
    wrong: tuple[str, ...] = ()
    steps_s: tuple[tuple[str, float], ...] = ()
    t_mv: float = float("inf")


def _job(job: tuple[str, int]) -> Done:
    kind, fs_hz = job
    if kind == "step":
        steps = [(after, shift) for after in (120.0, 40.0) for shift in (0.0, 0.2, 0.4)]
        return Done(
            len(steps),
            steps_s=tuple((f"to {a:.0f} at {fs_hz} Hz", round(float(step_s(a, fs_hz, s)), 2)) for a, s in steps),
        )
    if kind == "tall-t":
        judged = [(t_mv, holds(case)) for t_mv, case in tall_t(fs_hz)]
        return Done(len(judged), t_mv=min((t for t, ok in judged if not ok), default=float("inf")))
    cases = {"plain": plain, "pulses": pulses, "overshoots": overshoots}[kind](fs_hz)
    results = [(f"{c.name} at {fs_hz} Hz", holds(c)) for c in cases]
    return Done(len(results), tuple(name for name, ok in results if not ok))


def measure(_recordings: Path) -> Sequence[Entry]:
    """Every case at every rate; overshoots where a device shows them."""
    kinds = ("plain", "pulses", "tall-t", "step")
    jobs = [(kind, fs_hz) for fs_hz in FS_HZ for kind in kinds]
    jobs += [("overshoots", fs_hz) for fs_hz in FS_HZ if fs_hz >= SEES_OVERSHOOT_HZ]
    done = list(zip(jobs, parallel.over(_job, jobs), strict=True))

    def of(*kinds: str) -> list[Done]:
        return [d for (kind, _), d in done if kind in kinds]

    steps = [step for d in of("step") for step in d.steps_s]
    counted_mv = min(d.t_mv for d in of("tall-t"))
    return [
        _count("hr-meter", of("plain", "pulses"), gate=0),
        Entry(
            id="hr-meter-step", group="accuracy", value=max(s for _, s in steps), unit="s", gate=10, goal=5,
            reference="bedside monitors: 6.0 to 8.2", higher_is_better=False, n=len(steps),
            details={"to_120": max(s for name, s in steps if "to 120" in name), "to_40": max(s for name, s in steps if "to 40" in name)},
        ),
        Entry(
            id="hr-meter-t", group="accuracy", value=max(t for t in T_MV if t < counted_mv), unit="mV T wave, none counted", gate=1.2,
            goal=1.5, reference="bedside monitors: 1.2 to 1.4", higher_is_better=True, n=sum(d.n for d in of("tall-t")),
        ),
        _count("hr-meter-overshoot", of("overshoots"), gate=None),
    ]  # fmt: skip


def _count(name: str, parts: Sequence[Done], gate: float | None) -> Entry:
    wrong = [case for d in parts for case in d.wrong]
    return Entry(
        id=name,
        group="accuracy",
        value=len(wrong),
        unit="cases with a wrong rate",
        gate=gate,
        goal=0,
        reference="",
        higher_is_better=False,
        n=sum(d.n for d in parts),
        details={"wrong": wrong},
    )


FIGURES = (
    Figure("hr-meter", "accuracy", measure, yields=("hr-meter", "hr-meter-step", "hr-meter-t", "hr-meter-overshoot")),
)
