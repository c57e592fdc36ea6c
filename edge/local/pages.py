"""What the local page is made of: style sheets, scripts and words that hub and gateway share, found as an entry point, and its frame.

The frame says nothing of any patient; a script fills it once the gateway has taken a ticket.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from importlib.metadata import entry_points
from mimetypes import guess_type
from pathlib import Path
from typing import Protocol, cast

ENTRY_POINTS = "wardlink.shared_pages"


class PagesError(RuntimeError):
    """This installation has no pages."""


class Words(Protocol):
    """The texts of all languages."""

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages, the default first."""
        ...

    def text(self, lang: str, key: str, /, **params: str | float) -> str:
        """Render a text."""
        ...

    def page_json(self, lang: str) -> str:
        """The words that scripts need, safe inside a `<script>`."""
        ...


class _Catalogues(Protocol):
    def load(self, folder: Path) -> Words: ...


class _Module(Protocol):
    """What the entry point names."""

    __file__: str
    Catalogue: _Catalogues

    def choose(self, cookie: str | None, accept_language: str | None) -> str: ...


@dataclass(frozen=True, slots=True)
class File:
    """A static file. `tag` is its entity tag."""

    content: bytes
    media_type: str
    tag: str


@dataclass(frozen=True, slots=True)
class Pages:
    """Static files by name below /static/, words, and how a language is chosen. `version` changes with the scripts."""

    files: dict[str, File]
    words: Words
    choose: Callable[[str | None, str | None], str]
    version: str

    def frame(self, lang: str, theme: str, gateway: str) -> bytes:
        """The page itself."""
        words = self.words
        html = f"""<!doctype html>
<html lang="{"en" if lang == "en" else "zh-Hans"}" data-theme="{theme}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="gateway" content="{escape(gateway)}">
<title>{escape(words.text(lang, "local.page_title", gateway=gateway))}</title>
<link rel="icon" href="/static/mark.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/tokens.css">
<link rel="stylesheet" href="/static/base.css">
<link rel="stylesheet" href="/static/ward.css">
<script type="module" src="/static/local.js"></script>
</head>
<body class="ward">
<noscript><p class="void">{escape(words.text(lang, "local.needs_scripts"))}</p></noscript>
<script type="application/json" id="words">{words.page_json(lang)}</script>
</body>
</html>
"""
        return html.encode()


def load_pages() -> Pages:
    """Find and read the shared pages; PagesError."""
    for entry in entry_points(group=ENTRY_POINTS):
        module = cast("_Module", entry.load())
        folder = Path(module.__file__).parent
        files = dict(_files(folder / "static"))
        whole = hashlib.sha256("".join(f"{name}{files[name].tag}" for name in sorted(files)).encode()).hexdigest()
        return Pages(files, module.Catalogue.load(folder / "locale"), module.choose, whole[:12])
    msg = f"this installation has no pages (entry point {ENTRY_POINTS}); install the whole distribution again"
    raise PagesError(msg)


def _files(static: Path) -> list[tuple[str, File]]:
    found: list[tuple[str, File]] = []
    for path in sorted(static.rglob("*")):
        if path.is_file() and path.suffix in {".js", ".css", ".svg"}:
            content = path.read_bytes()
            media_type = guess_type(path.name)[0] or "application/octet-stream"
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            found.append((path.relative_to(static).as_posix(), File(content, media_type, tag)))
    return found
