"""Place the boundaries of a measured beat: each lead by its rows, all leads together by their median, and what is read between them.

A P wave stands or falls for all leads at once: an atrium that beats is seen beat after beat at the same place.
"""

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from models.signal.delineate import grid
from models.signal.delineate.measure import ISOELECTRIC, Measured, Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.signal.delineate.weights import Weights

    Floats = NDArray[np.float64]

STEADY = ("p_on", "p_off")  # a lead's last P waves say more of these than one alone
REMEMBERED = 6
STEADY_NEAR = 4.0
LEAST_T_MV = 0.02  # between the highest and the lowest of a T wave; less has no end that could be seen
RR_S = (0.25, 2.5)  # outside, QTc says nothing
J_MS = (60, 80)


@dataclass(frozen=True, slots=True)
class Bounds:
    """First and last sample of a wave, counted from the first sample fed."""

    onset: int
    offset: int


@dataclass(frozen=True, slots=True)
class LeadBeat:
    """One lead of a beat. `st_mv`: level 60 and 80 ms behind the J point against PR; experimental, it has no figure and no alarm follows."""

    lead: int
    p: Bounds | None
    qrs: Bounds
    t: Bounds | None
    st_mv: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Beat:
    """A delineated beat: its R wave as it was told, waves of all leads together, each lead that could be measured.

    `p_certainty`: how sure it is that a P wave belongs to it, 0 to 1. QTc is by the interval before; times in seconds.
    """

    r: int
    p: Bounds | None
    qrs: Bounds
    t: Bounds | None
    p_certainty: float
    rr_s: float | None
    qt_s: float | None
    qtc_bazett_s: float | None
    qtc_fridericia_s: float | None
    leads: tuple[LeadBeat, ...]


def _nothing() -> "Mapping[str, Floats]":
    return MappingProxyType({})


@dataclass(frozen=True, eq=False)
class DecideState:
    """Where the last P waves of each lead were: by boundary, (leads, REMEMBERED), NaN where there was none."""

    earlier: "Mapping[str, Floats]" = field(default_factory=_nothing)


def begin(leads: int) -> DecideState:
    """State before the first beat."""
    return DecideState(MappingProxyType({name: np.full((leads, REMEMBERED), np.nan) for name in STEADY}))


def steady_rows(positions: "Floats", earlier: "Floats") -> "Floats":
    """What a lead's earlier waves say, (leads, 3): a constant, how far their median is away, the same clipped."""
    with_this = np.sort(np.concatenate([earlier, positions[:, None]], axis=1), axis=1)  # NaN is last
    count = np.isfinite(with_this).sum(axis=1)
    row = np.arange(len(positions))
    middle = (with_this[row, (count - 1) // 2] + with_this[row, count // 2]) / 2
    away = np.where(count > 1, middle - positions, 0.0)
    return np.column_stack([np.ones(len(away)), away, np.clip(away, -STEADY_NEAR, STEADY_NEAR)])


def place(measured: Place, factors: "Floats") -> "Floats":
    """Positions in the beat's window, one a lead of `measured.leads`."""
    return measured.anchor + measured.rows @ factors


def p_certainty(measured: Measured, factors: "Floats") -> float:
    """How sure it is that there is a P wave."""
    if measured.evidence is None:
        return 0.0
    return float(1 / (1 + np.exp(-(factors[0] + np.dot(factors[1:], measured.evidence)))))


def remember(state: DecideState, name: str, leads: "NDArray[np.intp]", positions: "Floats") -> DecideState:
    """With the places of one more P wave, relative to the beat's middle, before they were steadied."""
    kept = state.earlier[name].copy()
    kept[leads] = np.concatenate([kept[leads, 1:], positions[:, None]], axis=1)
    return replace(state, earlier=MappingProxyType({**state.earlier, name: kept}))


def decide(state: DecideState, beat: Measured, rule: grid.Plan, weights: "Weights") -> tuple[DecideState, Beat]:
    """Place everything of a beat."""
    certainty = p_certainty(beat, weights.p_present)
    found: dict[str, tuple[NDArray[np.intp], Floats]] = {}
    for name, measured in beat.places.items():
        if name in STEADY and certainty < 0.5:
            continue
        positions = place(measured, weights.boundary[name])
        if name in STEADY:
            relative = positions - beat.middle
            rows = steady_rows(relative, state.earlier[name][measured.leads])
            state = remember(state, name, measured.leads, relative)
            positions = positions + rows @ weights.steady[name]
        found[name] = (measured.leads, positions)

    def bounds(first: str, last: str, lead: int | None = None) -> Bounds | None:
        if first not in found:
            return None
        leads, onsets = found[first]
        offsets = found[last][1]
        if lead is None:
            onset, offset = float(np.median(onsets)), float(np.median(offsets))
        else:
            at = np.flatnonzero(leads == lead)
            if not len(at):
                return None
            onset, offset = float(onsets[at[0]]), float(offsets[at[0]])
        if offset <= onset:
            return None
        return Bounds(rule.sample_of(beat.base + onset), rule.sample_of(beat.base + offset))

    qrs_leads, _ = found["qrs_on"]
    steady_end = float(np.median(found["qrs_off"][1]))
    steady_on = float(np.median(found["qrs_on"][1]))
    each: list[LeadBeat] = []
    for lead in qrs_leads.tolist():
        own = bounds("qrs_on", "qrs_off", lead)
        if own is not None:
            t = bounds("t_on", "t_end", lead) if _has_t(beat, found, lead) else None
            p = bounds("p_on", "p_off", lead)
            each.append(LeadBeat(lead, p, own, t, _st(beat.window[lead], steady_on, steady_end, clear=t is not None)))
    whole = bounds("qrs_on", "qrs_off")
    t = bounds("t_on", "t_end") if any(one.t for one in each) else None
    fs_hz = rule.fs_hz
    rr_s = None if beat.rr is None else beat.rr / grid.RATE_HZ
    if whole is None:
        middle = rule.sample_of(beat.base + beat.middle)
        whole = Bounds(middle, middle)
    qt_s = None if t is None else (t.offset - whole.onset) / fs_hz
    corrects = qt_s is not None and rr_s is not None and RR_S[0] <= rr_s <= RR_S[1]
    return state, Beat(
        beat.r,
        bounds("p_on", "p_off"),
        whole,
        t,
        certainty,
        rr_s,
        qt_s,
        qt_s / rr_s**0.5 if corrects and qt_s is not None and rr_s is not None else None,
        qt_s / rr_s ** (1 / 3) if corrects and qt_s is not None and rr_s is not None else None,
        tuple(each),
    )


def _has_t(beat: Measured, found: "Mapping[str, tuple[NDArray[np.intp], Floats]]", lead: int) -> bool:
    if "t_end" not in found:
        return False
    leads, ends = found["t_end"]
    at = np.flatnonzero(leads == lead)
    if not len(at):
        return False
    first, last = found["t_on"][1][at[0]], ends[at[0]]
    part = beat.window[lead, max(0, int(first)) : int(last) + 1]
    return len(part) > 1 and float(np.ptp(part)) >= LEAST_T_MV


def _st(window: "Floats", onset: float, end: float, *, clear: bool) -> tuple[float, float] | None:
    """Level behind the J point in millivolt against what stands before the complex; None where the stretch is not whole."""
    if not clear:
        return None
    at = [round(end + ms / 1000 * grid.RATE_HZ) for ms in J_MS]
    first = round(onset)
    before = window[first + ISOELECTRIC.start : first + ISOELECTRIC.stop]
    if len(before) == 0 or at[1] >= len(window):
        return None
    level = float(before.mean())
    return float(window[at[0]]) - level, float(window[at[1]]) - level
