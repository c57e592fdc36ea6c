"""Score how much four seconds look like ventricular fibrillation, flutter or tachycardia, every hop, for each lead.

Features of a window of the slow band of `frames` go through boosted trees (models/weights/lethal.json, made by
models/training/lethal.py). What the score means for an alarm is decided by the caller. Sources of the features: VF filter
(Kuo & Dillman, Comput Cardiol 1978), threshold crossings (Thakor et al., IEEE Trans Biomed Eng 37:837, 1990), spectrum
(Barro et al., J Med Eng Technol 13:100, 1989), comparison of all: Amann et al., BioMed Eng OnLine 4:60, 2005.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from models.signal.averages import mean, share, windows
from models.signal.averages import steps as differences
from models.signal.frames import SLOW_HOP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.signal.trees import Trees

    Floats = NDArray[np.float64]

WINDOW_HOPS = 8
WINDOW = WINDOW_HOPS * SLOW_HOP  # 4 s at 90 Hz
SMOOTH_HOPS = 4
MAX_MISSING = 0.25
MIN_RANGE_MV = 0.1  # peak to peak; below it a line is asystole or nothing, whatever its shape
_RATE_HZ = 90.0
_TINY = 1e-6

_N = np.arange(WINDOW) + 0.5
_WAVES = np.cos(np.pi * np.arange(17)[:, None] * _N[None, :] / WINDOW)
_COSINES = _WAVES / np.linalg.norm(_WAVES, axis=1)[:, None]
_BASE, _SWINGS = _COSINES[:5], _COSINES[5:]  # up to 0.5 Hz; from there to 2 Hz, where electrode movement swings
_HANN = 0.5 - 0.5 * np.cos(2 * np.pi * _N / WINDOW)
_PADDED = 512
_FREQ_HZ = np.fft.rfftfreq(_PADDED, 1 / _RATE_HZ)
_EDGES_HZ = (0.6, 1.5, 2.5, 3.5, 5.0, 7.0, 10.0, 15.0, 22.0, 32.0)
_EDGES = np.searchsorted(_FREQ_HZ, _EDGES_HZ)
_LAGS_SHORT = (9, 36)  # 100 to 400 ms
_LAGS_LONG = (36, 117)  # 0.4 to 1.3 s

FEATURES = (
    "log_rms", "log_range", "baseline_share", *(f"share_{low:g}_hz" for low in _EDGES_HZ[:-1]), "peak_hz", "peak_share",
    "centroid_hz", "spread_hz", "leakage", "period_s", "near_zero", "above_half", "crossings", "kurtosis", "skewness",
    "flat", "slope_peak", "steady", "auto_short", "auto_short_lag", "auto_long", "auto_long_lag", "zero_crossings",
    "fast_share", "fast_near_zero", "fast_kurtosis", "slope_kurtosis", "curve_kurtosis",
)  # fmt: skip

_LOG_RANGE = FEATURES.index("log_range")
_CROSSINGS = FEATURES.index("crossings")
_LEAST_LOG_RANGE = np.log10(MIN_RANGE_MV)


def features(window: "Floats") -> "Floats":
    """Features of windows, shape (..., leads, 360) in millivolt at 90 Hz -> (..., leads, len(FEATURES)).

    Those of several hops at once have the bits of each hop alone: its products are of its own leads.
    """
    base = window @ _BASE.T
    x = window - base @ _BASE
    energy = _power(x) + _TINY
    rms = np.sqrt(energy / WINDOW)
    wander = _power(base[..., 1:])
    size = np.abs(x)
    top = size.max(axis=-1) + _TINY
    spectrum = np.fft.rfft(x * _HANN, _PADDED)
    power = spectrum.real**2 + spectrum.imag**2
    low, high = int(_EDGES[0]), int(_EDGES[-1])
    used, freq = power[..., low:high], _FREQ_HZ[low:high]
    total = used.sum(axis=-1) + _TINY
    shares = np.add.reduceat(power[..., :high], _EDGES[:-1], axis=-1) / total[..., None]
    peak = used.argmax(axis=-1)
    near = np.abs(np.arange(high - low) - peak[..., None]) <= 3
    centroid = used @ freq / total
    spread = np.sqrt(np.maximum(used @ freq**2 / total - centroid**2, 0))
    step = differences(x)
    steep = np.abs(step)
    most_steep = steep.max(axis=-1)
    travel = steep.sum(axis=-1) + _TINY
    half_period = np.clip(np.rint(np.pi * size.sum(axis=-1) / travel), 3, 45).astype(int)
    leakage = _leakage(x, size, half_period)
    fast = x - (x @ _SWINGS.T) @ _SWINGS
    fast_power = fast * fast
    fast_energy = fast_power.sum(axis=-1) + _TINY
    fast_top = np.sqrt(fast_power.max(axis=-1)) + _TINY
    slope_power, curve_power = step * step, differences(step) ** 2
    normal = x / rms[..., None]
    square = normal * normal
    over = x > 0.2 * x.max(axis=-1)[..., None]
    quarters = square.reshape(*square.shape[:-1], 8, -1).sum(axis=-1)
    whole = np.fft.rfft(x, 2 * _PADDED)
    auto = np.fft.irfft(whole.real**2 + whole.imag**2, 2 * _PADDED)[..., : _LAGS_LONG[1]]
    auto /= auto[..., :1] * (1 - np.arange(_LAGS_LONG[1]) / WINDOW) + _TINY
    short, long = auto[..., slice(*_LAGS_SHORT)], auto[..., slice(*_LAGS_LONG)]
    parts = (
        np.log10(rms + 1e-3),
        np.log10(x.max(axis=-1) - x.min(axis=-1) + 1e-3),
        wander / (wander + energy),
        *np.moveaxis(shares, -1, 0),
        freq[peak],
        (used * near).sum(axis=-1) / total,
        centroid,
        spread,
        leakage,
        2 * half_period / _RATE_HZ,
        share(size < 0.15 * top[..., None]),
        share(size > 0.5 * top[..., None]),
        (over[..., 1:] & ~over[..., :-1]).sum(axis=-1),
        mean(square * square),
        np.abs(mean(square * normal)),
        share(steep < 0.1 * most_steep[..., None] + _TINY),
        most_steep * WINDOW / travel,
        quarters.min(axis=-1) / (quarters.max(axis=-1) + _TINY),
        short.max(axis=-1),
        short.argmax(axis=-1) / _RATE_HZ,
        long.max(axis=-1),
        long.argmax(axis=-1) / _RATE_HZ,
        (x[..., 1:] * x[..., :-1] < 0).sum(axis=-1),
        fast_energy / energy,
        share(np.abs(fast) < 0.15 * fast_top[..., None]),
        (fast_power**2).sum(axis=-1) * WINDOW / fast_energy**2,
        mean(slope_power**2) / (mean(slope_power) + _TINY**2) ** 2,
        mean(curve_power**2) / (mean(curve_power) + _TINY**2) ** 2,
    )
    out = np.empty((*x.shape[:-1], len(FEATURES)))
    for i, part in enumerate(parts):
        out[..., i] = part
    return out


def _power(x: "Floats") -> "Floats":
    """Sum of squares of each row, (..., n) -> (...)."""
    rows = x.reshape(-1, x.shape[-1])
    return np.einsum("ij,ij->i", rows, rows).reshape(x.shape[:-1])


def _leakage(x: "Floats", size: "Floats", half_period: "NDArray[np.intp]") -> "Floats":
    """How little each window, (..., 360), cancels with itself half a period later."""
    rows, sizes, halves = x.reshape(-1, WINDOW), size.reshape(-1, WINDOW), half_period.ravel()
    out = np.empty(len(rows))
    for h in set(halves.tolist()):
        of = slice(None) if len(halves) == 1 else np.flatnonzero(halves == h)
        row, tall = rows[of], sizes[of]
        both = tall[:, h:].sum(axis=-1) + tall[:, :-h].sum(axis=-1) + _TINY
        out[of] = np.abs(row[:, h:] + row[:, :-h]).sum(axis=-1) / both
    return out.reshape(half_period.shape)


@dataclass(frozen=True, eq=False)
class Window:
    """What was made of four seconds: `leads` that could be judged, and of each the features, the score, and whether it has waves.

    `values`: (leads, features); `scores`: the lethal one, 0 where the line is too flat; `waves`: whether it is not.
    """

    leads: tuple[int, ...]
    values: "Floats"
    scores: "Floats"
    waves: "NDArray[np.bool_]"


@dataclass(frozen=True, eq=False)
class LethalState:
    """The last four seconds of the slow band, how much of it was missing, and the last scores with their windows."""

    window: "Floats"
    missing: "Floats"  # (leads, WINDOW_HOPS)
    scores: tuple[tuple[float, float], ...] = ()  # (lethal, fibrillation) of the last hops
    judged: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class LethalScore:
    """`lethal`: probability of VF, flutter or VT over the last hops; `fibrillation`: of VF or flutter rather than VT.

    `waves`: of each lead how many the window holds; None of one that cannot be judged. `windows`: what the score was made of, the
    newest last, for who asks why (models.signal.explain).
    """

    lethal: float
    fibrillation: float
    waves: tuple[int | None, ...] = ()
    windows: tuple[Window, ...] = field(default=(), compare=False, repr=False)


def begin(leads: int) -> LethalState:
    """State before the first hop."""
    return LethalState(np.zeros((leads, WINDOW)), np.ones((leads, WINDOW_HOPS)))


def step(
    state: LethalState, slow: "Floats", missing: "Floats", trees: "Trees"
) -> tuple[LethalState, LethalScore | None]:
    """Take the slow band of one hop, shape (leads, 45), and each lead's missing share; None while too much is missing.

    The score is the mean over the leads that can be judged and over the last two seconds.
    """
    state, (score,) = steps(state, (slow,), (missing,), trees)
    return state, score


def steps(
    state: LethalState, slows: "Sequence[Floats]", missings: "Sequence[Floats]", trees: "Trees"
) -> tuple[LethalState, tuple[LethalScore | None, ...]]:
    """`step` over some hops at once, with the same bits."""
    hops = len(slows)
    band = np.concatenate([state.window, *slows], axis=1)
    gone = np.concatenate([state.missing, np.array(missings).T], axis=1)
    seconds = _hopwise(band[:, SLOW_HOP:], WINDOW, SLOW_HOP)
    usable = mean(_hopwise(gone[:, 1:], WINDOW_HOPS, 1)) <= MAX_MISSING
    judged = _judged(seconds, usable, trees)
    scores, kept = state.scores, state.judged
    out: list[LethalScore | None] = []
    for able, found in zip(usable, judged, strict=True):
        if found is None:
            scores, kept = (), ()
            out.append(None)
            continue
        window, (lethal, fibrillation) = found
        kept = (*kept, window)[-SMOOTH_HOPS:]
        scores = (*scores, (lethal, fibrillation))[-SMOOTH_HOPS:]
        means = [sum(column) / len(scores) for column in zip(*scores, strict=True)]
        counts = iter(window.values[:, _CROSSINGS].tolist())
        out.append(LethalScore(means[0], means[1], tuple(int(next(counts)) if ok else None for ok in able), kept))
    return LethalState(band[:, SLOW_HOP * hops :].copy(), gone[:, hops:].copy(), scores, kept), tuple(out)


def _hopwise(x: "Floats", length: int, hop: int) -> "Floats":
    """Windows that end with each hop, (leads, n) -> (hops, leads, length)."""
    return np.ascontiguousarray(windows(x, length, hop).transpose(1, 0, 2))


def _judged(
    seconds: "Floats", usable: "NDArray[np.bool_]", trees: "Trees"
) -> "list[tuple[Window, tuple[float, float]] | None]":
    """Of each hop what its usable leads give, None where none is; hops of the same usable leads together."""
    out: list[tuple[Window, tuple[float, float]] | None] = [None] * len(seconds)
    for mask in {tuple(row) for row in usable.tolist() if any(row)}:
        hops = np.flatnonzero((usable == mask).all(axis=1))
        values = features(seconds if len(hops) == len(seconds) and all(mask) else seconds[hops][:, list(mask)])
        waves = values[..., _LOG_RANGE] >= _LEAST_LOG_RANGE
        each = trees.predict(values.reshape(-1, len(FEATURES))).reshape(*waves.shape, -1) * waves[..., None]
        scores = each.mean(axis=1).tolist()
        leads = tuple(lead for lead, ok in enumerate(mask) if ok)
        for i, hop in enumerate(hops.tolist()):
            out[hop] = Window(leads, values[i], each[i, :, 0], waves[i]), (scores[i][0], scores[i][1])
    return out
