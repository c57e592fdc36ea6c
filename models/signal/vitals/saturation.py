"""Say whether a saturation can be believed: by the plethysmogram it was measured on and by the pulse that was counted on it.

An oximeter computes its saturation from the pulsating part of the light. Where there is no usable pulse wave it shows what it showed
before, or noise; where its pulse is not the heart's, it measures motion.
"""

from dataclasses import dataclass
from enum import StrEnum

from models.signal.vitals.wave import Fault

DISAGREE_PER_MIN, DISAGREE_SHARE = 15.0, 0.2  # further apart than both: two rates that are not of one heart
HALF_SHARE = 0.08  # of the heart's: a pulse that is half of it belongs to every second beat
STALE_S = 5.0  # a judgement of the wave older than that says nothing of this reading


class Doubt(StrEnum):
    """Why a saturation is questionable."""

    NO_PULSE_WAVE = "no_pulse_wave"
    OTHER_PULSE = "other_pulse"


@dataclass(frozen=True, slots=True)
class Pulsation:
    """What is known of the plethysmogram beside a reading: how many seconds ago, why it cannot be used, its rate."""

    age_s: float
    fault: Fault | None
    rate_per_min: float | None


def doubt(pulsation: Pulsation | None, pulse_per_min: float | None, heart_per_min: float | None) -> Doubt | None:
    """Why a saturation is questionable, None where nothing speaks against it.

    `pulsation`: None where the device sends no plethysmogram; then nothing follows from there being none. `pulse_per_min`: the
    oximeter's own, `heart_per_min`: of a usable ECG; None where unknown.
    """
    if pulsation is not None and pulsation.age_s <= STALE_S and pulsation.fault not in (None, Fault.LEARNING):
        return Doubt.NO_PULSE_WAVE
    if pulse_per_min is None and pulsation is not None and pulsation.age_s <= STALE_S:
        pulse_per_min = pulsation.rate_per_min
    if pulse_per_min is None or heart_per_min is None:
        return None
    return None if agrees(pulse_per_min, heart_per_min) else Doubt.OTHER_PULSE


def agrees(pulse_per_min: float, heart_per_min: float) -> bool:
    """Whether two rates can be of one heart; in an irregular rhythm not every beat reaches the finger, in a bigeminy every second one."""
    apart, apart_from_half = abs(pulse_per_min - heart_per_min), abs(2 * pulse_per_min - heart_per_min)
    return (
        apart <= max(DISAGREE_PER_MIN, DISAGREE_SHARE * heart_per_min) or apart_from_half <= HALF_SHARE * heart_per_min
    )
