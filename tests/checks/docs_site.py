"""What `make docs` makes beyond the pages of docs/: the navigation from the folders, and which tests stand for which requirement.

A hook of mkdocs, named in mkdocs.yml. The tests are collected anew at each build and not run.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
SECTIONS = ("tutorial", "how-to", "explanation", "reference", "decisions")
TITLES = {"how-to": "How to"}
REQUIREMENTS = "reference/requirements.md"
ROW = re.compile(r"^\| ([A-Z]{3}-[\w.]+) \| (.+?) \| (do|figure|ops) \|$")
HEADING = re.compile(r"^# (.+)$", re.MULTILINE)

Nav: TypeAlias = "list[str | dict[str, str | Nav]]"
Claims: TypeAlias = dict[str, list[str]]


def on_config(config: "MkDocsConfig") -> "MkDocsConfig":
    """Make the navigation, so that no page can be forgotten."""
    docs = Path(config.docs_dir)
    nav: Nav = ["index.md"]
    for section in SECTIONS:
        if (docs / section).is_dir():
            nav.append({TITLES.get(section, section.capitalize()): pages_below(docs, docs / section)})
    config.nav = nav
    return config


def on_page_markdown(markdown: str, page: "Page", **_: object) -> str:
    """Tell beside each requirement which tests assert it."""
    return with_tests(markdown, collect()) if page.file.src_uri == REQUIREMENTS else markdown


def pages_below(docs: Path, folder: Path) -> Nav:
    """The pages of a folder: its README first, then the others by name, then its folders."""
    found: Nav = []
    pages = sorted(folder.glob("*.md"), key=lambda path: (path.name != "README.md", path.name))
    for path in pages:
        name = path.relative_to(docs).as_posix()
        found.append(name if path.name == "README.md" else {title_of(path): name})
    for below in sorted(path for path in folder.iterdir() if path.is_dir()):
        found.append({below.name.capitalize(): pages_below(docs, below)})
    return found


def title_of(path: Path) -> str:
    """Its first heading; ValueError when it has none."""
    heading = HEADING.search(path.read_text("utf-8"))
    if heading is None:
        msg = f"{path} has no heading `# ...`"
        raise ValueError(msg)
    number = re.match(r"\d{4}", path.name)
    return f"{number[0]} {heading[1]}" if number else heading[1]


def collect() -> Claims:
    """Requirement row -> the tests that claim it, from their marks."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", f"--requirements-report={report}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            msg = f"the tests cannot be collected: {done.stdout[-2000:]}{done.stderr[-2000:]}"
            raise RuntimeError(msg)
        return {row["row"]: row["tests"] for row in json.loads(report.read_text("utf-8"))}


def with_tests(markdown: str, claims: Claims) -> str:
    """The page with a fourth column, and how many rows have a test under each heading."""
    lines: list[str] = []
    for part in re.split(r"(?=^## )", markdown, flags=re.MULTILINE):
        rows = [match[1] for line in part.splitlines() if (match := ROW.match(line))]
        for line in part.splitlines():
            match = ROW.match(line)
            if match is not None:
                lines.append(
                    f"{line} {'<br>'.join(statement(test) for test in statements(claims.get(match[1], [])))} |"
                )
            elif line == "| id | requirement | kind |":
                met = sum(row in claims for row in rows)
                lines += [f"{met} of {len(rows)} rows are asserted by a test, in part or wholly.", ""]
                lines.append(f"{line} tests |")
            elif line == "|---|---|---|":
                lines.append("|---|---|---|---|")
            else:
                lines.append(line)
    return "\n".join(lines) + "\n"


def statements(tests: list[str]) -> list[str]:
    """Each test once, whatever it is run with."""
    return list(dict.fromkeys(test.partition("[")[0] for test in tests))


def statement(test: str) -> str:
    """A test as what it states, with its file."""
    path, _, name = test.partition("::")
    words = name.rpartition("::")[2].removeprefix("test_").replace("_", " ")
    return f'<span title="{path}">{words}</span>'
