"""Where the recordings are: the full ones of RECORDINGS or ../shared/data, the excerpts of tests/captures.

A clone that stands alone has no full recordings: tests on them (the marker `recordings`, or the fixture) are left out, and one
line at the end says how to have them. Beside a `../shared`, when RECORDINGS is set, or with CI=true, their absence is an error.
"""

import os
from pathlib import Path

import pytest

HOW = "set RECORDINGS=DIR, or fetch them with `wardlink recordings get mitdb --to DIR`"


@pytest.fixture(scope="session")
def recordings(request: pytest.FixtureRequest) -> Path:
    """The folder of the full recordings: one subfolder a database (mitdb, vfdb, ...)."""
    folder = find(request.config.rootpath, os.environ.get("RECORDINGS"))
    assert folder is not None, f"the full recordings are not here: {HOW}"
    return folder


@pytest.fixture(scope="session")
def captures(request: pytest.FixtureRequest) -> Path:
    """The folder of the excerpts that every clone has."""
    return request.config.rootpath / "tests" / "captures"


def find(root: Path, setting: str | None) -> Path | None:
    """Find the full recordings; None when `root` stands alone without them, `UsageError` when they should be there."""
    beside = root.parent / "shared"
    if setting:
        folder = Path(setting)
    elif beside.is_dir():
        folder = beside / "data"
    else:
        return None
    if any(folder.glob("*/*.hea")):
        return folder
    named = "RECORDINGS" if setting else "../shared/data"
    raise pytest.UsageError(f"{named} holds no recordings (a folder a database with .hea files was expected): {HOW}")


class LeaveOut:
    """Deselects what needs full recordings in a clone that has none, and says so in one line."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.left_out = 0

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        needing = [item for item in items if item.get_closest_marker("recordings") or "recordings" in _fixtures(item)]
        if not needing or find(config.rootpath, os.environ.get("RECORDINGS")) is not None:
            return
        if os.environ.get("CI") == "true":
            raise pytest.UsageError(f"CI=true, and {len(needing)} tests have no full recordings: {HOW}")
        self.left_out = len(needing)
        config.hook.pytest_deselected(items=needing)
        items[:] = [item for item in items if item not in needing]

    def pytest_sessionfinish(self) -> None:
        output: dict[str, object] | None = getattr(self._config, "workeroutput", None)
        if output is not None:
            output["left_out"] = self.left_out

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Every process collects all tests, so each says the same number."""
        output: dict[str, int] = getattr(node, "workeroutput", {})
        self.left_out = output.get("left_out", self.left_out)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.left_out:
            terminalreporter.write_line(f"{self.left_out} tests on full recordings were left out: {HOW}")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(LeaveOut(config), "recordings-left-out")


def _fixtures(item: pytest.Item) -> list[str]:
    return list(getattr(item, "fixturenames", ()))
