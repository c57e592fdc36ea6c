"""Pages of 6 and of 64 beds: every bed in sight, at both sizes, in both languages and themes."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.album import SIZES, Album, wait_for_ink
from tests.fixtures.synthetic_ward import SyntheticWard

pytestmark = pytest.mark.e2e
FEW, MANY = 6, 64
PHONE_PX = 700  # below, a ward is scrolled


@pytest.mark.timeout(400)
@pytest.mark.parametrize("beds", [FEW, MANY])
def test_a_ward_of_few_and_of_many_beds_fills_the_screen(
    beds: int, synthetic_ward: Callable[[int], SyntheticWard], open_page: Callable[..., Page], album: Album
) -> None:
    ward = synthetic_ward(beds)
    page = open_page("en")
    ward.sign_in(page)

    def live(page: Page) -> None:
        expect(page.locator("article.bed[data-link='live']")).to_have_count(beds, timeout=40_000)
        if beds == FEW:  # a tile of the wall has a strip on the larger screen only
            wait_for_ink(page, "article.bed .strip canvas")

    def in_sight(page: Page) -> None:
        hidden = page.evaluate("[...document.querySelectorAll('.num.hr .val')].filter((e) => !e.offsetParent).length")
        assert hidden == 0, "the heart rate is never what goes"
        if page.evaluate("innerWidth") < PHONE_PX:
            return
        inside = page.evaluate(
            "[...document.querySelectorAll('article.bed')].every((e) => { const r = e.getBoundingClientRect();"
            " return r.right <= innerWidth + 1 && r.bottom <= innerHeight + 1 && r.width > 90 && r.height > 80; })"
        )
        assert inside, "every bed is in sight"

    # A wall has no phone.
    album.fill(page, f"ward-{beds}", live, sizes=SIZES if beds == FEW else SIZES[:2], check=in_sight)
