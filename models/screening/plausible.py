"""Mark the readings that no sensor can truthfully report (IOT-5.4d): a saturation of 137 %, a heart rate of 400."""

from dataclasses import replace

from protocols.nomenclature import TERMS
from protocols.record import Observation, Quality


def judged(reading: Observation) -> Observation:
    """The reading, questionable where its number lies outside the plausible range of its term.

    The number stays as it was sent, and limits judge it as any other: a sensor that is wrong is no reason to keep an alarm back. A
    quality that the device itself states stays too.
    """
    term = TERMS.get(reading.code)
    if term is None or term.plausible is None or isinstance(reading.value, str) or reading.quality is not Quality.GOOD:
        return reading
    low, high = term.plausible
    return reading if low <= reading.value <= high else replace(reading, quality=Quality.QUESTIONABLE)
