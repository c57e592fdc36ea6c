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
from models.signal.averages import share, windows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

MIN_FS_HZ, MAX_FS_HZ = 100.0, 1000.0
HOP_S = 0.5
BAND_HOP = 90  # samples a hop of the QRS band: 180 Hz
SLOW_HOP = 45  # samples a hop of the slow band: 90 Hz
WIDE_HOP = 60  # samples a hop of the wide band, which networks see: 120 Hz
BLOCK_HOPS = 32  # hops that are judged at once at most
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


def blocks(samples: "Floats", fs_hz: float) -> "Iterator[Floats]":
    """Samples, shape (leads, n), in parts of `BLOCK_HOPS` hops: what is done at once does not grow with what a caller gives."""
    most = BLOCK_HOPS * plan(fs_hz).hop
    if samples.shape[1] <= most:
        yield samples
        return
    for at in range(0, samples.shape[1], most):
        yield samples[:, at : at + most]


def feed(state: FrameState, samples: "Floats", fs_hz: float) -> tuple[FrameState, tuple[Hop, ...]]:
    """Take samples, shape (leads, n), NaN where missing, in millivolt; give every hop that they complete."""
    if samples.shape[1] == 0:
        return state, ()
    rule = plan(fs_hz)
    finite = np.isfinite(samples)
    is_whole = bool(finite.all())
    held = np.concatenate([state.held, samples if is_whole else np.where(finite, samples, np.nan)], axis=1)
    count = max(0, (held.shape[1] - rule.context) // rule.hop)
    if not count:
        return FrameState(state.hops, held, state.last_good, state.tails), ()
    if is_whole and not any(state.tails) and _is_plain(held, state.held.shape[1], rule):
        return _plain(state, held, count, rule)
    filled: list[Floats] = []
    raws: list[Floats] = []
    told: list[tuple[tuple[int, ...], ...]] = []
    number, last_good, tails = state.hops, state.last_good, state.tails
    for start in range(0, count * rule.hop, rule.hop):
        window = np.ascontiguousarray(held[:, start : start + rule.context + rule.hop])
        whole, last_good = _filled(window, last_good, rule.hop)
        raw = window[:, rule.context :]
        first = number * rule.hop - rule.context
        before = rule.context - pacer.settled(fs_hz)
        pulses: tuple[tuple[int, ...], ...] = ((),) * len(held)
        suspected = pacer.suspected(whole, before, fs_hz)
        if suspected.any() or any(tails):
            cleaned = [
                pacer.clean(x, before + np.flatnonzero(s), first, before, t, fs_hz)
                for x, s, t in zip(whole, suspected, tails, strict=True)
            ]
            whole = np.stack([c.samples for c in cleaned])
            pulses, tails = tuple(c.pulses for c in cleaned), tuple(c.tail for c in cleaned)
            known = window.shape[1] - pacer.settled(fs_hz)
            if any(pulses) or any(tails):
                held, raw = held.copy(), raw.copy()
                held[:, start : start + known] = whole[:, :known]
        filled.append(whole)
        raws.append(raw)
        told.append(pulses)
        number += 1
    hops = _hops(state.hops, np.array(filled), np.array(raws), told, rule)
    return FrameState(number, held[:, count * rule.hop :].copy(), last_good, tails), hops


def _is_plain(held: "Floats", known: int, rule: Plan) -> bool:
    """Whether nothing is missing and nothing is steep enough for a pulse; `known`: samples of before, of which the last were looked at."""
    before = rule.context - pacer.settled(rule.fs_hz)
    return not np.isnan(held[:, :known]).any() and not pacer.is_steep(held, before, rule.fs_hz)


def _plain(state: FrameState, held: "Floats", count: int, rule: Plan) -> tuple[FrameState, tuple[Hop, ...]]:
    """The hops of samples as they are."""
    views = windows(held, rule.context + rule.hop, rule.hop)
    filled = np.ascontiguousarray(views.transpose(1, 0, 2))
    nothing: tuple[tuple[int, ...], ...] = ((),) * len(held)
    hops = _hops(state.hops, filled, filled[:, :, rule.context :], [nothing] * count, rule)
    last_good = filled[-1, :, rule.hop - 1].copy()
    return FrameState(state.hops + count, held[:, count * rule.hop :].copy(), last_good, state.tails), hops


def _hops(
    number: int, filled: "Floats", raws: "Floats", pulses: "list[tuple[tuple[int, ...], ...]]", rule: Plan
) -> tuple[Hop, ...]:
    """Hops from `number` on, of windows (hops, leads, context + hop): a product for each, so that each has the bits of one alone."""
    parts = (share(np.isnan(raws)), filled @ rule.band.T, filled @ rule.slow.T, filled @ rule.wide.T)
    return tuple(
        Hop(number + i, raw, missing, band, slow, wide, told)
        for i, (raw, missing, band, slow, wide, told) in enumerate(zip(raws, *parts, pulses, strict=True))
    )


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
