"""Say what each lead can be used for, and why not for more. Judged every half second on raw samples.

Thresholds stand in one table below. What follows from a verdict (a technical alarm, another lead) is the caller's. A QRS detector finds
beats through a moving baseline and through hum that would make the form of a rhythm doubtful.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from models.signal.averages import mean, median, share, steps
from models.signal.frames import HOP_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Verdict(StrEnum):
    """What a lead is at this moment, worst first."""

    MISSING = "missing"
    LEAD_OFF = "lead_off"
    SATURATED = "saturated"
    FLAT = "flat"
    NOISE = "noise"  # as muscles make it
    MAINS = "mains"
    MOTION = "motion"
    BASELINE = "baseline"
    GOOD = "good"

    @property
    def use(self) -> "Use":
        """What a lead of this verdict can be used for."""
        return Use.RHYTHM if self is Verdict.GOOD else Use.RATE if self in _NOISY else Use.NOTHING


class Use(IntEnum):
    """What a lead is good for; who may use it for a rhythm may use it for a rate."""

    NOTHING = 0
    RATE = 1
    RHYTHM = 2


_NOISY = frozenset({Verdict.NOISE, Verdict.MAINS, Verdict.MOTION, Verdict.BASELINE})


FLAT_MV = 0.011  # peak to peak in two seconds: less than skin and electrode give (10 uV); an open or shorted input
OFFSET_MV = 300.0  # IEC 60601-2-27 201.12.1.101.1: offsets up to 300 mV must be endured; more is no electrode
RAIL_MV = 4.0  # a constant stretch this far from zero is an amplifier at its end, whatever its range is
STUCK_SHARE = 0.5  # share of a hop's samples at one extreme value
NOISE_MV = 0.12  # high-frequency residue, rms of the quieter half of the hop: above it QRS complexes of 0.5 mV drown
MAINS_HZ = (50.0, 60.0)
MAINS_SHARE = 0.6  # of the high-frequency residue in a sine of these: hum, no muscle
MAINS_OF_FS = 0.45  # a rate below shows it as another frequency
MOTION_MV = (
    1.0  # from one half second's mean to the next: a QRS complex of 5 mV and 100 ms moves it by less than half of that
)
BASELINE_MV = 1.5  # between the half-second means of three seconds: 15 mm on paper
MISSING_SHARE = 0.5
HOPS = 4  # two seconds
NOISE_HOPS = 6  # three seconds
PARTS = 8  # of a hop; noise is the residue of its quieter half
_PART = np.arange(PARTS)


@dataclass(frozen=True, eq=False)
class QualityState:
    """Samples of the unfinished hop and what the last hops were; arrays of shape (hops, leads)."""

    held: "Floats"
    low: "Floats"
    high: "Floats"
    stuck: "Floats"
    noise: "Floats"
    mains: "Floats"
    middle: "Floats"
    missing: "Floats"
    verdicts: tuple[Verdict, ...]
    judged: int = 0


def begin(leads: int) -> QualityState:
    """State before the first sample: good until the opposite is seen."""
    empty = np.zeros((0, leads))
    good = (Verdict.GOOD,) * leads
    return QualityState(np.zeros((leads, 0)), empty, empty, empty, empty, empty, empty, empty, good)


def feed(state: QualityState, samples: "Floats", fs_hz: float) -> tuple[QualityState, tuple[tuple[Verdict, ...], ...]]:
    """Take samples, shape (leads, n) in millivolt, NaN where missing; give each lead's verdict for every hop completed."""
    hop = round(HOP_S * fs_hz)
    held = np.concatenate([state.held, samples], axis=1)
    out: list[tuple[Verdict, ...]] = []
    start = 0
    while held.shape[1] - start >= hop:
        state = _judge(state, held[:, start : start + hop], fs_hz)
        out.append(state.verdicts)
        start += hop
    return QualityState(
        held[:, start:].copy(),
        state.low,
        state.high,
        state.stuck,
        state.noise,
        state.mains,
        state.middle,
        state.missing,
        state.verdicts,
        state.judged,
    ), tuple(out)


def _judge(state: QualityState, raw: "Floats", fs_hz: float) -> QualityState:
    absent = ~np.isfinite(raw)
    missing = share(absent)
    if missing.any():
        raw = np.where(absent, np.nan, raw)
        empty = missing == 1
        raw[empty] = 0.0
        low, high = np.nanmin(raw, axis=1), np.nanmax(raw, axis=1)
        raw = np.where(np.isnan(raw), ((low + high) / 2)[:, None], raw)
    else:
        low, high = raw.min(axis=1), raw.max(axis=1)
    extreme = np.maximum(high, -low) * np.where(np.abs(high) >= np.abs(low), np.float64(1), np.float64(-1))
    same = share(raw == extreme[:, None])
    stuck: Floats = np.where(np.abs(extreme) >= RAIL_MV, same, 0.0)
    second = raw[:, 2:] - 2 * raw[:, 1:-1] + raw[:, :-2]
    least, rest = divmod(second.shape[1], PARTS)
    bounds = least * _PART + np.minimum(_PART, rest)
    means = np.add.reduceat(second * second, bounds, axis=1) / (least + (rest > _PART))
    noise = np.sqrt(median(means) / 6)
    loud = noise > NOISE_MV
    mains = _mains(second, fs_hz) * loud if loud.any() else np.zeros(len(raw))

    def kept(old: "Floats", new: "Floats") -> "Floats":
        return np.concatenate([old, new[None]])[-NOISE_HOPS:]

    lows, highs = kept(state.low, low), kept(state.high, high)
    stucks, noises, missings = kept(state.stuck, stuck), kept(state.noise, noise), kept(state.missing, missing)
    hums, middles = kept(state.mains, mains), kept(state.middle, mean(raw))
    span = highs[-HOPS:].max(axis=0) - lows[-HOPS:].min(axis=0)
    off: NDArray[np.bool_] = np.asarray(
        (lows[-HOPS:] > OFFSET_MV).all(axis=0) | (highs[-HOPS:] < -OFFSET_MV).all(axis=0)
    )
    full = len(lows) >= HOPS
    wander = np.ptp(middles, axis=0) > BASELINE_MV
    quietest: Floats = noises.min(axis=0) if len(noises) == NOISE_HOPS else np.zeros(len(raw))
    verdicts = tuple(
        Verdict.MISSING
        if missings[-1, i] > MISSING_SHARE
        else Verdict.LEAD_OFF
        if off[i]
        else Verdict.SATURATED
        if (stucks[-2:, i] > STUCK_SHARE).all()
        else Verdict.FLAT
        if full and span[i] < FLAT_MV and (missings[-HOPS:, i] < MISSING_SHARE).all()
        else _noisy(hums[:, i])
        if quietest[i] > NOISE_MV
        else _moved(middles[:, i])
        if wander[i]
        else Verdict.GOOD
        for i in range(len(missing))
    )
    return QualityState(state.held, lows, highs, stucks, noises, hums, middles, missings, verdicts, state.judged + 1)


def _noisy(hums: "Floats") -> Verdict:
    return Verdict.MAINS if float(median(hums)) > MAINS_SHARE else Verdict.NOISE


def _moved(middles: "Floats") -> Verdict:
    """Why the means of the last half seconds lie far apart."""
    return Verdict.MOTION if np.abs(steps(middles)).max() > MOTION_MV else Verdict.BASELINE


@lru_cache(maxsize=16)
def _hum(count: int, fs_hz: float) -> "Floats":
    """Orthonormal sines and cosines of the mains' frequencies that a rate shows, (2 * frequencies, count)."""
    at = 2 * np.pi * np.arange(count) / fs_hz
    waves = [wave(hz * at) for hz in MAINS_HZ if hz <= MAINS_OF_FS * fs_hz for wave in (np.sin, np.cos)]
    pairs = [np.linalg.qr(np.array(waves[i : i + 2]).T)[0].T for i in range(0, len(waves), 2)]
    return np.concatenate(pairs) if pairs else np.zeros((0, count))


def _mains(second: "Floats", fs_hz: float) -> "Floats":
    """What share of the second differences of a hop, (leads, n), is a sine of one of the mains' frequencies: (leads,)."""
    power = (second @ _hum(second.shape[1], fs_hz).T) ** 2
    if not power.shape[1]:
        return np.zeros(len(second))
    each = power.reshape(len(second), -1, 2).sum(axis=2)
    return each.max(axis=1) / np.maximum((second * second).sum(axis=1), 1e-12)
