"""The requirement trace: what it refuses, and what its report says."""

import json
from pathlib import Path

import pytest

PLUGINS = ("-p", "tests.plugins.requirements", "-p", "no:asyncio")
INI = """
[pytest]
addopts = --import-mode=importlib --strict-markers
markers =
    req(*ids, surface=None): rows
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    rows = [{"id": f"IOT-1.{n}a", "text": "t", "kind": "do"} for n in range(1, 6)]
    folder = pytester.mkdir("docs") / "reference"
    folder.mkdir()
    (folder / "requirements.json").write_text(json.dumps(rows))
    pytester.makeini(INI)
    return pytester


def write(suite: pytest.Pytester, path: str, text: str) -> None:
    file = suite.path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"import pytest\n{text}")


def report(suite: pytest.Pytester) -> list[dict[str, object]]:
    return json.loads(Path(suite.path / "build" / "requirements.json").read_text())


def run(suite: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return suite.runpytest_inprocess(*PLUGINS, "--requirements-report=build/requirements.json", *arguments)


def test_a_row_is_reported_with_its_tests_result_and_surface(suite: pytest.Pytester) -> None:
    write(suite, "tests/integration/test_a.py", "@pytest.mark.req('IOT-1.1a')\ndef test_x(): pass\n")
    write(suite, "tests/e2e/test_b.py", "@pytest.mark.req('IOT-1.1a', 'IOT-1.2a')\ndef test_y(): pass\n")
    assert run(suite).ret == 0
    assert report(suite) == [
        {
            "row": "IOT-1.1a",
            "tests": ["tests/e2e/test_b.py::test_y", "tests/integration/test_a.py::test_x"],
            "result": "passed",
            "surface": "api, page",
        },
        {"row": "IOT-1.2a", "tests": ["tests/e2e/test_b.py::test_y"], "result": "passed", "surface": "page"},
    ]


def test_with_two_processes_the_report_is_of_the_whole_run(suite: pytest.Pytester) -> None:
    write(suite, "tests/integration/test_a.py", "@pytest.mark.req('IOT-1.1a')\ndef test_x(): pass\n")
    write(suite, "tests/e2e/test_b.py", "@pytest.mark.req('IOT-1.1a', 'IOT-1.2a')\ndef test_y(): assert False\n")
    result = suite.runpytest_subprocess(
        *PLUGINS, "--requirements-report=build/requirements.json", "-n", "2", "--dist=loadfile"
    )
    assert result.ret == 1
    assert [(row["row"], row["result"]) for row in report(suite)] == [("IOT-1.1a", "failed"), ("IOT-1.2a", "failed")]
    assert report(suite)[0]["tests"] == ["tests/e2e/test_b.py::test_y", "tests/integration/test_a.py::test_x"]


@pytest.mark.parametrize(
    "body",
    ["def test_x(): assert False", "@pytest.fixture\ndef broken(): assert False\n@MARK\ndef test_x(broken): pass"],
    ids=["in the test", "in its fixture"],
)
def test_a_row_has_failed_when_one_of_its_tests_failed(suite: pytest.Pytester, body: str) -> None:
    mark = "pytest.mark.req('IOT-1.1a', surface='command')"
    text = body.replace("MARK", mark) if "MARK" in body else f"@{mark}\n{body}"
    write(suite, "tests/unit/test_a.py", f"{text}\n@{mark}\ndef test_fine(): pass\n")
    assert run(suite).ret == 1
    assert [(row["row"], row["result"]) for row in report(suite)] == [("IOT-1.1a", "failed")]


def test_a_row_whose_test_did_not_run_has_not_passed(suite: pytest.Pytester) -> None:
    write(
        suite, "tests/e2e/test_a.py", "def test_a(): assert False\n@pytest.mark.req('IOT-1.1a')\ndef test_b(): pass\n"
    )
    assert run(suite, "-x").ret == 1
    assert report(suite)[0]["result"] == "not run"


@pytest.mark.parametrize(
    ("path", "mark", "complaint"),
    [
        ("tests/e2e/test_a.py", "req('IOT-9.9z')", "*no requirement row 'IOT-9.9z'*"),
        (
            "tests/e2e/test_a.py",
            "req('IOT-1.1a','IOT-1.2a','IOT-1.3a','IOT-1.4a')",
            "*names 4 requirement rows, at most 3*",
        ),
        ("tests/unit/test_a.py", "req('IOT-1.1a')", "*say through which surface*"),
        ("tests/e2e/test_a.py", "req('IOT-1.1a', surface='feeling')", "*say through which surface*"),
    ],
)
def test_a_claim_that_cannot_be_true_stops_the_run(
    suite: pytest.Pytester, path: str, mark: str, complaint: str
) -> None:
    write(suite, path, f"@pytest.mark.{mark}\ndef test_x(): pass\n")
    result = run(suite)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([complaint])
