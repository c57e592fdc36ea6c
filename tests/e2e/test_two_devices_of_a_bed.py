"""A bed with an amplifier and an oximeter: each wave as what it is, and one device that stops while the other goes on."""

import os
import signal
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.album import Album, ink, wait_for_ink
from tests.fixtures.one_bed import accept, switch_on_when_open
from wardlink.demo.beds import DemoBed
from wardlink.demo.commands import CAPTURES
from wardlink.demo.installation import WARD, Installation
from wardlink.demo.rigs.rig import Recording
from wardlink.demo.rigs.serial import amplifier, oximeter
from wardlink.local.database import Database
from wardlink.local.places import Places

pytestmark = pytest.mark.e2e

PLETH = '.strip:has(canvas[aria-label$="Pleth"])'
# The rows of the screen in which a canvas has a colour of the tokens, from the first to the last, as shares of its height.
REACH = """
([selector, name]) => {
  const canvas = document.querySelector(selector);
  const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim().slice(1);
  const [r, g, b] = [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const inked = Array.from({ length: canvas.height }, (_, y) => {
    let n = 0;
    for (let i = 4 * y * canvas.width; i < 4 * (y + 1) * canvas.width; i += 4) n += Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 30;
    return n;
  });
  const rows = inked.flatMap((n, y) => (n ? [y] : []));
  return { first: rows[0] / canvas.height, last: rows.at(-1) / canvas.height, most: Math.max(...inked) / canvas.width };
}"""


@pytest.fixture
def bed(usual_places: Places, short_folder: Callable[[], Path], hub_database: Database) -> Iterator[Installation]:
    ecg = amplifier(
        "amplifier-1", [Recording(CAPTURES / "mitdb-100-normal", loop_pause_s=None)], {"1": "II", "2": "V1"}
    )
    pleth = oximeter("oximeter-1", Recording(CAPTURES / "cinc2015-f545l-vf", loop_pause_s=None))
    beds = [DemoBed("1", "Zhang Demo", "male", date(1959, 3, 1), (ecg, pleth))]
    with Installation(usual_places, short_folder(), beds, database=hub_database) as made:
        yield made


def test_a_pleth_is_drawn_as_one_and_a_device_that_stops_is_told_on_its_own_strips(
    bed: Installation, open_page: Callable[..., Page], pictures: Path, album: Album
) -> None:
    page = open_page("en", 1920, 1080)
    accept(page, bed.invite("nurse"))
    switch_on_when_open(bed)
    page.goto(f"{bed.url}/ward/{WARD}/bed/1")
    pleth = page.locator(PLETH)
    wait_for_ink(page, f"{PLETH} canvas", colour="spo2")
    page.wait_for_timeout(8000)  # a few beats, fitted
    assert ink(page, f"{PLETH} canvas", "ecg") == 0
    expect(pleth.locator(".tag")).to_have_text("Pleth25 mm/s")
    reach = page.evaluate(REACH, [f"{PLETH} canvas", "spo2"])
    assert 0.02 < reach["first"] < 0.3, "the top of the wave is in the row, and high in it"
    assert 0.7 < reach["last"] < 0.98
    assert reach["most"] < 0.3, "no line at which the wave was cut off"
    expect(page.locator(".strip .tag").first).to_contain_text("10 mm/mV")
    page.screenshot(path=pictures / "bed-pleth-en-1920.png")

    # one device falls silent: its strip says so and since when, the other's goes on
    tile, first = page.locator("article.bed"), page.locator(".strip").first
    os.kill(bed.processes.pid("oximeter-1"), signal.SIGSTOP)
    expect(pleth.locator(".lost-note")).to_contain_text("No data since", timeout=3500)
    expect(first.locator(".lost-note")).to_be_hidden()
    expect(page.locator(".num[data-code=MDC_PULS_OXIM_SAT_O2]")).to_contain_text("ago", timeout=10_000)
    page.screenshot(path=pictures / "bed-pleth-lost-en-1920.png")
    os.kill(bed.processes.pid("oximeter-1"), signal.SIGCONT)
    expect(pleth.locator(".lost-note")).to_be_hidden()
    expect(tile).to_have_attribute("data-link", "live")

    os.kill(bed.processes.pid("amplifier-1"), signal.SIGSTOP)
    expect(first.locator(".lost-note")).to_contain_text("No data since", timeout=3500)
    expect(pleth.locator(".lost-note")).to_be_hidden()
    expect(tile).to_have_attribute("data-link", "device_silent", timeout=15_000)
    expect(page.locator(".num[data-code=MDC_ECG_HEART_RATE]")).to_contain_text("ago")
    album.themes(page, "bed-ecg-lost-en")
    os.kill(bed.processes.pid("amplifier-1"), signal.SIGCONT)
    expect(first.locator(".lost-note")).to_be_hidden()
    expect(tile).to_have_attribute("data-link", "live")
