"""The seeds of a run: printed of green tests too, from every process, and repeated on request."""

import re

import pytest

from tests.plugins.seeds import VARIABLE

PLUGINS = ("-p", "tests.plugins.seeds", "-p", "no:asyncio")
TWO = """
def test_kill(seed): print("drew", seed.random())
def test_plain(): pass
"""
LINE = re.compile(r"^ *(\d+)  (test_\w+\.py::test_\w+)$", re.MULTILINE)


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv(VARIABLE, raising=False)
    pytester.makepyfile(test_a=TWO, test_b=TWO)
    return pytester


def told(result: pytest.RunResult) -> dict[str, int]:
    return {test: int(number) for number, test in LINE.findall(result.stdout.str())}


@pytest.mark.parametrize("processes", [(), ("-n", "2", "--dist=loadfile")])
def test_each_random_test_of_a_green_run_is_told_with_its_seed(
    suite: pytest.Pytester, processes: tuple[str, ...]
) -> None:
    result = suite.runpytest_subprocess("-q", *PLUGINS, *processes)
    result.assert_outcomes(passed=4)
    seeds = told(result)
    assert set(seeds) == {"test_a.py::test_kill", "test_b.py::test_kill"}
    assert len(set(seeds.values())) == 2, "each has its own"


def test_a_seed_that_was_told_makes_the_same_run_again(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(result: pytest.RunResult) -> list[str]:
        return re.findall(r"drew (\S+)", result.stdout.str())

    first = suite.runpytest_inprocess("-s", *PLUGINS, "test_a.py")
    monkeypatch.setenv(VARIABLE, str(told(first)["test_a.py::test_kill"]))
    again = suite.runpytest_inprocess("-s", *PLUGINS)
    assert drawn(again) == drawn(first) * 2
    assert set(told(again).values()) == set(told(first).values())


def test_what_is_no_number_is_refused_by_name(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "twelve")
    suite.runpytest_inprocess(*PLUGINS).stdout.fnmatch_lines([f"*{VARIABLE}='twelve': expected a number*"])
