"""Pages of 6 and of 64 beds: every bed in sight, at both sizes, in both languages and themes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.synthetic_ward import SyntheticWard

pytestmark = pytest.mark.e2e
VIEWS = [(lang, width, height) for lang in ("en", "zh_Hans") for width, height in ((1280, 800), (1920, 1080))]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("beds", [6, 64])
def test_a_ward_of_few_and_of_many_beds_fills_the_screen(
    beds: int,
    synthetic_ward: Callable[[int], SyntheticWard],
    open_page: Callable[..., Page],
    pictures: Path,
    accessible: Callable[[Page], list[str]],
) -> None:
    ward = synthetic_ward(beds)
    page = open_page("en")
    ward.sign_in(page)
    expect(page.locator("article.bed[data-link='live']")).to_have_count(beds, timeout=40_000)
    page.wait_for_timeout(3000)
    for lang, width, height in VIEWS:
        page.set_viewport_size({"width": width, "height": height})
        page.goto(f"{ward.url}/lang/{lang}?next=/ward/7b")
        expect(page.locator("article.bed[data-link='live']")).to_have_count(beds, timeout=40_000)
        page.wait_for_timeout(2000)
        page.screenshot(path=pictures / f"ward-{beds}-{lang}-{width}.png")
        inside = page.evaluate(
            "[...document.querySelectorAll('article.bed')].every((e) => { const r = e.getBoundingClientRect();"
            " return r.right <= innerWidth + 1 && r.bottom <= innerHeight + 1 && r.width > 90 && r.height > 80; })"
        )
        assert inside, "every bed is in sight"
        hidden = page.evaluate("[...document.querySelectorAll('.num.hr .val')].filter((e) => !e.offsetParent).length")
        assert hidden == 0, "the heart rate is never what goes"
    assert accessible(page) == []
    page.goto(f"{ward.url}/theme/day?next=/ward/7b")
    expect(page.locator("article.bed[data-link='live']")).to_have_count(beds, timeout=40_000)
    page.wait_for_timeout(2000)
    page.screenshot(path=pictures / f"ward-{beds}-day-1920.png")
    assert accessible(page) == []
