"""The EC57 scorers on cases whose answer can be counted by hand."""

import pytest

from tests.figures.entry import Entry
from tests.figures.scoring import DurationScore, overlap_s, score_beats, score_duration


def counts(
    reference: list[float], detected: list[float], excluded: list[tuple[float, float]] | None = None, from_s: float = 0
):
    score = score_beats(reference, detected, from_s=from_s, excluded=excluded or [])
    return score.matched, score.missed, score.false


def test_one_reference_takes_only_one_of_two_detections():
    assert counts([10.0], [9.95, 10.02]) == (1, 0, 1)


def test_one_detection_serves_only_one_of_two_references():
    assert counts([10.0, 10.2], [10.1]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("at", "expected"), [(10.150, (1, 0, 0)), (9.850, (1, 0, 0)), (10.151, (0, 1, 1)), (9.849, (0, 1, 1))]
)
def test_a_detection_on_the_edge_of_the_window_counts_and_beyond_it_does_not(at: float, expected: tuple[int, int, int]):
    assert counts([10.0], [at]) == expected


def test_nothing_in_an_excluded_stretch_counts_on_either_side():
    assert counts([10.0, 20.0, 30.0], [10.0, 19.0, 20.3, 30.0], [(18.0, 22.0)]) == (2, 0, 0)


def test_the_first_five_minutes_are_not_counted():
    score = score_beats([100.0, 299.9, 301.0], [50.0, 301.0])
    assert (score.matched, score.missed, score.false) == (1, 0, 0)


def test_a_beat_behind_the_border_may_be_matched_by_a_detection_before_it():
    assert counts([300.05], [299.95], from_s=300) == (1, 0, 0)
    assert counts([299.95], [300.05], from_s=300) == (0, 0, 0)


def test_offsets_are_detection_minus_reference():
    assert score_beats([1.0], [1.04], from_s=0).offsets_s == (pytest.approx(0.04),)


def test_nothing_detected_and_nothing_to_detect():
    assert counts([1.0, 2.0], []) == (0, 2, 0)
    assert counts([], [1.0, 2.0]) == (0, 0, 2)


def test_overlap_counts_each_second_once():
    assert overlap_s([(0, 10), (5, 12)], [(8, 20), (9, 11)]) == 4


def test_duration_counts_what_is_neither_positive_nor_negative_for_nothing():
    score = score_duration([(10, 20)], [(0, 10), (30, 40)], [(15, 35)])
    assert (score.sensitivity, score.specificity) == (50.0, 75.0)


def test_durations_of_records_add_up():
    total = DurationScore(10, 5, 100, 0) + DurationScore(30, 30, 100, 10)
    assert (total.sensitivity, total.specificity) == (87.5, 95.0)


def test_a_figure_with_a_note_is_never_at_its_goal():
    entry = Entry("x", "accuracy", 1, "s", 5, 2, "", higher_is_better=False, n=1)
    assert entry.passes
    assert entry.reaches
    assert not Entry("x", "accuracy", 1, "s", 5, 2, "", higher_is_better=False, n=1, note="a part").reaches
