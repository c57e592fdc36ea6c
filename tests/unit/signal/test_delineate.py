"""Where waves begin and end: known ends, any rate and cutting, and signals that are none."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.signal import card, delineate
from models.signal.card import WeightsError
from models.signal.delineate import Beat, weights
from models.signal.delineate.measure import KEPT, WAITING
from tests.unit.signal.beats import Drawn, one_lead, twelve

WEIGHTS = delineate.load()
EVERY_S = 0.9
PEAKS_S = [0.7 + EVERY_S * i for i in range(9)]
LENGTH_S = 9.0


def found(samples: np.ndarray, fs_hz: float, peaks_s: list[float] | None = None) -> list[Beat]:
    peaks = [round(at * fs_hz) for at in peaks_s or PEAKS_S]
    return list(delineate.delineate(samples, peaks, fs_hz, WEIGHTS))


def off_ms(beats: list[Beat], fs_hz: float, wave: str, end: str, true_s: float) -> np.ndarray:
    """How far the end of a wave lies from where it was drawn, all leads together."""
    return np.array([1000 * ((getattr(getattr(b, wave), end) - b.r) / fs_hz - true_s) for b in beats])


@pytest.mark.parametrize("fs_hz", [100.0, 250.0, 360.0, 500.0, 1000.0])
def test_ends_that_were_drawn_are_found_at_any_rate(fs_hz: float):
    beats = found(twelve(fs_hz, PEAKS_S, LENGTH_S, Drawn()), fs_hz)[1:-1]
    assert len(beats) == 7
    # A raised cosine leaves the line slowly: what a cardiologist sees of it begins inside.
    for wave, end, true_s, inside_ms, outside_ms in (
        ("p", "onset", -0.20, 30, 15),
        ("p", "offset", -0.10, 15, 30),
        ("qrs", "onset", -0.045, 16, 14),
        ("qrs", "offset", 0.05, 14, 18),
        ("t", "offset", 0.36, 25, 45),
    ):
        error = off_ms(beats, fs_hz, wave, end, true_s)
        assert (error >= -outside_ms).all(), (wave, end, error)
        assert (error <= inside_ms).all(), (wave, end, error)
        assert np.ptp(error) <= 12, (wave, end, error)


def test_a_lead_turned_over_has_the_same_ends():
    one = one_lead(500, PEAKS_S, LENGTH_S, Drawn())
    upright, turned = (found(np.stack([sign * one]), 500) for sign in (1, -1))
    assert [b.leads[0].qrs for b in upright] == [b.leads[0].qrs for b in turned]
    assert [b.leads[0].t for b in upright] == [b.leads[0].t for b in turned]


def test_qt_follows_the_drawn_t_and_both_corrections_follow_their_formulas():
    later = Drawn(t=(0.20, 0.44))
    usual, long = (found(twelve(500, PEAKS_S, LENGTH_S, drawn), 500)[3] for drawn in (Drawn(), later))
    assert usual.qt_s is not None
    assert long.qt_s is not None
    assert long.qt_s - usual.qt_s == pytest.approx(0.08, abs=0.025)
    assert usual.rr_s == pytest.approx(EVERY_S, abs=0.004)
    assert usual.qtc_bazett_s == pytest.approx(usual.qt_s / 0.9**0.5, rel=0.005)
    assert usual.qtc_fridericia_s == pytest.approx(usual.qt_s / 0.9 ** (1 / 3), rel=0.005)


@pytest.mark.parametrize("st_mv", [-0.2, 0.0, 0.3])
def test_the_st_level_is_told_against_what_stands_before_the_complex(st_mv: float):
    one = (
        one_lead(500, PEAKS_S, LENGTH_S, Drawn(t=(0.24, 0.44), st_mv=st_mv)) + 0.7
    )  # an offset of the electrode says nothing
    levels = [b.leads[0].st_mv for b in found(np.stack([one]), 500)[1:-1]]
    for level in levels:
        assert level is not None
        assert level == pytest.approx((st_mv, st_mv), abs=0.04)


def test_a_wide_paced_complex_is_wide_and_has_no_p():
    wide = Drawn(p=None, qrs=(-0.151, 0.11), t=(0.22, 0.46), heights=(0, 0, 1.3, -0.4, -0.4))  # R begins 0.09 s before
    beats = found(twelve(500, PEAKS_S, LENGTH_S, wide), 500)[1:-1]
    for beat in beats:
        # Cosines twice as long as those above leave the line twice as slowly: up to 32 and 28 ms are seen inside.
        assert 0.20 - 0.060 <= (beat.qrs.offset - beat.qrs.onset) / 500 <= 0.20 + 0.035
        assert beat.p is None


def test_an_atrium_that_fibrillates_has_no_p_wave():
    chance = np.random.default_rng(7)
    peaks = list(np.cumsum(chance.uniform(0.45, 1.1, 14)))
    length = peaks[-1] + 1.5
    samples = twelve(500, peaks, length, Drawn(p=None))
    time = np.arange(samples.shape[1]) / 500
    waves = np.sin(2 * np.pi * (6.1 * time + 0.3 * np.sin(2 * np.pi * 0.7 * time)))
    samples = samples + np.linspace(0.03, 0.08, 12)[:, None] * waves
    beats = found(samples, 500, peaks)
    assert len(beats) >= 12
    assert sum(b.p is not None for b in beats) <= 1


def test_what_a_lead_misses_is_told_of_the_others():
    samples = twelve(500, PEAKS_S, LENGTH_S, Drawn())
    samples[2, 1500:3000] = np.nan
    samples[4] = 0.0
    samples[5] = np.clip(samples[5] * 20, -5, 5)  # an amplifier at its end
    beats = found(samples, 500)
    inside = [b for b in beats if 1700 < b.r < 2700]
    assert inside
    for beat in inside:
        assert {one.lead for one in beat.leads} == {0, 1, 3, 6, 7, 8, 9, 10, 11}
        assert beat.p is not None
        assert beat.t is not None


def test_a_beat_is_given_within_the_stated_latency():
    fs_hz = 250.0
    samples = twelve(fs_hz, PEAKS_S, LENGTH_S + 3, Drawn())
    state, late = delineate.begin(12, fs_hz), []
    waiting = [round(at * fs_hz) for at in PEAKS_S]
    for end in range(25, samples.shape[1], 25):
        known = [r for r in waiting if r + 0.9 * fs_hz <= end]
        waiting = [r for r in waiting if r not in known]
        state, beats = delineate.feed(state, samples[:, end - 25 : end], known, fs_hz, WEIGHTS)
        late += [(end - b.r) / fs_hz for b in beats]
    assert len(late) == len(PEAKS_S)
    assert max(late) <= delineate.LATENCY_S + 0.1


@settings(deadline=None, max_examples=12)
@given(st.data())
def test_beats_do_not_depend_on_how_the_samples_were_cut(data: st.DataObject):
    fs_hz = data.draw(st.sampled_from([100.0, 257.0, 500.0]))
    peaks_s = PEAKS_S[:5]
    samples = twelve(fs_hz, peaks_s, 6.5, Drawn())[: data.draw(st.sampled_from([1, 3]))]
    if data.draw(st.booleans()):
        hole = data.draw(st.integers(0, samples.shape[1] - 60))
        samples[0, hole : hole + 60] = np.nan
    peaks = [round(at * fs_hz) for at in peaks_s]
    n = samples.shape[1]
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=20)))
    state, told, waiting = delineate.begin(len(samples), fs_hz), [], list(peaks)
    for a, b in zip([0, *cuts], [*cuts, n], strict=True):
        known = [r for r in waiting if r <= b]
        waiting = [r for r in waiting if r > b]
        state, beats = delineate.feed(state, samples[:, a:b], known, fs_hz, WEIGHTS)
        told += beats
    whole = delineate.feed(delineate.begin(len(samples), fs_hz), samples, peaks, fs_hz, WEIGHTS)[1]
    assert tuple(told) == whole


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_no_signal_makes_it_raise_warn_or_grow(data: st.DataObject):
    leads = data.draw(st.integers(1, 3))
    chance = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    kinds = {
        "nothing": np.full((leads, 1200), np.nan),
        "constant": np.full((leads, 1200), 3.0),
        "zero": np.zeros((leads, 1200)),
        "huge": 1e300 * chance.standard_normal((leads, 1200)),
        "infinite": np.full((leads, 1200), np.inf),
        "noise": chance.standard_normal((leads, 1200)),
        "rails": np.sign(chance.standard_normal((leads, 1200))) * 5,
        "holes": np.where(chance.random((leads, 1200)) < 0.1, np.nan, chance.standard_normal((leads, 1200))),
        "tiny": 1e-300 * chance.standard_normal((leads, 1200)),
    }
    samples = kinds[data.draw(st.sampled_from(sorted(kinds)))]
    peaks = data.draw(st.lists(st.integers(-500, 3000), max_size=100))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state = delineate.begin(leads, 200.0)
        for part in np.array_split(samples, 3, axis=1):
            state, beats = delineate.feed(state, part, peaks, 200.0, WEIGHTS)
            for beat in beats:
                assert beat.qrs.onset <= beat.qrs.offset
    assert state.measure.values.shape == (leads, KEPT)
    assert len(state.measure.waiting) <= WAITING
    assert len(state.measure.done) <= 8
    assert len(state.measure.patterns) <= 6


def test_a_rate_or_a_number_of_leads_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="expected 100 to 1000 Hz"):
        delineate.begin(3, 99)
    with pytest.raises(ValueError, match="expected 1 to 12"):
        delineate.begin(13, 500)


def test_weights_of_another_hash_are_refused():
    with pytest.raises(WeightsError, match="install the package again"):
        weights.parse(b"{}", card.of("delineate").sha256["delineate.json"])
