"""Find the beats of up to two leads and nothing else: frames, front, detector and pacing pulses, as `models.signal.monitor` joins them.

For who wants beats alone, and for the figure `qrs-speed`. The beats are those of the monitor, bit for bit.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.signal import frames, front, lethal
from models.signal.qrs import followed, network, pulse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.signal.qrs.beat import Heard
    from models.signal.weights import Models

    Floats = NDArray[np.float64]

MAX_LEADS = 2  # as of the monitor


@dataclass(frozen=True, slots=True, eq=False)
class StreamState:
    """Everything between two chunks; bounded by the longest window."""

    frames: frames.FrameState
    front: front.FrontState
    finder: followed.FollowedState | network.NetworkState
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
    plan = frames.plan(fs_hz)
    framed, hops = frames.feed(state.frames, samples[:MAX_LEADS], fs_hz)
    seen_by, finder, pulses = state.front, state.finder, state.pulses
    out: list[Heard] = []
    for hop in hops:
        if isinstance(finder, followed.FollowedState) or models.qrs is None:
            assert isinstance(finder, followed.FollowedState)
            finder, heard = followed.step(finder, hop, plan, lethal.WINDOW_HOPS)
        else:
            seen_by, _, seen = front.step(seen_by, hop.wide)
            finder, heard = network.step(finder, hop, plan, seen, models.qrs, lethal.WINDOW_HOPS)
        pulses, heard = pulse.step(pulses, hop, heard, plan.fs_hz)
        out.append(heard)
    return StreamState(framed, seen_by, finder, pulses), tuple(out)
