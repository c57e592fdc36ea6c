"""The bed page in a browser: reached from the ward, live strips above, the past beneath; notes, limits, admission, keyboard."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.album import ink
from tests.fixtures.one_bed import sign_in, switch_on_when_open
from tests.fixtures.past import write_past
from wardlink.demo.one_bed import BED, DEVICE, WARD, OneBed, Recording

pytestmark = pytest.mark.e2e

HOUR_MS = 3_600_000


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


def any_moment_is_reached_by_the_keyboard(page: Page) -> None:
    """From the strip of an alarm by hours to 40 h before it, a moment typed there; the trends closer and wider; and back again."""
    field, heading, told = page.locator(".review-when input"), page.locator(".review h3"), page.locator(".review-told")
    began = moment_in(field)
    for _ in range(40):
        page.keyboard.press("PageUp")
    assert moment_in(field) == began - timedelta(hours=40)
    expect(told).to_have_text("Nothing is stored of these seconds.")

    # Where the day stands among the parts of the field is the browser's matter; minute and second are the fifth and the sixth.
    typed = moment_in(field).replace(minute=7, second=8)
    page.keyboard.press("g")
    expect(field).to_be_focused()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.type("0708", delay=1000)  # as slowly as people: what is kept has another beginning at each digit
    assert moment_in(field) == typed
    expect(heading).to_have_text(re.compile(rf"^Strip of {typed.day} .*{typed:%H}:07:08$"))
    assert field.evaluate("(field) => document.activeElement === field"), "what is typed there is no key of the page"
    for _ in range(7):  # out of the field, past the parts that are left and its calendar
        if field.evaluate("(field) => document.activeElement === field"):
            page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Earlier")).to_be_focused()

    # closer and wider, around what stands on the strip; a stretch that was chosen goes with the strip
    closer, wider = page.get_by_role("button", name="Half the"), page.get_by_role("button", name="Twice the")
    back = page.get_by_role("button", name="Whole range")
    steps: list[tuple[Callable[[], object], int]] = [
        (lambda: page.keyboard.press("+"), 4),
        (closer.click, 2),
        (lambda: [page.keyboard.press("PageUp") for _ in range(2)], 2),
        (lambda: page.keyboard.press("-"), 4),
        (wider.click, 8),
    ]
    for act, hours in steps:
        with page.expect_response(lambda one, hours=hours: length_ms(one.url) == hours * HOUR_MS) as answer:
            act()
        assert sum(asked_for(answer.value.url)) / 2 == pytest.approx(moment_in(field).timestamp() * 1000, abs=30_000)
    expect(back).to_be_visible()
    for _ in range(4):
        page.keyboard.press("-")
    expect(page.get_by_role("button", name="72 h")).to_have_attribute("aria-pressed", "true")
    expect(wider).to_have_attribute("aria-disabled", "true")
    expect(back).to_be_hidden()

    now = datetime.now().astimezone()
    page.keyboard.press("Home")
    assert timedelta(0) < moment_in(field) - (now - timedelta(hours=72)) < timedelta(minutes=2)
    page.keyboard.press("End")
    assert timedelta(0) < datetime.now().astimezone() - moment_in(field) < timedelta(minutes=1)
    page.keyboard.press("?")
    for told in ("an hour earlier, later", "begin and end of what is kept", "type a moment", "half, twice the stretch"):
        expect(page.locator("aside.sheet .keys")).to_contain_text(told)


def moment_in(field: Locator) -> datetime:
    """What a field of date and time holds, by the clock of this place."""
    return datetime.fromisoformat(field.input_value()).astimezone()


def asked_for(url: str) -> tuple[int, int]:
    """Which stretch an address of trends asks for, ms; nothing when it is none."""
    found = re.search(r"/trends\?.*from_ms=(\d+)&to_ms=(\d+)", url)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def length_ms(url: str) -> int:
    from_ms, to_ms = asked_for(url)
    return to_ms - from_ms


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
    any_moment_is_reached_by_the_keyboard(page)
    expect(page.locator(".review-told")).to_be_hidden()
    page.screenshot(path=pictures / "bed-keys-en-1280.png")
    assert accessible(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("aside.sheet")).to_have_count(0)
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
    with page.expect_response("**/trends?*"):
        page.locator(".charts").get_by_role("button", name="1 h").or_(
            page.get_by_role("button", name="1 h")
        ).first.click()
    page.wait_for_timeout(300)
    # a drag over a trend shows that stretch alone, and nothing else; the pointer reads what was measured there
    over = page.locator("figure.chart .u-over").first
    over.hover()
    drawn = over.bounding_box()
    assert drawn
    middle, right = drawn["y"] + drawn["height"] / 2, drawn["x"] + drawn["width"]
    page.mouse.move(right - 120, middle)
    page.mouse.down()
    page.mouse.move(right - 2, middle, steps=5)
    with page.expect_response("**/trends?*"):
        page.mouse.up()
    page.wait_for_timeout(300)
    back = page.get_by_role("button", name="Whole range")
    expect(back).to_be_visible()
    expect(page.locator(".review")).to_be_hidden()
    over.hover(position={"x": drawn["width"] - 4, "y": 20})
    expect(page.locator("figure.chart .chart-value").first).to_contain_text(re.compile(r"\d{2,3}"))
    back.click()
    expect(back).to_be_hidden()
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
        # A hub whose nomenclature has another unit than the gateway's: the gateway refuses the limit and says so.
        connection.execute("update patient_limit set unit = '/s'")
        connection.execute("update patient set name = name")
    assert [code for code, _ in kept] == ["MDC_ECG_HEART_RATE"]
    expect(tile.locator(".num .note", has_text="limit not watched")).to_be_visible(timeout=20_000)
    page.locator("body").press("l")
    expect(row).to_contain_text("The gateway does not watch this limit: it measures this in another unit.")
    page.screenshot(path=pictures / "bed-limit-not-watched-en-1280.png")
    assert accessible(page) == []
    page.keyboard.press("Escape")

    small = page.evaluate(
        "[...document.querySelectorAll('body.one button, body.one a, body.one textarea')].filter((e) => e.offsetParent &&"
        " !e.closest('article.bed, .skip') && e.getBoundingClientRect().height < 43.5).map((e) => e.outerHTML.slice(0, 90))"
    )
    assert small == [], "too small for a glove"

    # The patient goes, the device is freed; another comes and is admitted by hand, with that device.
    page.locator(f"a[href$='/bed/{BED}/admit']").first.click()
    page.locator("form[action$='/discharge'] input[name=free]").check()
    page.get_by_role("button", name="Discharge the patient").click()
    page.goto(f"{bed.url}/ward/{WARD}/bed/{BED}/admit")
    page.get_by_label("Patient number").fill("demo-of-the-next-day")
    page.get_by_label("Name", exact=True).fill("Sun Admitted")
    page.get_by_label("Date of birth").fill("1951-02-03")
    ticked = page.locator(f"input[name=devices][value={DEVICE}]")
    expect(ticked).not_to_be_checked()
    ticked.check()
    page.screenshot(path=pictures / "bed-admission-en-1280.png")
    page.get_by_role("button", name="Admit").click()
    page.wait_for_url(f"**/ward/{WARD}/bed/{BED}")
    expect(tile).to_have_attribute("data-link", "live")
    page.goto(f"{bed.url}/ward/{WARD}/bed/{BED}/admit")
    expect(page.locator(".admission")).to_contain_text("Sun Admitted")
    expect(page.locator(f"form[action$='/devices'] input[value={DEVICE}]")).to_be_checked()
    stays = (
        "select upper_inf(during) from device_association join device using (device_id) where name = %s order by during"
    )
    with psycopg.connect(bed.database.admin_url) as connection:
        assert connection.execute(stays, [DEVICE]).fetchall() == [(False,), (True,)]
