"""The report of EC57 on results whose figures can be worked out by hand."""

import pytest

from models.evaluation.beats import BeatClass, BeatScore, compare_beats
from models.evaluation.episodes import DurationScore, EpisodeScore
from models.evaluation.folder import lethal_stretches, without
from models.evaluation.report import UNKNOWN, Person, Result, person, report
from protocols.ecgfile.wfdb import Annotation

N, S, V = BeatClass.N, BeatClass.S, BeatClass.V


def of(reference: list[BeatClass], called: list[BeatClass], missed: int = 0, false: int = 0) -> BeatScore:
    """A score of so many beats, a second apart, of which the last `missed` are not found; `false` ones lie between."""
    at = [float(i) for i in range(len(reference))]
    found = at[: len(at) - missed] + [1000.0 + i for i in range(false)]
    return compare_beats(at, found, reference, [*called[: len(at) - missed], *[N] * false], from_s=0)


ONE = Result("one", ("MLII", "V1"), Person("male", 39), of([N] * 8 + [V] * 2, [N] * 8 + [V, N]))
TWO = Result("two", ("MLII", "V5"), Person("female", 65), of([N] * 40, [N] * 39 + [V], missed=0, false=10))


def lines(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")
    ]


def row(text: str, first: str) -> list[str]:
    [found] = [cells for cells in lines(text) if cells[0] == first]
    return found


def test_gross_takes_all_beats_together_and_average_is_the_mean_of_records():
    text = report([ONE, TWO], "Two records", ["Wardlink"], {})
    # QRS Se, QRS +P, VEB Se, VEB +P, VEB FPR
    assert row(text, "one")[1:7] == ["10", "100.00", "100.00", "50.00", "100.00", "0.00"]
    assert row(text, "two")[1:7] == ["40", "100.00", "80.00", "-", "0.00", "2.00"]
    assert row(text, "**gross**")[1:7] == ["50", "100.00", "83.33", "50.00", "50.00", "1.72"]
    assert row(text, "**average**")[2:7] == ["100.00", "90.00", "50.00", "50.00", "1.00"], "a dash is not in the mean"
    assert "80.00 to 100.00" in row(text, "**interval**"), "the two records, each by itself"


def test_what_beats_were_called_is_a_table_of_counts():
    text = report([ONE, TWO], "Two records", ["Wardlink"], {})
    assert row(text, "annotated, called") == ["annotated, called", "N", "V"]
    assert row(text, "**N**") == ["**N**", "47", "1"]
    assert row(text, "**V**") == ["**V**", "1", "1"]
    assert row(text, "**no beat**") == ["**no beat**", "10", "0"]


def test_groups_are_those_of_the_headers():
    text = report([ONE, TWO], "Two records", ["Wardlink"], {})
    groups = {(cells[0], cells[1]): cells[2:5] for cells in lines(text) if cells[0] in {"sex", "age", "leads"}}
    assert groups == {
        ("sex", "male"): ["1", "100.00", "100.00"],
        ("sex", "female"): ["1", "100.00", "80.00"],
        ("age", "below 40"): ["1", "100.00", "100.00"],
        ("age", "from 65"): ["1", "100.00", "80.00"],
        ("leads", "MLII and V1"): ["1", "100.00", "100.00"],
        ("leads", "MLII and V5"): ["1", "100.00", "80.00"],
    }


def test_fibrillation_is_told_by_time_and_by_episode_and_where_it_is_claimed_without_any():
    ill = Result("ill", (), Person(), BeatScore(), {}, DurationScore(100, 80, 300, 30), EpisodeScore(4, 3, 5, 3))
    well = Result("well", (), Person(), BeatScore(), {}, DurationScore(0, 0, 500, 7), EpisodeScore(0, 0, 1, 0))
    text = report([ill, well], "Rhythms", ["Wardlink"], {})
    assert row(text, "ill")[1:] == ["100", "80.00", "90.00", "72.73", "3 of 4"]
    assert row(text, "**gross**")[1:] == ["100", "80.00", "95.38", "68.38", "3 of 4"]
    assert "Of 1 records without any, it is claimed in: well (7 s)." in text
    assert "## Beats\n\nNone is annotated." in text


def test_leads_alone_and_what_was_not_judged_are_told_where_there_are_any():
    alone = Result(
        "one", ("MLII", "V1"), Person(), ONE.beats, {"MLII": ONE.beats, "V1": of([N] * 4, [N] * 4, missed=1)}
    )
    text = report([alone], "One", ["Wardlink 1", "qrs 2"], {"x": "there is no x.atr"})
    assert row(text, "V1")[1:3] == ["1", "75.00"]
    assert "- x: there is no x.atr" in text
    assert "- qrs 2" in text
    assert "By each lead alone" not in report([ONE], "One", [], {})


def test_a_report_of_nothing_is_refused():
    with pytest.raises(ValueError, match="a record at least"):
        report([], "None", [], {})


@pytest.mark.parametrize(
    ("comments", "expected"),
    [
        (["69 M 1085 1629 x1", "Aldomet, Inderal"], Person("male", 69)),
        (["-1 F 1 2 x1"], Person("female", None)),
        (["<age>: 43 <sex>: F <diagnoses> Rhythm: Sinus"], Person("female", 43)),
        (["<age>: 43", "<sex>: m"], Person("male", 43)),
        (["<Age> 7", "<Sex> ?"], Person(UNKNOWN, 7)),
        (["Produced by xform", ""], Person()),
    ],
)
def test_whom_a_record_is_of_is_read_from_its_header(comments: list[str], expected: Person):
    assert person(comments) == expected


@pytest.mark.parametrize(
    ("age", "group"),
    [(0, "below 40"), (39, "below 40"), (40, "40 to 64"), (64, "40 to 64"), (65, "from 65"), (None, UNKNOWN)],
)
def test_groups_of_age_have_their_borders(age: int | None, group: str):
    assert Person(UNKNOWN, age).age_group == group


def test_lethal_stretches_are_those_of_names_and_of_brackets():
    marks = [
        Annotation(0, "+", aux="(N"),
        Annotation(1000, "+", aux="(VT\0"),
        Annotation(1500, "+", aux="(N"),
        Annotation(2000, "["),
        Annotation(2600, "]"),
        Annotation(3000, "+", aux="(VFIB"),
    ]
    assert lethal_stretches(100.0, 40.0, marks) == [(10.0, 15.0), (20.0, 26.0), (30.0, 40.0)]


def test_what_is_left_of_a_stretch():
    assert without((5, 40), [(0, 8), (10, 15), (35, 60)]) == [(8, 10), (15, 35)]
    assert without((5, 40), []) == [(5, 40)]
    assert without((5, 40), [(0, 50)]) == []
