"""Pages of the documentation that a run has written are of the models that are here."""

import pytest

from tests.figures import ec57, robustness


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
