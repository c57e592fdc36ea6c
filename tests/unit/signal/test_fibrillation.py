"""Beats without order are told from beats with one, whatever the order is."""

import numpy as np
import pytest

from models.signal.rhythm import fibrillation

FS_HZ = 250.0


def beats(intervals_s: np.ndarray) -> tuple[int, ...]:
    return tuple(int(b) for b in np.rint(np.cumsum(intervals_s) * FS_HZ))


def verdicts(intervals_s: np.ndarray) -> list[bool]:
    found = fibrillation.step(fibrillation.begin(), beats(intervals_s), FS_HZ)[1]
    return [v.fibrillation for v in found]


def irregular(mean_s: float, count: int) -> np.ndarray:
    return mean_s * np.exp(np.random.default_rng(5).normal(0, 0.24, count))


def sinus(count: int, mean_s: float = 0.8) -> np.ndarray:
    """Breathing moves the intervals of a fast heart less: here in proportion."""
    breath = 0.05 * np.sin(2 * np.pi * np.arange(count) * mean_s / 4)
    return mean_s * (1 + breath + np.random.default_rng(6).normal(0, 0.015, count))


@pytest.mark.parametrize("mean_s", [0.45, 0.7, 1.1])
def test_fibrillation_is_told_at_any_rate(mean_s: float):
    assert np.mean(verdicts(irregular(mean_s, 200))) > 0.95


def with_early_beats(every: int) -> np.ndarray:
    out = sinus(200)
    out[5::every] *= 0.6
    out[6::every] *= 1.4
    return out


@pytest.mark.parametrize(
    "intervals",
    [
        sinus(200),
        sinus(200, 0.5),
        with_early_beats(9),
        np.tile([0.5, 1.0], 100) + np.random.default_rng(7).normal(0, 0.012, 200),
        np.tile([0.8, 0.5, 1.1], 60) + np.random.default_rng(8).normal(0, 0.012, 180),
        np.linspace(1.1, 0.5, 200),
    ],
    ids=["sinus", "fast", "early beats", "bigeminy", "trigeminy", "faster and faster"],
)
def test_a_rhythm_with_an_order_is_no_fibrillation(intervals: np.ndarray):
    assert np.mean(verdicts(intervals)) < 0.02


def test_verdicts_do_not_depend_on_how_the_beats_came():
    whole = beats(np.concatenate([sinus(60), irregular(0.7, 60), sinus(60)]))
    state, found = fibrillation.begin(), list[fibrillation.Verdict]()
    for beat in whole:
        state, more = fibrillation.step(state, (beat,), FS_HZ)
        found += more
    assert tuple(found) == fibrillation.step(fibrillation.begin(), whole, FS_HZ)[1]
    assert len(state.beats) == fibrillation.WINDOW + 1
    assert len(state.scores) == fibrillation.SMOOTHED


def test_the_change_of_rhythm_is_found_within_some_beats_of_where_it_was():
    times = beats(np.concatenate([sinus(80), irregular(0.7, 80)]))
    found = fibrillation.step(fibrillation.begin(), times, FS_HZ)[1]
    first = next(v.first for v in found if v.fibrillation)
    assert abs(int(np.searchsorted(times, first)) - 80) <= 10


def test_beats_on_both_sides_of_a_hole_make_no_interval():
    early, late = beats(sinus(30)), tuple(b + 100_000 for b in beats(sinus(30)))
    found = fibrillation.step(fibrillation.begin(), early + late, FS_HZ)[1]
    assert len(found) == 2 * (30 - fibrillation.WINDOW)
