"""Signals with known contents for the detectors; made here, so that no recording is needed."""

import numpy as np
from numpy.typing import NDArray


def heartbeats(
    fs_hz: float, beats_s: list[float], length_s: float, noise_mv: float = 0.01, height_mv: float = 1.0
) -> NDArray[np.float64]:
    """Narrow QRS complexes and slow T waves at the given times, with a little noise, millivolt."""
    t = np.arange(round(length_s * fs_hz)) / fs_hz
    x = np.random.default_rng(1).normal(0, noise_mv, len(t))
    for beat in beats_s:
        x += height_mv * np.exp(-(((t - beat) / 0.012) ** 2)) + 0.25 * height_mv * np.exp(
            -(((t - beat - 0.28) / 0.06) ** 2)
        )
    return x


def regular(rate_per_min: float, length_s: float, from_s: float = 0.5) -> list[float]:
    """Times of a steady rhythm."""
    return list(np.arange(from_s, length_s - 0.3, 60 / rate_per_min))


def fibrillation(fs_hz: float, length_s: float) -> NDArray[np.float64]:
    """Waves of 5 Hz whose frequency and height wander, millivolt."""
    t = np.arange(round(length_s * fs_hz)) / fs_hz
    phase = 2 * np.pi * np.cumsum(5 + np.sin(2 * np.pi * 0.3 * t) + 0.5 * np.sin(2 * np.pi * 0.11 * t)) / fs_hz
    noise = np.random.default_rng(2).normal(0, 0.01, len(t))
    return 0.5 * (1 + 0.4 * np.sin(2 * np.pi * 0.4 * t)) * np.sin(phase) + noise


def pulses(
    fs_hz: float,
    ends_s: list[float],
    length_s: float,
    *,
    rise_s: float = 0.12,
    dicrotic: float = 0.25,
    noise: float = 0.002,
    heights: list[float] | None = None,
) -> NDArray[np.float64]:
    """Pulse waves whose upstrokes end at these times: a fast rise, a slow fall and a dicrotic wave 300 ms behind, 1 high."""
    t = np.arange(round(length_s * fs_hz)) / fs_hz
    x = np.random.default_rng(5).normal(0, noise, len(t))
    for i, end in enumerate(ends_s):
        gap = min(np.diff(ends_s, append=end + 1.0)[i], 1.0)
        fall_s, rise = 0.35 * gap, min(rise_s, 0.4 * gap)
        up = np.clip((t - end) / rise + 1, 0, 1)
        wave = (0.5 - 0.5 * np.cos(np.pi * up)) * np.exp(-np.clip(t - end, 0, None) / fall_s)
        wave += dicrotic * np.exp(-(((t - end - min(0.3, 0.45 * gap)) / 0.06) ** 2))
        x += wave * (1.0 if heights is None else heights[i])
    return x


def breathing(fs_hz: float, per_min: float, length_s: float, noise: float = 0.01) -> NDArray[np.float64]:
    """A chest that rises and falls, with heart beats on it a tenth as high and a baseline that drifts."""
    t = np.arange(round(length_s * fs_hz)) / fs_hz
    chest = np.sin(2 * np.pi * per_min / 60 * t) + 0.1 * np.sin(2 * np.pi * 1.2 * t + 0.5)
    return chest + 0.01 * t + np.random.default_rng(6).normal(0, noise, len(t))
