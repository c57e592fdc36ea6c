"""The comparisons of EC57 on cases whose answer can be counted by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.beats import BY_SYMBOL, MATCH_S, NOBODY, BeatClass, BeatScore, compare_beats, pairs
from models.evaluation.episodes import DurationScore, EpisodeScore, overlap_s, score_duration, score_episodes

N, S, V, F, Q = (BeatClass[c] for c in "NSVFQ")


def counts(
    reference: list[float], detected: list[float], excluded: list[tuple[float, float]] | None = None, from_s: float = 0
):
    score = compare_beats(reference, detected, from_s=from_s, excluded=excluded or [])
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
    score = compare_beats([100.0, 299.9, 301.0], [50.0, 301.0])
    assert (score.matched, score.missed, score.false) == (1, 0, 0)


def test_a_beat_behind_the_border_may_be_matched_by_a_detection_before_it():
    assert counts([300.05], [299.95], from_s=300) == (1, 0, 0)
    assert counts([299.95], [300.05], from_s=300) == (0, 0, 0)


def test_offsets_are_detection_minus_reference():
    assert compare_beats([1.0], [1.04], from_s=0).offsets_s == (pytest.approx(0.04),)


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


def test_a_beat_takes_the_nearer_of_two_detections_and_two_pairs_are_better_than_one():
    assert pairs([10.0], [9.9, 10.05]) == [(NOBODY, 0), (0, 1)]
    # the detection at 10.06 is nearer to the beat at 10.1, but that has a nearer one, and 10.0 would have nobody
    assert pairs([10.0, 10.1], [10.06, 10.12]) == [(0, 0), (1, 1)]
    assert pairs([10.0, 10.1], [10.06, 10.24]) == [(0, NOBODY), (1, 0), (NOBODY, 1)]


times = st.lists(st.integers(0, 4000), max_size=40).map(lambda ms: sorted(t / 100 for t in ms))


@given(times, times)
def test_every_beat_of_either_side_is_counted_once_and_who_matches_is_within_the_window(
    reference: list[float], detected: list[float]
):
    found = pairs(reference, detected)
    assert [i for i, _ in found if i != NOBODY] == list(range(len(reference)))
    assert [j for _, j in found if j != NOBODY] == list(range(len(detected)))
    assert all(abs(reference[i] - detected[j]) <= MATCH_S + 1e-9 for i, j in found if NOBODY not in (i, j))


def classes(reference: list[tuple[float, BeatClass]], detected: list[tuple[float, BeatClass]]) -> BeatScore:
    (reference_s, named), (detected_s, called) = (tuple(zip(*side, strict=True)) for side in (reference, detected))
    return compare_beats(reference_s, detected_s, named, called, from_s=0)


def test_classes_are_counted_as_the_standard_counts_them():
    score = classes(
        [(1, N), (2, V), (3, V), (4, F), (5, S), (6, Q), (7, N), (8, V)],
        [(1, N), (2, V), (3, N), (4, V), (5, V), (6, V), (7, S), (9, V)],
    )
    ventricular = score.ventricular
    # found: 2; missed: 3 (called N), 8 (not found); false: 5 (an S), 9 (no beat); 4 and 6 (F and Q) are excused
    assert (ventricular.true_positive, ventricular.false_negative, ventricular.false_positive) == (1, 2, 2)
    assert ventricular.true_negative == 2  # 1 and 7
    early = score.supraventricular
    assert (early.true_positive, early.false_negative, early.false_positive) == (0, 1, 1)
    assert (score.matched, score.missed, score.false) == (7, 1, 1)
    assert score.counts.sum() == 9


def test_scores_of_records_add_up():
    one, other = classes([(1, V)], [(1, V)]), classes([(1, V), (2, N)], [(1.1, N), (2, V)])
    both = one + other
    assert (both.ventricular.sensitivity, both.ventricular.positive_predictivity) == (50.0, 50.0)
    assert both.offsets_s == pytest.approx((0.0, 0.1, 0.0))


def test_what_cannot_be_divided_is_no_number():
    rates = BeatScore().ventricular
    assert rates.sensitivity != rates.sensitivity
    assert rates.f1 != rates.f1


def test_rhythm_marks_noise_and_blocked_p_waves_are_no_beats():
    assert not set('+~|x"[]!') & set(BY_SYMBOL)
    assert [BY_SYMBOL[c].name for c in "NLRejAaJSVEF/fQ"] == list("NNNNNSSSSVVFQQQ")


def test_episodes_are_met_by_any_overlap_and_counted_from_both_sides():
    score = score_episodes([(0, 10), (20, 30), (40, 50)], [(9, 21), (60, 70), (65, 80), (30, 40)])
    # 9-21 meets the first two; 30-40 only touches; 60-80 is one claim
    assert score == EpisodeScore(reference=3, met=2, claimed=3, true=1)
    assert (round(score.sensitivity, 1), round(score.positive_predictivity, 1)) == (66.7, 33.3)


def test_a_claim_is_judged_by_duration_too():
    score = score_duration([(0, 10)], [(10, 40)], [(5, 15)])
    assert (score.sensitivity, score.positive_predictivity) == (50.0, 50.0)
