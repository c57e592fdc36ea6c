"""Where the recordings are: the full ones of RECORDINGS or ../shared/data, the excerpts of tests/captures.

A test on full recordings names their databases: `@pytest.mark.recordings("mitdb", "vfdb")`. Where one is not here, its tests are left
out, and one line at the end says which and how to have them; with CI=true it is an error. So is a RECORDINGS or `../shared` without any.
"""

import os
from pathlib import Path

import pytest

HOW = (
    "fetch each of them with `wardlink recordings get NAME --to DIR` (files/aecg by hand, see CONTRIBUTING.md), "
    "then set RECORDINGS=DIR"
)


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


def databases(item: pytest.Item) -> frozenset[str]:
    """The databases that a test names in its markers `recordings("mitdb", ...)`; a test of recordings that names none is an error."""
    marks = list(item.iter_markers("recordings"))
    named = frozenset(str(name) for mark in marks for name in mark.args)
    if not named and (marks or "recordings" in getattr(item, "fixturenames", ())):
        raise pytest.UsageError(f'{item.nodeid} names no database: mark it with `pytest.mark.recordings("mitdb")`')
    return named


class LeaveOut:
    """Deselects what needs recordings that are not here, and says in one line which and how to have them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.told = ""

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        needs = [(item, named) for item in items if (named := databases(item))]
        if not needs:
            return
        folder = find(config.rootpath, os.environ.get("RECORDINGS"))
        missing = {name for _, named in needs for name in named if not _is_there(folder, name)}
        left_out = [item for item, named in needs if named & missing]
        if not left_out:
            return
        said = f"without {', '.join(sorted(missing))}: {HOW}"
        if os.environ.get("CI") == "true":
            raise pytest.UsageError(f"CI=true, and {len(left_out)} tests are {said}")
        self.told = f"{len(left_out)} tests on full recordings were left out, {said}"
        config.hook.pytest_deselected(items=left_out)
        away = set(left_out)
        items[:] = [item for item in items if item not in away]

    def pytest_sessionfinish(self) -> None:
        output: dict[str, object] | None = getattr(self._config, "workeroutput", None)
        if output is not None:
            output["left_out"] = self.told

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Every process collects all tests, so each says the same."""
        output: dict[str, str] = getattr(node, "workeroutput", {})
        self.told = output.get("left_out", self.told)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.told:
            terminalreporter.write_line(self.told)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(LeaveOut(config), "recordings-left-out")


def _is_there(folder: Path | None, database: str) -> bool:
    return folder is not None and (folder / database).is_dir() and any((folder / database).iterdir())
