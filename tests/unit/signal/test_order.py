"""Intervals without order are told from those with one, whatever the order is."""

import numpy as np
import pytest

from models.signal.rhythm import order

IRREGULAR = -1.4  # the paper's limit; above it fibrillation
WINDOW, SMOOTHED = 24, 9  # intervals; windows whose median is asked


def verdicts(intervals_s: np.ndarray) -> list[bool]:
    """Of each run of windows, whether their middle one has no order."""
    windows = np.lib.stride_tricks.sliding_window_view(intervals_s, WINDOW)
    scores = np.array([order.entropy(order.expected(window)) for window in windows])
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(scores, SMOOTHED), axis=1)
    return (smooth > IRREGULAR).tolist()


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
