"""Ends of waves and swapped leads on some records of ludb; all of them are `make figures ONLY=delineate,reversal`."""

from pathlib import Path

import numpy as np
import pytest

from models.signal.leads import ON, Swap
from models.training.delineate import load
from models.training.leads import exchanged
from tests.figures import delineate, reversal

# Every eighth record, whatever it shows; one of them fibrillates (101).
NAMES = ("1", "17", "33", "49", "65", "81", "101", "117")


@pytest.mark.figure
@pytest.mark.recordings("ludb")
def test_the_ends_of_all_leads_together_lie_within_the_gate(recordings: Path):
    judged = [delineate.judge_record((recordings, name)) for name in NAMES]
    for name, limit_ms in delineate.CSE_MS.items():
        kind, side = delineate.BOUNDARY[name]
        scores = [one.together[kind] for one in judged]
        errors = np.array([e for s in scores for e in (s.onset, s.offset)[side]])
        assert len(errors) > 40
        assert errors.std() <= 1.5 * limit_ms, name
    assert sum(s.missed for one in judged for s in one.together.values()) <= 4
    fibrillating = judged[NAMES.index("101")].together["p"]
    assert fibrillating.found == 0
    assert fibrillating.false <= 6


@pytest.mark.recordings("ludb")
def test_leads_of_ludb_are_of_one_scale(recordings: Path):
    for name in ("1", "33", "81"):
        samples = load(recordings, name).samples
        one, two, three = samples[:3] - np.median(samples[:3], axis=1, keepdims=True)
        # Einthoven: III is II - I, but for filters of each lead and steps; by the gains of the headers half of it is left.
        assert np.std(three - (two - one)) < 0.2 * np.std(samples[:3])


@pytest.mark.figure
@pytest.mark.recordings("ludb")
def test_arms_and_legs_that_were_swapped_are_found_and_what_is_right_is_left_alone(recordings: Path):
    for name in ("1", "33", "81"):
        found = reversal.judge_ludb((recordings, name)).found
        assert found[Swap.NONE].swap is Swap.NONE
        for swap in (Swap.RA_LA, Swap.RA_LL):
            assert found[swap].sure
            assert found[swap].swap not in (Swap.NONE, Swap.LA_LL)


@pytest.mark.parametrize("swap", list(ON))
def test_what_is_learned_from_is_arranged_as_the_cables_would_give_it(swap: Swap):
    chance = np.random.default_rng(6)
    right, left, leg = chance.standard_normal((3, 50))
    limbs = [left - right, leg - right, leg - left]
    augmented = [right - (left + leg) / 2, left - (right + leg) / 2, leg - (right + left) / 2]
    samples = np.concatenate([limbs, augmented, chance.standard_normal((6, 50))])
    # Two pieces of arithmetic that know nothing of each other: one by potentials about their mean, one against the right arm.
    assert np.allclose(exchanged(samples, swap), reversal.swapped(samples, swap))


def test_the_swapped_leads_are_those_that_the_cables_would_give():
    chance = np.random.default_rng(5)
    right, left, leg = chance.standard_normal((3, 50))
    chest = chance.standard_normal((6, 50))
    middle = (right + left + leg) / 3
    samples = np.concatenate([[left - right, leg - right, leg - left], np.zeros((3, 50)), chest - middle])
    arms = reversal.swapped(samples, Swap.RA_LA)
    assert np.allclose(arms[0], right - left)
    assert np.allclose(arms[1], leg - left)
    assert np.allclose(arms[5], leg - (left + right) / 2)
    assert np.allclose(arms[6:], chest - middle)
    foot = reversal.swapped(samples, Swap.RA_RL)
    assert np.ptp(foot[1]) < 0.05 * np.ptp(samples[1])
    assert not np.allclose(foot[6:], chest - middle)
