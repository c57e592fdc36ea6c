"""The skip guard: a skip is a failure, unless it is on the committed list."""

import pytest

PLUGINS = ("-p", "tests.plugins.skip_guard", "-p", "no:asyncio")
SKIPS = """
import pytest
@pytest.fixture
def gone(): pytest.skip("no database")
def test_itself(): pytest.skip("no browser")
def test_by_fixture(gone): pass
@pytest.mark.skip(reason="later")
def test_by_mark(): pass
"""


def test_every_kind_of_skip_is_a_failure_that_names_its_reason(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SKIPS)
    result = pytester.runpytest_inprocess(*PLUGINS)
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) == 3
    assert "skipped" not in outcomes
    for reason in ("no browser", "no database", "later"):
        result.stdout.fnmatch_lines([f"*was skipped (*{reason}*)*"])


def test_a_module_that_skips_itself_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\npytest.skip('not here', allow_module_level=True)\ndef test_x(): pass\n")
    result = pytester.runpytest_inprocess(*PLUGINS)
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*was skipped (*not here*)*"])


def test_a_listed_skip_stays_a_skip(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SKIPS)
    folder = pytester.mkdir("tests")
    (folder / "allowed_skips.txt").write_text("# why\n*test_itself: this machine has no screen\n*test_by_*: the same\n")
    pytester.runpytest_inprocess(*PLUGINS).assert_outcomes(skipped=3)


def test_a_listed_skip_without_a_reason_is_refused(pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("tests")
    (folder / "allowed_skips.txt").write_text("*test_itself\n")
    result = pytester.runpytest_inprocess(*PLUGINS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_itself' has no reason*"])
