"""The pictures of the docs: each that is shown is there, each that is there is shown, and a browser test takes it (`make pictures`).

Where that test has run in this checkout, the picture is also compared with the one that it took.
"""

import ast
import re
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[3]
PICTURES, TAKEN = ROOT / "docs" / "pictures", ROOT / "build" / "pictures"
SHOWN_PX = {1280: 800, 1920: 1080}  # width, in the picture's name, and height
BLOCKS = (20, 12)
# Signals, clocks and ages run on: two runs differ in less than 0.01 of the blocks; an open side sheet changes 0.16 and more.
MOVED_SHARE = 0.1
OTHER = 40  # of 255: by so much a block's brightness is another
WRITTEN_S = 5.0  # a picture as young as that may be in the making: the browser tests run beside this one


def shown() -> dict[Path, str]:
    """What the texts show: the picture, and the words for those who do not see it."""
    texts = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    return {
        (text.parent / target).resolve(): words
        for text in texts
        for words, target in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", text.read_text("utf-8"))
        if "://" not in target
    }


def taken() -> set[str]:
    """The names of the pictures that the browser tests take: `pictures / "name.png"` as the path of a screenshot."""
    names: set[str] = set()
    for path in (ROOT / "tests" / "e2e").glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "screenshot":
                names |= {
                    part.value
                    for word in call.keywords
                    if word.arg == "path"
                    for part in ast.walk(word.value)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }
    return names


def layout(picture: Path) -> "np.ndarray":
    """How bright each block of it is, shape (12, 20)."""
    with Image.open(picture) as image:
        return np.asarray(image.convert("L").resize(BLOCKS, Image.Resampling.BOX), dtype=float)


def test_every_picture_that_a_text_shows_is_there_and_has_words() -> None:
    assert shown(), "the docs show something"
    assert [path for path in shown() if not path.is_file()] == []
    assert [path for path, words in shown().items() if len(words.split()) < 3] == []


def test_every_picture_of_the_docs_is_shown_and_taken_by_a_browser_test() -> None:
    for path in PICTURES.glob("*.png"):
        assert path in shown(), f"{path.name} is shown nowhere"
        assert path.name in taken(), f"no browser test takes {path.name}"


def test_every_picture_of_the_docs_has_the_size_that_its_name_says() -> None:
    for path in PICTURES.glob("*.png"):
        width = int(path.stem.rpartition("-")[2])
        with Image.open(path) as image:
            assert image.size == (width, SHOWN_PX[width]), path.name
            assert np.asarray(image.convert("L")).max() > 128, f"{path.name} is all dark"


def test_a_picture_of_the_docs_has_the_layout_of_the_one_that_was_taken_last() -> None:
    """In a fresh checkout nothing has been taken yet and nothing is compared; a run of the browser tests makes it count."""
    for path in PICTURES.glob("*.png"):
        last = TAKEN / path.name
        if last.is_file() and time.time() - last.stat().st_mtime > WRITTEN_S:
            other = float((np.abs(layout(path) - layout(last)) > OTHER).mean())
            assert other <= MOVED_SHARE, f"{path.name}: {other:.0%} has changed; look at {last} and `make pictures`"
