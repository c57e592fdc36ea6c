"""Pages of the documentation that a run has written are of the models that are here."""

import json
from pathlib import Path

import pytest

from tests.figures import ec57, recorded, robustness
from tests.figures.catalogue import FIGURES

ROW = {
    "id": "veb-se", "value": 95.66, "interval": [91.3, 98.2], "unit": "%", "n": 5900, "gate": 85, "goal": 95, "higher_is_better": True,
    "passes": True, "reaches": True, "note": "", "machine": "x86_64", "details": {"worst": {"223": 125}}, "group": "accuracy",
}  # fmt: skip
TEXT = "# A card\n\n<!-- figures: veb-se -->\nold\n<!-- end -->\nMore.\n"


def test_what_was_measured_now_takes_the_place_of_what_was_and_the_rest_stays(tmp_path: Path):
    path = tmp_path / "last.json"
    recorded.keep([ROW, {**ROW, "id": "af-se", "value": 80.0}, {"id": "drain", "note": "not run: no data"}], path)
    last = recorded.keep([{**ROW, "value": 96.0}], path)
    assert {one: row["value"] for one, row in last.items()} == {"af-se": 80.0, "veb-se": 96.0}
    assert "details" not in json.loads(path.read_text())["veb-se"]


def test_a_table_says_what_was_measured_and_whether_that_is_enough():
    text = recorded.filled(TEXT, {"veb-se": ROW})
    assert "| `veb-se` | 95.66 % | 91.3 to 98.2 | 85 | 95 | 5900 | goal |\n<!-- end -->\nMore.\n" in text
    assert "old" not in text
    missed = {**ROW, "passes": False, "reaches": False, "interval": None, "n": 91285, "note": "short form"}
    assert "| 95.66 % |  | 85 | 95 | 91,285 | **not met** (short form) |" in recorded.filled(TEXT, {"veb-se": missed})
    with pytest.raises(KeyError, match="veb-se"):
        recorded.filled(TEXT, {})


def test_the_cards_and_pages_say_what_was_measured_last():
    """Who measures anew runs `RECORD=1 make figures ONLY=...`; nobody writes such a number by hand."""
    last, here = recorded.known(), recorded.weights()
    pages = recorded.pages()
    assert {one for one, row in last.items() if row["weights"] != here} == set(), "measured with other weights"
    assert {"qrs.md", "beats.md", "lethal.md", "README.md"} <= {page.name for page in pages}
    for page in pages:
        text = page.read_text("utf-8")
        assert recorded.filled(text, last) == text, page.name


def test_every_figure_that_was_recorded_is_one_that_there_is():
    there = {one for figure in FIGURES for one in figure.yields}
    assert recorded.known().keys() <= there


@pytest.mark.req("AIQ-6.1a", surface="command")
def test_the_report_of_mitdb_names_the_models_of_this_tree():
    """Who makes a network anew runs `RECORD=1 make figures ONLY=ec57` behind it."""
    text = ec57.PAGE.read_text(encoding="utf-8")
    for line in ec57.judges():
        assert f"- {line}\n" in text
    for part in (
        "**gross**",
        "**average**",
        "**interval**",
        "annotated, called",
        "Runs of ventricular beats",
        "| sex | female |",
        "| age | from 65 |",
        "NPV",
        "F1",
    ):
        assert part in text


@pytest.mark.req("AIQ-6.2", surface="command")
def test_the_page_of_robustness_has_every_disturbance_by_the_models_of_this_tree():
    """Who makes a model anew runs `RECORD=1 make figures ONLY=robustness` behind it."""
    text = robustness.PAGE.read_text(encoding="utf-8")
    for line in robustness.judges():
        assert f"- {line}\n" in text
    assert [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")][1:] == [
        *robustness.DISTURBANCES
    ]
