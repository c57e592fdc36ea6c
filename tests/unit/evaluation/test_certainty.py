"""Intervals, curves and calibration on cases whose answer is known."""

import numpy as np
import pytest

from models.evaluation.certainty import average, calibration, interval, roc


def share(sums: np.ndarray) -> float:
    return float(sums[0] / sums[1]) if sums[1] else float("nan")


def test_records_that_agree_leave_no_doubt_and_one_that_differs_a_wide_one():
    assert interval(np.array([[9, 10]] * 20), share) == (0.9, 0.9)
    low, high = interval(np.array([[10, 10]] * 9 + [[0, 90]]), share)
    assert low < 0.3
    assert high == 1.0


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    chance = np.random.default_rng(4)
    held = 0
    for _ in range(200):
        found = chance.binomial(50, 0.8, size=30)
        low, high = interval(np.column_stack([found, np.full(30, 50)]), share)
        held += low <= 0.8 <= high
    assert 0.88 <= held / 200 <= 0.99


def test_a_kind_that_no_record_has_gives_no_interval():
    assert all(np.isnan(interval(np.zeros((5, 2)), share)))


def test_an_average_is_over_the_records_that_say_something():
    assert average([90.0, float("nan"), 100.0]) == 95.0


def test_the_area_under_a_curve_is_the_chance_that_a_positive_is_above_a_negative():
    scores = np.array([0.9, 0.8, 0.8, 0.3, 0.2])
    positive = np.array([True, True, False, True, False])
    # pairs (positive, negative): 0.9 beats both; 0.8 ties and beats; 0.3 loses and beats -> (2 + 1.5 + 1) / 6
    found = roc(scores, positive)
    assert found.area == pytest.approx(4.5 / 6)
    assert (found.sensitivity[-1], found.false_positive[-1]) == (1.0, 1.0)
    with pytest.raises(ValueError, match="expected some of each"):
        roc(scores, np.ones(5, bool))


def test_a_confidence_that_is_kept_has_no_error_and_one_that_boasts_has_its_boast():
    right = np.array([True] * 8 + [False] * 2)
    assert calibration(np.full(10, 0.8), right).error == pytest.approx(0.0)
    assert calibration(np.full(10, 1.0), right).error == pytest.approx(0.2)
    two = calibration(np.array([0.95] * 10 + [0.05] * 10), np.concatenate([right, np.zeros(10, bool)]))
    assert two.error == pytest.approx((0.15 + 0.05) / 2)
