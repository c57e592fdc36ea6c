"""The bed page in a browser: reached from the ward, live strips above, the past beneath; notes, limits, admission, keyboard."""

import re
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.album import ink
from tests.fixtures.one_bed import sign_in, switch_on_when_open
from tests.fixtures.past import write_past
from wardlink.demo.one_bed import BED, WARD, OneBed, Recording

pytestmark = pytest.mark.e2e


@pytest.fixture
def opened(
    one_bed: Callable[[Recording], OneBed], captures: Path, open_page: Callable[..., Page]
) -> tuple[OneBed, Page]:
    """A nurse at the ward page of a running bed that has a past."""
    bed = one_bed(Recording(captures / "mitdb-100-normal", loop_pause_s=None))
    page = open_page("en")
    sign_in(page, bed)
    switch_on_when_open(bed)
    expect(page.locator("article.bed")).to_have_attribute("data-link", "live", timeout=15_000)
    expect(page.locator("article.bed .num.hr .val")).to_have_text(re.compile(r"\d+"), timeout=20_000)
    page.wait_for_timeout(4000)  # a strip of which something can be seen when the past is written from it
    write_past(bed.database.admin_url)
    page.goto(f"{bed.url}/ward/{WARD}")
    expect(page.locator("article.bed")).to_have_attribute("data-link", "live", timeout=15_000)
    return bed, page


@pytest.mark.req("IOT-6.1d", "IOT-6.3d")
def test_a_nurse_works_at_a_bed(
    opened: tuple[OneBed, Page], pictures: Path, accessible: Callable[[Page], list[str]]
) -> None:
    bed, page = opened
    page.keyboard.press(BED)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/ward/{WARD}/bed/{BED}")
    tile = page.locator("article.bed")
    expect(tile).to_have_attribute("data-link", "live", timeout=15_000)
    expect(page.locator("figure.chart canvas").first).to_be_visible(timeout=10_000)
    assert page.locator("figure.chart").count() == 4
    timeline = page.locator("#story-list")
    expect(timeline.locator("li.is-vital").first).to_contain_text("HR")
    # Those of the past; a page that is slow to open finds another lost connection, of the device that is not switched on yet.
    alarms = timeline.locator("li.is-alarm")
    expect(alarms.filter(has_text="reached the hub")).to_have_count(1)
    limit = alarms.filter(has_not_text="Connection lost")
    expect(limit).to_have_count(1)

    # an alarm of the past moves the review strip to its moment; the live strip stays
    limit.locator(".row-button").click()
    expect(page.locator(".review")).to_be_visible()
    expect(page.locator(".review-told")).to_be_hidden(timeout=5000)
    heading = page.locator(".review h3")
    before = heading.inner_text()
    assert ink(page, ".review-paper canvas") > 2000, "the strip of the alarm is drawn"
    page.keyboard.press("ArrowRight")
    expect(heading).not_to_have_text(before)
    page.keyboard.press("ArrowLeft")
    expect(heading).to_have_text(before)
    assert tile.get_attribute("data-link") == "live"
    page.wait_for_timeout(1000)
    page.screenshot(path=pictures / "bed-review-en-1280.png")
    page.keyboard.press("Escape")
    expect(page.locator(".review")).to_be_hidden()
    # a click on a trend does too
    page.locator("figure.chart .u-over").first.click(position={"x": 300, "y": 20})
    expect(page.locator(".review")).to_be_visible()
    page.keyboard.press("Escape")

    page.keyboard.press("n")
    page.keyboard.type("Slept well; turned to the left side.")
    page.locator(".note-form button").click()
    expect(timeline.locator("li.is-note")).to_contain_text("Slept well")
    page.locator("#tab-alarms").click()
    expect(timeline).to_contain_text("reached the hub")
    page.locator(".charts").get_by_role("button", name="1 h").or_(page.get_by_role("button", name="1 h")).first.click()
    note = page.locator("figure.chart .note-mark")
    expect(note.locator(".note-words")).to_be_hidden()
    note.focus()
    expect(note.locator(".note-words")).to_be_visible()
    expect(note.locator(".note-words")).to_contain_text("Slept well")
    page.screenshot(path=pictures / "bed-note-en-1280.png")
    page.locator("#tab-devices").click()
    expect(timeline.locator("li.is-device")).to_contain_text("Live")
    page.screenshot(path=pictures / "bed-devices-en-1280.png")

    page.locator("#tab-timeline").click()
    page.locator("body").press("l")
    sheet = page.locator("aside.sheet")
    row = sheet.locator(".limit-row").first
    row.locator("button").nth(3).click()
    expect(sheet.locator("button.main")).to_be_enabled()
    sheet.locator("button.main").click()
    expect(sheet).to_contain_text("Saved.")
    expect(row).to_contain_text("Set by")
    expect(tile.locator(".limits.own").first).to_be_visible()
    page.screenshot(path=pictures / "bed-limits-en-1280.png")
    assert accessible(page) == []
    page.keyboard.press("Escape")
    assert accessible(page) == []
    with psycopg.connect(bed.database.admin_url) as connection:
        kept = connection.execute("select code, set_by from patient_limit").fetchall()
    assert [code for code, _ in kept] == ["MDC_ECG_HEART_RATE"]

    small = page.evaluate(
        "[...document.querySelectorAll('body.one button, body.one a, body.one textarea')].filter((e) => e.offsetParent &&"
        " !e.closest('article.bed, .skip') && e.getBoundingClientRect().height < 43.5).map((e) => e.outerHTML.slice(0, 90))"
    )
    assert small == [], "too small for a glove"
