"""Cut a stream of samples into hops of about half a second and bring each to the rates the detectors work at.

Hops are counted from sample 0, so that findings do not depend on how the samples were cut on their way. Resampling and
filtering are one matrix product a hop: each row is a continuous-time kernel read at the times of the input samples, which
serves every rate from 100 to 1000 Hz with the same filter.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from models.signal import pacer
from models.signal.averages import share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

MIN_FS_HZ, MAX_FS_HZ = 100.0, 1000.0
HOP_S = 0.5
BAND_HOP = 90  # samples a hop of the QRS band: 180 Hz
SLOW_HOP = 45  # samples a hop of the slow band: 90 Hz
WIDE_HOP = 60  # samples a hop of the wide band, which networks see: 120 Hz
HALF_KERNEL = 22  # band samples: 45 taps at 180 Hz
QRS_BAND_HZ = (5.0, 22.0)
SLOW_CUTOFF_HZ = 32.0
WIDE_CUTOFF_HZ = 45.0
DELAY_S = HALF_KERNEL / (BAND_HOP / HOP_S)  # of all bands, behind the input


@dataclass(frozen=True, eq=False)
class Plan:
    """What a sampling rate asks for: samples a hop, samples of context, the three kernels (outputs, context + hop)."""

    fs_hz: float
    hop: int
    context: int
    band: "Floats"
    slow: "Floats"
    wide: "Floats"

    @property
    def hop_s(self) -> float:
        """Length of a hop in seconds."""
        return self.hop / self.fs_hz

    def sample_of(self, band_index: float) -> int:
        """Input sample number of a sample of the QRS band."""
        return round(band_index * self.hop / BAND_HOP)


def samples_a_hop(fs_hz: float) -> int:
    """How many samples of a rate make a hop; ValueError outside 100-1000 Hz."""
    if not MIN_FS_HZ <= fs_hz <= MAX_FS_HZ:
        msg = f"sampling rate {fs_hz} Hz: expected {MIN_FS_HZ:.0f} to {MAX_FS_HZ:.0f} Hz"
        raise ValueError(msg)
    return round(HOP_S * fs_hz)


@lru_cache(maxsize=16)
def plan(fs_hz: float) -> Plan:
    """The plan for a rate; ValueError outside 100-1000 Hz."""
    hop = samples_a_hop(fs_hz)
    step = hop / BAND_HOP  # input samples between two band samples
    context = int(np.ceil(2 * HALF_KERNEL * step)) + 1
    inputs = np.arange(-context, hop, dtype=np.float64)
    half_s = (HALF_KERNEL + 1) * step / fs_hz

    def kernel(outputs: int) -> "tuple[Floats, Floats]":
        """Distance of each output from each input in seconds, and the taper of that."""
        times = (np.arange(outputs) * (BAND_HOP / outputs) - HALF_KERNEL) * step
        distance = (times[:, None] - inputs[None, :]) / fs_hz
        taper = np.where(np.abs(distance) < half_s, 0.54 + 0.46 * np.cos(np.pi * distance / half_s), 0.0)
        return distance, taper

    def low_pass(outputs: int, cutoff_hz: float) -> "Floats":
        distance, taper = kernel(outputs)
        rows = 2 * cutoff_hz * np.sinc(2 * cutoff_hz * distance) * taper / fs_hz
        return rows / rows.sum(axis=1)[:, None]

    distance, taper = kernel(BAND_HOP)
    low, high = QRS_BAND_HZ
    band = (2 * high * np.sinc(2 * high * distance) - 2 * low * np.sinc(2 * low * distance)) * taper / fs_hz
    band -= taper * (band.sum(axis=1) / taper.sum(axis=1))[:, None]  # nothing passes at 0 Hz
    return Plan(fs_hz, hop, context, band, low_pass(SLOW_HOP, SLOW_CUTOFF_HZ), low_pass(WIDE_HOP, WIDE_CUTOFF_HZ))


@dataclass(frozen=True, eq=False)
class FrameState:
    """What is kept between chunks: context of the last hop and the samples of the hop that is not yet full."""

    hops: int
    held: "Floats"  # (leads, context + samples of an unfinished hop), missing samples as NaN
    last_good: "Floats"  # (leads,)
    tails: tuple[pacer.Tail | None, ...]  # overshoot of a pacing pulse that goes on, of each lead


@dataclass(frozen=True, eq=False)
class Hop:
    """One hop. `raw`: (leads, hop) with NaN where missing; `band`, `slow`, `wide`: (leads, 90, 45 or 60), DELAY_S behind.

    All are of samples without pacing pulses; `pulses`: sample numbers where these begin, of each lead, up to
    `pacer.SETTLED_S` before the end of the hop.
    """

    number: int
    raw: "Floats"
    missing: "Floats"  # (leads,) share of samples that are missing
    band: "Floats"
    slow: "Floats"
    wide: "Floats"
    pulses: tuple[tuple[int, ...], ...]


def begin(leads: int, fs_hz: float) -> FrameState:
    """State before the first sample."""
    return FrameState(0, np.full((leads, plan(fs_hz).context), np.nan), np.full(leads, np.nan), (None,) * leads)


def feed(state: FrameState, samples: "Floats", fs_hz: float) -> tuple[FrameState, tuple[Hop, ...]]:
    """Take samples, shape (leads, n), NaN where missing, in millivolt; give every hop that they complete."""
    if samples.shape[1] == 0:
        return state, ()
    rule = plan(fs_hz)
    finite = np.isfinite(samples)
    held = np.concatenate([state.held, samples if finite.all() else np.where(finite, samples, np.nan)], axis=1)
    hops: list[Hop] = []
    start, number, last_good, tails = 0, state.hops, state.last_good, state.tails
    while held.shape[1] - start >= rule.context + rule.hop:
        window = np.ascontiguousarray(held[:, start : start + rule.context + rule.hop])
        filled, last_good = _filled(window, last_good, rule.hop)
        raw = window[:, rule.context :]
        missing = share(np.isnan(raw))
        first = number * rule.hop - rule.context
        before = rule.context - pacer.settled(fs_hz)
        pulses: tuple[tuple[int, ...], ...] = ((),) * len(held)
        suspected = pacer.suspected(filled, before, fs_hz)
        if suspected.any() or any(tails):
            cleaned = [
                pacer.clean(x, before + np.flatnonzero(s), first, before, t, fs_hz)
                for x, s, t in zip(filled, suspected, tails, strict=True)
            ]
            filled = np.stack([c.samples for c in cleaned])
            pulses, tails = tuple(c.pulses for c in cleaned), tuple(c.tail for c in cleaned)
            known = window.shape[1] - pacer.settled(fs_hz)
            if any(pulses) or any(tails):
                held, raw = held.copy(), raw.copy()
                held[:, start : start + known] = filled[:, :known]
        hops.append(Hop(number, raw, missing, filled @ rule.band.T, filled @ rule.slow.T, filled @ rule.wide.T, pulses))
        start += rule.hop
        number += 1
    return FrameState(number, held[:, start:].copy(), last_good, tails), tuple(hops)


def _filled(window: "Floats", last_good: "Floats", hop: int) -> "tuple[Floats, Floats]":
    """Hold the last good value over missing samples; also the last good value before the next window."""
    absent = np.isnan(window)
    if not absent.any():
        return window, window[:, hop - 1]
    filled = window.copy()
    for lead in np.flatnonzero(absent.any(axis=1)):
        row, gone = filled[lead], absent[lead]
        first = last_good[lead]
        if np.isnan(first):
            present = row[~gone]
            first = present[0] if len(present) else 0.0
        index = np.maximum.accumulate(np.where(gone, -1, np.arange(len(row))))
        filled[lead] = np.where(index < 0, first, row[index])
    return filled, np.where(np.isnan(window[:, hop - 1]) & absent.all(axis=1), last_good, filled[:, hop - 1])
