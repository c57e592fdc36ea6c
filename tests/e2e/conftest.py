"""A browser for a module, and pages in both languages and sizes."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.e2e.album import Album
from wardlink.local.debs import find_or_unpack_chromium
from wardlink.local.places import Places

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PICTURES = Path(__file__).parents[2] / "build" / "pictures"
AXE = Path(__file__).parents[2] / "wardlink" / "web" / "node_modules" / "axe-core"
# What has a time to hold is asked for with that time; everything else may take what a busy machine takes.
expect.set_options(timeout=20_000)
LOCALES = {"en": "en-GB", "zh_Hans": "zh-CN"}


@pytest.fixture(scope="module")
def chromium(usual_places: Places) -> Iterator[Browser]:
    """A browser for a module: while it is open its client runs a loop in this thread, and no asynchronous test could."""
    found = find_or_unpack_chromium(usual_places, lambda _line: None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(found.executable), env={**os.environ, **found.env}, args=FLAGS
        )
        yield browser
        browser.close()


@contextmanager
def visitors(chromium: Browser, *, trusting: bool = False) -> Generator[Callable[..., Page]]:
    """Open pages, each of its own visitor; fails at the end when a script of one failed. `trusting`: of any certificate."""
    contexts = []
    troubles: list[str] = []

    def make(lang: str = "en", width: int = 1280, height: int = 800) -> Page:
        viewport: ViewportSize = {"width": width, "height": height}
        context = chromium.new_context(locale=LOCALES[lang], viewport=viewport, ignore_https_errors=trusting)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    assert not troubles


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """A page of its own visitor."""
    with visitors(chromium) as make:
        yield make


@pytest.fixture(scope="session")
def pictures() -> Path:
    PICTURES.mkdir(parents=True, exist_ok=True)
    return PICTURES


@pytest.fixture(scope="session")
def album(pictures: Path) -> Album:
    """Pictures of a page in every view."""
    return Album(pictures, AXE / "axe.min.js")


@pytest.fixture(scope="session")
def accessible(album: Album) -> Callable[[Page], list[str]]:
    """What axe finds wrong with a page: rule and where."""
    return album.barriers
