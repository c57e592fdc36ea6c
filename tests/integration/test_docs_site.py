"""The documentation as a site: it builds without a warning, no link is broken, it needs no other machine, and names what tests assert."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.checks.docs_site import pages_below, with_tests

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """What a page links to, what it loads, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if name := found.get("id"):
            self.anchors.add(name)
        if tag == "a" and (target := found.get("href")):
            self.links.append(target)
        if tag in LOADED and (target := found.get(LOADED[tag])) and found.get("rel") != "canonical":
            self.loads.append(target)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does, anywhere else."""
    folder = tmp_path_factory.mktemp("docs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text("utf-8")) for path in site.rglob("*.html")}


def test_every_page_of_the_docs_is_in_the_site_and_in_its_navigation(site: Path, pages: dict[Path, Page]):
    written = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    shown = {Path(unquote(urlsplit(link).path)) for link in pages[site / "index.html"].links}
    for page in written:
        html = page.with_name("index.html") if page.name == "README.md" else page.with_suffix(".html")
        assert (site / html).is_file(), page
        assert html in shown, page


def test_no_link_of_the_site_is_broken(site: Path, pages: dict[Path, Page]):
    broken: list[str] = []
    for path, page in pages.items():
        for link in (*page.links, *page.loads):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (
                parts.fragment and target in pages and parts.fragment not in {*pages[target].anchors, "__"}
            ):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


def test_the_site_loads_nothing_from_another_machine(site: Path, pages: dict[Path, Page]):
    assert [load for page in pages.values() for load in page.loads if urlsplit(load).netloc] == []
    for sheet in site.rglob("*.css"):
        assert re.findall(r"url\(\s*[\"']?(?:https?:)?//", sheet.read_text("utf-8")) == [], sheet


def test_the_index_of_the_search_holds_every_page_and_is_read_in_english_and_chinese(site: Path):
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    assert set(index["config"]["lang"]) == {"en", "zh"}
    assert {entry["location"].partition("#")[0] for entry in index["docs"]} >= {"index.html", "how-to/http-door.html"}


def test_beside_a_requirement_stand_the_statements_of_its_tests(site: Path):
    page = (site / "reference" / "requirements.html").read_text("utf-8")
    row = re.search(r"<tr>\s*<td>IOT-5\.4a</td>.*?</tr>", page, flags=re.DOTALL)
    assert row is not None
    assert "a gateway is not enrolled with a token that is" in row[0]
    assert re.search(r"\d+ of \d+ rows are asserted by a test", page)


def test_a_row_that_no_test_claims_has_an_empty_cell():
    table = "## IOT\n\n| id | requirement | kind |\n|---|---|---|\n| IOT-1.1 | x | do |\n| IOT-1.2 | y | figure |\n"
    page = with_tests(
        table, {"IOT-1.2": ["tests/unit/test_a.py::test_it_holds[1]", "tests/unit/test_a.py::test_it_holds[2]"]}
    )
    assert "1 of 2 rows are asserted" in page
    assert "| IOT-1.1 | x | do |  |" in page
    assert '| IOT-1.2 | y | figure | <span title="tests/unit/test_a.py">it holds</span> |' in page


def test_a_page_without_a_heading_is_named(tmp_path: Path):
    (tmp_path / "page.md").write_text("text")
    with pytest.raises(ValueError, match=r"page\.md has no heading"):
        pages_below(tmp_path, tmp_path)
