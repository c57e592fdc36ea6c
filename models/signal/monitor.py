"""Watch up to two leads together: beats and their classes, rate, pauses and lethal rhythms, every half second.

Joins `frames`, `qrs`, `beats`, `rate` and `lethal`; a caller who wants an array analysed whole feeds it in one piece. NaN is a missing
sample: nothing is concluded from it, so that lost data never become a pause. A finding is stated `HOP_S` and the detector's latency
after its cause at the latest; four seconds are needed before a lethal rhythm is judged. With the networks of `Models` beats are found
by what these say of all leads, without them by rules from the lead that is followed.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from models.signal import beats, frames, front, lethal, rate
from models.signal.beats import Class, Described
from models.signal.qrs import followed, network, pulse, stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.signal.qrs.beat import Heard
    from models.signal.weights import Models

    Floats = NDArray[np.float64]

MAX_LEADS = stream.MAX_LEADS
_NOTHING = np.zeros((0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one hop added. Sample numbers count from the first sample fed.

    `end`: behind the last sample used. `beats`: newly decided ones. `judged`: all before this sample has been searched for beats.
    `quiet_s`: since the last beat on any usable lead, 0 while none is usable. `beating`: what share of the waves of the last four
    seconds was found as beats, on the lead where it is greatest; None where no lead was usable for so long. `classified`: beats of
    before whose class is known now. `described`: what those are like, where the models ask for it.
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
    classified: tuple[tuple[int, Class], ...] = ()
    described: tuple[Described, ...] = ()


@dataclass(frozen=True, eq=False)
class MonitorState:
    """Everything between two chunks; bounded by the longest window."""

    frames: frames.FrameState
    front: front.FrontState
    finder: followed.FollowedState | network.NetworkState
    beats: beats.BeatsState
    rates: rate.RateState
    lethal: lethal.LethalState
    pulses: pulse.PulseState


def begin(leads: int, fs_hz: float, models: "Models") -> MonitorState:
    """State before the first sample; ValueError for a rate outside 100-1000 Hz or no lead."""
    if leads < 1:
        msg = "monitor of 0 leads: expected at least one"
        raise ValueError(msg)
    watched = min(leads, MAX_LEADS)
    return MonitorState(
        frames.begin(watched, fs_hz),
        front.begin(watched),
        followed.begin(watched) if models.qrs is None else network.begin(watched, models.qrs),
        beats.begin(watched),
        rate.RateState(),
        lethal.begin(watched),
        pulse.PulseState(),
    )


def feed(
    state: MonitorState, samples: "Floats", fs_hz: float, models: "Models"
) -> tuple[MonitorState, tuple[Finding, ...]]:
    """Take samples, shape (leads, n), in millivolt; leads beyond the second are not looked at. A finding a completed hop."""
    framed, hops = frames.feed(state.frames, samples[:MAX_LEADS], fs_hz)
    out: list[Finding] = []
    for hop in hops:
        state, finding = _hop(state, hop, frames.plan(fs_hz), models)
        out.append(finding)
    return replace(state, frames=framed), tuple(out)


def _hop(state: MonitorState, hop: frames.Hop, plan: frames.Plan, models: "Models") -> tuple[MonitorState, Finding]:
    end = (hop.number + 1) * plan.hop
    seen_by, level, seen = front.step(state.front, hop.wide) if _looks(models) else (state.front, hop.wide, _NOTHING)
    scores, score = lethal.step(state.lethal, hop.slow, hop.missing, models.lethal)
    whole = lethal.WINDOW_HOPS * plan.hop
    finder, heard = _heard(state, hop, plan, seen, models)
    pulses, heard = pulse.step(state.pulses, hop, heard, plan.fs_hz)
    beating = None
    if score is not None:
        if isinstance(finder, network.NetworkState):
            beating = network.beating(finder, score.waves, whole)
        else:
            beating = followed.beating(finder, score.waves, whole)
    rates = state.rates if heard.interrupted is None else rate.interrupt(state.rates, heard.interrupted)
    found = tuple(at for at, _ in heard.beats)
    rates = rate.add(rates, found)
    known, described, classified = state.beats, (), ()
    if _names(models):
        known, described = beats.step(state.beats, level, heard, plan)
    if models.beats is not None:
        classified = tuple((at, beats.classify(one, models.beats)) for at, one in described)
    state = MonitorState(state.frames, seen_by, finder, known, rates, scores, pulses)
    return state, Finding(
        end=end,
        judged=heard.judged,
        beats=found,
        usable=any(heard.usable),
        quiet_s=heard.quiet / plan.fs_hz,
        last_beat=rates.beats[-1] if rates.beats else None,
        rate_per_min=rate.rate_per_min(rates, heard.judged, plan.fs_hz) if any(heard.usable) else None,
        lethal=score,
        beating=beating,
        classified=classified,
        described=tuple(one for _, one in described if one is not None) if models.describes else (),
    )


def _names(models: "Models") -> bool:
    """Whether beats are described."""
    return models.beats is not None or models.describes


def _looks(models: "Models") -> bool:
    """Whether a network looks at the leads, or at their beats."""
    return models.qrs is not None or _names(models)


def _heard(
    state: MonitorState, hop: frames.Hop, plan: frames.Plan, seen: "NDArray[np.float32]", models: "Models"
) -> "tuple[followed.FollowedState | network.NetworkState, Heard]":
    if isinstance(state.finder, followed.FollowedState) or models.qrs is None:
        assert isinstance(state.finder, followed.FollowedState)
        return followed.step(state.finder, hop, plan, lethal.WINDOW_HOPS)
    return network.step(state.finder, hop, plan, seen, models.qrs, lethal.WINDOW_HOPS)


def find_beats(lead: "Floats", fs_hz: float, models: "Models") -> tuple[int, ...]:
    """Sample numbers of the R waves of one lead, shape (n,), in millivolt: the streaming detector fed in one piece."""
    _, hops = stream.feed(stream.begin(1, fs_hz, models), lead[None, :], fs_hz, models)
    return tuple(sorted(at for heard in hops for at, _ in heard.beats))
