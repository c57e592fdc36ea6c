"""A ward page that cannot sound says so, and is a technical alarm on the engineer's page."""

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from hub.core.principal import Role
from tests.e2e.album import Album
from tests.fixtures.synthetic_ward import SyntheticWard

pytestmark = pytest.mark.e2e

# Keeps what a page makes of the browser's own AudioContext, so that it can be suspended as a browser or a system does.
KEPT = "const Own = AudioContext; globalThis.AudioContext = class extends Own { constructor() { super(); globalThis.kept = this; } };"


@pytest.mark.timeout(240)
def test_a_ward_page_without_sound_is_on_the_engineers_page_within_ten_seconds(
    synthetic_ward: Callable[[int], SyntheticWard],
    open_page: Callable[..., Page],
    album: Album,
) -> None:
    ward = synthetic_ward(2)
    engineer = open_page("en")
    ward.sign_in(engineer, "fan.wei", Role.ENGINEER)
    engineer.goto(f"{ward.url}/gateways")
    expect(engineer.locator("#screens")).to_have_attribute("data-mute", "0", timeout=10_000)
    at_ledger = engineer.context.new_page()
    at_ledger.goto(f"{ward.url}/devices")
    expect(at_ledger.locator("#screens")).to_have_attribute("data-mute", "0", timeout=10_000)
    expect(at_ledger.locator("#screens")).to_be_hidden()
    nurse = open_page("en")
    ward.sign_in(nurse)
    # A page that was opened by nobody's hand, as on a wall display after a power cut: the browser keeps it silent.
    began_s = time.monotonic()
    alone = nurse.context.new_page()
    alone.add_init_script(KEPT)
    alone.goto(f"{ward.url}/ward/7b")
    expect(alone.locator("#sound")).to_contain_text("sound off")
    expect(engineer.locator("#screens")).to_have_attribute("data-mute", "1", timeout=10_000)
    expect(at_ledger.locator("#screens")).to_contain_text("Ward 7B: alarms cannot be heard", timeout=10_000)
    print(f"mute page to the engineer's pages: {time.monotonic() - began_s:.1f} s")
    assert time.monotonic() - began_s <= 10
    expect(engineer.locator("#screens")).to_contain_text("Ward 7B: alarms cannot be heard")
    album.fill(engineer, "gateways-mute", lambda page: expect(page.locator("#screens li")).to_have_count(1))
    at_ledger.goto(f"{ward.url}/quarantine")
    expect(at_ledger.locator("#screens")).to_contain_text("Ward 7B: alarms cannot be heard")
    alone.locator("#sound").click()
    expect(alone.locator("#sound")).to_contain_text("sound on")
    expect(engineer.locator("#screens")).to_have_attribute("data-mute", "0", timeout=10_000)
    expect(at_ledger.locator("#screens")).to_be_hidden(timeout=10_000)

    # sound that was on, and is taken away beneath the page
    assert alone.evaluate("kept.suspend().then(() => kept.state)") == "suspended"
    expect(alone.locator("#sound")).to_contain_text("sound off")
    expect(engineer.locator("#screens")).to_contain_text("Ward 7B: alarms cannot be heard", timeout=10_000)
    assert alone.evaluate("kept.resume().then(() => kept.state)") == "running"
    expect(alone.locator("#sound")).to_contain_text("sound on")
    expect(engineer.locator("#screens")).to_have_attribute("data-mute", "0", timeout=10_000)
    told = "select action from audit where target like 'screen:%%' order by seq"
    assert [action for (action,) in ward.hub.rows(told)] == ["screen.mute", "screen.heard"] * 2

    at_bed = nurse.context.new_page()  # a bed's own page is as mute, and says so
    at_bed.goto(f"{ward.url}/ward/7b/bed/1")
    expect(at_bed.locator("#sound")).to_contain_text("sound off")
    expect(at_ledger.locator("#screens")).to_contain_text("Ward 7B: alarms cannot be heard", timeout=10_000)
