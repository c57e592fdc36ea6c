"""Pulses of a plethysmogram or a pressure: found at any rate and for any cutting, once each, and not believed when they are none."""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.signal.vitals import pulse
from models.signal.vitals.wave import Fault
from tests.fixtures.long_form import examples
from tests.unit.signal.signals import pulses, regular

FS = 125.0


def played(
    samples: np.ndarray, fs_hz: float = FS, cuts: list[int] | None = None, least: float = 0.0
) -> list[pulse.Finding]:
    state = pulse.begin(fs_hz, least)
    found: list[pulse.Finding] = []
    for a, b in zip([0, *(cuts or [])], [*(cuts or []), len(samples)], strict=True):
        state, findings = pulse.feed(state, samples[a:b], fs_hz)
        found += findings
    return found


def times_of(found: list[pulse.Finding], fs_hz: float = FS) -> np.ndarray:
    return np.array(sorted(at for f in found for at in f.pulses)) / fs_hz


def missed_and_false(expected: list[float], got: np.ndarray, within_s: float = 0.12) -> tuple[int, int]:
    near = np.abs(np.asarray(expected)[:, None] - got[None, :]) <= within_s
    return int((~near.any(axis=1)).sum()), int((~near.any(axis=0)).sum())


@pytest.mark.parametrize("fs_hz", [25, 40, 60, 62.4, 75, 100, 125, 250, 500, 1000])
def test_every_pulse_is_found_once_at_any_rate_of_sampling(fs_hz: float):
    ends = regular(72, 20)
    found = times_of(played(pulses(fs_hz, ends, 21), fs_hz), fs_hz)
    assert missed_and_false(ends, found) == (0, 0)
    assert np.diff(found) == pytest.approx(60 / 72, abs=1 / fs_hz + 0.01)


@pytest.mark.parametrize("rate", [30, 40, 60, 90, 120, 160, 200, 240])
@pytest.mark.parametrize("fs_hz", [25, 250])
def test_the_rate_is_within_one_per_cent_from_30_to_240_a_minute(rate: float, fs_hz: float):
    found = played(pulses(fs_hz, regular(rate, 22), 22), fs_hz)
    assert found[-2].fault is None
    assert found[-2].rate_per_min == pytest.approx(rate, rel=0.01)


@pytest.mark.parametrize("dicrotic", [0.25, 0.5])
@pytest.mark.parametrize("rate", [40, 70, 110])
def test_a_dicrotic_wave_is_not_a_pulse(dicrotic: float, rate: float):
    found = played(pulses(FS, regular(rate, 25), 25, dicrotic=dicrotic))
    assert found[-2].rate_per_min == pytest.approx(rate, rel=0.02)


def test_pulses_of_half_the_height_between_the_others_count():
    ends = regular(80, 40)
    found = played(pulses(FS, ends, 40, heights=[1.0 if i % 2 else 0.55 for i in range(len(ends))]))
    assert found[-2].rate_per_min == pytest.approx(80, rel=0.02)


def test_an_irregular_rhythm_is_usable_and_its_rate_is_that_of_its_pulses():
    ends = list(np.cumsum(np.random.default_rng(8).uniform(0.45, 1.15, 60)))
    found = played(pulses(FS, ends, ends[-1] + 2))
    assert missed_and_false(ends, times_of(found)) == (0, 0)
    assert sum(f.fault is None for f in found[12:]) > 0.9 * len(found[12:])


def test_a_pulse_is_told_in_the_time_that_the_module_states():
    ends = regular(75, 30)
    for finding in played(pulses(250, ends, 30), 250)[10:]:
        for at in finding.pulses:
            assert (finding.end - at) / 250 <= pulse.LATENCY_S + 0.5 + 0.02


def test_a_change_of_rate_is_shown_within_the_time_of_averaging():
    ends = regular(70, 30) + regular(130, 60, 30)
    found = {round(2 * f.end / FS) / 2: f for f in played(pulses(FS, ends, 60))}
    assert found[30.0 + pulse.RATE_S + 2].rate_per_min == pytest.approx(130, rel=0.02)


def test_a_heart_that_stops_leaves_no_pulse_three_seconds_later():
    found = played(pulses(FS, regular(70, 20), 40))
    at_25 = next(f for f in found if f.end >= 25 * FS)
    assert at_25.fault is not None
    assert at_25.quiet_s == pytest.approx(at_25.judged / FS - regular(70, 20)[-1], abs=0.15)
    assert all(f.rate_per_min is None for f in found if f.end > 24.5 * FS)


def test_missing_samples_are_no_pause_and_say_nothing():
    samples = pulses(FS, regular(70, 60), 60)
    samples[20 * 125 : 40 * 125] = np.nan
    found = played(samples)
    assert all(f.fault is Fault.MISSING for f in found if 21 * FS < f.end < 39.5 * FS)
    assert max(f.quiet_s for f in found) < 3
    assert found[-1].rate_per_min == pytest.approx(70, rel=0.01)


def test_a_burst_of_noise_is_told_and_what_follows_is_found_again():
    samples = pulses(FS, regular(70, 60), 60)
    samples[20 * 125 : 26 * 125] += np.random.default_rng(9).normal(0, 1.0, 6 * 125)
    found = played(samples)
    assert any(f.fault is Fault.UNLIKE for f in found if 22 * FS < f.end < 30 * FS)
    after = [f for f in found if f.end > 40 * FS]
    assert all(f.fault is None and f.rate_per_min == pytest.approx(70, rel=0.02) for f in after)


def test_a_step_a_hundred_times_as_large_blinds_it_for_seconds_only():
    samples = pulses(FS, regular(70, 60), 60)
    samples[20 * 125 :] += 100
    found = [f for f in played(samples) if f.end > 35 * FS]
    assert all(f.fault is None and f.rate_per_min == pytest.approx(70, rel=0.02) for f in found)


def test_noise_alone_is_never_a_pulse():
    rng = np.random.default_rng(10)
    white, walking = rng.normal(0, 1, 7500), np.cumsum(rng.normal(0, 1, 7500))
    for samples in (white, walking):
        assert np.mean([f.fault is None for f in played(samples)]) < 0.02


@pytest.mark.parametrize(
    ("samples", "fault"),
    [
        (np.zeros(4000), Fault.FLAT),
        (np.full(4000, -3.7e8), Fault.FLAT),
        (np.full(4000, np.nan), Fault.MISSING),
        (np.full(4000, np.inf), Fault.MISSING),
        (np.full(4000, 1e300), Fault.MISSING),
        (np.where(np.arange(4000) % 100 < 95, 5.0, 4.0), Fault.SATURATED),
        (80 + 2 * pulses(FS, regular(70, 32), 32), Fault.WEAK),
    ],
)
def test_what_is_no_pulse_wave_is_named(samples: np.ndarray, fault: Fault):
    found = played(samples, least=pulse.LEAST_MMHG if fault is Fault.WEAK else 0.0)
    assert {f.fault for f in found[6:]} == {fault}
    assert not any(f.rate_per_min for f in found)


def test_a_pressure_of_forty_millimetres_is_a_pulse():
    found = played(80 + 40 * pulses(FS, regular(70, 32), 32), least=pulse.LEAST_MMHG)
    assert found[-1].rate_per_min == pytest.approx(70, rel=0.01)


@settings(deadline=None, max_examples=examples(12, 200))
@given(st.data())
def test_findings_do_not_depend_on_how_the_samples_were_cut(data: st.DataObject):
    fs_hz = data.draw(st.sampled_from([25.0, 62.4, 125.0, 257.0]))
    samples = pulses(
        fs_hz, regular(data.draw(st.integers(30, 200)), 14), 14, noise=data.draw(st.sampled_from([0.0, 0.1]))
    )
    hole = data.draw(st.integers(0, len(samples) - 60))
    samples[hole : hole + 50] = data.draw(st.sampled_from([np.nan, 0.0, 1e12]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(samples)), max_size=30)))
    assert played(samples, fs_hz, cuts) == played(samples, fs_hz)


WILD = st.one_of(st.floats(), st.sampled_from([0.0, np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 32767.0, -32768.0]))


@settings(deadline=None, max_examples=examples(12, 300))
@given(st.lists(st.tuples(WILD, st.integers(1, 300)), max_size=20), st.sampled_from([25.0, 99.9, 1000.0]))
def test_no_input_raises_or_warns(stretches: list[tuple[float, int]], fs_hz: float):
    samples = np.concatenate([np.zeros(0), *(np.full(n, value) for value, n in stretches)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = played(samples, fs_hz, [len(samples) // 3, len(samples) // 2])
    assert all(f.rate_per_min is None or 0 < f.rate_per_min < 400 for f in found)


def test_state_does_not_grow_with_time():
    state = pulse.begin(FS)
    sizes: list[int] = []
    for i in range(20):
        noise = np.random.default_rng(i).normal(0, 1, 1250) if i % 3 == 2 else 0.0
        state, _ = pulse.feed(state, pulses(FS, regular(180, 10), 10) + noise, FS)
        sizes.append(len(pickle.dumps(state)))
    assert max(sizes) < 16_000
    assert max(sizes[12:]) <= 1.2 * max(sizes[3:12])


@pytest.mark.parametrize("fs_hz", [24.9, 1001, 0])
def test_a_rate_outside_25_to_1000_hz_is_refused_with_the_reason(fs_hz: float):
    with pytest.raises(ValueError, match=str(fs_hz)):
        pulse.begin(fs_hz)


STRETCHES = st.lists(
    st.tuples(
        st.sampled_from(["pulses", "noise", "flat", "missing", "rail"]),
        st.floats(0.2, 30.0),
        st.sampled_from([0.02, 0.2, 0.5, 1.0, 5.0, 1e4]),
    ),
    min_size=2,
    max_size=6,
)


@given(STRETCHES, st.floats(35, 180))
@settings(max_examples=examples(80, 3000), deadline=None)
def test_a_finger_that_comes_and_goes_for_any_time_and_at_any_height_stops_nothing(
    stretches: list[tuple[str, float, float]], rate: float
):
    parts: list[np.ndarray] = []
    for what, seconds, height in stretches:
        n = max(1, round(seconds * FS))
        whole = {
            "pulses": lambda s=seconds: pulses(FS, regular(rate, s + 1), s + 1),
            "noise": lambda n=n: np.random.default_rng(n).normal(0, 0.3, n),
            "flat": lambda n=n: np.zeros(n),
            "missing": lambda n=n: np.full(n, np.nan),
            "rail": lambda n=n: np.full(n, 3.0),
        }[what]()
        parts.append(height * whole[:n])
    samples = np.concatenate(parts)
    found = played(samples, cuts=list(range(100, len(samples), 100)))
    assert all(f.rate_per_min is None or 10 < f.rate_per_min < 400 for f in found)


def test_pulses_that_are_told_again_behind_half_a_minute_with_hardly_any():
    """The finger came off and was put back (found by the demo): weak waves have been passed over, and no pulse is known any more."""
    there = pulses(FS, regular(70, 20), 20)
    weak = 0.3 * pulses(FS, regular(90, 31), 31)
    found = played(np.concatenate([there, weak, there]))
    assert found[-2].rate_per_min == pytest.approx(70, rel=0.05)
