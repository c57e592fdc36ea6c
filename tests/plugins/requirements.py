"""The requirement trace: which tests stand for which row, with what result, through which surface.

`@pytest.mark.req("IOT-5.4a")` names up to three rows of docs/reference/requirements.json. The surface, by which a person or a
program reaches the behaviour, comes from the marker (`surface="command"`) or from the test's folder. A unit test that claims a
row has to say its surface, since its folder does not show that it goes through one.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROWS = Path("docs/reference/requirements.json")
MOST_IDS = 3
SURFACES = ("api", "page", "command", "protocol")
FOLDERS = {"e2e": "page", "integration": "api", "conformance": "protocol", "figures": "command"}


@dataclass(slots=True)
class Row:
    """What is known of one requirement row: its tests by node id with their outcome, and their surfaces."""

    tests: dict[str, str] = field(default_factory=dict)
    surfaces: set[str] = field(default_factory=set)

    @property
    def result(self) -> str:
        outcomes = set(self.tests.values())
        if "failed" in outcomes:
            return "failed"
        return "passed" if outcomes == {"passed"} else "not run"


class Trace:
    """Collects the rows that tests claim, follows their outcome, writes the report.

    With several processes each one collects, and the one that started them hears of every outcome and writes the report.
    """

    def __init__(self, config: pytest.Config, report: Path | None) -> None:
        self._config, self._report = config, report
        rows = config.rootpath / ROWS
        self._known = {row["id"] for row in json.loads(rows.read_text("utf-8"))} if rows.exists() else None
        self._claims: dict[str, tuple[list[str], str]] = {}  # test -> its rows, its surface
        self._outcomes: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        complaints = [complaint for item in items for complaint in self._claim(item)]
        if complaints:
            raise pytest.UsageError("\n".join(complaints))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome != "passed" or (report.when == "call" and report.nodeid not in self._outcomes):
            self._outcomes[report.nodeid] = report.outcome

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """A process that ran a part of the tests has ended: its claims are those of the whole."""
        output: dict[str, dict[str, tuple[list[str], str]]] = getattr(node, "workeroutput", {})
        self._claims |= output.get("requirement_claims", {})

    def pytest_sessionfinish(self) -> None:
        output: dict[str, object] | None = getattr(self._config, "workeroutput", None)
        if output is not None:
            output["requirement_claims"] = self._claims
        elif self._report is not None:
            self._write(self._report)

    def _write(self, path: Path) -> None:
        rows: dict[str, Row] = {}
        for test, (names, surface) in self._claims.items():
            for name in names:
                row = rows.setdefault(name, Row())
                row.tests[test] = self._outcomes.get(test, "not run")
                row.surfaces.add(surface)
        report = [
            {"row": name, "tests": sorted(row.tests), "result": row.result, "surface": ", ".join(sorted(row.surfaces))}
            for name, row in sorted(rows.items())
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=1) + "\n", "utf-8")

    def _claim(self, item: pytest.Item) -> list[str]:
        names: list[str] = []
        surface: str | None = None
        for marker in item.iter_markers("req"):
            names += [str(name) for name in marker.args]
            surface = surface or marker.kwargs.get("surface")
        if not names:
            return []
        surface = surface or next((FOLDERS[part] for part in item.path.parts if part in FOLDERS), None)
        complaints: list[str] = []
        if len(set(names)) > MOST_IDS:
            complaints.append(
                f"{item.nodeid}: names {len(set(names))} requirement rows, at most {MOST_IDS} are allowed"
            )
        if surface not in SURFACES:
            complaints.append(f"{item.nodeid}: say through which surface, as surface= one of {', '.join(SURFACES)}")
        complaints += [
            f"{item.nodeid}: no requirement row {name!r} in {ROWS}" for name in names if name not in (self._known or ())
        ]
        if not complaints:
            self._claims[item.nodeid] = names, str(surface)
        return complaints


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--requirements-report", metavar="PATH", help="write which tests stand for which requirement row")


def pytest_configure(config: pytest.Config) -> None:
    report = config.getoption("--requirements-report")
    config.pluginmanager.register(Trace(config, Path(report) if report else None), "requirement-trace")
