"""The figure `calibration`, on scores whose truth is drawn by a known law: what it must find, and of whom it must not learn."""

import numpy as np
import pytest

from models.training.meaning import Hops, platt
from tests.figures import calibration

SLOPE, SHIFT = 0.8, -1.0  # by this law of the log-odds a score is right
HOPS = 4000
ENDS_S = np.linspace(0, HOPS / 2, HOPS, endpoint=False)


def record(name: str, seed: int, *, always: bool | None = None) -> Hops:
    """Scores of all heights; each right by the law, or all of them, or none."""
    random = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-random.normal(1, 3, HOPS)))
    chance = 1 / (1 + np.exp(-(SLOPE * np.log(scores / (1 - scores)) + SHIFT)))
    right = random.random(HOPS) < chance if always is None else np.full(HOPS, always)
    return Hops(name, ENDS_S[:HOPS], scores, right, np.zeros((0, 36)), np.zeros(0, np.bool_))


LAWFUL = [record(f"r{n}", n) for n in range(6)]


def test_the_law_is_found_again():
    scores, right = np.concatenate([r.scores for r in LAWFUL]), np.concatenate([r.right for r in LAWFUL])
    assert platt(scores, right) == pytest.approx((SLOPE, SHIFT), abs=0.06)


def test_what_states_the_law_is_calibrated_and_the_score_itself_is_not():
    entry = calibration.entry(LAWFUL)
    assert entry.value < 0.02
    assert float(str(entry.details["the_score_itself"])) > 0.1
    assert entry.interval is not None
    assert entry.interval[0] <= entry.value <= entry.interval[1] + 0.01
    assert entry.n == sum(int((r.scores >= 0.85).sum()) for r in LAWFUL)


def test_a_record_is_judged_by_constants_of_the_others_alone():
    """One whose scores are never right is stated as the others teach, and is wrong by all that is stated."""
    odd = record("odd", 9, always=False)
    of_odd = calibration.cross_fitted([*LAWFUL, odd])[-1]
    confidence, right = of_odd.told
    lawful, _ = calibration.cross_fitted(LAWFUL)[0].told
    assert not right.any()
    assert confidence.mean() == pytest.approx(lawful.mean(), abs=0.02)


def test_an_alarm_is_right_when_a_lethal_rhythm_is_within_ten_seconds_of_it():
    scores = np.full(200, 0.01)
    scores[[20, 21, 150]] = 0.99  # two in a row are one alarm; the other is a minute later
    right = np.zeros(200, np.bool_)
    right[26] = True  # told 3 s behind what it is of: the rhythm is at 10 s, and the alarm was told at 10 s
    hops = Hops("x", ENDS_S[:200], scores, right, np.zeros((0, 36)), np.zeros(0, np.bool_))
    assert list(calibration.raising(hops)) == [20, 150]
    confidence, met = calibration.stated(hops, 1.0, 0.0).alarms
    assert list(met) == [True, False]
    assert confidence == pytest.approx([0.99, 0.99])
