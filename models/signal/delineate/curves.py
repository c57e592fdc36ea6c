"""What the waves of a beat are measured on: slope and energy of every lead, and of all leads together, around its R wave.

The slope at a scale is the signal against the derivative of a Gaussian, a wavelet of one scale (as Martinez et al., IEEE Trans Biomed Eng
51:570, 2004, take one scale for QRS and larger ones for P and T); its energy is smoothed so that a wave's two flanks are one hump.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]


@lru_cache(maxsize=16)
def _gauss(sigma: float, order: int) -> "Floats":
    reach = int(np.ceil(3.5 * sigma))
    t = np.arange(-reach, reach + 1, dtype=np.float64)
    bell = np.exp(-0.5 * (t / sigma) ** 2)
    if order == 0:
        return bell / bell.sum()
    steep = t * bell
    return steep / (steep * t).sum()  # a ramp of one a sample gives one


def smooth(x: "Floats", sigma: float, order: int = 0) -> "Floats":
    """Rows, shape (leads, n), against a Gaussian of `sigma` samples or its derivative; the ends are held."""
    kernel = _gauss(sigma, order)
    reach = len(kernel) // 2
    padded = np.pad(x, ((0, 0), (reach, reach)), mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, len(kernel), axis=1)
    return views @ kernel


def energy(x: "Floats", slope_sigma: float, hump_sigma: float) -> "Floats":
    """Root of the smoothed square of the slope, (leads, n): one hump a wave."""
    slope = smooth(x, slope_sigma, 1)
    return np.sqrt(smooth(slope * slope, hump_sigma))


def together(curves: "Floats") -> "Floats":
    """One curve of all leads, (n,): the length of the vector that they make."""
    return np.sqrt((curves * curves).mean(axis=0))


def crossing(curve: "Floats", peak: int, level: float, step: int, gap: int) -> float:
    """Where `curve` falls below `level` for more than `gap` samples, going from `peak` by `step` (-1 or 1).

    Between two samples by a line; the end of the curve when it never does.
    """
    part = curve[peak:] if step > 0 else curve[peak::-1]
    above = np.flatnonzero(part > level)
    if not len(above):
        return float(peak)
    breaks = np.flatnonzero(np.diff(above) > gap + 1)
    last = int(above[breaks[0]] if len(breaks) else above[-1])
    if last + 1 >= len(part):
        return float(peak + step * last)
    high, low = float(part[last]), float(part[last + 1])
    return peak + step * (last + (high - level) / max(high - low, 1e-12))
