"""Beats, rates, pauses and lethal rhythms as the monitor finds them, at any rate and for any cutting."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.signal import frames, monitor, weights
from models.signal.trees import Trees
from models.signal.weights import Models
from protocols.ecgfile.wfdb import read_record
from tests.unit.signal.signals import fibrillation, heartbeats, regular

MODELS = {"rules": weights.by_rules(), "networks": weights.product()}


@pytest.fixture(params=MODELS)
def models(request: pytest.FixtureRequest) -> Models:
    return MODELS[request.param]


def played(samples: np.ndarray, fs_hz: float, cuts: list[int], models: Models) -> list[monitor.Finding]:
    state = monitor.begin(len(samples), fs_hz, models)
    found: list[monitor.Finding] = []
    for a, b in zip([0, *cuts], [*cuts, samples.shape[1]], strict=True):
        state, findings = monitor.feed(state, samples[:, a:b], fs_hz, models)
        found += findings
    return found


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_findings_do_not_depend_on_how_the_samples_were_cut(data: st.DataObject):
    models = MODELS[data.draw(st.sampled_from(sorted(MODELS)))]
    fs_hz = data.draw(st.sampled_from([125.0, 250.0, 257.0, 360.0]))
    one = np.concatenate([heartbeats(fs_hz, regular(80, 9), 9), fibrillation(fs_hz, 6)])
    samples = np.stack([one, -0.5 * one])
    if data.draw(st.booleans()):
        hole = data.draw(st.integers(0, samples.shape[1] - 200))
        samples[:, hole : hole + 150] = np.nan
    cuts = sorted(data.draw(st.lists(st.integers(0, samples.shape[1]), max_size=40)))
    assert played(samples, fs_hz, cuts, models) == played(samples, fs_hz, [], models)


def test_a_step_twice_from_the_same_state_gives_the_same(models: Models):
    samples = np.stack([heartbeats(250, regular(70, 20), 20)])
    state, _ = monitor.feed(monitor.begin(1, 250, models), samples[:, :3000], 250, models)
    once = monitor.feed(state, samples[:, 3000:], 250, models)[1]
    again = monitor.feed(state, samples[:, 3000:], 250, models)[1]
    assert once == again


@pytest.mark.parametrize("fs_hz", [100, 125, 128, 200, 250, 257, 360, 500, 1000])
def test_every_beat_of_a_steady_rhythm_is_found_at_any_rate(fs_hz: float, models: Models):
    times = regular(75, 60)
    found = monitor.find_beats(heartbeats(fs_hz, times, 61), fs_hz, models)
    assert len(found) == len(times)
    assert np.abs(np.array(found) / fs_hz - times).max() < 0.03


@pytest.mark.parametrize("rate", [30, 45, 60, 80, 120, 180, 240])
def test_the_heart_rate_is_within_one_per_cent(rate: float, models: Models):
    samples = np.stack([heartbeats(250, regular(rate, 40), 40)])
    assert played(samples, 250, [], models)[-2].rate_per_min == pytest.approx(rate, rel=0.012)


def test_a_rate_step_from_80_to_120_and_to_40_is_shown_within_the_ten_seconds_of_iec_60601_2_27(models: Models):
    for after in (120, 40):
        times = regular(80, 30) + regular(after, 60, 30)
        found = played(np.stack([heartbeats(250, times, 60)]), 250, [], models)
        at_38 = next(f for f in found if f.end >= 38 * 250)
        assert at_38.rate_per_min == pytest.approx(after, rel=0.05)


def test_a_pause_is_counted_from_the_last_beat(models: Models):
    found = played(np.stack([heartbeats(250, regular(70, 20), 30)]), 250, [], models)
    last_beat = regular(70, 20)[-1]
    for finding in found[-10:]:
        assert finding.quiet_s == pytest.approx(finding.judged / 250 - last_beat, abs=0.05)
    assert found[-1].quiet_s > 9


def test_missing_samples_are_no_pause(models: Models):
    one = heartbeats(250, regular(70, 60), 60)
    one[20 * 250 : 40 * 250] = np.nan
    found = played(np.stack([one]), 250, [], models)
    assert max(f.quiet_s for f in found) < 2
    assert not any(f.usable for f in found if 21 * 250 < f.end < 39 * 250)


def test_waves_below_a_fifth_of_a_millivolt_are_no_beats(models: Models):
    samples = np.concatenate(
        [heartbeats(250, regular(70, 20), 20), heartbeats(250, regular(70, 10), 10, height_mv=0.1)]
    )
    assert played(np.stack([samples]), 250, [], models)[-1].quiet_s > 8


@pytest.mark.parametrize("value", [0.0, 5.0, -187.5, float("nan"), float("inf")])
def test_a_constant_signal_yields_no_beat_and_no_lethal_rhythm(value: float, models: Models):
    found = played(np.full((2, 30 * 250), value), 250, [], models)
    assert len(found) == 60
    assert not any(f.beats for f in found)
    assert all(f.lethal is None or f.lethal.lethal < 0.5 for f in found[20:])


def test_fibrillation_scores_high_within_five_seconds_and_sinus_rhythm_low(models: Models):
    one = np.concatenate([heartbeats(250, regular(75, 30), 30), fibrillation(250, 15)])
    found = played(np.stack([one, 0.7 * one]), 250, [], models)
    before = [f.lethal.lethal for f in found if f.lethal and 8 * 250 < f.end <= 30 * 250]
    after = [f.lethal.lethal for f in found if f.lethal and f.end >= 35 * 250]
    assert max(before) < 0.2
    assert min(after) > 0.6


def test_a_rate_outside_100_to_1000_hz_is_refused_with_the_reason(models: Models):
    with pytest.raises(ValueError, match="99"):
        frames.plan(99)
    with pytest.raises(ValueError, match="at least one"):
        monitor.begin(0, 250, models)


def test_state_does_not_grow_with_time(models: Models):
    state = monitor.begin(1, 250, models)
    sizes = []
    for _ in range(40):
        state, _found = monitor.feed(state, np.stack([heartbeats(250, regular(75, 10), 10)]), 250, models)
        sizes.append(len(pickle.dumps(state)))
    assert max(sizes[5:]) - min(sizes[5:]) < 2000


def test_a_real_excerpt_gives_the_annotated_number_of_beats(captures: Path, models: Models):
    record = read_record(captures / "mitdb-100-normal")
    assert len(monitor.find_beats(record.physical()[0], record.fs_hz, models)) == pytest.approx(148, abs=2)


def test_the_trees_give_probabilities(trees: Trees):
    values = np.random.default_rng(3).normal(size=(50, 36))
    out = trees.predict(values)
    assert out.shape == (50, 2)
    assert ((out > 0) & (out < 1)).all()


@pytest.mark.parametrize("rate", [120, 180, 240])
def test_each_wave_of_a_fast_rhythm_is_found_as_a_beat(rate: float, models: Models):
    shares = [f.beating for f in played(np.stack([heartbeats(250, regular(rate, 20), 20)]), 250, [], models)[12:]]
    assert all(share is not None and 0.8 <= share <= 1.2 for share in shares)


def test_fewer_than_half_of_the_waves_of_fibrillation_are_found_as_beats_when_it_fills_the_window(
    captures: Path, models: Models
):
    record = read_record(captures / "cinc2015-f545l-vf")
    found = played(record.physical()[:2], record.fs_hz, [], models)
    shares = [f.beating for f in found if 28.5 <= f.end / record.fs_hz <= 60]
    assert all(share is not None and share < 0.5 for share in shares)


def test_a_lead_that_was_missed_says_nothing_of_beats_until_it_has_been_there_for_the_whole_window(models: Models):
    samples = np.stack([heartbeats(250, regular(150, 30), 30)])
    samples[:, 15 * 250 : 16 * 250] = np.nan
    found = {f.end / 250: f.beating for f in played(samples, 250, [], models)}
    assert found[15.0] is not None
    assert all(found[t] is None for t in (16.0, 18.0, 19.5))
    assert found[21.0] == pytest.approx(1.0, abs=0.2)


def test_an_interval_counts_only_where_a_lead_that_shows_the_beat_was_watched_throughout():
    """The first lead is at its rail for a beat while the second stands still: nobody knows whether one came."""
    beats = regular(60, 40, 0.6)
    first = heartbeats(250, beats, 40)
    second = 0.6 * first
    gone = slice(round(20.2 * 250), round(20.9 * 250))
    first[gone] = 150.0
    second[round(15.3 * 250) :] = second[round(15.3 * 250)]
    state, _ = monitor.feed(monitor.begin(2, 250, weights.product()), np.stack([first, second]), 250, weights.product())
    known = {round(at / 250, 1): at in state.rates.firsts for at in state.rates.beats}
    assert 20.6 not in known
    assert known[21.6]
    assert not any(is_first for at, is_first in known.items() if at > 21.7)
