"""When a score of lethal rhythm is a condition, and which of the two.

A high score begins it and a low one ends it; a fade is not an end; what calls changes its name only where no beats are left to count.
"""

import numpy as np
import pytest

from models.screening import chain
from models.screening.rhythm import BEATING, LETHAL_OFF, LETHAL_ON, lethal_rhythm
from models.signal.lethal import FEATURES, LethalScore
from models.signal.trees import Trees
from models.signal.weights import Models
from protocols.nomenclature import V_FIB, V_TACHY
from protocols.record import AlarmCondition, Presence
from tests.unit.screening.played import groups, play, seconds

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
        (NOTHING, V_TACHY, LETHAL_ON, 0.9, VT),
        (NOTHING, V_FIB, LETHAL_ON, 0.1, VF),
    ],
)
def test_a_score_between_the_thresholds_keeps_what_holds_and_brings_back_what_faded(
    held: frozenset[str], faded: str | None, lethal: float, fibrillation: float, holds: frozenset[str]
):
    assert lethal_rhythm(held, faded, LethalScore(lethal, fibrillation), 1.0) == holds


@pytest.mark.parametrize(
    ("held", "faded", "lethal", "fibrillation", "beating", "holds"),
    [
        (VT, None, LETHAL_ON, 0.9, BEATING, VT),
        (VT, None, LETHAL_ON, 0.9, BEATING - 0.01, VF),
        (VT, None, LETHAL_ON, 0.4, 0.1, VT),
        (VT, None, BETWEEN, 0.9, 0.1, VT),
        (VT, None, LETHAL_ON, 0.9, None, VT),
        (NOTHING, V_TACHY, LETHAL_ON, 0.9, BEATING - 0.01, VF),
        (NOTHING, V_TACHY, BETWEEN, 0.9, 0.1, VT),
        (VF, None, LETHAL_ON, 0.1, 1.0, VF),
        (NOTHING, None, LETHAL_ON, 0.9, 1.0, VF),  # the first call is by the score alone
    ],
)
def test_tachycardia_that_calls_is_named_fibrillation_only_where_its_beats_are_no_longer_found(
    held: frozenset[str],
    faded: str | None,
    lethal: float,
    fibrillation: float,
    beating: float | None,
    holds: frozenset[str],
):
    assert lethal_rhythm(held, faded, LethalScore(lethal, fibrillation), beating) == holds


def test_without_a_score_nothing_changes():
    assert lethal_rhythm(VF, None, None, None) == VF
    assert lethal_rhythm(NOTHING, V_FIB, None, None) == NOTHING


LOUD_MV, MIDDLE_MV, QUIET_MV = 3.0, 1.0, 0.3
LOUD_S, MIDDLE_S = 8.0, 10.0
# A score falls below what keeps a rhythm 5.5 s behind the last loud wave, and rises to it 1.5 s behind the first middle one: the
# greatest range of the window's four seconds decides, and four hops are averaged.
FALLS_S, RISES_S = 5.5, 1.5


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def trees_of_size(loud: float, middle: float) -> Trees:
    """One tree an output, by the size of the waves: loud ones raise, middle ones keep, quiet ones end; each is fibrillation so much."""
    by = FEATURES.index("log_range")
    sizes = np.log10([(LOUD_MV * MIDDLE_MV) ** 0.5, (MIDDLE_MV * QUIET_MV) ** 0.5, 10 * LOUD_MV])
    outputs = [(0.05, (LETHAL_ON + LETHAL_OFF) / 2, 0.95), (0.5, middle, loud)]
    leaves = [[logit(p) for p in (quiet, mid, high, high)] for quiet, mid, high in outputs]
    return Trees(
        "by size", "", np.full((2, 1, 3), by), np.tile(sizes, (2, 1, 1)), np.array(leaves)[:, None], np.zeros(2)
    )


def lethal_alarms(*quiet_s: float, loud: float = 0.9, middle: float = 0.1) -> list[AlarmCondition]:
    """What is told of VF and VT when loud waves are followed by stretches of quiet ones, and middle ones behind each."""
    stretches = [(LOUD_MV, LOUD_S), *((mv, s) for q in quiet_s for mv, s in ((QUIET_MV, q), (MIDDLE_MV, MIDDLE_S)))]
    size = np.concatenate([np.full(round(250 * s), mv / 2) for mv, s in stretches])
    waves = size * np.sin(2 * np.pi * 5 * np.arange(len(size)) / 250)
    played = play(groups(waves[None, :]), chain.begin(models=Models(trees_of_size(loud, middle))))
    return [a for a in played.alarms if a.code in (V_FIB, V_TACHY)]


def faded_for(s: float) -> float:
    """Seconds of quiet waves that let a score stand below what keeps a rhythm for so long."""
    return s + FALLS_S - RISES_S


@pytest.mark.parametrize(
    ("loud", "code", "fade_s"),
    [(0.9, V_FIB, 2.0), (0.9, V_FIB, 8.0), (0.1, V_TACHY, 2.0), (0.1, V_TACHY, 5.0)],
)
def test_a_rhythm_that_fades_for_eight_seconds_at_most_is_the_same_alarm_and_goes_on(
    loud: float, code: str, fade_s: float
):
    told = lethal_alarms(faded_for(fade_s), loud=loud, middle=1 - loud)
    assert [(a.code, a.presence) for a in told] == [(code, Presence.PRESENT)]
    evidence = told[0].evidence
    assert evidence is not None
    # The rules of docs/decisions/0115, 0117, 0184 and 0174.
    assert (evidence.rule, evidence.rule_version) == ("lethal", "7")


def test_a_rhythm_may_fade_again_and_each_time_the_eight_seconds_begin_anew():
    told = lethal_alarms(faded_for(6.0), faded_for(7.0), faded_for(7.0))  # a middle score falls half a second sooner
    assert [(a.code, a.presence) for a in told] == [(V_FIB, Presence.PRESENT)]


@pytest.mark.parametrize("fade_s", [8.5, 12.0])
def test_a_rhythm_that_fades_for_longer_ends_and_what_would_keep_it_does_not_bring_it_back(fade_s: float):
    told = lethal_alarms(faded_for(fade_s))
    assert [(a.code, a.presence) for a in told] == [(V_FIB, Presence.PRESENT), (V_FIB, Presence.LATCHED)]
    assert seconds(told[1].detected_ns) == pytest.approx(LOUD_S + FALLS_S + 8, abs=0.5)
