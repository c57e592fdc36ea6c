"""A skipped test is a failure, unless tests/allowed_skips.txt names it (`node id: reason`, the id as of fnmatch)."""

from collections.abc import Generator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ALLOWED = Path("tests/allowed_skips.txt")


class SkipGuard:
    """Turns a skip into a failure, whether the test asked for it, a fixture, or a whole module."""

    def __init__(self, root: Path) -> None:
        path = root / ALLOWED
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        rows = [line.partition(": ") for line in lines if line.strip() and not line.startswith("#")]
        for pattern, _, reason in rows:
            if not reason.strip():
                raise pytest.UsageError(f"{ALLOWED}: {pattern!r} has no reason; write `node id: reason`")
        self._patterns = [pattern for pattern, _, _ in rows]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.skipped and not self._allowed(report.nodeid):
            report.outcome = "failed"
            report.longrepr = _say(report)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        if report.skipped and not self._allowed(report.nodeid):
            report.outcome = "failed"
            report.longrepr = _say(report)
        return report

    def _allowed(self, node: str) -> bool:
        return any(fnmatchcase(node, pattern) for pattern in self._patterns)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SkipGuard(config.rootpath), "skip-guard")


def _say(report: pytest.TestReport | pytest.CollectReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return f"{report.nodeid} was skipped ({reason}); a skip counts as a failure unless {ALLOWED} names it with a reason"
