"""Say whether the atria fibrillate or flutter: from the order of the intervals, the classes of beats, the P waves and what lies between.

Boosted trees over windows of `WINDOW` intervals, one for each `STRIDE` beats; the mean of the last `SMOOTHED` decides, with another limit to
end than to begin. Intervals beside a ventricular beat are counted apart from those between all beats. A verdict is about beats `LAG` before
the newest. It needs beats with classes (`models.signal.beats`). Experimental: no alarm comes of it (docs/reference/figures/af.md).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from models.signal.averages import mean, median, share, steps, windows
from models.signal.beats import FEATURES as OF_A_BEAT
from models.signal.beats import P_WAVE, Kind
from models.signal.frames import BAND_HOP, HALF_KERNEL, WIDE_HOP
from models.signal.rhythm.order import entropy, expected
from models.signal.shapes import level

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.signal.beats import BeatsState, Class, Described
    from models.signal.frames import Plan
    from models.signal.trees import Trees

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

WINDOW = 48  # intervals: 25 to 60 s
SHORT = slice(14, 34)  # of them: those about the middle
STRIDE = 4  # beats from verdict to verdict
SMOOTHED = 6  # scores: 24 beats
LAG = WINDOW // 2 + STRIDE * (SMOOTHED - 1) // 2  # beats: half the window and half the smoothing
MOST = 3.0  # of a score (log-odds): no window outweighs all others
BEGINS, ENDS = 1.0, 0.0  # mean score: chosen over folds by record (docs/decisions/0185)
LONGEST_S = 3.0  # a longer one is a pause, no interval of a rhythm
EARLY = 0.85  # of the median interval
EVEN = 0.12
FEWEST = 8  # intervals between beats that are not ventricular: with fewer of them all are taken
# Atrial waves: likeness of what lies between T and QRS to itself `LAGS` later, in samples at 120 Hz; flutter is 4 to 6 Hz.
LAG_STEP = 2
LAGS = np.arange(8, 33, LAG_STEP)
FLUTTER = slice(4, 13)  # of LAGS: 16 to 32 samples, 7.5 to 3.75 Hz
TROUGH = slice(1, 5)
AFTER, AFTER_SHARE, BEFORE = (
    50,
    0.55,
    8,
)  # samples from R to what is behind T, or that share of the interval; up to the QRS
LEAST = 6  # products of a lag
MIN_HEIGHT_MV = 0.1
COMPLEX = slice(-12, 18)  # samples about R
TINY = 1e-6

# What of a beat's features is looked at: the median over the window.
KEPT = ("p_usual", "p_rough")
_KEPT = np.array([OF_A_BEAT.index(name) for name in KEPT])
FEATURES = (
    "entropy", "entropy_narrow", "entropy_normal", "step", "second", "early", "chance_v", "chance_s", "even", "again_1", "again_2", "turns",
    *KEPT, "p_alike", "p_steady", "p_height", "wave", "wave_beside",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Row:
    """A beat: sample number, class, chances of S and V, its features, P window (2, n), and products at `LAGS` between T and QRS."""

    at: int
    kind: Kind
    chances: tuple[float, float]
    known: "NDArray[np.float32]"
    p_wave: "NDArray[np.float32]"
    products: "Floats"  # (leads, lags)
    energies: "Floats"


@dataclass(frozen=True, eq=False)
class AtrialState:
    """The last beats without a pause between them, their number, the last scores, heights of the last complexes, and what holds."""

    rows: tuple[Row, ...] = ()
    count: int = 0
    scores: tuple[float, ...] = ()
    heights: "tuple[Floats, ...]" = ()
    holds: bool = False


@dataclass(frozen=True, eq=False)
class Window:
    """`WINDOW` intervals as the trees see them: the row `FEATURES`; sample numbers of the beats about its middle, `SHORT`."""

    first: int
    last: int
    values: "Floats"


@dataclass(frozen=True, slots=True)
class Verdict:
    """From sample `first` up to `last`, `STRIDE` intervals: whether the atria fibrillate or flutter, and the mean score (log-odds)."""

    first: int
    last: int
    score: float
    fibrillation: bool


def begin() -> AtrialState:
    """State before the first beat."""
    return AtrialState()


def step(
    state: AtrialState,
    signal: "BeatsState",
    found: "tuple[tuple[tuple[int, Class], Described | None], ...]",
    plan: "Plan",
    trees: "Trees | None",
) -> tuple[AtrialState, tuple[Window, ...], tuple[Verdict, ...]]:
    """Take beats with their classes in their order, and what is kept of the signal; a window for each `STRIDE` beats, and a verdict.

    Without `trees` there are no verdicts.
    """
    seen: list[Window] = []
    verdicts: list[Verdict] = []
    for (at, named), described in found:
        state = add(state, signal, at, named, described, plan)
        if len(state.rows) <= WINDOW or state.count % STRIDE:
            continue
        values = features(state.rows, plan.fs_hz)
        seen.append(Window(state.rows[SHORT.start].at, state.rows[SHORT.stop].at, values))
        if trees is None:
            continue
        (chance,) = trees.predict(values[None])[0].tolist()
        score = math.log((chance + TINY) / (1 - chance + TINY))
        scores = (*state.scores, min(max(score, -MOST), MOST))[-SMOOTHED:]
        mean = sum(scores) / len(scores)
        holds = mean > (ENDS if state.holds else BEGINS)
        state = AtrialState(state.rows, state.count, scores, state.heights, holds)
        if len(scores) == SMOOTHED:
            last = len(state.rows) - 1 - LAG + STRIDE // 2
            verdicts.append(Verdict(state.rows[last - STRIDE].at, state.rows[last].at, mean, holds))
    return state, tuple(seen), tuple(verdicts)


def add(
    state: AtrialState, signal: "BeatsState", at: int, named: "Class", described: "Described | None", plan: "Plan"
) -> AtrialState:
    """The state with one beat more; behind a pause, or a beat that nothing can be said of, it begins anew."""
    if described is None or named.chances is None:
        return AtrialState()
    if state.rows and not 0 < at - state.rows[-1].at <= LONGEST_S * plan.fs_hz:
        state = AtrialState()
    here = _place(signal, at, plan)
    heights = (*state.heights, _height(signal.ring, here))[-WINDOW // 3 :]
    before = _place(signal, state.rows[-1].at, plan) if state.rows else here
    scale = np.maximum(median(np.array(heights).T), MIN_HEIGHT_MV)
    products, energies = between(signal.ring, before, here, scale)
    row = Row(
        at, named.kind, named.chances[1:], described.features[_KEPT], described.beat[:, P_WAVE], products, energies
    )
    return AtrialState((*state.rows, row)[-WINDOW - 1 :], state.count + 1, state.scores, heights, state.holds)


def _place(signal: "BeatsState", at: int, plan: "Plan") -> int:
    """Where in the ring a sample lies."""
    return round((at * BAND_HOP / plan.hop + HALF_KERNEL) * WIDE_HOP / BAND_HOP) - signal.ends + signal.ring.shape[1]


def _height(ring: "Floats", here: int) -> "Floats":
    """Of a complex, each lead (mV); nothing of one that is not kept."""
    if here + COMPLEX.start < 0 or here + COMPLEX.stop > ring.shape[1]:
        return np.zeros(len(ring))
    return np.asarray(np.ptp(ring[:, here + COMPLEX.start : here + COMPLEX.stop], axis=1), np.float64)


def between(ring: "Floats", before: int, here: int, scale: "Floats") -> "tuple[Floats, Floats]":
    """What lies between two beats times itself later, and the energy that this is a share of, each (leads, lags)."""
    products = np.zeros((len(ring), len(LAGS)))
    energies = np.zeros_like(products)
    first, last = before + min(AFTER, int(AFTER_SHARE * (here - before))), here - BEFORE
    if before < 0 or last > ring.shape[1] or last - first < int(LAGS[0]) + LEAST:
        return products, energies
    x = level(ring[:, first:last] / scale[:, None])
    ramp, steep = _ramp(last - first)
    x -= ((x * ramp).sum(axis=1) / steep)[:, None] * ramp
    lags = LAGS[: (last - first - LEAST - int(LAGS[0])) // LAG_STEP + 1]
    later = windows(np.concatenate([x[:, LAGS[0] :], np.zeros((len(x), LAGS[-1]))], axis=1), last - first, LAG_STEP)
    products[:, : len(lags)] = np.einsum("lkn,ln->lk", later[:, : len(lags)], x)
    energy = np.cumsum(x * x, axis=1)
    energies[:, : len(lags)] = np.sqrt((energy[:, -1:] - energy[:, lags - 1]) * energy[:, last - first - 1 - lags])
    return products, energies


@lru_cache(maxsize=512)
def _ramp(count: int) -> "tuple[Floats, float]":
    """A line from -1 to 1, and the sum of its squares."""
    line = np.linspace(-1, 1, count)
    return line, float((line * line).sum())


def features(rows: tuple[Row, ...], fs_hz: float) -> "Floats":
    """The row `FEATURES` of the beats of a full window, shape (len(FEATURES),)."""
    kinds = [row.kind for row in rows]
    wide = np.array([kind is Kind.V for kind in kinds])
    ectopic = wide | np.array([kind is Kind.S for kind in kinds])
    seen: Bools = ~wide if (~wide).sum() >= FEWEST else np.ones_like(wide)
    chances = mean(np.array([row.chances for row in rows]).T).tolist()
    intervals = steps(np.array([row.at for row in rows])) / fs_hz
    known = np.array([row.known for row in rows], np.float64)[seen]
    return np.array([
        *_order(intervals, wide, ectopic), chances[1], chances[0], *_narrow(_apart(intervals, wide)),
        *median(known.T).tolist(),
        *_p_waves(np.array([row.p_wave for row in rows], np.float64)[seen]),
        *_waves(np.array([row.products for row in rows])[seen], np.array([row.energies for row in rows])[seen]),
    ])  # fmt: skip


def _apart(intervals: "Floats", which: "Bools") -> "Floats":
    """Intervals between two beats that are not these; all where there are too few."""
    kept = intervals[~(which[1:] | which[:-1])]
    return kept if len(kept) >= FEWEST else intervals


def _order(intervals: "Floats", wide: "Bools", ectopic: "Bools") -> list[float]:
    """Entropies of all intervals, of those between narrow and between normal beats; steps to the next, to the second; share of early ones."""
    narrow, usual = _apart(intervals, wide), _middle(intervals)
    return [
        entropy(expected(intervals)),
        entropy(narrow),
        entropy(_apart(intervals, ectopic)),
        _middle(np.abs(steps(narrow))) / _middle(narrow),
        _middle(np.abs(intervals[2:] - intervals[:-2])) / usual,
        float(share(intervals < EARLY * usual)),
    ]


def _narrow(intervals: "Floats") -> list[float]:
    """Share of even ones; likeness of an interval to the next and to the one behind that; share of turns between shorter and longer."""
    step, apart = steps(intervals), intervals - float(mean(intervals))
    total = float(apart @ apart) + TINY
    return [
        float(share(np.abs(intervals / _middle(intervals) - 1) < EVEN)),
        *(float(apart[n:] @ apart[:-n]) / total for n in (1, 2)),
        float(share(step[1:] * step[:-1] < 0)),
    ]


def _p_waves(each: "Floats") -> list[float]:
    """How like one another P waves are, by energy and by shape, and the height of their mean, each on the better lead."""
    waves = level(each)
    energy = (waves * waves).sum(axis=2)
    count, total = len(waves), waves.sum(axis=0)
    own = energy.sum(axis=0)
    alike = ((total * total).sum(axis=1) - own) / ((count - 1) * own + TINY)
    unit = (waves / np.sqrt(energy + TINY)[:, :, None]).sum(axis=0)
    steady = ((unit * unit).sum(axis=1) - count) / (count * (count - 1))
    return [float(alike.max()), float(steady.max()), float(np.ptp(total / count, axis=1).max())]


def _waves(products: "Floats", energies: "Floats") -> list[float]:
    """Likeness of what lies between T and QRS to itself at the best lag of flutter, and how far that stands out."""
    like = products.sum(axis=0) / (energies.sum(axis=0) + TINY)
    peak = like[:, FLUTTER].max(axis=1)
    return [float(peak.max()), float((peak - like[:, TROUGH].min(axis=1)).max())]


def _middle(x: "Floats") -> float:
    return float(median(x))
