"""Samples as screens take them: int16, 1 microvolt a step; from raw samples of any width and scale. Pure.

A step of 1 microvolt is finer than a pixel at 10 mm/mV; 32.767 mV is more than an ECG amplifier can give, so what is clipped
was saturated. Waveforms of other units have a step of their own for each group: theirs, doubled until all of the group fits.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from protocols.record import Scale, WaveformGroup

if TYPE_CHECKING:
    from numpy.typing import NDArray

MISSING = -32768
_LIMIT = 32767
_MICROVOLT = {"uV": 1.0, "mV": 1e3, "V": 1e6, "nV": 1e-3}


def displayed(group: WaveformGroup) -> "tuple[NDArray[np.int16], tuple[float, ...]]":
    """Samples int16, shape (leads, n), and the step of each lead in microvolt or its own unit; an ECG that does not fit is clipped."""
    physical = group.physical()
    steps = tuple(_step_of(scale, lead) for scale, lead in zip(group.scales, physical, strict=True))
    factor = np.array([_MICROVOLT.get(s.unit, 1.0) / step for s, step in zip(group.scales, steps, strict=True)])
    values = np.rint(physical * factor[:, None])
    return np.clip(values, -_LIMIT, _LIMIT).astype("<i2"), steps


def _step_of(scale: Scale, physical: "NDArray[np.float64]") -> float:
    if scale.unit in _MICROVOLT:
        return 1.0
    own = abs(scale.gain) or 1.0
    reach = float(np.max(np.abs(physical), initial=0.0)) / own
    return own * 2.0 ** max(0, math.ceil(math.log2(max(reach, 1.0) / _LIMIT)))
