"""Where P, QRS and T begin and end: of each lead and of all leads together, for beats that any detector has found.

Fed with samples and with R waves as they become known; a beat is given in the hop that ends `LATENCY_S` behind its R wave at the latest,
the same for any chunking. An R wave has to be known `KNOWN_S` before; one told later is measured when it comes, up to a second late.
What is measured stands in `measure` and `waves`, the numbers fitted to ludb in `weights`. ST levels are experimental: nothing has
judged them yet, and they raise no alarm.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.signal.delineate import decide, grid, measure
from models.signal.delineate.decide import Beat, Bounds, LeadBeat
from models.signal.delineate.measure import HORIZON_S
from models.signal.delineate.weights import Weights, load
from models.signal.frames import HOP_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["LATENCY_S", "Beat", "Bounds", "DelineateState", "LeadBeat", "Weights", "begin", "delineate", "feed", "load"]

LATENCY_S = HORIZON_S + HOP_S + 2 * grid.REACH_S
MAX_LEADS = 12


@dataclass(frozen=True, eq=False)
class DelineateState:
    """Everything between two chunks; its size is fixed by the number of leads."""

    measure: measure.MeasureState
    decide: decide.DecideState


def begin(leads: int, fs_hz: float) -> DelineateState:
    """State before the first sample; ValueError for a rate outside 100-1000 Hz or leads outside 1 to 12."""
    if not 1 <= leads <= MAX_LEADS:
        msg = f"delineation of {leads} leads: expected 1 to {MAX_LEADS}"
        raise ValueError(msg)
    return DelineateState(measure.begin(leads, fs_hz), decide.begin(leads))


def feed(
    state: DelineateState, samples: "Floats", peaks: Iterable[int], fs_hz: float, weights: Weights
) -> tuple[DelineateState, tuple[Beat, ...]]:
    """Take samples, shape (leads, n) in millivolt, NaN where missing, and the R waves (sample numbers) that have become known.

    Gives the beats whose time has come. An R wave without a lead that shows a complex there gives none.
    """
    measured_state, measured = measure.feed(state.measure, samples, peaks, fs_hz)
    decided, out = state.decide, list[Beat]()
    for beat in measured:
        decided, one = decide.decide(decided, beat, grid.plan(fs_hz), weights)
        out.append(one)
    return DelineateState(measured_state, decided), tuple(out)


def delineate(samples: "Floats", peaks: Iterable[int], fs_hz: float, weights: Weights) -> tuple[Beat, ...]:
    """All beats of an array, shape (leads, n): the stream fed in one piece, and then with nothing until the last beat is due."""
    rest = np.full((len(samples), int(np.ceil((LATENCY_S + HOP_S) * fs_hz))), np.nan)
    whole = np.concatenate([np.asarray(samples, np.float64), rest], axis=1)
    return feed(begin(len(samples), fs_hz), whole, peaks, fs_hz, weights)[1]
