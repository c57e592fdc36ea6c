"""Decide which moments are beats, from what a network says of each step of all leads.

The leads' logits are added, local maxima become beats, and what is small beside the last beats counts less: a blocked P wave looks like a
beat to a network that knows no heights. Where a beat is overdue the best of those that were weaker is taken.
"""

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from models.signal import front
from models.signal.averages import windows
from models.signal.frames import BAND_HOP, DELAY_S, HALF_KERNEL, HOP_S
from models.signal.qrs.beat import FLOOR_MV, SMOOTH, Beat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

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
STILL_MV = 0.03  # envelope below which a lead shows no wave of any kind


@dataclass(frozen=True, slots=True)
class Rule:
    """The constants of the decision: chosen by cross-validation inside DS1 (docs/reference/figures/qrs.md)."""

    others: float = 0.3  # what the mean of the other leads counts beside the first
    limit: float = -0.5
    limit_alone: float = 0.5
    back: float = -1.75
    amplitude: float = 0.25
    after_rr: float = 1.4
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
    logits: tuple[float, float, float, float]
    between: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What the decision about one candidate hands to the next: heights of the last beats in each lead, intervals, what waits.

    `waiting`: what may be searched back; `done`: first step that has not been decided, less `AROUND`; `lost`: of each lead the step of
    the last moment at which it could not be used.
    """

    heights: tuple[tuple[float, ...], ...] = ()
    intervals: tuple[int, ...] = ()
    last: int | None = None
    waiting: tuple[Candidate, ...] = ()
    lost: tuple[int, ...] = ()
    done: int = -2 * AROUND


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """Tails, and the memory."""

    envelope: "Floats"  # (leads, TAIL)
    usable: "Floats"  # (leads, TAIL)
    score: "Floats"  # the first is of step `memory.done`
    named: "Floats"  # (2 * AROUND, 4)
    limit: "Floats"
    memory: Memory


def undecided(leads: int) -> Decision:
    """State before the first logits."""
    nothing = np.zeros((leads, TAIL))
    score, named, limit = np.full(2 * AROUND, -np.inf), np.zeros((2 * AROUND, 4)), np.zeros(2 * AROUND)
    return Decision(nothing, nothing, score, named, limit, Memory(lost=(-STEPS,) * leads))


def judged(done: int) -> float:
    """Band sample before which every beat has been decided, those of a later search-back aside; `done` as of the memory."""
    return band_sample(done + AROUND)


def band_sample(step: float) -> float:
    """The band sample that a step's logits are about."""
    return step * BAND_STEP - HALF_KERNEL - LAG


def decide(
    state: Decision, logits: "Floats", heights: "Floats", usable: "NDArray[np.bool_]", rule: Rule = RULE
) -> tuple[Decision, tuple[tuple[Beat, ...], ...]]:
    """Take the logits of hops, shape (leads, hops * STEPS, 4), and the envelope of their band (leads, hops * BAND_HOP).

    `usable`: which leads can be used, (leads, hops). Gives the beats that each hop decides.
    """
    hops = usable.shape[1]
    heights = np.concatenate([state.envelope, heights], axis=1)
    able = np.concatenate([state.usable, np.repeat(usable, BAND_HOP, axis=1)], axis=1, dtype=np.float64)
    of_steps, lost = _at_steps(state.memory, heights, able, hops)
    n = of_steps.sum(axis=0)
    leading = np.cumsum(of_steps, axis=0) * of_steps == 1
    rest = of_steps * ~leading
    weight = leading + rule.others * rest / np.maximum(n - 1, 1)
    now = np.einsum("ls,lsk->sk", weight, logits)
    named = np.concatenate([state.named, now])
    score = np.concatenate([state.score, np.where(n > 0, now[:, 0], -np.inf)])
    limit = np.concatenate([state.limit, np.where(n > 1, rule.limit, rule.limit_alone)])
    candidates = _candidates(state.memory.done, score, named, limit, heights, able, rule)
    memory, first = state.memory, 0
    out: list[tuple[Beat, ...]] = []
    for i in range(hops):
        until = state.memory.done + AROUND + (i + 1) * STEPS
        behind_hop = first
        while behind_hop < len(candidates) and candidates[behind_hop].at < until:
            behind_hop += 1
        memory, beats = _decide(memory, candidates[first:behind_hop], until - AROUND, lost[i], rule)
        out.append(beats)
        first = behind_hop
    tail, last = slice(-TAIL, None), slice(-2 * AROUND, None)
    behind = Decision(
        heights[:, tail].copy(),
        able[:, tail].copy(),
        score[last].copy(),
        named[last].copy(),
        limit[last].copy(),
        memory,
    )
    return behind, tuple(out)


def _at_steps(memory: Memory, heights: "Floats", able: "Floats", hops: int) -> "tuple[Floats, list[tuple[int, ...]]]":
    """Which leads say something at each step, (leads, steps), and behind each hop when each lead was lost last.

    What the leads were at the time that the logits are about counts.
    """
    first = TAIL - LAG
    of_steps = able[:, first : first + hops * BAND_HOP : BAND_STEP]
    lost = [memory.lost] * hops
    if not of_steps.all():
        known = memory.lost
        for i, rows in enumerate(of_steps.reshape(len(able), hops, STEPS).transpose(1, 0, 2)):
            now = memory.done + 2 * AROUND + i * STEPS
            known = tuple(
                now + int(np.flatnonzero(row == 0)[-1]) if not row.all() else at
                for row, at in zip(rows, known, strict=True)
            )
            lost[i] = known
    near = (heights * able)[:, first - ABOUT : first + hops * BAND_HOP + ABOUT]
    shows = windows(near, BAND_HOP + 2 * ABOUT, BAND_HOP).max(axis=2) > STILL_MV
    if not shows.all():  # a lead that stands still says nothing beside one that does not
        each = of_steps.reshape(len(able), hops, STEPS)
        shown = each * shows[:, :, None]
        of_steps = np.where(shown.any(axis=(0, 2))[None, :, None], shown, each).reshape(len(able), -1)
    return of_steps, lost


def _candidates(
    done: int, score: "Floats", named: "Floats", limit: "Floats", heights: "Floats", able: "Floats", rule: Rule
) -> list[Candidate]:
    """Local maxima of the score, the first and last `AROUND` steps aside."""
    centre = score[AROUND : len(score) - AROUND]
    high = np.flatnonzero((windows(score, 2 * AROUND + 1, 1).max(axis=1) == centre) & (centre > rule.weak))
    found: list[Candidate] = []
    for p in high.tolist():
        middle = TAIL + BAND_STEP * (p - AROUND) - LAG + OF_ENVELOPE
        if score[p : p + AROUND].max() >= centre[p]:  # of equal ones the first
            continue
        near = slice(max(0, middle - NEAR), middle + NEAR + 1)
        tall = np.where(able[:, near].min(axis=1) > 0, heights[:, near].max(axis=1), np.nan)
        beat, n, s, v = named[AROUND + p - 1 : AROUND + p + 2].mean(axis=0).tolist()
        before, here, after = score[AROUND + p - 1 : AROUND + p + 2].tolist()
        found.append(
            Candidate(
                done + AROUND + p,
                here,
                tuple(tall.tolist()),
                float(limit[AROUND + p]),
                (beat, n, s, v),
                _between(before, here, after),
            )
        )
    return found


def _decide(
    memory: Memory, candidates: "Sequence[Candidate]", done: int, lost: tuple[int, ...], rule: Rule
) -> tuple[Memory, tuple[Beat, ...]]:
    """The beats of a hop."""
    memory = Memory(memory.heights, memory.intervals, memory.last, memory.waiting, lost, done)
    beats: list[Beat] = []
    for candidate in candidates:
        memory, more = _search_back(memory, candidate.at, rule)
        beats += more
        memory, more = _judge(memory, candidate, rule)
        beats += more
    memory, more = _search_back(memory, done + AROUND, rule)
    return memory, (*beats, *more)


def _between(before: float, here: float, after: float) -> float:
    """Where the parabola through three neighbours has its maximum, from the middle one, in their distance."""
    bend = before - 2 * here + after
    return (before - after) / (2 * bend) if math.isfinite(bend) and bend < 0 else 0.0


def _ratio(state: Memory, c: Candidate) -> float:
    """Height beside the usual one, on the lead where it is greatest; 1 where nothing is usual yet."""
    ratios: list[float] = []
    for height, *before in zip(c.heights, *state.heights, strict=True):
        usual = [h for h in before if not math.isnan(h)]
        if usual and not math.isnan(height):
            ratios.append(height / max(median(usual), 1e-6))
    return min(1.0, max(ratios, default=1.0))


def _judge(state: Memory, c: Candidate, rule: Rule) -> tuple[Memory, tuple[Beat, ...]]:
    if state.last is not None and c.at - state.last < REFRACTORY:
        return state, ()
    if not any(h > FLOOR_MV for h in c.heights):
        return state, ()
    ratio = _ratio(state, c)
    weighed = c.score + rule.amplitude * math.log2(max(ratio, 1e-3))
    if weighed > c.limit:
        return _accept(state, c), (_beat(c, state, ratio, late=False),)
    if not _can_search_back(state):
        return state, ()  # the beat after which it could be done lets go of all that waited before it
    waits = Candidate(c.at, weighed, c.heights, c.limit, c.logits, c.between)
    return _waiting(state, (*state.waiting, waits)), ()


def _waiting(state: Memory, waiting: tuple[Candidate, ...]) -> Memory:
    """The same with other candidates that wait; not by `replace`, which takes three times as long."""
    return Memory(state.heights, state.intervals, state.last, waiting, state.lost, state.done)


def _beat(c: Candidate, state: Memory, ratio: float, *, late: bool) -> Beat:
    decided = round(band_sample(state.done + AROUND))
    first = state.last is not None and not _watched(state, c, state.last)
    return Beat(round(band_sample(c.at + c.between)), decided, ratio, late, c.logits, first)


def _watched(state: Memory, c: Candidate, last: int) -> bool:
    """Whether a lead that shows this beat could be used all the time since the last one."""
    return any(h > FLOOR_MV and lost < last for h, lost in zip(c.heights, state.lost, strict=True))


def _accept(state: Memory, c: Candidate) -> Memory:
    intervals = state.intervals
    if state.last is not None and _watched(state, c, state.last):
        intervals = (*intervals, c.at - state.last)[-KEPT:]
    waiting = tuple(w for w in state.waiting if w.at - c.at >= REFRACTORY)
    return Memory((*state.heights, c.heights)[-KEPT:], intervals, c.at, waiting, state.lost, state.done)


def _can_search_back(state: Memory) -> bool:
    """Whether enough intervals are known to say that a beat is overdue."""
    return state.last is not None and len(state.intervals) >= 2


def _search_back(state: Memory, until: int, rule: Rule) -> tuple[Memory, tuple[Beat, ...]]:
    if state.last is None or not _can_search_back(state) or not state.waiting:
        return state, ()
    if until - state.last <= rule.after_rr * median(state.intervals):
        return state, ()
    able = [w for w in state.waiting if w.at - state.last >= REFRACTORY and until - w.at >= REFRACTORY]
    best = max(able, key=lambda w: w.score, default=None)
    if best is None or best.score <= rule.back:
        return _waiting(state, tuple(w for w in state.waiting if until - w.at < REFRACTORY)), ()
    beat = _beat(best, state, _ratio(state, best), late=True)
    return _accept(state, best), (beat,)
