"""The table of `make figures`: what cannot be run is a row with its reason, and the rest is run."""

import json
from pathlib import Path

import pytest

from tests.figures.__main__ import main


def test_each_figure_without_its_recordings_is_told_and_does_not_end_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    data = tmp_path / "recordings"
    data.mkdir()
    assert main(["qrs", "vf"], data, tmp_path) == 1
    rows = {str(row["id"]): row for row in json.loads((tmp_path / "figures.json").read_text())}
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines() if "not run" in line] == [
        ["qrs", "not", "run"],
        ["vf", "not", "run"],
    ]
    for name in ("qrs", "vf"):
        assert rows[name]["note"].startswith("not run: no ")
        assert not rows[name]["passes"]
