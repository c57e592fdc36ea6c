"""What all ways to find heartbeats share: a beat, what a hop brought, and the envelope of the QRS band."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SMOOTH = 15  # samples of the band, 180 Hz: 83 ms
SLOPE_WEIGHT = 3.0  # makes the slope of a 10 Hz wave as large as the wave
CEILING_MV = 6.0  # envelope of a complex of 40 mV, or of a step of 16 mV: an amplifier at its end, no heart
FLOOR_MV = 0.075  # envelope of a complex of 0.17 to 0.25 mV: 0.15 mV is no beat (IEC 60601-2-27, 201.12.1.101.15), 0.5 mV is one
USABLE_MISSING = 0.2  # share of a hop's samples


@dataclass(frozen=True, slots=True)
class Beat:
    """`at`: band sample of the R wave; `decided`: band sample that was needed to say so; `strength`: share of the usual.

    `logits`: of beat, N, S and V as a network gives them; None of one found by rules. `first`: beats may have been lost before it, as
    no lead that shows it could be used all the time since the last one. `paced`: a pacing pulse made it.
    """

    at: int
    decided: int
    strength: float
    late: bool
    logits: tuple[float, float, float, float] | None = None
    first: bool = False
    paced: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """What a hop brought. Sample numbers count from the first sample fed.

    `beats`: newly decided ones. `judged`: all before this sample has been searched. `usable`: of each lead. `quiet`: samples since the
    last beat on any usable lead, 0 while none is usable. `interrupted`: beats may have been lost between the last one known and this
    sample.
    """

    beats: tuple[tuple[int, Beat], ...]
    judged: int
    usable: tuple[bool, ...]
    quiet: int
    interrupted: int | None


def envelope(band: "Floats") -> "Floats":
    """Envelope (..., n) of a stretch of the band, shape (..., SMOOTH + 1 + n)."""
    slope = band[..., 2:] - band[..., :-2]
    power = np.sqrt(band[..., 1:-1] ** 2 + (SLOPE_WEIGHT / 2) ** 2 * slope**2)
    running = np.cumsum(np.concatenate([np.zeros_like(power[..., :1]), power], axis=-1), axis=-1)
    return (running[..., SMOOTH:] - running[..., :-SMOOTH]) / SMOOTH
