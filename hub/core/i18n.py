"""Words in the reader's language, and the static parts that all our pages share; both are handed in from outside the hub.

The catalogue belongs to whoever ships the pages (hub and gateway share one), so it is found as an entry point and known here
by what it can do; the hub imports nothing of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, cast

from hub.core.errors import UnavailableError

ENTRY_POINTS = "wardlink.shared_pages"


class Words(Protocol):
    """The texts of all languages."""

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages, the default first."""
        ...

    def text(self, lang: str, key: str, /, **params: str | float) -> str:
        """Render a text; KeyError for a key or parameter that is missing."""
        ...

    def page_json(self, lang: str) -> str:
        """The words that scripts need, safe inside a `<script>`."""
        ...


class _Catalogues(Protocol):
    """The class of the catalogue."""

    def load(self, folder: Path) -> Words: ...


class _Module(Protocol):
    """What the entry point names."""

    __file__: str
    Catalogue: _Catalogues

    def choose(self, cookie: str | None, accept_language: str | None) -> str: ...


@dataclass(frozen=True, slots=True)
class SharedPages:
    """What hub and gateway pages share. `static` is the folder of style sheets and ES modules."""

    static: Path
    words: Words
    choose: Callable[[str | None, str | None], str]


def load_shared_pages() -> SharedPages:
    """Find the shared pages; UnavailableError when this installation has none."""
    for entry in entry_points(group=ENTRY_POINTS):
        module = cast("_Module", entry.load())
        folder = Path(module.__file__).parent
        return SharedPages(folder / "static", module.Catalogue.load(folder / "locale"), module.choose)
    raise UnavailableError(
        f"This installation has no pages (entry point {ENTRY_POINTS}).",
        "Install the whole distribution again: make setup, or pip install 'wardlink[hub]'.",
        reason="no-pages",
    )
