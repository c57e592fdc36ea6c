"""One bed on the page with real parts, from the amplifier on a serial line to a nurse's browser: what is no alarm."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.one_bed import sign_in, switch_on_when_open
from wardlink.demo.one_bed import DEVICE, OneBed, Recording

pytestmark = pytest.mark.e2e


def test_a_normal_rhythm_is_shown_for_a_minute_without_anything_red(
    one_bed: Callable[[Recording], OneBed], captures: Path, open_page: Callable[..., Page], pictures: Path
) -> None:
    bed = one_bed(Recording(captures / "mitdb-100-normal", loop_pause_s=None))
    page = open_page("zh_Hans", 1920, 1080)
    sign_in(page, bed)
    switch_on_when_open(bed)
    tile = page.locator("article.bed")
    expect(tile).to_have_attribute("data-link", "live", timeout=10_000)
    # A page that is slow to open finds an alarm that the device, not switched on yet, was not heard; it ends with the first samples.
    expect(tile).to_have_attribute("data-state", "quiet", timeout=10_000)
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
    switch_on_when_open(bed)
    tile = page.locator("article.bed")
    expect(tile).to_have_attribute("data-link", "live", timeout=10_000)
    page.wait_for_timeout(4000)
    began_s = time.monotonic()
    bed.processes.kill(DEVICE)
    expect(tile).not_to_have_attribute("data-link", "live", timeout=5000)
    took_s = time.monotonic() - began_s
    print(f"pulled cable to words on the strip: {took_s:.1f} s")
    assert took_s <= 3.0
    page.wait_for_timeout(500)
    page.screenshot(path=pictures / "one-bed-link-lost-zh-1280.png")
