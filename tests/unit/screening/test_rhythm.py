"""When a score of lethal rhythm is a condition: it takes a high score to begin and a low one to end, and a fade is not an end."""

import pytest

from models.screening.rhythm import LETHAL_OFF, LETHAL_ON, lethal_rhythm
from models.signal.lethal import LethalScore
from protocols.nomenclature import V_FIB, V_TACHY

BETWEEN = (LETHAL_ON + LETHAL_OFF) / 2
NOTHING, VF, VT = frozenset[str](), frozenset({V_FIB}), frozenset({V_TACHY})


@pytest.mark.parametrize(
    ("held", "faded", "lethal", "fibrillation", "holds"),
    [
        (NOTHING, None, LETHAL_ON, 0.9, VF),
        (NOTHING, None, LETHAL_ON, 0.1, VT),
        (NOTHING, None, BETWEEN, 0.9, NOTHING),
        (VT, None, BETWEEN, 0.1, VT),
        (VF, None, LETHAL_ON, 0.1, VF),
        (VF, None, LETHAL_OFF - 0.01, 0.9, NOTHING),
        (NOTHING, V_FIB, BETWEEN, 0.1, VF),
        (NOTHING, V_TACHY, LETHAL_OFF, 0.9, VT),
        (NOTHING, V_FIB, LETHAL_OFF - 0.01, 0.9, NOTHING),
        (NOTHING, V_TACHY, LETHAL_ON, 0.9, VF),
        (NOTHING, V_FIB, LETHAL_ON, 0.1, VF),
    ],
)
def test_a_score_between_the_thresholds_keeps_what_holds_and_brings_back_what_faded(
    held: frozenset[str], faded: str | None, lethal: float, fibrillation: float, holds: frozenset[str]
):
    assert lethal_rhythm(held, faded, LethalScore(lethal, fibrillation)) == holds


def test_without_a_score_nothing_changes():
    assert lethal_rhythm(VF, None, None) == VF
    assert lethal_rhythm(NOTHING, V_FIB, None) == NOTHING
