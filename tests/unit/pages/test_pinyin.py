"""Names are found by pinyin, by the hub and by the browser alike."""

import json
from pathlib import Path

import pytest

from hub.core.pinyin import answers, readings_of
from tests.unit.pages.test_modules import node

MODULE = Path(__file__).parents[3] / "wardlink" / "web" / "static" / "pinyin.js"
# Text, what is typed, whether it is found. The readings are those of any dictionary of Chinese.
CASES = [
    ("心内科", "xnk", True),
    ("心内科", "xinneike", True),
    ("心内科", "xinnei", True),
    ("心内科", "xinn", True),  # a syllable that is being typed
    ("心内科", "xneik", True),
    ("心内科", "心nk", True),
    ("心内科", "内科", True),
    ("心内科", "nk", True),  # within
    ("心内科", "XNK", True),
    ("心内科", "\uff58\uff4e\uff4b", True),  # as an input method types wide letters
    ("心内科", "xin nei", True),
    ("心内科", "xk", False),  # no character is left out
    ("心内科", "xinx", False),
    ("心内科", "inneike", False),  # no syllable begins in its middle
    ("心内科", "", False),
    ("心内科", " ", False),
    ("心内科3病区", "xnk3bq", True),
    ("CCU 监护室", "ccujhs", True),
    ("CCU 监护室", "ccu jianhushi", True),
    ("重症医学科", "zzyxk", True),
    ("重症医学科", "zhzh", True),  # initials of two letters
    ("重症医学科", "chongzheng", True),  # every reading
    ("妇女", "funv", True),
    ("妇女", "funü", True),
    ("西安", "xi'an", True),
    ("Cardiology 7B", "logy", True),
    ("Cardiology 7B", "7b", True),
    ("Cardiology 7B", "card7", False),
    ("王**", "wang", True),
    ("王**", "w*", True),
    ("王**", "wxm", False),
]


@pytest.mark.parametrize(("text", "typed", "found"), CASES)
def test_a_name_is_found_by_pinyin_initials_characters_and_mixtures(text: str, typed: str, found: bool) -> None:
    assert answers(text, typed) is found


def test_the_browser_finds_the_same_as_the_hub() -> None:
    cases = [(text, typed, readings_of([text])) for text, typed, _ in CASES]
    program = (
        f'import {{ answers }} from "{MODULE.as_uri()}";'
        f"const cases = {json.dumps(cases)};"
        "process.stdout.write(JSON.stringify(cases.map(([text, typed, spelt]) => answers(text, typed, spelt))));"
    )
    done = node("--input-type=module", "-e", program)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [found for _, _, found in CASES]


def test_the_readings_are_those_of_chinese_characters_alone() -> None:
    found = readings_of(["单**", "7B é"])
    assert set(found) == {"单"}
    assert {"dan", "shan"} <= set(found["单"]), "a surname has a reading of its own"
