"""What a network sees of a lead: 120 Hz, without its baseline, in units of the lead's own steepness, large values drawn in.

Works on the wide band of `frames`, one hop at a time. The scale is the median of the last eight seconds' steepest slopes, so that an
electrode of half the amplitude gives the same picture; its floor keeps a line without a heart from becoming one.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.signal.averages import median, windows
from models.signal.frames import HOP_S, WIDE_HOP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RATE_HZ = WIDE_HOP / HOP_S
BASELINE_HZ = 0.7
SLOPE = 3  # samples: 25 ms
SECONDS = 8
FLOOR_MV = 0.2  # of a change in 25 ms
JUMP_MV = 25.0  # in 25 ms: an amplifier at its end, no heart, were its gain told wrong by four; the filter would ring for seconds
JUMP, SMALL_JUMP_MV = 6.0, 3.0  # so is what is that many times as steep as the lead's own beats, and no small one


def _high_pass() -> "tuple[Floats, Floats, Floats, Floats]":
    """Butterworth of second order by the bilinear transform, as matrices over a hop: y = x @ by_x + s @ by_s, and the next s."""
    k = np.tan(np.pi * BASELINE_HZ / RATE_HZ)
    norm = 1 / (1 + np.sqrt(2) * k + k * k)
    b = np.array([1, -2, 1]) * norm
    a = np.array([1, 2 * (k * k - 1) * norm, (1 - np.sqrt(2) * k + k * k) * norm])

    def run(x: "Floats", s: "Floats") -> "tuple[Floats, Floats]":
        y = np.empty(len(x))
        one, two = s
        for i, value in enumerate(x):  # transposed direct form II
            y[i] = b[0] * value + one
            one, two = b[1] * value - a[1] * y[i] + two, b[2] * value - a[2] * y[i]
        return y, np.array([one, two])

    nothing, unit = np.zeros(2), np.eye(WIDE_HOP)
    by_x = [run(row, nothing) for row in unit]
    by_s = [run(np.zeros(WIDE_HOP), state) for state in np.eye(2)]
    return (
        np.array([y for y, _ in by_x]),
        np.array([y for y, _ in by_s]),
        np.array([s for _, s in by_x]),
        np.array([s for _, s in by_s]),
    )


_Y_BY_X, _Y_BY_S, _S_BY_X, _S_BY_S = _high_pass()
_REST = np.asarray(
    np.linalg.solve(np.eye(2) - _S_BY_S.T, _S_BY_X.sum(axis=0)), np.float64
)  # state behind a constant 1 mV


@dataclass(frozen=True, eq=False)
class FrontState:
    """Filter, its last samples, the steepest slope of the second under way, and those of the last eight seconds."""

    filter: "Floats"  # (leads, 2)
    tail: "Floats"  # (leads, SLOPE)
    steepest: "Floats"  # (leads,)
    seconds: "Floats"  # (leads, up to SECONDS)
    hops: int = 0


def begin(leads: int) -> FrontState:
    """State before the first hop."""
    return FrontState(np.zeros((leads, 2)), np.zeros((leads, SLOPE)), np.zeros(leads), np.zeros((leads, 0)))


def step(state: FrontState, wide: "Floats") -> "tuple[FrontState, Floats, NDArray[np.float32]]":
    """Take the wide band of one hop, shape (leads, 60), in millivolt; give it without its baseline, and what a network sees of it."""
    if state.hops == 0:  # begin at rest at the first value: no step for the filter to ring from
        state = FrontState(wide[:, :1] * _REST, state.tail, state.steepest, state.seconds)
    level = wide @ _Y_BY_X + state.filter @ _Y_BY_S
    filtered = wide @ _S_BY_X + state.filter @ _S_BY_S
    joined = np.concatenate([state.tail, level], axis=1)
    steep = np.abs(joined[:, SLOPE:] - joined[:, :-SLOPE]).max(axis=1)
    is_known = state.seconds.shape[1] == SECONDS
    usual = median(state.seconds) if is_known else np.full(len(wide), np.inf)
    most = np.minimum(JUMP_MV, np.maximum(JUMP * usual, SMALL_JUMP_MV))
    if (jumped := steep > most).any():  # such a lead begins anew, behind a hop that shows nothing
        filtered[jumped] = wide[jumped, -1:] * _REST
        level[jumped], joined[jumped] = 0, 0
        steep[jumped] = most[jumped] if is_known else 0  # what comes again and again is the heart's
    steepest = np.maximum(state.steepest, steep)
    seconds = state.seconds
    if state.hops % 2:
        seconds = np.concatenate([seconds, steepest[:, None]], axis=1)[:, -SECONDS:]
    scale = np.maximum(median(seconds) if seconds.shape[1] else steepest, FLOOR_MV)
    behind = FrontState(
        filtered,
        joined[:, -SLOPE:],
        np.zeros_like(steepest) if state.hops % 2 else steepest,
        seconds,
        state.hops + 1,
    )
    return behind, level, np.arcsinh(level / scale[:, None]).astype(np.float32)


def steps(state: FrontState, wides: "Sequence[Floats]") -> "tuple[FrontState, tuple[Floats, ...], NDArray[np.float32]]":
    """Take the wide bands of some hops at once, with the same bits as one after the other.

    Gives the level of each, and what a network sees of all, (leads, hops * 60).
    """
    found = _together(state, np.array(wides)) if len(wides) > 1 and state.seconds.shape[1] == SECONDS else None
    if found is not None:
        return found
    levels: list[Floats] = []
    seen: list[NDArray[np.float32]] = []
    for wide in wides:
        state, level, x = step(state, wide)
        levels.append(level)
        seen.append(x)
    return state, tuple(levels), seen[0] if len(seen) == 1 else np.concatenate(seen, axis=1)


def _together(
    state: FrontState, wides: "Floats"
) -> "tuple[FrontState, tuple[Floats, ...], NDArray[np.float32]] | None":
    """`steps` of hops (hops, leads, 60) behind the first eight seconds; None where one of them might jump."""
    hops, leads, _ = wides.shape
    filters = [state.filter]
    for fed in wides @ _S_BY_X:
        filters.append(fed + filters[-1] @ _S_BY_S)
    levels = wides @ _Y_BY_X + np.array(filters[:-1]) @ _Y_BY_S
    joined = np.concatenate([state.tail, levels.transpose(1, 0, 2).reshape(leads, -1)], axis=1)
    steep = np.abs(joined[:, SLOPE:] - joined[:, :-SLOPE]).reshape(leads, hops, -1).max(axis=2)
    if (steep > SMALL_JUMP_MV).any():
        return None
    under_way = state.hops % 2
    if under_way:
        steep = np.concatenate([state.steepest[:, None], steep], axis=1)
    full = steep.shape[1] // 2
    seconds = np.concatenate([state.seconds, np.maximum(steep[:, : 2 * full : 2], steep[:, 1 : 2 * full : 2])], axis=1)
    usual = median(windows(seconds, SECONDS, 1))
    scale = np.maximum(usual[:, (np.arange(hops) + under_way + 1) // 2], FLOOR_MV)
    unfinished = np.zeros(leads)
    if steep.shape[1] % 2:
        unfinished[:] = steep[:, -1]
    behind = FrontState(
        filters[-1],
        joined[:, -SLOPE:].copy(),
        unfinished,
        seconds[:, -SECONDS:].copy(),
        state.hops + hops,
    )
    seen = np.arcsinh(levels / scale.T[:, :, None]).astype(np.float32)
    return behind, tuple(levels), seen.transpose(1, 0, 2).reshape(leads, -1)
