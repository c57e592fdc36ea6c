"""The whole path with real parts: an amplifier on a serial line, the agent, the hub, TimescaleDB and a nurse's browser."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from playwright.sync_api import Page, expect

from edge.spool import Spool
from protocols.nomenclature import V_FIB
from wardlink.demo.one_bed import WARD, OneBed, Recording
from wardlink.local.database import Database
from wardlink.local.places import Places

pytestmark = pytest.mark.e2e

ONSET_S = 60.0  # of the flutter in the excerpt (tests/captures/ATTRIBUTION.md)
QUIET_S = 20.0  # played before it
WITHIN_S = 10.0
PASSWORD = "a-long-password-of-this-test"


@pytest.fixture
def one_bed(
    usual_places: Places,
    short_folder: Callable[[], Path],
    make_database: Callable[[Database | None], Database],
    migrated_template: Database,
) -> Iterator[Callable[[Recording], OneBed]]:
    opened: list[OneBed] = []

    def make(recording: Recording) -> OneBed:
        bed = OneBed(usual_places, short_folder(), recording, database=make_database(migrated_template))
        bed.__enter__()
        opened.append(bed)
        return bed

    yield make
    for bed in opened:
        bed.down()


def sign_in(page: Page, bed: OneBed) -> None:
    """As the invited nurse: open the one-time link, choose a password, arrive at the ward."""
    page.goto(bed.invite_nurse())
    page.fill("#password", PASSWORD)
    page.fill("#password_again", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url("**/ward/**")


def test_the_doors_are_accessible_in_both_languages(
    one_bed: Callable[[Recording], OneBed],
    captures: Path,
    open_page: Callable[..., Page],
    pictures: Path,
    accessible: Callable[[Page], list[str]],
) -> None:
    bed = one_bed(Recording(captures / "mitdb-100-normal", loop_pause_s=None))
    link = bed.invite_nurse()
    for lang in ("en", "zh_Hans"):
        page = open_page(lang)
        for name, address in (
            ("welcome", link),
            ("sign-in", f"{bed.url}/sign-in"),
            ("used", f"{bed.url}/welcome/none"),
        ):
            page.goto(address)
            page.screenshot(path=pictures / f"{name}-{lang}-1280.png")
            assert accessible(page) == []


def wait_until_open(bed: OneBed) -> None:
    until_s = time.monotonic() + 15
    while not bed.page_is_open():
        assert time.monotonic() < until_s, "no page asked the hub for strips"
        bed.processes.check()
        time.sleep(0.02)


@pytest.mark.req("IOT-6.3f", "IOT-5.2a")
def test_a_nurse_sees_ventricular_fibrillation_within_ten_seconds_and_acknowledges_it(
    one_bed: Callable[[Recording], OneBed],
    captures: Path,
    open_page: Callable[..., Page],
    pictures: Path,
    accessible: Callable[[Page], list[str]],
) -> None:
    bed = one_bed(Recording(captures / "vfdb-419-vf", start_s=ONSET_S - QUIET_S, loop_pause_s=None))
    page = open_page("en")
    sign_in(page, bed)
    wait_until_open(bed)
    bed.switch_on()
    switched_on_s = time.monotonic()

    tile = page.locator("article.bed")
    expect(tile).to_have_attribute("data-link", "live", timeout=10_000)
    expect(tile).to_have_attribute("data-state", "quiet")
    page.wait_for_timeout(1000 * (QUIET_S - 2 - (time.monotonic() - switched_on_s)))
    expect(tile).to_have_attribute("data-state", "quiet")
    page.screenshot(path=pictures / "one-bed-quiet-en-1280.png")

    banner = page.locator("#banner")
    expect(banner).to_contain_text("Ventricular fibrillation", timeout=1000 * (WITHIN_S + 4))
    took_s = time.monotonic() - switched_on_s - QUIET_S
    print(f"onset to alarm on the page: {took_s:.1f} s")
    assert took_s <= WITHIN_S
    expect(tile).to_have_attribute("data-state", "high")
    page.screenshot(path=pictures / "one-bed-vf-en-1280.png")

    page.locator("#banner button").first.click()
    sheet = page.locator("aside.sheet")
    expect(sheet.locator("canvas").first).to_be_visible(timeout=5000)
    page.screenshot(path=pictures / "one-bed-sheet-en-1280.png")
    assert accessible(page) == []
    page.keyboard.press("a")
    expect(sheet.locator(".done")).to_be_visible(timeout=5000)
    page.screenshot(path=pictures / "one-bed-acknowledged-en-1280.png")

    for lang, width, height in (
        ("zh_Hans", 1280, 800),
        ("en", 1920, 1080),
        ("zh_Hans", 1920, 1080),
        ("zh_Hans", 390, 844),
    ):
        page.set_viewport_size({"width": width, "height": height})
        page.goto(f"{bed.url}/lang/{lang}?next=/ward/{WARD}")
        expect(tile).to_have_attribute("data-state", "high")
        page.wait_for_timeout(1500)
        page.screenshot(path=pictures / f"one-bed-alarm-{lang}-{width}.png")

    with closing(psycopg.connect(bed.database.admin_url)) as connection:
        stored = connection.execute("select alarm_id, acknowledged_by from alarm where code = %s", (V_FIB,)).fetchall()
        hops = {kind for (kind,) in connection.execute("select kind from alarm_event").fetchall()}
    assert len(stored) == 1
    assert stored[0][1]
    assert {"detected", "sent", "stored", "shown", "acknowledged"} <= hops
    bed.processes.stop("agent")
    assert stored[0][0] in made_by_the_edge(bed.edge_state / "spool")


def made_by_the_edge(folder: Path) -> set[UUID]:
    async def look() -> set[UUID]:
        spool = await Spool.open(folder, time.time_ns)
        try:
            return {alarm.id for alarm in spool.active_alarms()}
        finally:
            await spool.close()

    # the browser's client has a loop of its own in this thread
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, look()).result()


def test_a_normal_rhythm_is_shown_for_a_minute_without_anything_red(
    one_bed: Callable[[Recording], OneBed], captures: Path, open_page: Callable[..., Page], pictures: Path
) -> None:
    bed = one_bed(Recording(captures / "mitdb-100-normal", loop_pause_s=None))
    page = open_page("zh_Hans", 1920, 1080)
    sign_in(page, bed)
    wait_until_open(bed)
    bed.switch_on()
    tile = page.locator("article.bed")
    expect(tile).to_have_attribute("data-link", "live", timeout=10_000)
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        assert tile.get_attribute("data-state") == "quiet", tile.inner_text()
        page.wait_for_timeout(500)
    # 100's rhythm is 70 to 80 a minute (its annotations); the number stands where a nurse looks for it
    shown = re.search(r"\b(7\d|80)\b", tile.inner_text())
    assert shown, tile.inner_text()
    page.screenshot(path=pictures / "one-bed-normal-zh-1920.png")


def test_a_pulled_cable_is_told_on_the_strip_within_three_seconds(
    one_bed: Callable[[Recording], OneBed], captures: Path, open_page: Callable[..., Page], pictures: Path
) -> None:
    bed = one_bed(Recording(captures / "mitdb-100-normal", loop_pause_s=None))
    page = open_page("zh_Hans")
    sign_in(page, bed)
    wait_until_open(bed)
    bed.switch_on()
    tile = page.locator("article.bed")
    expect(tile).to_have_attribute("data-link", "live", timeout=10_000)
    page.wait_for_timeout(4000)
    bed.processes.stop("amplifier")
    began_s = time.monotonic()
    expect(tile).not_to_have_attribute("data-link", "live", timeout=5000)
    took_s = time.monotonic() - began_s
    print(f"pulled cable to words on the strip: {took_s:.1f} s")
    assert took_s <= 3.0
    page.wait_for_timeout(500)
    page.screenshot(path=pictures / "one-bed-link-lost-zh-1280.png")
