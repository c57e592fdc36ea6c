"""Versions of releases and their order: the part of PEP 440 that ours use (release numbers, rcN, .devN)."""

import re
from dataclasses import dataclass, field

_FORM = re.compile(r"(?P<numbers>\d{1,6}(?:\.\d{1,6}){1,3})(?:rc(?P<rc>\d{1,6}))?(?:\.dev(?P<dev>\d{1,6}))?", re.ASCII)
_LAST = (
    1 << 20
)  # above every number of the form: a final version follows its candidates, a candidate its development versions


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A version that can be compared."""

    place: tuple[tuple[int, ...], int, int]
    text: str = field(compare=False)

    @classmethod
    def parse(cls, text: str) -> "Version":
        """Read one, as 1.4.0, 1.4.0rc1 or 1.4.0.dev3; ValueError."""
        found = _FORM.fullmatch(text)
        if found is None:
            msg = f"version {text!r}: expected numbers, as 1.4.0, with rcN or .devN behind them if need be"
            raise ValueError(msg)
        numbers = tuple(int(one) for one in found["numbers"].split("."))
        dev = int(found["dev"]) if found["dev"] else _LAST
        # PEP 440: 1.4.0.dev3 comes before 1.4.0rc1, 1.4.0rc1.dev3 before that candidate only.
        rc = int(found["rc"]) if found["rc"] else (-1 if found["dev"] else _LAST)
        return cls(((*numbers, *(0,) * (4 - len(numbers))), rc, dev), text)
