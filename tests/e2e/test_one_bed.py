"""One bed on the page with real parts, from the amplifier on a serial line to a nurse's browser: what is no alarm."""

import itertools
import os
import re
import signal
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from protocols.ecgfile.wfdb import read_record
from tests.fixtures.drawn import Sweep, low_cut, read_sweep, recognise, ruled_px_per_mm
from tests.fixtures.one_bed import sign_in, switch_on_when_open
from wardlink.demo.one_bed import DEVICE, WARD, OneBed, Recording

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]  # a minute of it is looked at, on a machine that does more

SWEPT_S = 20.0
SLEW = 0.04  # by so much the pen may run faster or slower while it closes in on the present (playout.js)


def test_a_normal_rhythm_is_shown_for_a_minute_without_anything_red_and_within_three_seconds_that_the_hub_is_mute_and_that_the_cable_is_pulled(
    one_bed: Callable[[Recording], OneBed], captures: Path, open_page: Callable[..., Page], pictures: Path
) -> None:
    bed = one_bed(Recording(captures / "mitdb-100-normal", loop_pause_s=None))
    page = open_page("zh_Hans")
    sign_in(page, bed)
    switch_on_when_open(bed)
    tile = page.locator("article.bed")
    expect(tile).to_have_attribute("data-link", "live", timeout=10_000)
    # A page that is slow to open finds an alarm that the device, not switched on yet, was not heard; it ends with the first samples.
    expect(tile).to_have_attribute("data-state", "quiet", timeout=10_000)
    trace = tile.locator("canvas.trace").first
    sweeps: list[Sweep] = []
    until_s = time.monotonic() + 60
    for turn in itertools.count():
        assert tile.get_attribute("data-state") == "quiet", tile.inner_text()
        if time.monotonic() > until_s:
            break
        if turn % 4 == 0 and time.monotonic() > until_s - SWEPT_S:
            sweeps.append(read_sweep(trace))
        page.wait_for_timeout(500)
    # 100's rhythm is 70 to 80 a minute (its annotations); the number stands where a nurse looks for it
    shown = re.search(r"\b(7\d|80)\b", tile.inner_text())
    assert shown, tile.inner_text()
    page.screenshot(path=pictures / "one-bed-normal-zh-1280.png")
    px_per_mm = ruled_px_per_mm(trace)
    assert px_per_mm == pytest.approx(96 / 25.4, rel=0.005)  # CSS Values 3, 6.2; nobody has held a card to this screen
    check_the_pen_runs_at_25_mm_a_second(sweeps, px_per_mm)
    gain = re.search(r"(\d+) mm/mV", tile.locator(".strip .tag").first.inner_text())
    assert gain
    check_a_mute_hub_is_told(bed, page)
    check_a_pulled_cable_is_told(bed, page)
    page.screenshot(path=pictures / "one-bed-link-lost-zh-1280.png")
    page.goto(f"{bed.url}/lang/en?next=/ward/{WARD}")
    expect(page.locator("article.bed")).to_contain_text("No data since", timeout=15_000)
    page.screenshot(path=pictures / "one-bed-link-lost-en-1280.png")

    last = sweeps[-1]
    edge_px = last.newest(round(9 * 25 * px_per_mm))
    assert np.isnan(edge_px).mean() <= 0.01, "the pen never leaves the paper while there is a signal"
    record = read_record(captures / "mitdb-100-normal")
    curve = recognise(edge_px, px_per_mm, low_cut(record.physical()[0], record.fs_hz), record.fs_hz)
    print(f"9 s of the strip are {curve}")
    assert curve.correlation > 0.97
    assert curve.mm_per_s == pytest.approx(25, rel=0.011)
    assert curve.mm_per_mv == pytest.approx(int(gain[1]), rel=0.06)


def check_a_mute_hub_is_told(bed: OneBed, page: Page) -> None:
    """The page's own connection is there and says nothing any more, as behind a cable that is cut; then it is mended."""
    web = bed.processes.pid("web")
    os.kill(web, signal.SIGSTOP)
    try:
        check_it_is_not_live_soon(page, "mute hub")
    finally:
        os.kill(web, signal.SIGCONT)
    expect(page.locator("article.bed")).to_have_attribute("data-link", "live", timeout=15_000)


def check_a_pulled_cable_is_told(bed: OneBed, page: Page) -> None:
    bed.processes.kill(DEVICE)
    check_it_is_not_live_soon(page, "pulled cable")
    page.wait_for_timeout(500)


def check_it_is_not_live_soon(page: Page, cause: str) -> None:
    began_s = time.monotonic()
    expect(page.locator("article.bed")).not_to_have_attribute("data-link", "live", timeout=5000)
    took_s = time.monotonic() - began_s
    print(f"{cause} to words on the strip: {took_s:.1f} s")
    assert took_s <= 3.0


def check_the_pen_runs_at_25_mm_a_second(sweeps: list[Sweep], px_per_mm: float) -> None:
    """By where the pen was at each look, and the bar of bare paper ahead of it."""
    length = len(sweeps[0].top_px)
    moved_px = [(b.head - a.head) % length for a, b in pairwise(sweeps)]
    times_s = [b.at_s - sweeps[0].at_s for b in sweeps]
    places_mm = np.cumsum([0, *moved_px]) / px_per_mm
    speed = float(np.polyfit(times_s, places_mm, 1)[0])
    print(f"the pen ran {places_mm[-1]:.0f} mm in {times_s[-1]:.1f} s: {speed:.2f} mm/s")
    assert speed == pytest.approx(25, rel=SLEW)
    assert all(moved > 0 for moved in moved_px)
    assert [one.bare / px_per_mm for one in sweeps] == pytest.approx([6.0] * len(sweeps), abs=1.1)
