"""Pacing pulses and their overshoot leave the signal, beats stay in it; at any rate, for any cutting."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.signal import frames, monitor, weights
from tests.unit.signal.signals import heartbeats, regular

MODELS = weights.by_rules()
PULSES_S = regular(71, 12, 0.61)


def with_pulses(
    x: np.ndarray, fs_hz: float, mv: float, width_s: float = 0.002, tail_mv: float = 0.0, tail_s: float = 0.03
) -> np.ndarray:
    """The line with a pulse at each of `PULSES_S`, as samples that are means see it, and what it leaves behind."""
    x, t = x.copy(), np.arange(len(x)) / fs_hz
    for at in PULSES_S:
        edges = np.clip((t[:, None] + [0, 1 / fs_hz]), at, at + width_s)
        x += mv * (edges[:, 1] - edges[:, 0]) * fs_hz
        x -= np.where(t >= at + width_s, np.sign(mv) * tail_mv * np.exp(-np.maximum(t - at - width_s, 0) / tail_s), 0)
    return x


def hops(x: np.ndarray, fs_hz: float) -> tuple[frames.Hop, ...]:
    return frames.feed(frames.begin(1, fs_hz), x[None], fs_hz)[1]


@pytest.mark.parametrize("fs_hz", [100, 250, 360, 500, 1000])
@pytest.mark.parametrize("mv", [3.0, -20.0, 700.0])
def test_pulses_alone_are_no_beats_and_are_told(fs_hz: float, mv: float):
    x = with_pulses(np.random.default_rng(4).normal(0, 0.004, round(12 * fs_hz)), fs_hz, mv)
    assert monitor.find_beats(x, fs_hz, MODELS) == ()
    told = [p / fs_hz for hop in hops(x, fs_hz) for p in hop.pulses[0]]
    expected = [p for p in PULSES_S if p < 11.9]
    assert len(told) == len(expected)
    assert np.abs(np.array(told) - expected).max() < 2.5 / fs_hz


@pytest.mark.parametrize("fs_hz", [250, 500, 1000])
@pytest.mark.parametrize("tail_s", [0.004, 0.025, 0.1])
def test_an_overshoot_of_two_millivolts_is_no_beat(fs_hz: float, tail_s: float):
    quiet = np.random.default_rng(4).normal(0, 0.004, round(12 * fs_hz))
    assert monitor.find_beats(with_pulses(quiet, fs_hz, -40.0, tail_mv=2.0, tail_s=tail_s), fs_hz, MODELS) == ()


def test_beats_are_found_between_pulses_that_have_no_effect():
    own = regular(43, 12)
    found = monitor.find_beats(with_pulses(heartbeats(500, own, 13), 500, 50.0, tail_mv=1.0), 500, MODELS)
    assert len(found) == len(own)
    assert np.abs(np.array(found) / 500 - own).max() < 0.04


@pytest.mark.parametrize("fs_hz", [100, 125, 250, 500, 1000])
@pytest.mark.parametrize("height_mv", [0.5, 1.0, 5.0])
def test_a_signal_without_pulses_is_left_as_it_is(fs_hz: float, height_mv: float):
    x = heartbeats(fs_hz, regular(75, 12), 12, height_mv=height_mv, noise_mv=0.005)
    assert [hop.pulses for hop in hops(x, fs_hz)] == [((),)] * 24


@settings(deadline=None, max_examples=20)
@given(st.sampled_from([250.0, 360.0, 1000.0]), st.lists(st.floats(0, 1), max_size=30))
def test_hops_do_not_depend_on_how_the_samples_were_cut(fs_hz: float, cuts: list[float]):
    x = with_pulses(heartbeats(fs_hz, regular(80, 6), 6), fs_hz, 80.0, tail_mv=2.0, tail_s=0.1)
    whole = hops(x, fs_hz)
    state, parts = frames.begin(1, fs_hz), list[frames.Hop]()
    bounds = [0, *sorted(round(c * len(x)) for c in cuts), len(x)]
    for a, b in pairwise(bounds):
        state, more = frames.feed(state, x[None, a:b], fs_hz)
        parts += more
    assert [h.pulses for h in parts] == [h.pulses for h in whole]
    assert all(
        np.array_equal(a.band, b.band) and np.array_equal(a.slow, b.slow) for a, b in zip(parts, whole, strict=True)
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([100.0, 257.0, 1000.0]))
def test_noise_steps_rails_and_holes_neither_raise_nor_grow(number: int, fs_hz: float):
    rng = np.random.default_rng(number)
    x = rng.normal(0, 10 ** rng.uniform(-3, 2), (2, round(3 * fs_hz)))
    x[rng.random(x.shape) < 0.01] = rng.choice([np.nan, np.inf, 700.0, -700.0])
    x[0, : round(rng.uniform(0, 3) * fs_hz)] = rng.choice([0.0, 5.0, np.nan])
    state, found = frames.feed(frames.begin(2, fs_hz), x, fs_hz)
    assert len(found) == 5 or len(found) == 6
    assert all(np.isfinite(h.band).all() and np.isfinite(h.slow).all() for h in found)
    assert state.held.shape[1] < 2 * fs_hz


@pytest.mark.parametrize("rail_mv", [5.0, 155.0, -187.5])
@pytest.mark.parametrize("fs_hz", [250, 500])
def test_a_lead_that_goes_to_its_rail_has_no_pulse_and_stays_level_there(fs_hz: float, rail_mv: float):
    x = heartbeats(fs_hz, regular(70, 12), 12)
    begins, ends = round(4.1 * fs_hz), round(7.3 * fs_hz)
    x[begins:ends] = rail_mv
    told = hops(x, fs_hz)
    assert [h.pulses for h in told] == [((),)] * len(told)
    still = [h for h in told if (begins + fs_hz) / fs_hz < h.number * 0.5 < ends / fs_hz - 0.5]
    assert still
    assert max(np.abs(h.band).max() for h in still) < 1e-9
