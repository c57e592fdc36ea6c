"""The words of every page in each language, from one JSON file a language; leaves showing them to templates and ES modules.

Messages are the part of ICU MessageFormat that the pages need: `{name}`, `{n, plural, =0 {..} one {..} other {..}}` and
`{x, select, a {..} other {..}}`; `#` is the number inside a plural. `static/words.js` reads the same grammar in the browser.
Names of measurements and alarms are not repeated here: they come from `protocols.nomenclature`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, cast

from protocols.nomenclature import RHYTHM_EPISODES, TERMS, TermKind

Value: TypeAlias = str | int | float

# First is the default, when neither the cookie nor the browser asks for one that we have.
LANGUAGES: Final = ("zh_Hans", "en")
# BCP 47 tag for `lang` attributes and for Intl in the browser.
TAGS: Final[Mapping[str, str]] = {"zh_Hans": "zh-Hans", "en": "en-GB"}
# Namespaces that only server-rendered pages use; the browser's copy of the words leaves them out.
SERVER_ONLY: Final = (
    "account.", "admit.", "people.", "prove.", "sign_in.", "step.", "welcome.", "error.", "devices.", "quarantine.", "gateways.", "table.",
)  # fmt: skip


class MessageError(ValueError):
    """A message that does not follow the grammar: says which text and where."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All words: `words[lang][key]`, with nested keys joined by dots."""

    words: Mapping[str, Mapping[str, str]]

    @classmethod
    def load(cls, folder: Path) -> "Catalogue":
        """Read `<lang>.json` of each language in `folder`; ValueError names the file when it is not an object of texts."""
        return cls({lang: _read(folder / f"{lang}.json") for lang in LANGUAGES})

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages, the default first."""
        return tuple(self.words)

    def has(self, key: str) -> bool:
        """Whether every language has this key."""
        return all(key in texts for texts in self.words.values())

    def text(self, lang: str, key: str, /, **params: Value) -> str:
        """Render a message; KeyError names a key or a parameter that is missing."""
        try:
            message = self.words[lang][key]
        except KeyError:
            raise KeyError(f"catalogue {lang}: no text for {key!r}") from None
        return render(message, lang, params)

    def page_json(self, lang: str) -> str:
        """Return words, terms and language tag as JSON that may stand inside `<script type="application/json">`."""
        words = {key: text for key, text in self.words[lang].items() if not key.startswith(SERVER_ONLY)}
        terms = {
            code: {"name": term.en if lang == "en" else term.zh_hans, "short": term.short, "category": term.category}
            for code, term in TERMS.items()
            if term.kind is not TermKind.EVENT or code in RHYTHM_EPISODES
        }
        page = {"lang": lang, "tag": TAGS[lang], "words": words, "terms": terms}
        return json.dumps(page, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def choose(cookie: str | None, accept_language: str | None) -> str:
    """Pick a language: the one in the cookie, else the first that the browser's Accept-Language prefers (RFC 9110 12.5.4)."""
    if cookie in LANGUAGES:
        return cast("str", cookie)
    wanted: list[tuple[float, int, str]] = []
    for place, part in enumerate((accept_language or "").split(",")):
        tag, _, weight = part.strip().partition(";")
        try:
            q = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            continue
        primary = tag.strip().lower().partition("-")[0]
        wanted += [(-q, place, lang) for lang in LANGUAGES if q > 0 and lang.lower().partition("_")[0] == primary]
    return min(wanted)[2] if wanted else LANGUAGES[0]


def render(message: str, lang: str, params: Mapping[str, Value]) -> str:
    """Fill a message with its parameters."""
    text, end = _render(message, 0, lang, params, None)
    if end != len(message):
        raise MessageError(f"message {message!r}: '}}' at {end} closes nothing")
    return text


def parameters(message: str) -> set[str]:
    """Names of the parameters that a message uses."""
    return {words.split(",")[0].strip() for words in _arguments(message)}


def _arguments(message: str) -> Iterator[str]:
    start: list[int] = []
    for at, char in enumerate(message):
        if char == "{":
            start.append(at)
        elif char == "}" and start:
            begin = start.pop()
            # An argument stands at even depth; what stands at odd depth is the text of a branch.
            if len(start) % 2 == 0:
                yield message[begin + 1 : at]


def _render(message: str, at: int, lang: str, params: Mapping[str, Value], number: Value | None) -> tuple[str, int]:
    out: list[str] = []
    while at < len(message) and message[at] != "}":
        char = message[at]
        if char == "{":
            text, at = _argument(message, at + 1, lang, params)
            out.append(text)
            continue
        out.append(shown(number) if char == "#" and number is not None else char)
        at += 1
    return "".join(out), at


def _argument(message: str, at: int, lang: str, params: Mapping[str, Value]) -> tuple[str, int]:
    stop = at
    while stop < len(message) and message[stop] not in ",}":
        stop += 1
    name = message[at:stop].strip()
    if name not in params:
        raise KeyError(f"message {message!r}: parameter {name!r} is missing")
    value = params[name]
    if stop < len(message) and message[stop] == "}":
        return shown(value), stop + 1
    comma = message.find(",", stop + 1)
    kind = message[stop + 1 : comma].strip() if comma > 0 else ""
    if kind not in ("plural", "select"):
        raise MessageError(f"message {message!r}: expected plural or select after {name!r}")
    wanted = [str(value), "other"] if kind == "select" else [f"={shown(value)}", plural(lang, value), "other"]
    branches: dict[str, str] = {}
    at = comma + 1
    while at < len(message) and message[at] != "}":
        if message[at].isspace():
            at += 1
            continue
        brace = message.find("{", at)
        if brace < 0:
            raise MessageError(f"message {message!r}: a branch of {name!r} has no text")
        label = message[at:brace].strip()
        branches[label], at = _render(message, brace + 1, lang, params, value if kind == "plural" else None)
        at += 1
    for label in wanted:
        if label in branches:
            return branches[label], at + 1
    raise MessageError(f"message {message!r}: {name!r} has no branch 'other'")


def plural(lang: str, value: Value) -> str:
    """Return the CLDR plural category: Chinese has one form; English has two."""
    return "one" if lang == "en" and value == 1 else "other"


def shown(value: Value) -> str:
    """Write a parameter: whole floats without a fraction."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _read(path: Path) -> dict[str, str]:
    found = cast("object", json.loads(path.read_text(encoding="utf-8")))
    if not isinstance(found, dict):
        raise ValueError(f"{path.name}: expected an object of texts")
    return dict(_flat(cast("dict[str, object]", found), "", path.name))


def _flat(node: Mapping[str, object], prefix: str, where: str) -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if isinstance(value, str):
            yield prefix + key, value
        elif isinstance(value, dict):
            yield from _flat(cast("dict[str, object]", value), f"{prefix}{key}.", where)
        else:
            raise ValueError(f"{where}: {prefix}{key} is neither a text nor an object of texts")
