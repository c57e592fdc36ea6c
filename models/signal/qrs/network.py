"""Find heartbeats in all usable leads together, by what a network says of each.

The network (models/weights/qrs.tflite, made by models/training/qrs.py) gives for each sixtieth of a second and lead how much it
looks like the middle of a beat. Here these are added, local maxima become beats, and what is small beside the last beats counts
less: a blocked P wave looks like a beat to a network that knows no heights. A beat is stated at most `LATENCY_S` and one hop
behind its R wave, those found by search-back later.
"""

import math
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from models.signal import front
from models.signal.frames import BAND_HOP, DELAY_S, HALF_KERNEL, HOP_S
from models.signal.qrs.beat import CEILING_MV, FLOOR_MV, SMOOTH, USABLE_MISSING, Beat, Heard, envelope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.signal.frames import Hop, Plan
    from models.signal.networks import Network

    Floats = NDArray[np.float64]
    Kept = tuple[NDArray[np.float32], ...]

STEPS = 30  # logits a hop: 60 Hz
STEP_HZ = STEPS / HOP_S
NETWORK_S = (
    22 / STEP_HZ + 4.5 / front.RATE_HZ
)  # from a sample to the logits about it: models.training.qrs.DESIGN.latency_s
BAND_STEP = BAND_HOP // STEPS
LAG = round(NETWORK_S * BAND_HOP / HOP_S)  # band samples from a band sample to the logits about it
OF_ENVELOPE = SMOOTH // 2 + 1  # by which it lags the band

# In steps.
AROUND = 6  # 100 ms: one candidate at most in this distance
REFRACTORY = 11  # 183 ms
NEAR = 9  # band samples, 50 ms: where the height of a beat is looked for
KEPT = 8
TAIL = 2 * BAND_HOP
ABOUT = 36  # band samples, 200 ms
_VIEWS = np.arange(STEPS)[:, None] + np.arange(2 * AROUND + 1)  # of each step of a hop, those about it
STILL_MV = 0.03  # envelope below which a lead shows no wave of any kind


@dataclass(frozen=True, slots=True)
class Rule:
    """The constants of the decision: chosen by cross-validation inside DS1 (docs/reference/figures/qrs.md)."""

    others: float = 0.3  # what the mean of the other leads counts beside the first
    limit: float = -0.5
    limit_alone: float = 0.5
    back: float = -1.5
    amplitude: float = 0.5
    after_rr: float = 1.6
    weak: float = -3.0  # below it nothing is kept for a search-back
    sure: float = (
        0.0  # from it on a beat counts beside the waves of fibrillation, of which many look a little like beats
    )


RULE = Rule()
LATENCY_S = DELAY_S + NETWORK_S + AROUND / STEP_HZ


@dataclass(frozen=True, slots=True)
class Candidate:
    """A local maximum of the score: step, score, and the height of the envelope there in each lead (mV, NaN where not usable).

    `between`: where the parabola through the score has its maximum, steps from `at`.
    """

    at: int
    score: float
    heights: tuple[float, ...]
    limit: float
    logits: tuple[float, ...]
    between: float = 0.0


@dataclass(frozen=True, eq=False)
class Decision:
    """Tails, the heights of the last eight beats in each lead, intervals, and what may be searched back."""

    envelope: "Floats"  # (leads, TAIL)
    usable: "Floats"  # (leads, TAIL)
    score: "Floats"
    named: "Floats"  # (2 * AROUND, 4)
    limit: "Floats"
    done: int = -2 * AROUND  # step number of score[0]
    heights: tuple[tuple[float, ...], ...] = ()
    intervals: tuple[int, ...] = ()
    last: int | None = None
    waiting: tuple[Candidate, ...] = ()
    lost: tuple[int, ...] = ()  # of each lead the step of the last moment at which it could not be used


@dataclass(frozen=True, eq=False)
class NetworkState:
    """Contexts of the network and the tail of the band, of each lead; the decision; what is watched.

    `since`: sample from which on each lead can be used without a break; `last`: the last beat told; `counted`: the sure ones of the
    window of `beating` before `judged`.
    """

    kept: "tuple[Kept, ...]"
    band: "Floats"
    decision: Decision
    since: tuple[int, ...]
    last: int = 0
    counted: tuple[int, ...] = ()
    judged: int = 0


def begin(leads: int, network: "Network") -> NetworkState:
    """State before the first hop."""
    return NetworkState((network.zeros(),) * leads, np.zeros((leads, SMOOTH + 1)), undecided(leads), (0,) * leads)


def undecided(leads: int) -> Decision:
    """State before the first logits."""
    nothing = np.zeros((leads, TAIL))
    score, named, limit = np.full(2 * AROUND, -np.inf), np.zeros((2 * AROUND, 4)), np.zeros(2 * AROUND)
    return Decision(nothing, nothing, score, named, limit, lost=(-STEPS,) * leads)


def judged(state: Decision) -> float:
    """Band sample before which every beat has been decided, those of a later search-back aside."""
    return band_sample(state.done + AROUND)


def band_sample(step: float) -> float:
    """The band sample that a step's logits are about."""
    return step * BAND_STEP - HALF_KERNEL - LAG


def step(
    state: NetworkState,
    hop: "Hop",
    plan: "Plan",
    seen: "NDArray[np.float32]",
    network: "Network",
    counted_hops: int,
    rule: Rule = RULE,
) -> tuple[NetworkState, Heard]:
    """Take a hop and what a network sees of it (`front.step`); `counted_hops`: the window of `beating`."""
    end = (hop.number + 1) * plan.hop
    kept: list[Kept] = []
    logits: list[NDArray[np.float32]] = []
    for known, samples in zip(state.kept, seen, strict=True):
        said, *after = network.run(samples, *known)
        kept.append(tuple(after))
        logits.append(said[0, :, 0, :])
    band = np.concatenate([state.band, hop.band], axis=1)
    heights = envelope(band)
    usable = (hop.missing <= USABLE_MISSING) & (heights.max(axis=1) <= CEILING_MV)
    decision, found = decide(state.decision, np.array(logits, np.float64), heights, usable, rule)
    beats = tuple((at, beat) for beat in found if (at := plan.sample_of(beat.at)) > 0)
    known = max(0, plan.sample_of(judged(decision)))
    since = tuple(a if ok else end for a, ok in zip(state.since, usable, strict=True))
    last = max([state.last, *(at for at, _ in beats)])
    told = sorted({*state.counted, *(at for at, beat in beats if beat.logits and beat.logits[0] > rule.sure)})
    state = NetworkState(
        tuple(kept),
        band[:, BAND_HOP:],
        decision,
        since,
        last,
        tuple(at for at in told if at > known - counted_hops * plan.hop),
        known,
    )
    able = [a for a, ok in zip(since, usable, strict=True) if ok]
    quiet = max(0, known - max(last, min(able))) if able else 0
    interrupted = max((at for at, beat in beats if beat.first), default=None) if able else end
    return state, Heard(beats, known, tuple(bool(ok) for ok in usable), quiet, interrupted)


def beating(state: NetworkState, waves: "Sequence[int | None]", whole: int) -> float | None:
    """What share of the waves of each lead was found as beats, where it is greatest; None where no lead was usable for `whole` samples."""
    shares = [
        sum(at > since for at in state.counted) / count
        for since, count in zip(state.since, waves, strict=True)
        if count and state.judged - since >= whole
    ]
    return max(shares, default=None)


def decide(
    state: Decision, logits: "Floats", heights: "Floats", usable: "NDArray[np.bool_]", rule: Rule = RULE
) -> tuple[Decision, tuple[Beat, ...]]:
    """Take the logits of a hop, shape (leads, STEPS, 4), the envelope of its band (leads, BAND_HOP) and which leads can be used."""
    able = np.repeat(usable[:, None], BAND_HOP, axis=1).astype(np.float64)
    heights = np.concatenate([state.envelope, heights], axis=1)
    able = np.concatenate([state.usable, able], axis=1)
    # What the leads were at the time that the logits are about.
    first = TAIL - LAG
    of_steps = able[:, first : first + BAND_HOP : BAND_STEP]
    shows = (heights * able)[:, first - ABOUT : first + BAND_HOP + ABOUT].max(axis=1) > STILL_MV
    now = state.done + 2 * AROUND
    lost = tuple(
        now + int(np.flatnonzero(row == 0)[-1]) if not row.all() else known
        for row, known in zip(of_steps, state.lost, strict=True)
    )
    if (of_steps * shows[:, None]).any():  # a lead that stands still says nothing beside one that does not
        of_steps = of_steps * shows[:, None]
    n = of_steps.sum(axis=0)
    leading = np.cumsum(of_steps, axis=0) * of_steps == 1
    rest = of_steps * ~leading
    weight = leading + rule.others * rest / np.maximum(n - 1, 1)
    named = np.concatenate([state.named, np.einsum("ls,lsk->sk", weight, logits)])
    score = np.concatenate([state.score, np.where(n > 0, named[-STEPS:, 0], -np.inf)])
    limit = np.concatenate([state.limit, np.where(n > 1, rule.limit, rule.limit_alone)])
    views = score[_VIEWS]
    centre = score[AROUND : AROUND + STEPS]
    earlier = views[:, :AROUND].max(axis=1)
    peaks = np.flatnonzero((views.max(axis=1) == centre) & (centre > earlier) & (centre > rule.weak))
    found: list[Candidate] = []
    for p in peaks:
        middle = TAIL + BAND_STEP * (p - AROUND) - LAG + OF_ENVELOPE
        near = slice(max(0, middle - NEAR), middle + NEAR + 1)
        tall = np.where(able[:, near].min(axis=1) > 0, heights[:, near].max(axis=1), np.nan)
        logits_of = named[AROUND + p - 1 : AROUND + p + 2].mean(axis=0)
        found.append(
            Candidate(
                state.done + AROUND + int(p),
                float(centre[p]),
                tuple(map(float, tall)),
                float(limit[AROUND + p]),
                tuple(map(float, logits_of)),
                _between(*(float(x) for x in score[AROUND + p - 1 : AROUND + p + 2])),
            )
        )
    state = replace(
        state,
        envelope=heights[:, -TAIL:],
        usable=able[:, -TAIL:],
        score=score[STEPS:],
        named=named[STEPS:],
        limit=limit[STEPS:],
        done=state.done + STEPS,
        lost=lost,
    )
    beats: list[Beat] = []
    for candidate in found:
        state, more = _search_back(state, candidate.at, rule)
        beats += more
        state, more = _judge(state, candidate, rule)
        beats += more
    state, more = _search_back(state, state.done + AROUND, rule)
    return state, (*beats, *more)


def _between(before: float, here: float, after: float) -> float:
    """Where the parabola through three neighbours has its maximum, from the middle one, in their distance."""
    bend = before - 2 * here + after
    return (before - after) / (2 * bend) if math.isfinite(bend) and bend < 0 else 0.0


def _ratio(state: Decision, c: Candidate) -> float:
    """Height beside the usual one, on the lead where it is greatest; 1 where nothing is usual yet."""
    ratios: list[float] = []
    for height, *before in zip(c.heights, *state.heights, strict=True):
        usual = [h for h in before if not math.isnan(h)]
        if usual and not math.isnan(height):
            ratios.append(height / max(median(usual), 1e-6))
    return min(1.0, max(ratios, default=1.0))


def _judge(state: Decision, c: Candidate, rule: Rule) -> tuple[Decision, tuple[Beat, ...]]:
    if state.last is not None and c.at - state.last < REFRACTORY:
        return state, ()
    if not any(h > FLOOR_MV for h in c.heights):
        return state, ()
    ratio = _ratio(state, c)
    weighed = c.score + rule.amplitude * math.log2(max(ratio, 1e-3))
    if weighed > c.limit:
        return _accept(state, c), (_beat(c, state, ratio, late=False),)
    return replace(state, waiting=(*state.waiting, replace(c, score=weighed))), ()


def _beat(c: Candidate, state: Decision, ratio: float, *, late: bool) -> Beat:
    beat, n, s, v = c.logits
    decided = round(band_sample(state.done + AROUND))
    first = state.last is not None and not _watched(state, c, state.last)
    return Beat(round(band_sample(c.at + c.between)), decided, ratio, late, (beat, n, s, v), first)


def _watched(state: Decision, c: Candidate, last: int) -> bool:
    """Whether a lead that shows this beat could be used all the time since the last one."""
    return any(h > FLOOR_MV and lost < last for h, lost in zip(c.heights, state.lost, strict=True))


def _accept(state: Decision, c: Candidate) -> Decision:
    intervals = state.intervals
    if state.last is not None and _watched(state, c, state.last):
        intervals = (*intervals, c.at - state.last)[-KEPT:]
    waiting = tuple(w for w in state.waiting if w.at - c.at >= REFRACTORY)
    return replace(state, heights=(*state.heights, c.heights)[-KEPT:], intervals=intervals, last=c.at, waiting=waiting)


def _search_back(state: Decision, until: int, rule: Rule) -> tuple[Decision, tuple[Beat, ...]]:
    if state.last is None or len(state.intervals) < 2 or not state.waiting:
        return state, ()
    if until - state.last <= rule.after_rr * median(state.intervals):
        return state, ()
    able = [w for w in state.waiting if w.at - state.last >= REFRACTORY and until - w.at >= REFRACTORY]
    best = max(able, key=lambda w: w.score, default=None)
    if best is None or best.score <= rule.back:
        return replace(state, waiting=tuple(w for w in state.waiting if until - w.at < REFRACTORY)), ()
    beat = _beat(best, state, _ratio(state, best), late=True)
    return _accept(state, best), (beat,)
