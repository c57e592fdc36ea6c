"""What the place of a boundary is judged by: crossings of the lead and of all leads, and the energy's shape around them.

A row a lead; everything is relative to the `anchor`, where the energy of all leads together crosses a fifth or a third of its height, and
clipped, so that no row can lead far away from it.
"""

from typing import TYPE_CHECKING

import numpy as np

from models.signal.delineate.curves import energy, smooth, together

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.signal.delineate.waves import Wave

    Floats = NDArray[np.float64]

ANCHOR_LEVEL = 2
AROUND = np.arange(-7, 8)
_NEAR = 6.0


class Shape:
    """What differs between the waves, in grid samples: reach of a crossing, scale of the curves, pace of the looks around the anchor."""

    __slots__ = ("hump", "pace", "reach", "slope")

    def __init__(self, reach: float, slope: float, hump: float, pace: int) -> None:
        self.reach, self.slope, self.hump, self.pace = reach, slope, hump, pace


P, QRS, T = Shape(15, 3.0, 4.0, 4), Shape(12, 1.5, 2.0, 2), Shape(25, 4.0, 4.0, 7)


def curves_of(window: "Floats", shape: Shape, first: int, last: int) -> "tuple[Floats, Floats]":
    """Energy (all leads together in the last row) and level of a window whose parts outside first..last are held."""
    held = window.copy()
    held[:, :first] = held[:, first : first + 1]
    held[:, last:] = held[:, last - 1 : last]
    curves = energy(held, shape.slope, shape.hump)
    return np.concatenate([curves, together(curves)[None]]), smooth(held, shape.slope)


def rows(
    wave: "Wave", curves: "Floats", level: "Floats", shape: Shape, *, rising: bool, beside: float | None, rr: float
) -> "tuple[float, Floats]":
    """The anchor and the rows, shape (leads, features). `beside`: where the QRS complex is, for P and T; `rr`: interval, grid samples."""
    this, other = (wave.rise, wave.fall) if rising else (wave.fall, wave.rise)
    anchor = float(this[-1, ANCHOR_LEVEL])
    n, reach = len(this) - 1, shape.reach
    own = np.clip(this[:-1] - anchor, -reach, reach)
    every = np.clip(this[-1, [0, 1, 3]] - anchor, -reach, reach)
    middle = np.clip(np.median(this[:-1], axis=0) - anchor, -reach, reach)
    relative = np.clip(np.log2(np.maximum(wave.height[:-1], 1e-6) / wave.height[-1]), -5, 3)
    still = np.clip(wave.floor[:-1] / wave.height[:-1], 0, 1)
    width = np.clip(other[-1, ANCHOR_LEVEL] - anchor, -60, 60) / 4
    beyond = np.clip(other[:-1, ANCHOR_LEVEL] - other[-1, ANCHOR_LEVEL], -reach, reach)
    common = np.concatenate([[1.0], every, middle, [width]])
    if beside is not None:
        common = np.concatenate([common, [np.clip(anchor - beside, -90, 130) / 10, np.clip(rr / 25, 2, 16)]])
    at = np.clip(round(anchor) + shape.pace * AROUND, 0, curves.shape[1] - 1)
    shares = np.clip(np.log2(np.maximum(curves[:, at], 1e-5) / wave.height[:, None]), -6, 1)
    seen = level[:, at]
    span = np.ptp(seen, axis=1)[:, None] + 1e-3
    bend = np.abs(seen - (seen[:, :1] if rising else seen[:, -1:])) / span
    common = np.concatenate([common, shares[-1], np.median(shares[:-1], axis=0)])
    return anchor, np.hstack(
        [
            np.repeat(common[None], n, axis=0),
            own,
            np.clip(own, -_NEAR, _NEAR),
            relative[:, None],
            still[:, None],
            beyond[:, None],
            shares[:-1],
            bend,
        ]
    )
