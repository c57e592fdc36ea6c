"""What an engineer does at the ledger and the quarantine, by its links, buttons and keys."""

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
DAY_NS = 24 * 3600 * NS_PER_S


@pytest.mark.timeout(240)
def test_an_engineer_admits_a_device_and_decides_what_is_held(
    synthetic_ward: Callable[[int], SyntheticWard],
    open_page: Callable[..., Page],
    pictures: Path,
) -> None:
    ward = synthetic_ward(2)
    ward.hub.do("update tenant set admission = 'required'")
    late_ns = now_ns() + 48 * 3600 * NS_PER_S
    new, wrong = SourcePath("patch-9", ("n",)), SourcePath("monitor-1", ("x",))
    ward.send(Lane.NUMERIC, *(Observation(new, HEART_RATE, 70.0 + n, "/min", Times(now_ns())) for n in range(3)))
    ward.send(Lane.NUMERIC, Observation(wrong, HEART_RATE, 70.0, "/min", Times(late_ns)))
    near_ns = now_ns() + DAY_NS + 12 * NS_PER_S
    ward.send(Lane.NUMERIC, Observation(SourcePath("monitor-1", ("y",)), HEART_RATE, 71.0, "/min", Times(near_ns)))

    page = open_page("en")
    ward.sign_in(page, "fan.wei", Role.ENGINEER)
    page.locator("nav.rail a[href='/devices']").click()
    page.locator("a.card-number.warn", has_text="1").click()
    expect(page).to_have_url(re.compile(r"/devices\?state=waiting$"))  # filters stand in the address
    page.locator("table a.first").click()
    expect(page.locator("aside.side-sheet:visible")).to_contain_text("patch-9")

    page.locator("nav.rail a[href='/quarantine']").click()
    expect(page.locator("table").first).to_contain_text("patch-9")
    row = page.locator("tr", has_text="monitor-1/x")
    row.locator("a.first").click()
    expect(page.locator("pre.raw")).to_contain_text("C_ECG_HEART_RATE")  # the bytes as they came
    page.locator("aside.side-sheet:visible button.harm").click()
    expect(page.locator("tr", has_text="monitor-1/x")).to_have_count(0)
    page.screenshot(path=pictures / "quarantine-discarded-en-1280.png")
    page.locator(".told.undo button").click()
    row.locator("a.first").click()
    page.locator("aside.side-sheet:visible button.harm").click()
    expect(page.locator("tr", has_text="monitor-1/x")).to_have_count(0)

    # a gateway's clock that was a little further ahead than is believed: the moment has come nearer, and the record is let through by hand
    page.wait_for_timeout(max(0.0, (near_ns - DAY_NS - now_ns()) / 1e6) + 500)
    page.locator("tr", has_text="monitor-1/y").locator("a.first").click()
    expect(page.locator("aside.side-sheet:visible")).to_contain_text("Held")
    page.locator("aside.side-sheet:visible form[action*='/release'] button").click()
    expect(page.locator("tr", has_text="monitor-1/y")).to_have_count(0)
    released = "select value from observation join series using (series_id) join source using (source_id) where path = 'monitor-1/y'"
    for _ in range(40):
        if ward.hub.rows(released):
            break
        page.wait_for_timeout(250)
    assert ward.hub.rows(released) == [(71.0,)]

    page.locator("a", has_text="patch-9").first.click()
    page.goto(f"{ward.url}/devices?state=waiting")
    page.locator("table a.first").click()
    page.locator("aside.side-sheet:visible form[action*='/admit'] button").click()
    expect(page.locator("aside.side-sheet:visible form[action*='/retire']")).to_be_visible()
    page.goto(f"{ward.url}/quarantine?device=patch-9&state=held")
    for _ in range(40):  # released on its own, now that the device is admitted
        if page.locator("table a.first").count() == 0:
            break
        page.wait_for_timeout(250)
        page.reload()
    expect(page.locator("table a.first")).to_have_count(0)
    stored = "select count(*) from observation join series using (series_id) join source using (source_id) where path like 'patch-9%%'"
    assert ward.hub.rows(stored) == [(3,)]

    # a device that watches a bed is not taken away by one press
    page.goto(f"{ward.url}/devices")
    page.locator("table a.first", has_text="monitor-1").click()
    side = page.locator("aside.side-sheet:visible")
    expect(side.locator("form[action*='/retire']")).to_be_hidden()
    side.locator("summary").click()
    expect(side.locator("details.ask")).to_contain_text("bed 1 is no longer watched by it")
    page.screenshot(path=pictures / "device-taken-out-en-1280.png")
    side.locator("form[action*='/retire'] button").click()
    expect(side).to_contain_text("Retired")
