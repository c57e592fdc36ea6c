"""Say whether each lead can be used: lead off, flat, saturated, too noisy, missing. Judged every half second on raw samples.

Thresholds stand in one table below. What follows from a verdict (a technical alarm, another lead) is the caller's.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from models.signal.averages import median, share
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
    NOISE = "noise"
    GOOD = "good"


FLAT_MV = 0.011  # peak to peak in two seconds: less than skin and electrode give (10 uV); an open or shorted input
OFFSET_MV = 300.0  # IEC 60601-2-27 201.12.1.101.1: offsets up to 300 mV must be endured; more is no electrode
RAIL_MV = 4.0  # a constant stretch this far from zero is an amplifier at its end, whatever its range is
STUCK_SHARE = 0.5  # share of a hop's samples at one extreme value
NOISE_MV = 0.12  # high-frequency residue, rms of the quieter half of the hop: above it QRS complexes of 0.5 mV drown
MISSING_SHARE = 0.5
HOPS = 4  # two seconds
NOISE_HOPS = 6  # three of the last three seconds
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
    missing: "Floats"
    verdicts: tuple[Verdict, ...]
    judged: int = 0


def begin(leads: int) -> QualityState:
    """State before the first sample: good until the opposite is seen."""
    empty = np.zeros((0, leads))
    return QualityState(np.zeros((leads, 0)), empty, empty, empty, empty, empty, (Verdict.GOOD,) * leads)


def feed(state: QualityState, samples: "Floats", fs_hz: float) -> tuple[QualityState, tuple[tuple[Verdict, ...], ...]]:
    """Take samples, shape (leads, n) in millivolt, NaN where missing; give each lead's verdict for every hop completed."""
    hop = round(HOP_S * fs_hz)
    held = np.concatenate([state.held, samples], axis=1)
    out: list[tuple[Verdict, ...]] = []
    start = 0
    while held.shape[1] - start >= hop:
        state = _judge(state, held[:, start : start + hop])
        out.append(state.verdicts)
        start += hop
    return QualityState(
        held[:, start:].copy(),
        state.low,
        state.high,
        state.stuck,
        state.noise,
        state.missing,
        state.verdicts,
        state.judged,
    ), tuple(out)


def _judge(state: QualityState, raw: "Floats") -> QualityState:
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

    def kept(old: "Floats", new: "Floats") -> "Floats":
        return np.concatenate([old, new[None]])[-NOISE_HOPS:]

    lows, highs = kept(state.low, low), kept(state.high, high)
    stucks, noises, missings = kept(state.stuck, stuck), kept(state.noise, noise), kept(state.missing, missing)
    span = highs[-HOPS:].max(axis=0) - lows[-HOPS:].min(axis=0)
    off: NDArray[np.bool_] = np.asarray(
        (lows[-HOPS:] > OFFSET_MV).all(axis=0) | (highs[-HOPS:] < -OFFSET_MV).all(axis=0)
    )
    full = len(lows) >= HOPS
    verdicts = tuple(
        Verdict.MISSING
        if missings[-1, i] > MISSING_SHARE
        else Verdict.LEAD_OFF
        if off[i]
        else Verdict.SATURATED
        if (stucks[-2:, i] > STUCK_SHARE).all()
        else Verdict.FLAT
        if full and span[i] < FLAT_MV and (missings[-HOPS:, i] < MISSING_SHARE).all()
        else Verdict.NOISE
        if len(noises) == NOISE_HOPS and (noises[:, i] > NOISE_MV).all()
        else Verdict.GOOD
        for i in range(len(missing))
    )
    return QualityState(state.held, lows, highs, stucks, noises, missings, verdicts, state.judged + 1)
