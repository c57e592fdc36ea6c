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
from models.signal.rhythm import atrial, pacing, patterns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.signal.qrs.beat import Heard
    from models.signal.weights import Models

    Floats = NDArray[np.float64]

MAX_LEADS = stream.MAX_LEADS


@dataclass(frozen=True, slots=True)
class Finding:
    """What one hop added. Sample numbers count from the first sample fed.

    `end`: behind the last sample used. `beats`: newly decided ones. `judged`: all before this sample has been searched for beats.
    `quiet_s`: since the last beat on any usable lead, 0 while none is usable. `beating`: what share of the waves of the last four
    seconds was found as beats, on the lead where it is greatest; None where no lead was usable for so long. `classified`: beats of
    before whose class is known now. `described`: what those are like, where the models ask for it. `atria`:
    whether the atria fibrillated or fluttered some beats before; `windows`: what that is told from, where the models ask for it.
    `seen`: patterns of beats of before, once their classes are known.
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
    atria: tuple[atrial.Verdict, ...] = ()
    windows: tuple[atrial.Window, ...] = ()
    seen: tuple[patterns.Seen, ...] = ()


@dataclass(frozen=True, eq=False)
class MonitorState:
    """Everything between two chunks; bounded by the longest window."""

    frames: frames.FrameState
    front: front.FrontState
    finder: stream.Finder
    beats: beats.BeatsState
    rates: rate.RateState
    lethal: lethal.LethalState
    pulses: pulse.PulseState
    atrial: atrial.AtrialState
    patterns: patterns.PatternState
    pacing: pacing.PacingState


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
        atrial.begin(),
        patterns.PatternState(),
        pacing.PacingState(),
    )


def feed(
    state: MonitorState, samples: "Floats", fs_hz: float, models: "Models"
) -> tuple[MonitorState, tuple[Finding, ...]]:
    """Take samples, shape (leads, n), in millivolt; leads beyond the second are not looked at. A finding a completed hop."""
    out: list[Finding] = []
    for part in frames.blocks(samples[:MAX_LEADS], fs_hz):
        state, findings = _block(state, part, fs_hz, models)
        out += findings
    return state, tuple(out)


def _block(
    state: MonitorState, samples: "Floats", fs_hz: float, models: "Models"
) -> tuple[MonitorState, list[Finding]]:
    """The hops that some samples complete: what needs no other hop's outcome is done for all at once."""
    plan = frames.plan(fs_hz)
    framed, hops = frames.feed(state.frames, samples, fs_hz)
    if not hops:
        return replace(state, frames=framed), []
    seen_by, seen, levels = state.front, None, tuple(hop.wide for hop in hops)
    if _looks(models):
        seen_by, levels, seen = front.steps(state.front, levels)
    scored, scores = lethal.steps(
        state.lethal, [hop.slow for hop in hops], [hop.missing for hop in hops], models.lethal
    )
    finder, heard = stream.listen(state.finder, hops, plan, seen, models)
    carried = Carried(state.beats, state.rates, state.pulses, state.atrial, state.patterns, state.pacing)
    out: list[Finding] = []
    for hop, level, score, known in zip(hops, levels, scores, heard, strict=True):
        carried, finding = _hop(carried, hop, level, score, known, plan, models)
        out.append(finding)
    behind = MonitorState(
        framed, seen_by, finder, carried.beats, carried.rates, scored, carried.pulses, carried.atrial, carried.patterns,
        carried.pacing,
    )  # fmt: skip
    return behind, out


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """What one hop hands to the next."""

    beats: beats.BeatsState
    rates: rate.RateState
    pulses: pulse.PulseState
    atrial: atrial.AtrialState
    patterns: patterns.PatternState
    pacing: pacing.PacingState


def _hop(
    state: Carried,
    hop: frames.Hop,
    level: "Floats",
    score: lethal.LethalScore | None,
    listened: "tuple[followed.FollowedState | network.Watch, Heard]",
    plan: frames.Plan,
    models: "Models",
) -> tuple[Carried, Finding]:
    watch, untimed = listened
    pulses, heard = pulse.step(state.pulses, hop, untimed, plan.fs_hz)
    beating = None
    if score is not None:
        whole = lethal.WINDOW_HOPS * plan.hop
        if isinstance(watch, network.Watch):
            beating = network.beating(watch, score.waves, whole)
        else:
            beating = followed.beating(watch, score.waves, whole)
    rates = state.rates if heard.interrupted is None else rate.interrupt(state.rates, heard.interrupted)
    found = tuple(at for at, _ in heard.beats)
    # Not at their pulses: where some of these are seen and some are not, only R waves are even.
    rates = rate.add(rates, tuple(at for at, _ in untimed.beats))
    named, described, classified = state.beats, (), ()
    if _names(models):
        named, described = beats.step(state.beats, level, heard, plan)
    if models.beats is not None and models.supraventricular is not None:
        classified = tuple((at, beats.classify(one, models.beats, models.supraventricular)) for at, one in described)
    told = tuple(zip(classified, (one for _, one in described), strict=True)) if classified else ()
    atria, windows, verdicts = atrial.step(state.atrial, named, told, plan, models.atrial)
    kinds = tuple((at, one.kind) for at, one in classified)
    known, seen = patterns.step(state.patterns, kinds, heard.interrupted, plan.fs_hz)
    fresh = tuple(at for at in pulses.pulses if not state.pulses.pulses or at > state.pulses.pulses[-1])
    paced, unanswered = pacing.step(state.pacing, fresh, found, heard.judged, heard.interrupted, plan.fs_hz)
    is_usable = any(heard.usable)
    return Carried(named, rates, pulses, atria, known, paced), Finding(
        end=(hop.number + 1) * plan.hop,
        judged=heard.judged,
        beats=found,
        usable=is_usable,
        quiet_s=heard.quiet / plan.fs_hz,
        last_beat=rates.beats[-1] if rates.beats else None,
        rate_per_min=rate.rate_per_min(rates, heard.judged, plan.fs_hz) if is_usable else None,
        lethal=score,
        beating=beating,
        classified=classified,
        described=tuple(one for _, one in described if one is not None) if models.describes else (),
        atria=verdicts,
        windows=windows if models.describes else (),
        seen=(*seen, *unanswered),
    )


def _names(models: "Models") -> bool:
    """Whether beats are described."""
    return models.beats is not None or models.describes


def _looks(models: "Models") -> bool:
    """Whether a network looks at the leads, or at their beats."""
    return models.qrs is not None or _names(models)


def find_beats(leads: "Floats", fs_hz: float, models: "Models") -> tuple[int, ...]:
    """Sample numbers of the R waves of one lead or of two together, shape (n,) or (leads, n), in millivolt: the streaming detector fed in one piece."""
    leads = np.atleast_2d(leads)
    _, hops = stream.feed(stream.begin(len(leads), fs_hz, models), leads, fs_hz, models)
    return tuple(sorted(at for heard in hops for at, _ in heard.beats))
