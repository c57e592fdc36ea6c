"""Cut one slow wave (plethysmogram, pressure, impedance) into hops of half a second and bring it to a rate of few samples a second.

Hops are counted from sample 0, so that findings do not depend on how the samples were cut on their way. Low-pass and resampling are
one matrix product a hop, as in `models.signal.frames`, for every rate from 25 to 1000 Hz. What is missing is bridged by the last good
value and told with the hop: nothing is concluded from it.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from models.signal.frames import HOP_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MIN_FS_HZ, MAX_FS_HZ = 25.0, 1000.0
LARGEST = 1e9  # a value beyond, in any unit, is no measurement and counts as missing


class Fault(StrEnum):
    """Why a wave says nothing at this moment."""

    LEARNING = "learning"  # too little of it has been seen
    MISSING = "missing"
    FLAT = "flat"
    SATURATED = "saturated"
    WEAK = "weak"  # smaller than what is looked for can be
    ABSENT = "absent"  # a wave, but nothing in it that is looked for
    UNLIKE = "unlike"  # what was found does not look alike: motion, noise


@dataclass(frozen=True, eq=False)
class Plan:
    """What a rate asks for: samples a hop, samples of context, the kernel (outputs a hop, context + hop), its delay in seconds."""

    fs_hz: float
    hop: int
    context: int
    kernel: "Floats"
    delay_s: float

    @property
    def out_hz(self) -> float:
        """Outputs a second."""
        return len(self.kernel) * self.fs_hz / self.hop

    def sample_of(self, output: float) -> int:
        """Input sample number of an output, whose delay is not in its number."""
        return round(output * self.hop / len(self.kernel) - self.delay_s * self.fs_hz)


@lru_cache(maxsize=32)
def plan(fs_hz: float, outputs: int, cutoff_hz: float, delay_s: float) -> Plan:
    """The plan for a rate; ValueError outside 25-1000 Hz. `outputs`: a hop; `delay_s`: half the length of the low-pass."""
    if not MIN_FS_HZ <= fs_hz <= MAX_FS_HZ:
        msg = f"sampling rate {fs_hz} Hz: expected {MIN_FS_HZ:.0f} to {MAX_FS_HZ:.0f} Hz"
        raise ValueError(msg)
    hop = round(HOP_S * fs_hz)
    context = int(np.ceil(2 * delay_s * fs_hz)) + 1
    times = np.arange(outputs) * (hop / outputs / fs_hz) - delay_s
    distance = times[:, None] - np.arange(-context, hop)[None, :] / fs_hz
    taper = np.where(np.abs(distance) < delay_s, 0.5 + 0.5 * np.cos(np.pi * distance / delay_s), 0.0)
    kernel = np.sinc(2 * cutoff_hz * distance) * taper
    kernel /= kernel.sum(axis=1)[:, None]
    return Plan(fs_hz, hop, context, kernel, delay_s)


@dataclass(frozen=True, eq=False)
class WaveState:
    """What is kept between chunks: context of the last hop and the samples of the hop that is not yet full, NaN where missing."""

    hops: int
    held: "Floats"
    last_good: float


@dataclass(frozen=True, eq=False)
class Hop:
    """One hop. `wave`: shape (outputs,), `Plan.delay_s` behind; `low`, `high`: of the samples, 0 where there is none.

    `missing`: share of samples that are; `railed`: share of the others that lie at their lowest or highest, 1 when all are equal.
    """

    number: int
    wave: "Floats"
    missing: float
    low: float
    high: float
    railed: float


def begin(rule: Plan) -> WaveState:
    """State before the first sample."""
    return WaveState(0, np.full(rule.context, np.nan), np.nan)


def feed(state: WaveState, samples: "Floats", rule: Plan) -> tuple[WaveState, tuple[Hop, ...]]:
    """Take samples, shape (n,), NaN where missing; give every hop that they complete."""
    if len(samples) == 0:
        return state, ()
    held = np.concatenate([state.held, np.where(np.abs(samples) <= LARGEST, samples, np.nan)])
    hops: list[Hop] = []
    start, number, last_good = 0, state.hops, state.last_good
    while len(held) - start >= rule.context + rule.hop:
        window = held[start : start + rule.context + rule.hop]
        filled, last_good = _filled(window, last_good, rule.hop)
        hops.append(_hop(number, window[rule.context :], rule.kernel @ filled))
        start += rule.hop
        number += 1
    return WaveState(number, held[start:].copy(), last_good), tuple(hops)


def _hop(number: int, raw: "Floats", wave: "Floats") -> Hop:
    present = raw[np.isfinite(raw)]
    if len(present) == 0:
        return Hop(number, wave, 1.0, 0.0, 0.0, 0.0)
    low, high = float(present.min()), float(present.max())
    railed = max(np.count_nonzero(present == low), np.count_nonzero(present == high)) / len(present)
    return Hop(number, wave, 1 - len(present) / len(raw), low, high, railed)


def _filled(window: "Floats", last_good: float, hop: int) -> "tuple[Floats, float]":
    """Hold the last good value over missing samples; also the last good value before the next window."""
    present = np.isfinite(window)
    if present.all():
        return window.copy(), float(window[hop - 1])
    if not np.isfinite(last_good):
        last_good = float(window[present][0]) if present.any() else np.nan
    index = np.maximum.accumulate(np.where(present, np.arange(len(window)), -1))
    filled = np.where(index < 0, 0.0 if np.isnan(last_good) else last_good, window[index])
    return filled, float(filled[hop - 1]) if present[:hop].any() else last_good
