"""Finding Chinese names as people type them: by characters, by pinyin without tones, by initials, and these mixed with Latin text.

Readings are those of pypinyin, of each character alone: every reading counts, so that 重症 is found as zhongzheng and as chongzheng.
`static/pinyin.js` follows the same rule in the browser, with the readings that the hub hands to it.
"""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice, product

from pypinyin import Style, pinyin

_KNOWN = 10_000  # more characters than a region's names have
MOST_SPELLINGS = 16
_TWO_LETTERS = ("zh", "ch", "sh")


def answers(text: str, typed: str) -> bool:
    """Whether a text has what was typed, anywhere in it; what was typed may end within a syllable. Nothing typed is in no text."""
    wanted, found_in = _folded(typed), _folded(text)
    return wanted != "" and any(_begins(found_in[start:], wanted) for start in range(len(found_in)))


def readings_of(texts: Iterable[str]) -> dict[str, list[str]]:
    """The readings of each Chinese character in these texts, for what matches elsewhere."""
    chars = sorted(set("".join(map(_folded, texts))))
    return {char: list(readings) for char in chars if (readings := _readings(char))}


def spellings(text: str) -> str:
    """How each word of a text may be typed, with spaces between: whole syllables, and their first letters; "" when nothing in it is Chinese.

    A character with several readings makes several spellings of its word, MOST_SPELLINGS at most.
    """
    found: dict[str, None] = {}
    for word in unicodedata.normalize("NFKC", text).lower().split():
        ways = [_readings(char) or (char,) for char in word]
        if any(_readings(char) for char in word):
            for spelt in islice(product(*ways), MOST_SPELLINGS):
                found["".join(spelt)] = None
                found["".join(part[:1] for part in spelt)] = None
    return " ".join(found)


def _begins(text: str, typed: str) -> bool:
    reached = {0}
    for char in text:
        further: set[int] = set()
        for at in reached:
            left = typed[at:]
            for way in (char, *_ways(char)):
                if way.startswith(left):
                    return True
                if left.startswith(way):
                    further.add(at + len(way))
        if not further:
            return False
        reached = further
    return False


@lru_cache(_KNOWN)
def _ways(char: str) -> tuple[str, ...]:
    """How a character may be typed: its readings and how they begin."""
    readings = _readings(char)
    begins = {one[:1] for one in readings} | {one[:2] for one in readings if one.startswith(_TWO_LETTERS)}
    return (*readings, *sorted(begins))


@lru_cache(_KNOWN)
def _readings(char: str) -> tuple[str, ...]:
    """Without tones, ü as v; none of what is no Chinese character."""
    if char.isascii():
        return ()
    return tuple(one for one in pinyin(char, style=Style.NORMAL, heteronym=True)[0] if one.isascii() and one.isalpha())


def _folded(text: str) -> str:
    """Small letters, narrow forms, ü as v, without spaces and the apostrophes that part syllables."""
    narrow = unicodedata.normalize("NFKC", text).lower().replace("ü", "v")
    return "".join(char for char in narrow if not char.isspace() and char not in "'\u2019")
