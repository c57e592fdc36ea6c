"""Find the beats of up to two leads and nothing else: frames, front, detector and pacing pulses, as `models.signal.monitor` joins them.

For who wants beats alone, and for the figure `qrs-speed`. The beats are those of the monitor, bit for bit.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from models.signal import frames, front, lethal
from models.signal.qrs import followed, network, pulse

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from models.signal.qrs.beat import Heard
    from models.signal.weights import Models

    Floats = NDArray[np.float64]

MAX_LEADS = 2  # as of the monitor


Finder: TypeAlias = followed.FollowedState | network.NetworkState


@dataclass(frozen=True, slots=True, eq=False)
class StreamState:
    """Everything between two chunks; bounded by the longest window."""

    frames: frames.FrameState
    front: front.FrontState
    finder: Finder
    pulses: pulse.PulseState


def begin(leads: int, fs_hz: float, models: "Models") -> StreamState:
    """State before the first sample; ValueError for a rate outside 100-1000 Hz or no lead."""
    if leads < 1:
        msg = "detector of 0 leads: expected at least one"
        raise ValueError(msg)
    watched = min(leads, MAX_LEADS)
    finder = followed.begin(watched) if models.qrs is None else network.begin(watched, models.qrs)
    return StreamState(frames.begin(watched, fs_hz), front.begin(watched), finder, pulse.PulseState())


def feed(
    state: StreamState, samples: "Floats", fs_hz: float, models: "Models"
) -> "tuple[StreamState, tuple[Heard, ...]]":
    """Take samples, shape (leads, n), in millivolt, NaN where missing; what was heard in each hop that they complete."""
    out: list[Heard] = []
    for part in frames.blocks(samples[:MAX_LEADS], fs_hz):
        state, heard = _block(state, part, fs_hz, models)
        out += heard
    return state, tuple(out)


def _block(state: StreamState, samples: "Floats", fs_hz: float, models: "Models") -> "tuple[StreamState, list[Heard]]":
    plan = frames.plan(fs_hz)
    framed, hops = frames.feed(state.frames, samples, fs_hz)
    if not hops:
        return StreamState(framed, state.front, state.finder, state.pulses), []
    seen_by, seen = state.front, None
    if models.qrs is not None:
        seen_by, _, seen = front.steps(state.front, [hop.wide for hop in hops])
    finder, found = listen(state.finder, hops, plan, seen, models)
    pulses = state.pulses
    out: list[Heard] = []
    for hop, (_, heard) in zip(hops, found, strict=True):
        pulses, timed = pulse.step(pulses, hop, heard, plan.fs_hz)
        out.append(timed)
    return StreamState(framed, seen_by, finder, pulses), out


def listen(
    finder: Finder,
    hops: "Sequence[frames.Hop]",
    plan: frames.Plan,
    seen: "NDArray[np.float32] | None",
    models: "Models",
) -> "tuple[Finder, Sequence[tuple[followed.FollowedState | network.Watch, Heard]]]":
    """What the detector hears in each hop, and what it watches behind it; `seen`: what a network sees of the hops (`front.steps`)."""
    if isinstance(finder, network.NetworkState):
        assert seen is not None
        assert models.qrs is not None
        return network.steps(finder, hops, plan, seen, models.qrs, lethal.WINDOW_HOPS)
    out: list[tuple[followed.FollowedState, Heard]] = []
    for hop in hops:
        finder, heard = followed.step(finder, hop, plan, lethal.WINDOW_HOPS)
        out.append((finder, heard))
    return finder, out
