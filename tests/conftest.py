"""Loads the plugins of this suite: the requirement trace, the skip guard, the recordings, the seeds, and every module of tests/fixtures."""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent

pytest.register_assert_rewrite("tests.fixtures")  # one may import another before its turn comes

pytest_plugins = [
    "pytester",
    "tests.plugins.requirements",
    "tests.plugins.skip_guard",
    "tests.plugins.recordings",
    "tests.plugins.seeds",
    *(f"tests.fixtures.{path.stem}" for path in sorted((HERE / "fixtures").glob("[!_]*.py"))),
]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say before the closing line which static checks failed in the same `make test`."""
    if failed := os.environ.get("WARDLINK_CHECKS_FAILED"):
        terminalreporter.write_line(f"static checks failed: {failed} (their findings stand above)", red=True)
