"""What a measured number says of itself."""

from tests.figures.entry import Entry


def test_a_figure_with_a_note_is_never_at_its_goal():
    entry = Entry("x", "accuracy", 1, "s", 5, 2, "", higher_is_better=False, n=1)
    assert entry.passes
    assert entry.reaches
    assert not Entry("x", "accuracy", 1, "s", 5, 2, "", higher_is_better=False, n=1, note="a part").reaches
