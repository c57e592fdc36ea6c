"""Whatever an electrode, a cable or a broken device gives: the whole screening goes on, says nothing of its own, and stays small."""

import copyreg
import io
import math
import pickle
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.screening import chain
from models.screening.placement import AgeGroup, Placement
from protocols.nomenclature import ART_WAVE, PLETH, lead
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    DeviceEvent,
    Observation,
    Quality,
    Record,
    Scale,
    SourcePath,
    Times,
    WaveformGroup,
)
from tests.fixtures.long_form import examples
from tests.unit.screening.played import T0
from tests.unit.signal.signals import fibrillation, heartbeats, pulses, regular

ECG, FINGER = SourcePath("any", ("ecg",)), SourcePath("any", ("pulse",))
LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
RATES = (100.0, 130.0, 250.0, 257.0, 360.0, 500.0, 1000.0)
LIMITS = {"<i2": (-(2**15), 2**15 - 1), "<i4": (-(2**31), 2**31 - 1)}
SHAPES = (
    "beats", "fibrillation", "flat", "zero", "top", "bottom", "missing", "noise", "loud", "steps", "spikes", "ramp", "hum", "pulses"
)  # fmt: skip
LAP_S, LAPS = 12.0, 30


@dataclass(frozen=True)
class Piece:
    """A stretch of one shape: seconds, gain, and what is put before it: samples left out (or sent again), other leads."""

    shape: str
    seconds: float
    gain: float
    hole: int
    leads: int
    marked: Quality | None


def drawn(shape: str, fs_hz: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Millivolt; infinite where the converter is at its rail, NaN where there is no sample."""
    n = max(1, round(seconds * fs_hz))
    t = np.arange(n) / fs_hz
    rails = [-np.inf, np.inf, 200.0, -200.0]
    made: dict[str, Callable[[], np.ndarray]] = {
        "beats": lambda: heartbeats(fs_hz, regular(float(rng.uniform(25, 300)), seconds), seconds),
        "fibrillation": lambda: fibrillation(fs_hz, seconds),
        "pulses": lambda: pulses(fs_hz, regular(float(rng.uniform(30, 220)), seconds), seconds),
        "flat": lambda: np.full(n, rng.uniform(-5, 5)),
        "zero": lambda: np.zeros(n),
        "top": lambda: np.full(n, np.inf),
        "bottom": lambda: np.full(n, -np.inf),
        "missing": lambda: np.full(n, np.nan),
        "noise": lambda: rng.normal(0, 0.5, n),
        "loud": lambda: rng.normal(0, 1e4, n),
        "steps": lambda: np.repeat(rng.uniform(-300, 300, n // 7 + 1), 7),
        "spikes": lambda: np.where(rng.random(n) < 0.03, rng.choice(rails, n), 0.0),
        "ramp": lambda: np.linspace(-1e3, 1e3, n),
        "hum": lambda: 3 * np.sin(2 * np.pi * 50 * t),
    }
    assert made.keys() == set(SHAPES)
    whole = np.zeros(n)
    found = made[shape]()[:n]
    whole[: len(found)] = found
    return whole


def groups(
    pieces: list[Piece], fs_hz: float, dtype: str, size: int, rng: np.random.Generator, at: int = 0
) -> Iterator[WaveformGroup]:
    """The pieces in groups of `size`, each lead with a shape of its own from the second on; a plethysmogram and a pressure beside them.

    They arrive as time passes, also where the device counts from an earlier number.
    """
    low, high = LIMITS[dtype]
    passed = at
    for piece in pieces:
        at, passed = max(0, at + piece.hole), passed + max(0, piece.hole)
        rows = [
            drawn(piece.shape if row == 0 else SHAPES[rng.integers(len(SHAPES))], fs_hz, piece.seconds, rng)
            for row in range(piece.leads)
        ]
        samples = np.stack(rows) * piece.gain * 1000
        raw = np.where(np.isnan(samples), low, np.clip(samples, low, high)).astype(dtype)
        quality = () if piece.marked is None else (piece.marked,) * piece.leads
        for first in range(0, raw.shape[1], size):
            part = np.ascontiguousarray(raw[:, first : first + size])
            came_ns = T0 + round((passed + first + part.shape[1]) / fs_hz * NS_PER_S)
            arrival = Times(came_ns + int(rng.integers(0, NS_PER_S // (4 * round(fs_hz)))))
            yield WaveformGroup(
                ECG, tuple(lead(one) for one in LEADS[: piece.leads]), fs_hz, at + first, part.tobytes(), dtype,
                (Scale(1.0, 0.0, "uV"),) * piece.leads, arrival, quality,
            )  # fmt: skip
            for code, unit in ((PLETH, "1"), (ART_WAVE, "mm[Hg]")):
                yield WaveformGroup(
                    FINGER, (code,), fs_hz, at + first, np.ascontiguousarray(part[:1]).tobytes(), dtype, (Scale(0.1, 0.0, unit),), arrival
                )  # fmt: skip
        at, passed = at + raw.shape[1], passed + raw.shape[1]


def screened(state: chain.Chain, sent: Iterator[WaveformGroup]) -> tuple[chain.Chain, list[Record]]:
    out: list[Record] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for group in sent:
            state, told = chain.step(state, group)
            out += told
    return state, out


def size_of(state: chain.Chain) -> int:
    """Bytes of what is kept between two groups: not the models, which are shared."""
    into = io.BytesIO()
    writer = pickle.Pickler(into)
    writer.dispatch_table = copyreg.dispatch_table | {MappingProxyType: lambda one: (dict, (dict(one),))}
    writer.dump((state.align, state.assess, state.rhythm, state.alarms, state.recent, state.judged, state.held))
    return into.tell()


PIECES = st.lists(
    st.builds(
        Piece,
        st.sampled_from(SHAPES),
        st.floats(0.05, 4.0),
        st.sampled_from([0.25, 1.0, 4.0, 1e3]),
        st.sampled_from([0, 0, 0, 1, 40, 2000, -30, -5000]),
        st.sampled_from([1, 1, 2, 3]),
        st.sampled_from([None, None, None, Quality.GOOD, Quality.LEAD_OFF, Quality.SATURATED, Quality.UNUSABLE]),
    ),
    min_size=1,
    max_size=8,
)


@given(
    PIECES,
    st.sampled_from(RATES),
    st.sampled_from(sorted(LIMITS)),
    st.floats(0.01, 2.0),
    st.sampled_from(list(AgeGroup)),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=examples(25, 1000), deadline=None)
def test_no_signal_stops_the_screening_or_makes_it_speak_nonsense(
    pieces: list[Piece], fs_hz: float, dtype: str, group_s: float, age: AgeGroup, seed: int
):
    size = max(1, round(group_s * fs_hz))
    sent = list(groups(pieces, fs_hz, dtype, size, np.random.default_rng(seed)))
    _, out = screened(chain.begin(Placement(age_group=age)), iter(sent))
    assert sum(isinstance(one, WaveformGroup) for one in out) == len(sent), "each group goes on once"
    for one in out:
        if isinstance(one, Observation):
            assert isinstance(one.value, float | int)
            assert 0 < one.value < 400, one
        if isinstance(one, AlarmCondition):
            assert one.onset_ns <= one.detected_ns, one
            assert not [value for _, value in one.params if isinstance(value, float) and not math.isfinite(value)], one
        if isinstance(one, DeviceEvent):
            assert one.code


@pytest.mark.parametrize("shape", SHAPES)
def test_no_signal_makes_what_is_kept_of_a_device_grow(shape: str):
    """Six minutes of it: in the last two no more is kept than in the four before, by when every window is full."""
    rng = np.random.default_rng(3)
    piece = Piece(shape, LAP_S, 1.0, 0, 1, None)
    state, sizes, at = chain.begin(), list[int](), 0
    for _ in range(LAPS):
        sent = list(groups([piece], 100.0, "<i4", 200, rng, at))
        state, _ = screened(state, iter(sent))
        at = sent[-1].end_sample
        sizes.append(size_of(state))
    full = 2 * LAPS // 3
    assert max(sizes[full:]) < 1.08 * max(sizes[:full]), sizes


def test_a_device_that_begins_anew_again_and_again_leaves_nothing_behind():
    """Other leads, other rates, numbers from zero: each is a new watch in the place of the one before."""
    rng = np.random.default_rng(5)
    state, sizes = chain.begin(), list[int]()
    for turn in range(12):
        fs_hz = RATES[turn % len(RATES)]
        piece = Piece("beats", 8.0, 1.0, 0, 1 + turn % 3, None)
        state, _ = screened(state, groups([piece], fs_hz, "<i4", round(fs_hz / 4), rng))
        sizes.append(size_of(replace(state, alarms=chain.begin().alarms)))
    assert max(sizes[7:]) <= 1.1 * max(sizes[:7]), sizes
