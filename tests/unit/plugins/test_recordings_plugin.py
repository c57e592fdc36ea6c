"""The recordings plugin: where it looks, and what happens when nothing is there."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.recordings import find

SUITE = """
import pytest
@pytest.mark.recordings("mitdb")
def test_of_one(recordings): assert (recordings / "mitdb" / "100.hea").exists()
@pytest.mark.recordings("mitdb", "vfdb")
def test_of_two(recordings): assert (recordings / "vfdb").exists()
def test_other(): pass
"""
INI = "[pytest]\naddopts = --strict-markers\nmarkers =\n    recordings(names): needs them\n"


@pytest.fixture(autouse=True)
def _no_setting() -> Iterator[None]:
    names = ("RECORDINGS", "CI")
    kept = {name: os.environ.pop(name, None) for name in names}
    yield
    for name, value in kept.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def with_records(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "100.hea").write_text("100 2 360 650000\n")
    return folder


def run(pytester: pytest.Pytester, suite: str = SUITE) -> pytest.RunResult:
    pytester.makeini(INI)
    pytester.makepyfile(suite)
    return pytester.runpytest_inprocess("-p", "tests.plugins.recordings", "-p", "no:asyncio")


def test_a_clone_that_stands_alone_leaves_them_out_and_says_how_to_have_them(pytester: pytest.Pytester) -> None:
    result = run(pytester)
    result.assert_outcomes(passed=1, deselected=2)
    result.stdout.fnmatch_lines(
        [
            "2 tests on full recordings were left out, without mitdb, vfdb: *`wardlink recordings get NAME --to DIR`*RECORDINGS=DIR"
        ]
    )
    assert " passed" in result.outlines[-1]


def test_of_one_database_alone_the_tests_of_others_are_left_out(pytester: pytest.Pytester, tmp_path: Path) -> None:
    os.environ["RECORDINGS"] = str(with_records(tmp_path / "r", "mitdb"))
    result = run(pytester)
    result.assert_outcomes(passed=2, deselected=1)
    result.stdout.fnmatch_lines(["1 tests on full recordings were left out, without vfdb: *"])


@pytest.mark.parametrize(
    ("there", "said"), [([], "2 tests are without mitdb, vfdb"), (["mitdb"], "1 tests are without vfdb")]
)
def test_with_ci_true_the_absence_of_one_is_an_error(
    pytester: pytest.Pytester, tmp_path: Path, there: list[str], said: str
) -> None:
    os.environ["CI"] = "true"
    if there:
        os.environ["RECORDINGS"] = str(with_records(tmp_path / "r", *there))
    result = run(pytester)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*CI=true, and {said}: *"])


def test_a_test_that_names_no_database_is_an_error(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_of_any(recordings): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_of_any names no database*"])


def test_a_setting_is_used(pytester: pytest.Pytester, tmp_path: Path) -> None:
    os.environ["RECORDINGS"] = str(with_records(tmp_path / "r", "mitdb", "vfdb"))
    run(pytester).assert_outcomes(passed=3)


def test_those_beside_the_checkout_are_used(tmp_path: Path) -> None:
    folder = with_records(tmp_path / "shared" / "data", "mitdb")
    assert find(tmp_path / "main", None) == folder


def test_a_setting_that_holds_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(pytest.UsageError, match="RECORDINGS holds no recordings"):
        find(tmp_path / "main", str(tmp_path))


def test_their_absence_beside_the_checkout_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    with pytest.raises(pytest.UsageError, match=r"\.\./shared/data holds no recordings"):
        find(tmp_path / "main", None)
