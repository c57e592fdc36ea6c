"""Heartbeats of several leads by rules: each lead has a detector of its own, and what the first usable one finds is told."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from models.signal import frames
from models.signal.qrs import rules
from models.signal.qrs.beat import USABLE_MISSING, Beat, Heard

if TYPE_CHECKING:
    from collections.abc import Sequence

SAME_BEAT_S = 0.15
RECENT = 4  # beats of a lead that is not followed: told when it has to take over
TOLD = 8

Placed = tuple[int, Beat]


@dataclass(frozen=True, slots=True)
class Watched:
    """One lead: since when it can be used without a break, its last beat, or `since` before there was one, and the last few.

    `counted`: the beats of the window before `judged`.
    """

    since: int = 0
    last: int = 0
    recent: tuple[Placed, ...] = ()
    judged: int = 0
    counted: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class FollowedState:
    """A detector and what is watched of each lead, which one is followed, and the sample numbers of the last beats told."""

    detectors: tuple[rules.QrsState, ...]
    leads: tuple[Watched, ...]
    followed: int | None = 0
    told: tuple[int, ...] = ()


def begin(leads: int) -> FollowedState:
    """State before the first hop."""
    return FollowedState(tuple(rules.begin() for _ in range(leads)), (Watched(),) * leads)


def step(state: FollowedState, hop: frames.Hop, plan: frames.Plan, counted_hops: int) -> tuple[FollowedState, Heard]:
    """Take a hop; `counted_hops`: the window of `beating`."""
    end = (hop.number + 1) * plan.hop
    detectors: list[rules.QrsState] = []
    leads: list[Watched] = []
    usable: list[bool] = []
    found: list[tuple[Placed, ...]] = []
    judged = end
    for before, known, band, missing in zip(state.detectors, state.leads, hop.band, hop.missing, strict=True):
        detector, beats = rules.step(before, band)
        detectors.append(detector)
        judged = max(0, plan.sample_of(rules.judged(detector)))
        usable.append(bool(missing <= USABLE_MISSING) and detector.jumped == before.jumped)
        found.append(tuple((plan.sample_of(beat.at), beat) for beat in beats) if usable[-1] else ())
        lead = _watched(known, found[-1], end if missing > USABLE_MISSING else judged, usable=usable[-1])
        leads.append(_counted(lead, known.counted, found[-1], judged, counted_hops * plan.hop))
    followed = next((i for i, ok in enumerate(usable) if ok), None)
    beats, interrupted = (), end if followed is None else None
    if followed is not None:
        told = found[followed]
        if followed != state.followed:
            told = (*leads[followed].recent, *told)
            if not state.told or leads[followed].since > state.told[-1]:
                interrupted = leads[followed].since
        beats = _new(told, state.told, plan.fs_hz)
    quiet = min((judged - lead.last for lead, ok in zip(leads, usable, strict=True) if ok), default=0)
    kept = tuple(sorted({*state.told, *(at for at, _ in beats)}))[-TOLD:]
    state = FollowedState(tuple(detectors), tuple(leads), followed, kept)
    return state, Heard(beats, judged, tuple(usable), max(0, quiet), interrupted)


def beating(state: FollowedState, waves: "Sequence[int | None]", whole: int) -> float | None:
    """What share of the waves of each lead was found as beats, where it is greatest; None where no lead was usable for `whole` samples."""
    shares = [
        len(lead.counted) / count
        for lead, count in zip(state.leads, waves, strict=True)
        if count and lead.judged - lead.since >= whole
    ]
    return max(shares, default=None)


def _counted(lead: Watched, known: tuple[int, ...], found: tuple[Placed, ...], judged: int, whole: int) -> Watched:
    """With the beats of the window that ends at `judged`, those found late among them."""
    first = max(judged - whole, lead.since)
    return replace(
        lead, judged=judged, counted=tuple(b for b in sorted({*known, *(at for at, _ in found)}) if b > first)
    )


def _watched(known: Watched, beats: tuple[Placed, ...], end: int, *, usable: bool) -> Watched:
    """The lead behind a hop that brought these beats; `end`: behind the last sample that cannot be used, if it cannot."""
    if not usable:
        return Watched(end, end)
    if not beats:
        return known
    recent = sorted({**dict(known.recent), **dict(beats)}.items())[-RECENT:]
    return Watched(known.since, max(known.last, *(at for at, _ in beats)), tuple(recent))


def _new(beats: tuple[Placed, ...], told: tuple[int, ...], fs_hz: float) -> tuple[Placed, ...]:
    """Without those that another lead has told before the lead that is followed changed."""
    near = SAME_BEAT_S * fs_hz
    ordered = sorted(dict(beats).items())
    return tuple((at, beat) for at, beat in ordered if at > 0 and all(abs(at - k) >= near for k in told))
