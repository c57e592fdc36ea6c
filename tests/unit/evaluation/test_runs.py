"""Runs of ventricular beats compared: letters are beats of the reference and of what was found, one each second."""

import pytest

from models.evaluation.runs import COUPLET, LONG, SHORT, Met, compare_runs

Beats = list[tuple[float, bool]]


def beats(letters: str, late_s: float = 0.0) -> Beats:
    """A space is no beat."""
    return [(i + late_s, letter == "V") for i, letter in enumerate(letters) if letter != " "]


@pytest.mark.parametrize(
    ("reference", "found", "expected"),
    [
        # as many, of the same sort
        ("NVVNNN", "NVVNNN", {COUPLET: Met(1, 1, 1, 1)}),
        ("NVVVVVN", "NVVVVVN", {SHORT: Met(1, 1, 1, 1)}),
        ("NVVVVVVN", "NVVVVVVN", {LONG: Met(1, 1, 1, 1)}),
        # a single one is no run
        ("NVNN", "NVNN", {}),
        # a longer run meets a shorter one, not the other way about
        ("NVVNNN", "NVVVNN", {COUPLET: Met(1, 1, 0, 0), SHORT: Met(0, 0, 1, 0)}),
        ("NVVVVN", "NVVNVN", {COUPLET: Met(0, 0, 1, 1), SHORT: Met(1, 0, 0, 0)}),
        # four of five are still a short run; a missed beat makes no break
        ("NVVVVVN", "NVVVVNN", {SHORT: Met(1, 1, 1, 1)}),
        ("NVVVVVN", "NVV VVN", {SHORT: Met(1, 1, 1, 1)}),
        # elsewhere is nowhere
        ("NVVNNNNN", "NNNNNVVN", {COUPLET: Met(1, 0, 1, 0)}),
    ],
)
def test_a_run_is_met_by_one_of_its_sort_or_longer(reference: str, found: str, expected: dict[str, Met]):
    score = compare_runs(beats(reference), beats(found), from_s=0)
    assert {sort: met for sort, met in score.sorts.items() if met != Met()} == expected


@pytest.mark.parametrize(("late_s", "met"), [(0.15, 1), (0.16, 0)])
def test_what_was_found_may_be_150_milliseconds_off(late_s: float, met: int):
    score = compare_runs(beats("NVVNNN"), beats("NVVNNN", late_s), from_s=0)
    assert score.sorts[COUPLET].found == met


def test_runs_of_the_learning_period_and_of_what_is_excluded_are_not_asked_for():
    both = beats("NVVNNNVVNNNNVVN")
    assert compare_runs(both, both, from_s=5).sorts[COUPLET] == Met(2, 2, 2, 2)
    assert compare_runs(both, both, from_s=0, excluded=[(6.5, 6.8)]).sorts[COUPLET] == Met(2, 2, 2, 2)


def test_scores_of_records_add_up():
    both = beats("NVVN")
    total = compare_runs(both, both, from_s=0) + compare_runs(both, beats("NNNN"), from_s=0)
    assert total.sorts[COUPLET] == Met(2, 1, 1, 1)
    assert (total.sorts[COUPLET].sensitivity, total.sorts[COUPLET].positive_predictivity) == (50, 100)
