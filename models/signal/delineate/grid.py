"""Bring leads of any rate to 250 Hz, half a second at a time, smoothed by a Gaussian that does not ring ahead of a QRS complex.

Hops are counted from sample 0 and each is one matrix product, as in `models.signal.frames`; its filters have other ends.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from models.signal.frames import samples_a_hop

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

RATE_HZ = 250.0
HOP = 125  # grid samples a hop
SIGMA_S = 0.005  # smooths 100 Hz samples without ripple: an image at 100 Hz passes at 0.7 %
REACH_S = 0.020
STUCK_S = 0.012  # the top of an R wave of 1 mV stays within 0.02 mV for half as long
STUCK_MV = 1.0
LARGEST_MV = 1e6  # what is larger is no voltage of a body; keeps squares finite


@dataclass(frozen=True, eq=False)
class Plan:
    """What a rate asks for: input samples a hop, samples of context before it, the kernel (HOP, context + hop)."""

    fs_hz: float
    hop: int
    context: int
    kernel: "Floats"

    def grid_of(self, sample: int) -> float:
        """Position on the grid of an input sample."""
        return sample * HOP / self.hop

    def sample_of(self, grid: float) -> int:
        """Input sample of a position on the grid."""
        return round(grid * self.hop / HOP)


@lru_cache(maxsize=16)
def plan(fs_hz: float) -> Plan:
    """The plan for a rate; ValueError outside 100-1000 Hz."""
    hop = samples_a_hop(fs_hz)
    reach = int(np.ceil(REACH_S * fs_hz))
    context = 2 * reach
    inputs = np.arange(-context, hop, dtype=np.float64)
    times = np.arange(HOP) * (hop / HOP) - reach
    distance_s = (times[:, None] - inputs[None, :]) / fs_hz
    kernel = np.where(np.abs(distance_s) <= reach / fs_hz, np.exp(-0.5 * (distance_s / SIGMA_S) ** 2), 0.0)
    return Plan(fs_hz, hop, context, kernel / kernel.sum(axis=1)[:, None])


def behind(fs_hz: float) -> float:
    """By how many grid samples the grid lies behind the samples that were fed."""
    rule = plan(fs_hz)
    return rule.context / 2 * HOP / rule.hop


@dataclass(frozen=True, eq=False)
class GridState:
    """Context and the samples of the hop that is not yet full, missing ones as NaN; `last_good`: (leads,)."""

    hops: int
    held: "Floats"
    last_good: "Floats"


@dataclass(frozen=True, eq=False)
class Hop:
    """`values`, `absent`: (leads, HOP). Its first sample is HOP * number on a grid that lies `behind` the samples."""

    number: int
    values: "Floats"
    absent: "Bools"


def begin(leads: int, fs_hz: float) -> GridState:
    """State before the first sample."""
    return GridState(0, np.full((leads, plan(fs_hz).context), np.nan), np.zeros(leads))


def feed(state: GridState, samples: "Floats", fs_hz: float) -> tuple[GridState, tuple[Hop, ...]]:
    """Take samples, shape (leads, n), in millivolt, NaN where missing; give every hop that they complete."""
    rule = plan(fs_hz)
    held = np.concatenate([state.held, samples], axis=1)
    held[~(np.abs(held) <= LARGEST_MV)] = np.nan
    hops: list[Hop] = []
    start, number, last_good = 0, state.hops, state.last_good
    while held.shape[1] - start >= rule.context + rule.hop:
        window = np.ascontiguousarray(held[:, start : start + rule.context + rule.hop])
        gone = np.isnan(window)
        window, last_good = _filled(window, gone, last_good, rule.hop)
        gone |= _stuck(window, fs_hz)
        absent = (gone.astype(np.float64) @ rule.kernel.T) > 0 if gone.any() else np.zeros((len(window), HOP), np.bool_)
        hops.append(Hop(number, window @ rule.kernel.T, absent))
        start += rule.hop
        number += 1
    return GridState(number, held[:, start:].copy(), last_good), tuple(hops)


def _stuck(window: "Floats", fs_hz: float) -> "Bools":
    """Samples of an amplifier at its end: one extreme value for STUCK_S, further from the middle than a wave's quiet top."""
    run = max(3, int(np.ceil(STUCK_S * fs_hz)) + 1)
    out = np.zeros(window.shape, np.bool_)
    middle = np.median(window, axis=1)
    for extreme in (window.max(axis=1), window.min(axis=1)):
        equal = (window == extreme[:, None]) & (np.abs(extreme - middle) > STUCK_MV)[:, None]
        for row in np.flatnonzero(equal.sum(axis=1) >= run):
            for first in np.flatnonzero(np.lib.stride_tricks.sliding_window_view(equal[row], run).all(axis=1)):
                out[row, first : first + run] = True
    return out


def _filled(window: "Floats", gone: "Bools", last_good: "Floats", hop: int) -> "tuple[Floats, Floats]":
    """Hold the last good value over missing samples; also the last good value before the next window."""
    if not gone.any():
        return window, window[:, hop - 1]
    filled: Floats = np.concatenate([last_good[:, None], window], axis=1)
    index: NDArray[np.intp] = np.where(np.isnan(filled), 0, np.arange(len(filled[0]))[None, :])
    filled = np.take_along_axis(filled, np.maximum.accumulate(index, axis=1), axis=1)
    return filled[:, 1:], filled[:, hop]
