"""What an engineer does at the ledger and the quarantine, by its links and buttons, and how their pages look."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from hub.core.principal import Role
from protocols.link import Lane
from protocols.nomenclature import HEART_RATE
from protocols.record import NS_PER_S, Observation, SourcePath, Times
from tests.fixtures.synthetic_ward import SyntheticWard
from tests.fixtures.web import now_ns

pytestmark = pytest.mark.e2e
VIEWS = tuple(itertools.product(("en", "zh_Hans"), ("day", "night"), ((1280, 800), (1920, 1080), (390, 844))))


@pytest.mark.timeout(240)
def test_an_engineer_admits_a_device_and_decides_what_is_held(
    synthetic_ward: Callable[[int], SyntheticWard],
    open_page: Callable[..., Page],
    pictures: Path,
    accessible: Callable[[Page], list[str]],
) -> None:
    ward = synthetic_ward(2)
    ward.hub.do("update tenant set admission = 'required'")
    late_ns = now_ns() + 48 * 3600 * NS_PER_S
    new, wrong = SourcePath("patch-9", ("n",)), SourcePath("monitor-1", ("x",))
    ward.send(Lane.NUMERIC, *(Observation(new, HEART_RATE, 70.0 + n, "/min", Times(now_ns())) for n in range(3)))
    ward.send(Lane.NUMERIC, Observation(wrong, HEART_RATE, 70.0, "/min", Times(late_ns)))

    page = open_page("en")
    ward.sign_in(page, "fan.wei", Role.ENGINEER)
    page.locator("nav.rail a[href='/devices']").click()
    page.locator("a.card-number.warn", has_text="1").click()
    expect(page).to_have_url(re.compile(r"/devices\?state=waiting$"))  # filters stand in the address
    page.locator("table a.first").click()
    expect(page.locator("aside.side-sheet")).to_contain_text("patch-9")
    _look_all_over(page, ward, "devices", pictures, accessible)

    page.locator("nav.rail a[href='/quarantine']").click()
    expect(page.locator("table").first).to_contain_text("patch-9")
    row = page.locator("tr", has_text="monitor-1/x")
    row.locator("a.first").click()
    expect(page.locator("aside.side-sheet pre.raw")).to_contain_text("C_ECG_HEART_RATE")  # the bytes as they came
    _look_all_over(page, ward, "quarantine", pictures, accessible)
    page.locator("aside.side-sheet button.harm").click()
    expect(page.locator("tr", has_text="monitor-1/x")).to_have_count(0)

    page.locator("a", has_text="patch-9").first.click()
    page.goto(f"{ward.url}/devices?state=waiting")
    page.locator("table a.first").click()
    page.locator("aside.side-sheet form[action*='/admit'] button").click()
    expect(page.locator("aside.side-sheet form[action*='/retire']")).to_be_visible()
    page.goto(f"{ward.url}/quarantine?device=patch-9&state=held")
    for _ in range(40):  # released on its own, now that the device is admitted
        if page.locator("table a.first").count() == 0:
            break
        page.wait_for_timeout(250)
        page.reload()
    expect(page.locator("table a.first")).to_have_count(0)
    stored = "select count(*) from observation join series using (series_id) join source using (source_id) where path like 'patch-9%%'"
    assert ward.hub.rows(stored) == [(3,)]


def _look_all_over(
    page: Page, ward: SyntheticWard, name: str, pictures: Path, accessible: Callable[[Page], list[str]]
) -> None:
    """A picture of the page as it stands in every language, theme and size; it fits each."""
    here = page.url.removeprefix(ward.url)
    for lang, theme, (width, height) in VIEWS:
        page.set_viewport_size({"width": width, "height": height})
        for choice in (f"lang/{lang}", f"theme/{theme}"):
            page.request.get(f"{ward.url}/{choice}?next=/health", max_redirects=0)
        page.goto(f"{ward.url}{here}")
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        expect(page.locator("html")).to_have_attribute("lang", "en" if lang == "en" else "zh-Hans")
        page.screenshot(path=pictures / f"{name}-{lang}-{theme}-{width}.png")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (lang, theme, width)
        if width == VIEWS[0][2][0]:
            assert accessible(page) == []
    for choice in ("lang/en", "theme/day"):
        page.request.get(f"{ward.url}/{choice}?next=/health", max_redirects=0)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{ward.url}{here}")
