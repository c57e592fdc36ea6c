"""Beats whose waves begin and end where the test says: every wave is a raised cosine of finite support. Knows nothing of the product."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Drawn:
    """Seconds from the R wave to the ends of each wave; heights in millivolt (P, Q, R, S, T)."""

    p: tuple[float, float] | None = (-0.20, -0.10)
    qrs: tuple[float, float] = (-0.045, 0.05)
    t: tuple[float, float] | None = (0.16, 0.36)
    heights: tuple[float, float, float, float, float] = (0.15, -0.12, 1.1, -0.3, 0.3)
    st_mv: float = 0.0


def _bump(at: np.ndarray, first: float, last: float) -> np.ndarray:
    inside = (at > first) & (at < last)
    return np.where(inside, 0.5 - 0.5 * np.cos(2 * np.pi * (at - first) / (last - first)), 0.0)


def one_lead(fs_hz: float, peaks_s: list[float], length_s: float, drawn: Drawn, gain: float = 1.0) -> np.ndarray:
    """Samples of a lead, millivolt; `gain` may be negative."""
    time = np.arange(round(length_s * fs_hz)) / fs_hz
    out = np.zeros(len(time))
    height = drawn.heights
    for peak in peaks_s:
        at = time - peak
        if drawn.p is not None:
            out += height[0] * _bump(at, *drawn.p)
        first, last = drawn.qrs
        third = (last - first) / 3
        out += height[1] * _bump(at, first, first + 1.1 * third)
        out += height[2] * _bump(at, first + 0.7 * third, last - 0.7 * third)
        out += height[3] * _bump(at, last - 1.1 * third, last)
        if drawn.st_mv:
            rise = np.clip((at - last + 0.02) / 0.02, 0, 1) * np.clip((0.40 - at) / 0.16, 0, 1)
            out += drawn.st_mv * rise
        if drawn.t is not None:
            out += height[4] * _bump(at, *drawn.t)
    return gain * out


GAINS = (0.7, 1.2, 0.5, -0.95, 0.1, 0.85, -0.5, 0.8, 1.0, 1.4, 1.2, 0.9)


def twelve(fs_hz: float, peaks_s: list[float], length_s: float, drawn: Drawn, noise_mv: float = 0.004) -> np.ndarray:
    """Twelve leads of other heights and signs, with a little noise of their own."""
    chance = np.random.default_rng(12)
    every = np.stack([one_lead(fs_hz, peaks_s, length_s, drawn, gain) for gain in GAINS])
    return every + noise_mv * chance.standard_normal(every.shape)
