"""Breaths of an impedance wave and of an ECG's modulation: counted at any rate and for any cutting, and not believed when they are none."""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.signal import monitor, weights
from models.signal.vitals import breath, heart_breath
from models.signal.vitals.wave import Fault
from tests.fixtures.long_form import examples
from tests.unit.signal.signals import breathing, heartbeats, regular

MODELS = weights.product()


def played(samples: np.ndarray, fs_hz: float, cuts: list[int] | None = None) -> list[breath.Finding]:
    state = breath.begin(fs_hz)
    found: list[breath.Finding] = []
    for a, b in zip([0, *(cuts or [])], [*(cuts or []), len(samples)], strict=True):
        state, findings = breath.feed(state, samples[a:b], fs_hz)
        found += findings
    return found


@pytest.mark.parametrize("per_min", [6, 8, 12, 20, 35, 60, 80])
@pytest.mark.parametrize("fs_hz", [25, 62.5, 500])
def test_the_rate_is_within_half_a_breath_from_6_to_80_a_minute(per_min: float, fs_hz: float):
    found = played(breathing(fs_hz, per_min, 50), fs_hz)
    assert found[-1].fault is None
    assert found[-1].rate_per_min == pytest.approx(per_min, abs=0.5)


def test_inverted_scaled_and_clipped_waves_give_the_same_rate():
    chest = breathing(125, 15, 50)
    for samples in (-chest, 1000 * chest - 7e5, np.clip(chest, -0.4, 0.7)):
        assert played(samples, 125)[-1].rate_per_min == pytest.approx(15, abs=0.5)


def test_breaths_of_unequal_depth_and_length_are_counted():
    rng = np.random.default_rng(3)
    parts = [
        d * (1 - np.cos(np.linspace(0, 2 * np.pi, round(125 * n))))
        for d, n in zip(rng.uniform(0.6, 1.3, 12), rng.uniform(2.5, 5.5, 12), strict=True)
    ]
    samples = np.concatenate(parts)
    found = played(samples, 125)
    within = [len(p) for p in parts]
    in_window = np.sum(np.cumsum(within) > len(samples) - breath.WINDOW_S * 125)
    assert found[-1].rate_per_min == pytest.approx(60 * in_window / breath.WINDOW_S, abs=1.5)


def test_a_change_is_shown_when_the_window_has_passed():
    samples = np.concatenate([breathing(125, 12, 40), breathing(125, 30, 40)])
    found = played(samples, 125)
    assert next(f for f in found if f.end >= 38 * 125).rate_per_min == pytest.approx(12, abs=0.5)
    assert found[-1].rate_per_min == pytest.approx(30, abs=1)


def test_a_chest_that_stops_moving_has_no_rate_fifteen_seconds_later_and_the_time_is_told():
    samples = np.concatenate([breathing(125, 15, 60), np.random.default_rng(4).normal(0, 0.01, 40 * 125)])
    found = {round(f.end / 125): f for f in played(samples, 125)}
    assert found[60].rate_per_min is not None
    assert found[80].fault is Fault.ABSENT
    assert found[80].rate_per_min is None
    assert found[80].quiet_s == pytest.approx(21, abs=3)


def test_missing_samples_are_no_breath_held():
    samples = breathing(125, 15, 100)
    samples[40 * 125 : 60 * 125] = np.nan
    found = played(samples, 125)
    assert all(f.rate_per_min is None for f in found if 41 < f.end / 125 < 75)
    assert all(f.fault is Fault.MISSING for f in found if 41 < f.end / 125 < 59)
    assert max(f.quiet_s for f in found) < 17
    assert found[-1].rate_per_min == pytest.approx(15, abs=0.5)


@pytest.mark.parametrize("value", [0.0, -4.2e6, float("nan"), float("-inf"), 1e300])
def test_a_constant_has_no_breath(value: float):
    assert all(f.rate_per_min is None and f.fault is not None for f in played(np.full(6000, value), 125))


def test_noise_is_seldom_a_breath():
    rng = np.random.default_rng(11)
    for noise in (rng.normal(0, 1, 62 * 150), np.cumsum(rng.normal(0, 1, 62 * 150))):
        found = played(noise, 62)
        assert np.mean([f.rate_per_min is not None for f in found]) < 0.1


@settings(deadline=None, max_examples=examples(8, 100))
@given(st.data())
def test_findings_do_not_depend_on_how_the_samples_were_cut(data: st.DataObject):
    fs_hz = data.draw(st.sampled_from([25.0, 62.4, 257.0]))
    samples = breathing(fs_hz, data.draw(st.integers(5, 60)), 30)
    hole = data.draw(st.integers(0, len(samples) - 60))
    samples[hole : hole + 50] = data.draw(st.sampled_from([np.nan, 0.0, 1e12]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(samples)), max_size=30)))
    assert played(samples, fs_hz, cuts) == played(samples, fs_hz)


WILD = st.one_of(st.floats(), st.sampled_from([0.0, np.nan, np.inf, 1e308, -1e308, 5e-324, 9e8, -9e8]))


@settings(deadline=None, max_examples=examples(12, 200))
@given(st.lists(st.tuples(WILD, st.integers(1, 400)), max_size=20))
def test_no_input_raises_or_warns(stretches: list[tuple[float, int]]):
    samples = np.concatenate([np.zeros(0), *(np.full(n, value) for value, n in stretches)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = played(samples, 25.0, [len(samples) // 3])
    assert all(f.rate_per_min is None or 0 < f.rate_per_min < 250 for f in found)


def test_state_does_not_grow_with_time():
    state = breath.begin(62.5)
    sizes: list[int] = []
    for i in range(12):
        state, _ = breath.feed(state, breathing(62.5, 10 + 3 * i, 20), 62.5)
        sizes.append(len(pickle.dumps(state)))
    assert max(sizes) < 8_000


def modulated(fs_hz: float, per_min: float, length_s: float) -> np.ndarray:
    """An ECG whose complexes are an eighth higher and whose baseline is a little higher when the chest is full."""
    chest = np.sin(2 * np.pi * per_min / 60 * np.arange(round(length_s * fs_hz)) / fs_hz)
    beats = regular(85, length_s)
    return heartbeats(fs_hz, beats, length_s, noise_mv=0.005) * (1 + 0.12 * chest) + 0.08 * chest


def told(samples: np.ndarray, fs_hz: float, cuts: list[int] | None = None) -> list[heart_breath.Finding]:
    watched, state = monitor.begin(1, fs_hz, MODELS), heart_breath.begin(fs_hz)
    out: list[heart_breath.Finding] = []
    for a, b in zip([0, *(cuts or [])], [*(cuts or []), len(samples)], strict=True):
        watched, found = monitor.feed(watched, samples[None, a:b], fs_hz, MODELS)
        state, findings = heart_breath.feed(state, samples[a:b], found, fs_hz)
        out += findings
    return out


@pytest.mark.parametrize("per_min", [9, 16, 28])
def test_breaths_are_read_from_the_height_and_the_baseline_of_an_ecg(per_min: float):
    found = told(modulated(250, per_min, 50), 250)
    assert found[-1].fault is None
    assert found[-1].rate_per_min == pytest.approx(per_min, abs=0.7)
    assert {name for name, _ in found[-1].by} >= {"height", "baseline"}


def test_an_ecg_that_breathing_does_not_move_seldom_tells_a_rate():
    told_at_all: list[bool] = []
    for noise_mv in (0.005, 0.02, 0.05):
        samples = heartbeats(250, regular(86, 60), 60, noise_mv=noise_mv)
        told_at_all += [f.rate_per_min is not None for f in told(samples, 250)]
    assert np.mean(told_at_all) < 0.1


def test_a_rate_from_the_ecg_does_not_depend_on_cutting_and_ends_with_its_samples():
    samples = modulated(125, 16, 45)
    samples[30 * 125 : 36 * 125] = np.nan
    found = told(samples, 125)
    assert told(samples, 125, [1, 700, 701, 4000]) == found
    assert all(f.rate_per_min is None for f in found if f.end > 31 * 125)
