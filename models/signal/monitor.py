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


@dataclass(frozen=True, slots=True)
class Finding:
    """What one hop added. Sample numbers count from the first sample fed.

    `end`: behind the last sample used. `beats`: newly decided ones, of the lead that is followed. `judged`: all before this
    sample has been searched for beats. `quiet_s`: since the last beat on any usable lead, 0 while none is usable.
    """

    end: int
    judged: int
    beats: tuple[int, ...]
    usable: bool
    quiet_s: float
    last_beat: int | None
    rate_per_min: float | None
    lethal: lethal.LethalScore | None


@dataclass(frozen=True, eq=False)
class MonitorState:
    """Everything between two chunks; bounded by the longest window."""

    frames: frames.FrameState
    qrs: tuple[qrs.QrsState, ...]
    beats: rate.RateState
    last_beats: tuple[int, ...]  # per lead, or where its usable signal began
    heard: tuple[bool, ...]  # per lead: whether there was a beat since
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
        rate.RateState(),
        (0,) * watched,
        (False,) * watched,
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
    detectors: list[qrs.QrsState] = []
    last, heard = list(state.last_beats), list(state.heard)
    usable = [share <= USABLE_MISSING for share in hop.missing]
    end = (hop.number + 1) * plan.hop
    found: list[tuple[int, ...]] = []
    judged = end
    for lead, before in enumerate(state.qrs):
        detector, beats = qrs.step(before, hop.band[lead])
        detectors.append(detector)
        judged = max(0, plan.sample_of(qrs.judged(detector)))
        samples = tuple(plan.sample_of(beat.at) for beat in beats) if usable[lead] else ()
        found.append(samples)
        if not usable[lead]:
            last[lead], heard[lead] = end, False
        elif samples:
            last[lead], heard[lead] = max(last[lead], *samples), True
    followed = next((i for i, ok in enumerate(usable) if ok), None)
    beats = () if followed is None else _new(found[followed], state.beats, plan.fs_hz)
    rates = rate.add(state.beats, beats)
    score_state, score = lethal.step(state.lethal, hop.slow, hop.missing, trees)
    quiet = min((judged - last[i] for i, ok in enumerate(usable) if ok), default=0)
    state = MonitorState(state.frames, tuple(detectors), rates, tuple(last), tuple(heard), score_state)
    return state, Finding(
        end=end,
        judged=judged,
        beats=beats,
        usable=followed is not None,
        quiet_s=max(0.0, quiet / plan.fs_hz),
        last_beat=rates.beats[-1] if rates.beats else None,
        rate_per_min=None if followed is None else rate.rate_per_min(rates, judged, plan.fs_hz),
        lethal=score,
    )


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
