"""Where the energy of a beat's waves crosses shares of its height, lead by lead and for all leads together.

All positions are grid samples (4 ms) in a window around the R wave. What is made of the crossings stands in `fuse`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.signal.delineate.curves import crossing, energy, smooth, together
from models.signal.delineate.grid import RATE_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]


def _samples(seconds: float) -> int:
    return round(seconds * RATE_HZ)


BEFORE, BEHIND = _samples(0.60), _samples(0.90)  # the window: R is its sample BEFORE
NEAR = _samples(0.10)  # the R wave of a detector lies within this of the steepest place
QRS_REACH = _samples(0.16)  # half of the widest complex
QRS_LEVELS = (0.05, 0.1, 0.2, 0.35)
P_LEVELS = (0.1, 0.2, 0.35, 0.5)
T_LEVELS = (0.1, 0.2, 0.35, 0.5)
GAP_QRS, GAP_P, GAP_T = _samples(0.02), _samples(0.032), _samples(0.048)
PR_LONGEST, PR_SHORTEST = _samples(0.36), _samples(0.028)  # P peak to QRS onset
P_OF_RR = 0.45  # P lies in this last share of the interval before it
T_AFTER = _samples(0.04)  # from QRS offset to where a T wave may begin
QT_LONGEST = _samples(0.72)
T_FALL = _samples(
    0.18
)  # from the top of T to its steepest end, at most; at most places about half of what lies to its end
T_FALL_TYPICAL, T_FALL_SPREAD = _samples(0.05), _samples(0.07)
T_PEAK_S = 0.29  # R to the top of T at an interval of 1 s: 0.40 s of QT by Bazett, its top at three quarters, R 0.03 s behind the onset
T_PEAK_SPREAD = _samples(0.09)
SLOWEST_RR = _samples(2.0)
LEAST_QRS_MV = 0.05  # peak to peak; less is no complex that could be measured
MOST_QRS_MV = 20.0


@dataclass(frozen=True, eq=False)
class Wave:
    """Crossings of each lead and (last row) of all together, shape (leads + 1, levels): rising side, falling side.

    `height`: (leads + 1,) height of the energy above its floor, mV a sample; `floor`: the energy where nothing is.
    """

    rise: "Floats"
    fall: "Floats"
    height: "Floats"
    floor: "Floats"
    peak: "NDArray[np.intp]"


def usable(window: "Floats", absent: "Bools") -> "Bools":
    """Which leads show a complex that can be measured: nothing missing or stuck at an end of its range, not flat."""
    core = slice(BEFORE - QRS_REACH, BEFORE + QRS_REACH)
    part = window[:, core]
    span = part.max(axis=1) - part.min(axis=1)
    return ~absent[:, core].any(axis=1) & (span >= LEAST_QRS_MV) & (span <= MOST_QRS_MV)


def _measure(curves: "Floats", peak_from: "Floats", levels: tuple[float, ...], gap: int, floor_share: float) -> Wave:
    """Crossings of each row around its peak; `peak_from`: the rows on which the peak is sought, -inf where it is not."""
    rows = len(curves)
    rise, fall = np.zeros((rows, len(levels))), np.zeros((rows, len(levels)))
    peaks = peak_from.argmax(axis=1)
    floors = np.quantile(curves, floor_share, axis=1) if floor_share else np.zeros(rows)
    heights = np.maximum(curves[np.arange(rows), peaks] - floors, 1e-9)
    for row in range(rows):
        for column, level in enumerate(levels):
            limit = floors[row] + level * heights[row]
            rise[row, column] = crossing(curves[row], int(peaks[row]), limit, -1, gap)
            fall[row, column] = crossing(curves[row], int(peaks[row]), limit, 1, gap)
    return Wave(rise, fall, heights, floors, peaks)


def centre(window: "Floats") -> int:
    """The steepest place of all leads near the R wave that was given."""
    curve = together(energy(window[:, BEFORE - 2 * NEAR : BEFORE + 2 * NEAR], 1.5, 6.0))
    return BEFORE - NEAR + int(curve[NEAR : 3 * NEAR].argmax())


def qrs(window: "Floats", middle: int) -> Wave:
    """Crossings of the complex around `middle`."""
    first, last = middle - QRS_REACH, middle + QRS_REACH
    curves = energy(window, 1.5, 2.0)[:, first:last]
    curves = np.concatenate([curves, together(curves)[None]])
    near = np.full(curves.shape, -np.inf)
    inner = slice(QRS_REACH - NEAR, QRS_REACH + NEAR)
    near[:, inner] = curves[:, inner]
    return _moved(_measure(curves, near, QRS_LEVELS, GAP_QRS, 0.1), first)


def _moved(wave: Wave, by: int) -> Wave:
    return Wave(wave.rise + by, wave.fall + by, wave.height, wave.floor, wave.peak + by)


def p_wave(window: "Floats", first: int, onset: int) -> Wave | None:
    """Crossings of what may be a P wave between `first` and the QRS onset; None where there is no room for one."""
    last = onset - PR_SHORTEST
    if last - first < 2 * PR_SHORTEST:
        return None
    held = window[:, first:onset].copy()
    curves = energy(held, 3.0, 4.0)
    curves = np.concatenate([curves, together(curves)[None]])
    wide = np.concatenate([smooth(curves, 6.0)])
    allowed = np.full(curves.shape, -np.inf)
    allowed[:, : last - first] = wide[:, : last - first]
    middle = int(allowed[-1].argmax())
    near = np.full(curves.shape, -np.inf)
    lo, hi = max(0, middle - PR_SHORTEST - 4), min(last - first, middle + PR_SHORTEST + 4)
    near[:, lo:hi] = wide[:, lo:hi]
    return _moved(_measure(curves, near, P_LEVELS, GAP_P, 0.15), first)


def t_wave(window: "Floats", offset: int, last: int, rr: float) -> Wave | None:
    """Crossings of the T wave between the QRS offset and `last`: the hump that is tallest near where the interval `rr` expects it."""
    first = offset + T_AFTER
    if last - first < 3 * T_AFTER:
        return None
    part = window[:, first:last]
    curves = energy(part, 4.0, 4.0)
    curves = np.concatenate([curves, together(curves)[None]])
    level = smooth(part, 4.0)
    chord = np.linspace(0.0, 1.0, level.shape[1])
    bent = np.abs(level - level[:, :1] - (level[:, -1:] - level[:, :1]) * chord)
    bent = np.concatenate([bent, together(bent)[None]])
    expected = BEFORE + T_PEAK_S * np.sqrt(min(rr, SLOWEST_RR) / RATE_HZ) * RATE_HZ
    near_it = np.exp(-0.5 * ((np.arange(first, last) - expected) / T_PEAK_SPREAD) ** 2)
    top = int((bent[-1] * near_it).argmax())
    near = np.full(curves.shape, -np.inf)
    end = min(curves.shape[1], top + T_FALL)
    near[:, top:end] = curves[:, top:end]
    behind = (np.arange(float(curves.shape[1])) - top - T_FALL_TYPICAL) / T_FALL_SPREAD
    falls = np.exp(-0.5 * behind**2)
    steepest = int(np.where(np.isfinite(near[-1]), near[-1] * falls, -np.inf).argmax())
    tight = np.full(curves.shape, -np.inf)
    lo, hi = max(0, steepest - T_AFTER), min(curves.shape[1], steepest + T_AFTER)
    tight[:, lo:hi] = curves[:, lo:hi]
    return _moved(_measure(curves, tight, T_LEVELS, GAP_T, 0.1), first)
