"""Electrocardiograms drawn from numbers, as the tests of heart rate meters ask for them (IEC 60601-2-27:2011, 201.12.1.101.12 to .17).

Everything is drawn at 20 kHz and brought to the device's rate as a converter would: each sample is the mean of the signal
over the time since the last one, or over two of these, whichever front end is asked for. Knows nothing of any detector.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FINE_HZ = 20_000
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Wave:
    """A complex: a triangle of `qrs_mv` and `qrs_s`, then a T wave of `t_mv` that is `T_S` wide and ends `QT_S` behind the onset."""

    qrs_mv: float = 1.0
    qrs_s: float = 0.1
    t_mv: float = 0.2
    half_sine: bool = False


@dataclass(frozen=True, slots=True)
class Pulse:
    """A pacing pulse: rectangle of `mv` and `s`, behind it what is left of `tail_mv` (of the other sign), falling with `tail_s`."""

    mv: float
    s: float
    tail_mv: float = 0.0
    tail_s: float = 0.025


T_S = 0.18
QT_S = 0.35
VENTRICULAR = Wave(1.4, 0.14, -0.3)
INVERTED = Wave(-1.2, 0.14, 0.3)


def _triangle(mv: float, s: float) -> Floats:
    n = round(s * FINE_HZ)
    return mv * (1 - np.abs(2 * (np.arange(n) + 0.5) / n - 1))


def _hump(mv: float, s: float, *, half_sine: bool) -> Floats:
    phase = np.pi * (np.arange(round(s * FINE_HZ)) + 0.5) / round(s * FINE_HZ)
    return mv * (np.sin(phase) if half_sine else np.sin(phase) ** 2)


def _add(line: Floats, at_s: float, shape: Floats) -> None:
    first = round(at_s * FINE_HZ)
    if 0 <= first < len(line):
        line[first : first + len(shape)] += shape[: len(line) - first]


def draw(
    length_s: float, complexes: Sequence[tuple[float, Wave]], pulses: Sequence[tuple[float, Pulse]] = ()
) -> Floats:
    """The line at `FINE_HZ`, in millivolt; each complex and pulse with the time of its onset."""
    line = np.zeros(round(length_s * FINE_HZ))
    for at_s, wave in complexes:
        _add(line, at_s, _triangle(wave.qrs_mv, wave.qrs_s))
        if wave.t_mv:
            _add(line, at_s + QT_S - T_S, _hump(wave.t_mv, T_S, half_sine=wave.half_sine))
    for at_s, pulse in pulses:
        _add(line, at_s, np.full(round(pulse.s * FINE_HZ), pulse.mv))
        if pulse.tail_mv:
            fall = np.exp(-np.arange(round(6 * pulse.tail_s * FINE_HZ)) / (pulse.tail_s * FINE_HZ))
            _add(line, at_s + pulse.s, -np.copysign(pulse.tail_mv, pulse.mv) * fall)
    return line


def mains(line: Floats, hz: float, peak_to_valley_mv: float = 0.1) -> Floats:
    """With mains hum (201.12.1.101.15: 100 uV peak to valley)."""
    return line + peak_to_valley_mv / 2 * np.sin(2 * np.pi * hz * np.arange(len(line)) / FINE_HZ)


def drift(line: Floats, hz: float = 0.1, peak_to_valley_mv: float = 4.0) -> Floats:
    """With a baseline that goes up and down in straight lines (201.12.1.101.15: 4 mV, 0.1 Hz)."""
    phase = np.arange(len(line)) * hz / FINE_HZ % 1.0
    return line + peak_to_valley_mv * (np.abs(2 * phase - 1) - 0.5)


def sampled(
    line: Floats, fs_hz: int, *, smooth: bool = False, noise_mv: float = 0.003, range_mv: float = 160.0
) -> Floats:
    """What a device gives of it: means over one sample's time, or weighted ones over two; its own noise; no more than its range."""
    n = FINE_HZ // fs_hz
    if smooth:
        weights = np.sin(np.pi * (np.arange(2 * n) + 0.5) / (2 * n)) ** 2 / n
        whole = np.concatenate([np.zeros(n), line])
        values = np.lib.stride_tricks.sliding_window_view(whole, 2 * n)[::n] @ weights
    else:
        values = line[: len(line) // n * n].reshape(-1, n).mean(axis=1)
    noise = np.random.default_rng(len(values)).normal(0, noise_mv, len(values))
    return np.clip(values + noise, -range_mv, range_mv)


def steady(rate_per_min: float, from_s: float, to_s: float) -> list[float]:
    """Onsets of a rhythm that never wavers."""
    return list(np.arange(from_s, to_s, 60 / rate_per_min))


def pairs(short_s: float, long_s: float, from_s: float, to_s: float) -> list[float]:
    """Onsets that come by two: a short interval, then a long one."""
    return [t + d for t in np.arange(from_s, to_s, short_s + long_s) for d in (0.0, short_s) if t + d < to_s]
