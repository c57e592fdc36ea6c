"""The 12-lead view in a browser: what a cart left in a watched folder is on millimetre paper as it was recorded."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from hub.core.principal import Role
from protocols.ecgfile.wfdb import read_record
from tests.fixtures.cart import leave_ecg
from tests.fixtures.synthetic_ward import SyntheticWard

pytestmark = pytest.mark.e2e
CART = "cart-2"
# On A4 across: 297 mm less margins of 10 mm, at 96 dpi as the browser counts paper.
PAPER_MM = 277.0


@pytest.fixture
def with_cart(synthetic_ward: Callable[[int], SyntheticWard], captures: Path) -> SyntheticWard:
    """A ward of one monitored bed, and bed 2 with a cart that has left a file of 12 leads."""
    ward = synthetic_ward(1)
    leave_ecg(ward, captures / "ludb-101-af", CART, "2")
    return ward


@pytest.mark.timeout(240)
def test_the_sheet_shows_the_recording_at_25_mm_a_second_and_10_mm_a_millivolt(
    with_cart: SyntheticWard,
    captures: Path,
    open_page: Callable[..., Page],
    pictures: Path,
    accessible: Callable[[Page], list[str]],
) -> None:
    page = open_page("en")
    with_cart.sign_in(page, "li.na", Role.NURSE)
    tile = page.locator("article.bed[data-bed='2']")
    expect(tile).to_have_attribute("data-shape", "ecg", timeout=20_000)
    expect(tile.locator(".still polyline").first).to_be_visible(timeout=10_000)
    expect(tile).to_contain_text("recorded, not live")
    page.wait_for_timeout(4000)
    assert tile.get_attribute("data-state") == "quiet", "a recording that has ended is no lost link"
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ecg/*")
    lines = page.locator("polyline.ecg-line")
    expect(lines).to_have_count(13)

    truth = read_record(captures / "ludb-101-af")
    mv, fs_hz = truth.physical(), truth.fs_hz
    leads = [signal.description.upper() for signal in truth.header.signals]
    for at in range(13):
        line = lines.nth(at)
        code = (line.get_attribute("data-lead") or "").rpartition("_")[2]
        from_s, zero_mm = float(line.get_attribute("data-from") or 0), float(line.get_attribute("data-zero-mm") or 0)
        points = [tuple(map(float, p.split(","))) for p in (line.get_attribute("points") or "").split()]
        assert len(points) == (5000 if at == 12 else 1250)
        for k in (0, 100, 617, 1249):
            sample_mv = float(mv[leads.index(code), round(from_s * fs_hz) + k])
            assert points[k][0] - points[0][0] == pytest.approx(k / fs_hz * 25, abs=0.002)
            # the cart's file has steps of 2.5 uV, which is 0.025 mm
            assert zero_mm - points[k][1] == pytest.approx(sample_mv * 10, abs=0.014)

    scale = page.evaluate("document.querySelector('.ecg-sheet').getBoundingClientRect().width / 263")
    assert scale == pytest.approx(96 / 25.4, rel=0.002), "true size at first"
    page.keyboard.press("+")
    expect(page.locator("#zoom")).to_have_text("125 %")
    page.keyboard.press("0")
    assert accessible(page) == []
    page.emulate_media(media="print")
    printed = page.evaluate("document.querySelector('.ecg-sheet').getBoundingClientRect().width / 96 * 25.4")
    assert printed == pytest.approx(263, abs=0.3), "true millimetres on paper"
    assert printed < PAPER_MM
    page.screenshot(path=pictures / "ecg-print.png", full_page=True)
    page.emulate_media(media="screen")
    page.keyboard.press("Escape")
    page.wait_for_url("**/ward/7b")
