"""The pictures of the docs: each that is shown is there, each that is there is shown, and a browser test takes it (`make pictures`)."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PICTURES = ROOT / "docs" / "pictures"


def shown() -> set[Path]:
    """What the texts show."""
    texts = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    return {
        (text.parent / target).resolve()
        for text in texts
        for target in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", text.read_text("utf-8"))
        if "://" not in target
    }


def test_every_picture_that_a_text_shows_is_there() -> None:
    assert shown(), "the docs show something"
    assert [path for path in shown() if not path.is_file()] == []


def test_every_picture_of_the_docs_is_shown_and_taken_by_a_browser_test() -> None:
    tests = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests" / "e2e").glob("*.py"))
    for path in PICTURES.glob("*.png"):
        assert path in shown(), f"{path.name} is shown nowhere"
        assert f'"{path.name}"' in tests, f"no browser test takes {path.name}"
