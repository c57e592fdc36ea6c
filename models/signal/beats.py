"""Say what each beat is: normal, supraventricular or ventricular (N, S, V by AAMI EC57), with the probability of each; or paced.

A beat is held against the patient's own dominant beat: the most frequent shape that does not come early. What a small network sees
is the beat and that shape in two leads, and a row of features (intervals, likeness, width, noise). It says which beats are ventricular; trees
say which of the others are supraventricular (`models.signal.supraventricular`). A class is decided when the next beat is known or
`NEXT_S` has passed, so at most `NEXT_S` behind the detection of a beat.
"""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from models.signal import supraventricular
from models.signal.averages import median as middle_of
from models.signal.averages import steps
from models.signal.frames import BAND_HOP, HALF_KERNEL, HOP_S, WIDE_HOP
from models.signal.shapes import (
    AFTER,
    BEFORE,
    NOT_EARLY,
    P_WAVE,
    QRS,
    SHIFT,
    T_WAVE,
    TINY,
    WINDOW,
    Cluster,
    as_paced,
    dominant,
    joined,
    level,
    of_unit,
    span,
    unit,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.signal.frames import Plan
    from models.signal.networks import Network
    from models.signal.qrs.beat import Beat, Heard
    from models.signal.trees import Trees

    Floats = NDArray[np.float64]

RATE_HZ = WIDE_HOP / HOP_S
BAND_HZ = BAND_HOP / HOP_S
RING = 6 * WIDE_HOP * 2  # six seconds
NEXT_S = 1.0
SHORT, LONG = 16, 64  # intervals kept for what is usual
MIN_HEIGHT_MV = 0.1
NO_LOGITS = (0.0, 0.0, 0.0, 0.0)
_PLACES = np.arange(21)
_THIRDS = np.ones(3) / 3


@dataclass(frozen=True, slots=True)
class Rule:
    """What is added to the network's log-probabilities of S and V to tell V: chosen inside DS1 (docs/reference/figures/veb.md)."""

    s: float = -3.0
    v: float = -2.0


RULE = Rule()


class Kind(StrEnum):
    """Classes of EC57 4.2.1: normal, supraventricular ectopic, ventricular ectopic, and not sure; P: paced, which EC57 counts as Q."""

    N = "N"
    S = "S"
    V = "V"
    Q = "Q"
    P = "P"


@dataclass(frozen=True, slots=True)
class Class:
    """What a beat is, and the probability of N, S and V; none for one that could not be looked at."""

    kind: Kind
    chances: tuple[float, float, float] | None = None


@dataclass(frozen=True, eq=False)
class Described:
    """A beat with what is known of it. `beat`, `usual`: windows of both leads in units of the usual beat's height, (2, WINDOW).

    `features`: the row `FEATURES`; `beside_last`: the row `supraventricular.FEATURES`.
    """

    at: int  # sample number
    beat: "NDArray[np.float32]"
    usual: "NDArray[np.float32]"
    features: "NDArray[np.float32]"
    beside_last: "NDArray[np.float32]"
    paced: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class BeatsState:
    """The last six seconds of both leads, beats that wait for their next one, clusters, and the last intervals (s)."""

    ring: "Floats"
    ends: int = 0  # sample number behind the ring
    waiting: "tuple[tuple[int, Beat], ...]" = ()
    last: int | None = None
    clusters: tuple[Cluster, ...] = ()
    intervals: tuple[float, ...] = ()
    unlike: tuple[float, ...] = ()
    p_unlike: tuple[float, ...] = ()  # of the last beats that were like the usual one
    beats: int = 0
    lately: supraventricular.Last = field(default_factory=supraventricular.begin)


# What a beat is beside the shape of another: the first, so that a pair can be made of any two (models.training.beats).
BESIDE = (
    "like_1",
    "like_2",
    "unlike",
    "height",
    "width_s",
    "width",
    "p_like",
    "p_unlike",
    "t_unlike",
    "p_usual",
    "fast",
)
FEATURES = (
    *BESIDE,
    "before", "before_long", "after", "after_open", "before_last", "second_last", "third_last", "usual_s", "restless", "restless_long",
    "pauses", "even", "own_share", "own_ratio", "own_usual", "beat_logit", "n_logit", "s_logit", "v_logit", "strength", "noise", "known",
    "p_rough", "p_beside", "early_share", "before_quarter", "before_three_quarters", "before_pauses", "compensated", "last_unlike",
)  # fmt: skip
OF_S = (*FEATURES, *supraventricular.FEATURES)
_COLUMNS = supraventricular.Columns(FEATURES)


def begin(leads: int) -> BeatsState:
    """State before the first sample."""
    return BeatsState(np.zeros((leads, RING)))


def step(
    state: BeatsState, level: "Floats", heard: "Heard", plan: "Plan"
) -> tuple[BeatsState, tuple[tuple[int, Described | None], ...]]:
    """Take the level of a hop (leads, 60) and its beats; give what those are like whose next beat is known, None where none can be said."""
    state = BeatsState(
        np.concatenate([state.ring[:, level.shape[1] :], level], axis=1),
        state.ends + level.shape[1],
        tuple(sorted((*state.waiting, *heard.beats), key=lambda placed: placed[0])),
        state.last, state.clusters, state.intervals, state.unlike, state.p_unlike, state.beats, state.lately,
    )  # fmt: skip
    out: list[tuple[int, Described | None]] = []
    while state.waiting:
        at, beat = state.waiting[0]
        after = state.waiting[1][1].at if len(state.waiting) > 1 else None
        if after is None and heard.judged < at + NEXT_S * plan.fs_hz:
            break
        state = BeatsState(
            state.ring, state.ends, state.waiting[1:], state.last, state.clusters, state.intervals, state.unlike, state.p_unlike, state.beats,
            state.lately,
        )  # fmt: skip
        state, described = _describe(state, at, beat, after, heard.usable)
        out.append((at, described))
    return state, tuple(out)


def classify(described: Described | None, network: "Network", trees: "Trees") -> Class:
    """What a beat is: paced where a pulse made it, whatever its shape; V by `network`, and of the others S by `trees`."""
    if described is None:
        return Class(Kind.Q)
    pairs = np.empty((2, WINDOW, 2), np.float32)
    pairs[:, :, 0], pairs[:, :, 1] = described.beat, described.usual
    (logits,) = network.run(pairs[0], pairs[1], described.features)
    n, s, v = (float(x) for x in logits.ravel())
    most = max(n, s, v)
    chances = [math.exp(x - most) for x in (n, s, v)]
    of_v = chances[2] / sum(chances)
    known = np.concatenate([described.features, described.beside_last], dtype=np.float64)
    shown = trees.predict(known[None]).item()  # were S beats as frequent as when the trees learned
    of_s = shown / (shown + (1 - shown) * math.exp(supraventricular.LIMIT))
    is_v = v + RULE.v > max(n, s + RULE.s)
    kind = Kind.V if is_v else Kind.S if of_s > 0.5 else Kind.N
    return Class(Kind.P if described.paced else kind, ((1 - of_v) * (1 - of_s), (1 - of_v) * of_s, of_v))


def _describe(
    state: BeatsState, place: int, beat: "Beat", after: int | None, usable: tuple[bool, ...]
) -> tuple[BeatsState, Described | None]:
    before_s = (beat.at - state.last) / BAND_HZ if state.last is not None else 0.0
    after_s = min(NEXT_S, (after - beat.at) / BAND_HZ) if after is not None else NEXT_S
    state = BeatsState(
        state.ring, state.ends, state.waiting, beat.at, state.clusters, state.intervals, state.unlike, state.p_unlike, state.beats + 1,
        state.lately,
    )  # fmt: skip
    window = _cut(state, beat.at)
    if window is None or not before_s:
        return state, None
    first, second = _two(usable)
    recent = sorted(state.intervals[-SHORT:]) or [before_s]
    usual_s = _middle(recent)
    ratio = before_s / usual_s
    clusters, own, window = joined(state.clusters, window, ratio, paced=beat.paced)
    usual_one = dominant(clusters)
    usual = clusters[usual_one].shape
    height = np.maximum(span(usual[:, QRS]), MIN_HEIGHT_MV)[:, None]
    leads = [first, second]
    seen: Floats = (window / height)[leads]
    normal: Floats = (usual / height)[leads]
    pair = beside(seen, normal)
    unlike, p_unlike = pair[BESIDE.index("unlike")], pair[BESIDE.index("p_unlike")]
    long = state.intervals[-LONG:] or (before_s,)
    order = sorted(long)
    middle = _middle(order)
    pauses_s = order[int(0.93 * (len(order) - 1))]
    total = sum(c.weight for c in clusters)
    past = [1.0, *(i / usual_s for i in state.intervals[-3:])]
    p_rough = sum(state.p_unlike) / len(state.p_unlike) if state.p_unlike else p_unlike
    logs = iter(
        _logs(
            ratio,
            before_s / middle,
            after_s / usual_s,
            ratio / past[-1],
            past[-1],
            past[-2] if len(past) > 2 else 1.0,
            usual_s,
            pauses_s / middle,
            clusters[own].ratio,
            beat.strength,
            (p_unlike + 0.02) / (p_rough + 0.02),
            before_s / recent[len(recent) // 4],
            before_s / recent[3 * len(recent) // 4],
            before_s / pauses_s,
            (before_s + after_s) / (2 * usual_s),
        )
    )
    features = [
        *pair,
        next(logs), next(logs), next(logs), float(after is None), next(logs),
        next(logs), next(logs), next(logs), _restless(state.intervals[-SHORT:]),
        _restless(long), next(logs),
        (bisect_left(order, 1.12 * middle) - bisect_right(order, 0.88 * middle)) / len(order),
        clusters[own].weight / total, next(logs), float(own == usual_one), *(x / 4 for x in beat.logits or NO_LOGITS),
        next(logs), sum(state.unlike) / len(state.unlike) if state.unlike else unlike, min(1.0, state.beats / 60),
        p_rough, next(logs),
        (bisect_left(recent, NOT_EARLY * usual_s) if state.intervals else 0) / len(recent),
        next(logs), next(logs),
        next(logs), next(logs), state.unlike[-1] if state.unlike else unlike,
    ]  # fmt: skip
    row = np.array(features, np.float32)
    lately, beside_last = supraventricular.step(state.lately, row, _COLUMNS)
    described = Described(
        place,
        np.clip(seen, -4, 4).astype(np.float32),
        np.clip(normal, -4, 4).astype(np.float32),
        row,
        beside_last,
        beat.paced or as_paced(clusters[own], ratio, before_s),
    )
    state = BeatsState(
        state.ring,
        state.ends,
        state.waiting,
        state.last,
        clusters,
        (*state.intervals, min(before_s, 3.0))[-LONG:],
        (*state.unlike, unlike)[-8:],
        (*state.p_unlike, p_unlike)[-8:] if own == usual_one and ratio > NOT_EARLY else state.p_unlike,
        state.beats,
        lately,
    )
    return state, described


def beside(seen: "Floats", normal: "Floats") -> list[float]:
    """The features `BESIDE` of a beat and the usual one, windows (2, WINDOW) in units of the usual beat's height."""
    both = np.concatenate([seen, normal])
    apart = seen - normal
    qrs, p = unit(both[:, QRS]), level(both[:, P_WAVE])
    like = np.einsum("ij,ij->i", qrs[:2], qrs[2:]).tolist()
    p_unit = of_unit(p)
    widths = _widths(both)
    spans = span(both[:, QRS])[:2], span(both[:, P_WAVE])[2:]
    bend = steps(steps(seen))
    quiet = np.concatenate([bend[:, : QRS.start - 4], bend[:, QRS.stop + 2 :]], axis=1)
    height, width = _logs(float(spans[0].max()), widths[0] / widths[1])
    return [
        like[0],
        like[1],
        _rms(apart[:, QRS]),
        height,
        widths[0],
        width,
        max(np.einsum("ij,ij->i", p_unit[:2], p_unit[2:]).tolist()),
        10 * _rms(p[:2] - p[2:]),
        3 * _rms(apart[:, T_WAVE]),
        10 * float(spans[1].max()),
        30 * _rms(quiet),
    ]


def _two(usable: tuple[bool, ...]) -> tuple[int, int]:
    """The first two usable leads; one alone counts twice."""
    able = [i for i, ok in enumerate(usable) if ok] or [0]
    return able[0], able[1] if len(able) > 1 else able[0]


def _cut(state: BeatsState, at: float) -> "Floats | None":
    """The window about a beat, moved to where its steepness lies, shape (leads, WINDOW + 2 * SHIFT); None where it has gone."""
    begins = state.ends - state.ring.shape[1]
    middle = round((at + HALF_KERNEL) / 1.5) - begins
    if middle - BEFORE - SHIFT - 8 < 0 or middle + AFTER + SHIFT + 8 > state.ring.shape[1]:
        return None
    near = state.ring[:, middle - 11 : middle + 11]
    steep = np.abs(steps(near)).sum(axis=0)
    steep = np.maximum(steep - middle_of(steep), 0) + TINY
    middle += max(-7, min(7, round(float((steep * _PLACES).sum() / steep.sum()) - 10)))
    return state.ring[:, middle - BEFORE - SHIFT : middle + AFTER + SHIFT]


def _rms(x: "Floats") -> float:
    return math.sqrt(float((x * x).sum()) / x.size)


def _widths(windows: "Floats") -> list[float]:
    """Seconds in which the steepness of the complex is above a seventh of its greatest, of each pair of leads, (2 * pairs, WINDOW)."""
    steep = np.abs(steps(windows[:, QRS.start - 4 : QRS.stop + 4]))
    out: list[float] = []
    for row in steep[::2] + steep[1::2]:
        smooth = np.correlate(row, _THIRDS, "same")
        over = np.flatnonzero(smooth > smooth.max() / 7)
        out.append(float(over[-1] - over[0] + 1) / RATE_HZ if len(over) else 1 / RATE_HZ)
    return out


def _restless(intervals: tuple[float, ...]) -> float:
    """Median step from interval to interval, beside the median interval."""
    if len(intervals) < 3:
        return 0.0
    return _middle(sorted(abs(b - a) for a, b in pairwise(intervals))) / _middle(sorted(intervals))


def _logs(*ratios: float) -> list[float]:
    """To the base of 2, each between 1/10 and 10."""
    return np.log2(np.array([min(max(ratio, 0.1), 10.0) for ratio in ratios])).tolist()


def _middle(order: list[float]) -> float:
    """Median of numbers in order."""
    middle, odd = divmod(len(order), 2)
    return order[middle] if odd else (order[middle - 1] + order[middle]) / 2
