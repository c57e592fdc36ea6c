"""When a saturation is to be doubted, and when nothing speaks against it."""

import pytest

from models.signal.vitals.saturation import STALE_S, Doubt, Pulsation, doubt
from models.signal.vitals.wave import Fault

GOOD = Pulsation(0.5, None, 80.0)


@pytest.mark.parametrize("fault", [Fault.MISSING, Fault.FLAT, Fault.SATURATED, Fault.WEAK, Fault.ABSENT, Fault.UNLIKE])
def test_a_saturation_without_a_usable_pulse_wave_is_doubted(fault: Fault):
    assert doubt(Pulsation(1.0, fault, None), 80, 80) is Doubt.NO_PULSE_WAVE


@pytest.mark.parametrize(
    "wave", [None, GOOD, Pulsation(1.0, Fault.LEARNING, None), Pulsation(STALE_S + 1, Fault.FLAT, None)]
)
def test_nothing_speaks_against_one_whose_pulse_is_the_hearts(wave: Pulsation | None):
    assert doubt(wave, 84, 80) is None
    assert doubt(wave, None, None) is None
    assert doubt(wave, 84, None) is None


@pytest.mark.parametrize(
    ("pulse", "heart", "doubted"),
    # 38 of 76 is a bigeminy whose early beats eject nothing, 30 of 76 nothing of the kind
    [
        (80, 130, True),
        (30, 76, True),
        (150, 90, True),
        (64, 80, False),
        (120, 145, False),
        (45, 62, True),
        (38, 76, False),
    ],
)
def test_a_pulse_that_is_not_the_hearts_is_motion(pulse: float, heart: float, doubted: bool):
    assert (doubt(None, pulse, heart) is Doubt.OTHER_PULSE) is doubted


def test_where_the_oximeter_tells_no_pulse_that_of_its_wave_is_compared():
    assert doubt(GOOD, None, 140) is Doubt.OTHER_PULSE
    assert doubt(GOOD, None, 85) is None
