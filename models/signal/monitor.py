"""Watch up to two leads together: beats, rate, pauses and lethal rhythms, every half second.

Joins `frames`, `qrs`, `rate` and `lethal`; a caller who wants an array analysed whole feeds it in one piece. NaN is a missing
sample: nothing is concluded from it, so that lost data never become a pause. A finding is stated `HOP_S` and `qrs.LATENCY_S`
after its cause at the latest; four seconds are needed before a lethal rhythm is judged.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from models.signal import frames, lethal, qrs, rate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.signal.trees import Trees

    Floats = NDArray[np.float64]

MAX_LEADS = 2
USABLE_MISSING = 0.2
SAME_BEAT_S = 0.2
RECENT = 4  # beats of a lead that is not followed: told when it has to take over


@dataclass(frozen=True, slots=True)
class Finding:
    """What one hop added. Sample numbers count from the first sample fed.

    `end`: behind the last sample used. `beats`: newly decided ones, of the lead that is followed. `judged`: all before this
    sample has been searched for beats. `quiet_s`: since the last beat on any usable lead, 0 while none is usable. `beating`: what
    share of the waves of the last four seconds was found as beats, on the lead where it is greatest; None where no lead was
    usable for so long.
    """

    end: int
    judged: int
    beats: tuple[int, ...]
    usable: bool
    quiet_s: float
    last_beat: int | None
    rate_per_min: float | None
    lethal: lethal.LethalScore | None
    beating: float | None


@dataclass(frozen=True, slots=True)
class Watched:
    """One lead: since when it can be used without a break, its last beat, or `since` before there was one, and the last few.

    `counted`: the beats of the four seconds before `judged`.
    """

    since: int = 0
    last: int = 0
    recent: tuple[int, ...] = ()
    judged: int = 0
    counted: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class MonitorState:
    """Everything between two chunks; bounded by the longest window."""

    frames: frames.FrameState
    qrs: tuple[qrs.QrsState, ...]
    leads: tuple[Watched, ...]
    followed: int | None
    beats: rate.RateState
    lethal: lethal.LethalState


def begin(leads: int, fs_hz: float) -> MonitorState:
    """State before the first sample; ValueError for a rate outside 100-1000 Hz or no lead."""
    if leads < 1:
        msg = "monitor of 0 leads: expected at least one"
        raise ValueError(msg)
    watched = min(leads, MAX_LEADS)
    return MonitorState(
        frames.begin(watched, fs_hz),
        tuple(qrs.begin() for _ in range(watched)),
        (Watched(),) * watched,
        0,
        rate.RateState(),
        lethal.begin(watched),
    )


def feed(
    state: MonitorState, samples: "Floats", fs_hz: float, trees: "Trees"
) -> tuple[MonitorState, tuple[Finding, ...]]:
    """Take samples, shape (leads, n), in millivolt; leads beyond the second are not looked at. A finding a completed hop."""
    framed, hops = frames.feed(state.frames, samples[: len(state.qrs)], fs_hz)
    state = replace(state, frames=framed)
    out: list[Finding] = []
    for hop in hops:
        state, finding = _hop(state, hop, frames.plan(fs_hz), trees)
        out.append(finding)
    return state, tuple(out)


def _hop(state: MonitorState, hop: frames.Hop, plan: frames.Plan, trees: "Trees") -> tuple[MonitorState, Finding]:
    end = (hop.number + 1) * plan.hop
    detectors: list[qrs.QrsState] = []
    leads: list[Watched] = []
    usable: list[bool] = []
    found: list[tuple[int, ...]] = []
    judged = end
    for before, known, band, missing in zip(state.qrs, state.leads, hop.band, hop.missing, strict=True):
        detector, beats = qrs.step(before, band)
        detectors.append(detector)
        judged = max(0, plan.sample_of(qrs.judged(detector)))
        usable.append(missing <= USABLE_MISSING and detector.jumped == before.jumped)
        found.append(tuple(plan.sample_of(beat.at) for beat in beats) if usable[-1] else ())
        lead = _watched(known, found[-1], end if missing > USABLE_MISSING else judged, usable=usable[-1])
        leads.append(_counted(lead, known.counted, found[-1], judged, plan))
    followed = next((i for i, ok in enumerate(usable) if ok), None)
    rates, beats = state.beats, ()
    if followed is None:
        rates = rate.interrupt(rates, end)
    else:
        told = found[followed]
        if followed != state.followed:
            told = tuple(sorted({*leads[followed].recent, *told}))
            if not rates.beats or leads[followed].since > rates.beats[-1]:
                rates = rate.interrupt(rates, leads[followed].since)
        beats = _new(told, rates, plan.fs_hz)
        rates = rate.add(rates, beats)
    score_state, score = lethal.step(state.lethal, hop.slow, hop.missing, trees)
    quiet = min((judged - lead.last for lead, ok in zip(leads, usable, strict=True) if ok), default=0)
    state = MonitorState(state.frames, tuple(detectors), tuple(leads), followed, rates, score_state)
    return state, Finding(
        end=end,
        judged=judged,
        beats=beats,
        usable=followed is not None,
        quiet_s=max(0.0, quiet / plan.fs_hz),
        last_beat=rates.beats[-1] if rates.beats else None,
        rate_per_min=None if followed is None else rate.rate_per_min(rates, judged, plan.fs_hz),
        lethal=score,
        beating=None if score is None else _beating(leads, score.waves, plan),
    )


def _counted(lead: Watched, known: tuple[int, ...], found: tuple[int, ...], judged: int, plan: frames.Plan) -> Watched:
    """With the beats of the window that ends at `judged`, those found late among them."""
    first = max(judged - lethal.WINDOW_HOPS * plan.hop, lead.since)
    return replace(lead, judged=judged, counted=tuple(b for b in sorted({*known, *found}) if b > first))


def _beating(leads: list[Watched], waves: tuple[int | None, ...], plan: frames.Plan) -> float | None:
    whole = lethal.WINDOW_HOPS * plan.hop
    shares = [
        len(lead.counted) / count
        for lead, count in zip(leads, waves, strict=True)
        if count and lead.judged - lead.since >= whole
    ]
    return max(shares, default=None)


def _watched(known: Watched, beats: tuple[int, ...], end: int, *, usable: bool) -> Watched:
    """The lead behind a hop that brought these beats; `end`: behind the last sample that cannot be used, if it cannot."""
    if not usable:
        return Watched(end, end)
    if not beats:
        return known
    return Watched(known.since, max(known.last, *beats), tuple(sorted({*known.recent, *beats}))[-RECENT:])


def _new(beats: tuple[int, ...], known: rate.RateState, fs_hz: float) -> tuple[int, ...]:
    """Without those that another lead has told before the lead that is followed changed."""
    near = SAME_BEAT_S * fs_hz
    return tuple(b for b in beats if b > 0 and all(abs(b - k) >= near for k in known.beats))


def find_beats(lead: "Floats", fs_hz: float) -> tuple[int, ...]:
    """Sample numbers of the R waves of one lead, shape (n,), in millivolt: the streaming detector fed in one piece."""
    _, hops = frames.feed(frames.begin(1, fs_hz), lead[None, :], fs_hz)
    detector, plan = qrs.begin(), frames.plan(fs_hz)
    found: list[int] = []
    for hop in hops:
        detector, beats = qrs.step(detector, hop.band[0])
        found += [plan.sample_of(beat.at) for beat in beats]
    return tuple(sorted(found))
