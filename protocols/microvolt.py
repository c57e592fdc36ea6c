"""Samples as screens take them: int16, 1 microvolt a step; from raw samples of any width and scale. Pure.

A step of 1 microvolt is finer than a pixel at 10 mm/mV; 32.767 mV is more than an ECG amplifier can give, so what is clipped
was saturated. Waveforms of other units keep their own step.
"""

from typing import TYPE_CHECKING

import numpy as np

from protocols.record import Scale, WaveformGroup

if TYPE_CHECKING:
    from numpy.typing import NDArray

MISSING = -32768
_LIMIT = 32767
_MICROVOLT = {"uV": 1.0, "mV": 1e3, "V": 1e6, "nV": 1e-3}


def step_of(scale: Scale) -> float:
    """Microvolt (or the lead's own unit) a step of the displayed samples."""
    return 1.0 if scale.unit in _MICROVOLT else abs(scale.gain) or 1.0


def displayed(group: WaveformGroup) -> "tuple[NDArray[np.int16], tuple[float, ...]]":
    """Samples int16, shape (leads, n), and the step of each lead; what does not fit is clipped, never wrapped."""
    steps = tuple(step_of(scale) for scale in group.scales)
    factor = np.array([_MICROVOLT.get(s.unit, 1.0) / step for s, step in zip(group.scales, steps, strict=True)])
    values = np.rint(group.physical() * factor[:, None])
    return np.clip(values, -_LIMIT, _LIMIT).astype("<i2"), steps
