"""The recordings plugin: where it looks, and what happens when nothing is there."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.recordings import find

SUITE = """
import pytest
def test_by_fixture(recordings): assert (recordings / "mitdb" / "100.hea").exists()
@pytest.mark.recordings
def test_by_marker(): pass
def test_other(): pass
"""
INI = "[pytest]\naddopts = --strict-markers\nmarkers =\n    recordings: needs them\n"


@pytest.fixture(autouse=True)
def _no_setting() -> Iterator[None]:
    names = ("RECORDINGS", "CI")
    kept = {name: os.environ.pop(name, None) for name in names}
    yield
    for name, value in kept.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def with_records(folder: Path) -> Path:
    (folder / "mitdb").mkdir(parents=True)
    (folder / "mitdb" / "100.hea").write_text("100 2 360 650000\n")
    return folder


def test_a_clone_that_stands_alone_leaves_them_out_and_says_how_to_have_them(pytester: pytest.Pytester) -> None:
    pytester.makeini(INI)
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_inprocess("-p", "tests.plugins.recordings", "-p", "no:asyncio")
    result.assert_outcomes(passed=1, deselected=2)
    result.stdout.fnmatch_lines(
        ["2 tests on full recordings were left out: set RECORDINGS=DIR*wardlink recordings get mitdb*"]
    )
    assert " passed" in result.outlines[-1]


def test_with_ci_true_their_absence_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makeini(INI)
    pytester.makepyfile(SUITE)
    os.environ["CI"] = "true"
    result = pytester.runpytest_inprocess("-p", "tests.plugins.recordings", "-p", "no:asyncio")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*CI=true, and 2 tests have no full recordings*"])


def test_a_setting_is_used(pytester: pytest.Pytester, tmp_path: Path) -> None:
    pytester.makeini(INI)
    pytester.makepyfile(SUITE)
    os.environ["RECORDINGS"] = str(with_records(tmp_path / "r"))
    pytester.runpytest_inprocess("-p", "tests.plugins.recordings", "-p", "no:asyncio").assert_outcomes(passed=3)


def test_those_beside_the_checkout_are_used(tmp_path: Path) -> None:
    folder = with_records(tmp_path / "shared" / "data")
    assert find(tmp_path / "main", None) == folder


def test_a_setting_that_holds_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(pytest.UsageError, match="RECORDINGS holds no recordings"):
        find(tmp_path / "main", str(tmp_path))


def test_their_absence_beside_the_checkout_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    with pytest.raises(pytest.UsageError, match=r"\.\./shared/data holds no recordings"):
        find(tmp_path / "main", None)
