"""The hub is away for a while: the ward page goes on from the gateway by itself, and back, and what was done meanwhile reaches the hub."""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from urllib.request import urlopen

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from protocols.nomenclature import V_FIB
from tests.e2e.album import Album, wait_for_ink
from tests.e2e.asking import wait_until
from tests.e2e.conftest import visitors
from tests.e2e.listening import LISTEN
from tests.e2e.watching import WATCH, holes
from tests.fixtures.one_bed import sign_in, switch_on_when_open
from wardlink.demo.commands import CAPTURES
from wardlink.demo.installation import GATEWAY
from wardlink.demo.one_bed import BED, WARD, OneBed, Recording
from wardlink.local.database import Database
from wardlink.local.places import Places

pytestmark = pytest.mark.e2e

FLUTTER_S = 60.0  # of the excerpt (tests/captures/ATTRIBUTION.md)
BEFORE_S = 22.0  # it begins so long before
AWAY_S = 20.0
KNOWN_WITHIN_S, HEARD_WITHIN_S = 10.0, 30.0


@pytest.fixture
def bed(
    usual_places: Places,
    short_folder: Callable[[], Path],
    hub_database: Database,
) -> Iterator[OneBed]:
    """A bed whose gateway has a page of its own, by https with a certificate of the hub's authority."""
    recording = Recording(CAPTURES / "vfdb-419-vf", start_s=FLUTTER_S - BEFORE_S, loop_pause_s=None)
    with OneBed(usual_places, short_folder(), recording, database=hub_database, secure_local_page=True) as made:
        until_s = time.monotonic() + KNOWN_WITHIN_S
        while not rows(made, "select 1 from gateway where status ->> 'local_page' like 'https://127.0.0.1:%'"):
            assert time.monotonic() < until_s, "the gateway did not tell where its page is"
            time.sleep(0.1)
        yield made


@pytest.fixture
def open_trusting(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """A page of a browser on which the hub's authority was installed."""
    with visitors(chromium, trusting=True) as make:
        yield make


def rows(bed: OneBed, query: str) -> list[tuple[object, ...]]:
    with closing(psycopg.connect(bed.database.admin_url)) as connection:
        return connection.execute(query.encode()).fetchall()


def wall(moment: object) -> str:
    """A moment of the database as the browser writes it: both have the zone of this machine."""
    assert isinstance(moment, datetime)
    return f"{moment.astimezone():%H:%M:%S}"


def test_the_ward_page_goes_on_from_the_gateway_while_the_hub_is_away_and_nothing_is_missing_afterwards(
    bed: OneBed,
    open_trusting: Callable[..., Page],
    pictures: Path,
    accessible: Callable[[Page], list[str]],
    album: Album,
) -> None:
    page = open_trusting("en")
    page.add_init_script(WATCH)
    sign_in(page, bed)
    album.choose(page, "zh_Hans", "")
    chinese = page.context.new_page()
    with chinese.expect_response("**/gateways"):
        chinese.goto(page.url)
    switch_on_when_open(bed)
    on_s = time.monotonic()
    tile = page.locator("article.bed")
    expect(tile).to_have_attribute("data-link", "live", timeout=10_000)
    page.wait_for_timeout(6000)

    bed.stop_hub()
    gone_s = time.monotonic()
    notice = page.locator("#notice")
    expect(notice).to_contain_text(f"the beds come from the gateway ({GATEWAY})", timeout=7000)
    print(f"hub ended to the words on the page: {time.monotonic() - gone_s:.1f} s")
    from_gateway = "window.seen.filter(([url]) => url.startsWith('wss:')).length"
    wait_until(page, f"{from_gateway} > 10", within_s=5)
    page.screenshot(path=pictures / "local-over-en-1280.png")
    expect(chinese.locator("#notice")).to_contain_text(GATEWAY, timeout=5000)
    album.themes(chinese, "local-over-zh_Hans")
    chinese.close()
    album.themes(page, "local-over-en")

    banner = page.locator("#banner")
    while time.monotonic() < on_s + BEFORE_S - 1:
        assert tile.get_attribute("data-link") == "live", "the strip stood still"
        page.wait_for_timeout(250)
    expect(banner).to_contain_text("Ventricular fibrillation", timeout=12_000)
    print(f"flutter to alarm on the page, from the gateway: {time.monotonic() - on_s - BEFORE_S:.1f} s")
    banner.locator("button").first.click()
    sheet = page.locator("aside.sheet")
    expect(sheet.locator("canvas").first).to_be_visible(timeout=5000)
    page.keyboard.press("a")
    expect(sheet.locator(".done")).to_be_visible(timeout=5000)
    page.screenshot(path=pictures / "local-over-acknowledged-en-1280.png")
    assert accessible(page) == []
    page.wait_for_timeout(max(0, round(1000 * (gone_s + AWAY_S - time.monotonic()))))

    bed.start_hub()
    back_s = time.monotonic()
    expect(notice).to_be_hidden(timeout=30_000)
    print(f"hub ready to the page being back: {time.monotonic() - back_s:.1f} s")
    page.wait_for_timeout(5000)
    expect(tile).to_have_attribute("data-link", "live")
    expect(sheet.locator(".done")).to_contain_text("by nurse at")
    frames = page.evaluate("window.seen")
    assert holes(frames) == []
    assert [frame for frame in frames if frame[1] == 2] == [], "a gap was drawn"
    assert page.evaluate("window.seen.at(-1)[0]").startswith("ws:"), "the last samples are the hub's"
    page.screenshot(path=pictures / "local-back-en-1280.png")

    late = "stored_at > acknowledged_at"  # the alarm itself came to the hub when it had been seen
    [(alarm, by, was_late)] = rows(bed, f"select alarm_id, acknowledged_by, {late} from alarm where code = '{V_FIB}'")
    assert was_late
    assert str(by).startswith("user:")
    events = rows(
        bed,
        f"select who, params ->> 'gateway', at < stored_at - interval '2 s' from alarm_event where alarm_id = '{alarm}' and kind = 'acknowledged'",
    )
    assert events == [(by, f"gateway:{GATEWAY}", True)], "who, where, and both times: given there, heard of here"
    audited = rows(bed, f"select body::jsonb ->> 'principal' from audit where body like '%alarm.acknowledge%{alarm}%'")
    assert audited == [(by,)]

    # On the hub's page of the bed the alarm stands with both times: when it began, and when the hub heard of it.
    [(began, came)] = rows(bed, f"select onset, stored_at from alarm where alarm_id = '{alarm}'")
    album.choose(page, "en", "")
    page.goto(f"{bed.url}/ward/{WARD}/bed/{BED}")
    told = page.locator("#story-list li.is-alarm", has_text="Ventricular fibrillation").locator(".late")
    expect(told).to_contain_text(f"Began {wall(began)}, reached the hub {wall(came)}: ")
    told.scroll_into_view_if_needed()
    page.screenshot(path=pictures / "local-late-en-1280.png")

    # The hub's pages are there and ingest alone is not: the beds come from the gateway all the same.
    with page.expect_response("**/gateways"):
        page.goto(f"{bed.url}/ward/{WARD}")
    expect(tile).to_have_attribute("data-link", "live", timeout=10_000)
    bed.processes.stop("ingest")
    expect(notice).to_contain_text(f"The hub hears nothing of {GATEWAY}", timeout=15_000)
    wait_until(page, f"{from_gateway} > 10", within_s=10)
    expect(tile).to_have_attribute("data-link", "live")
    bed.start_hub("ingest")
    expect(notice).to_be_hidden(timeout=30_000)


def test_the_gateways_own_page_shows_its_beds_without_the_hub_to_whoever_came_by_the_link(
    bed: OneBed, open_trusting: Callable[..., Page], pictures: Path, album: Album
) -> None:
    ward = open_trusting("en")
    with ward.expect_response("**/gateways"):
        sign_in(ward, bed)
    switch_on_when_open(bed)
    addresses: dict[str, str] = {}
    for lang in ("en", "zh_Hans"):
        with ward.expect_response("**/gateways"):
            ward.goto(f"{bed.url}/lang/{lang}?next=/ward/{WARD}")
        ward.keyboard.press("?")
        address = ward.locator('aside.sheet a[href*="#ticket="]').get_attribute("href")
        assert address
        addresses[lang] = address
        ward.screenshot(path=pictures / f"local-link-{lang}-1280.png")
    ward.close()
    origin = addresses["en"].partition("/#")[0]
    trust = ssl.create_default_context(cafile=str(bed.edge_state / "identity" / "ca.pem"))
    with urlopen(f"{origin}/", context=trust) as answer:  # the chain and the name are checked here
        assert answer.status == 200
    bed.stop_hub()

    live: list[Page] = []
    for lang, address in addresses.items():
        stranger = open_trusting(lang)
        stranger.goto(f"{origin}/")
        expect(stranger.locator("h1")).to_contain_text(GATEWAY)
        assert stranger.locator("article.bed").count() == 0
        album.themes(stranger, f"local-door-{lang}")

        page = open_trusting(lang)
        page.add_init_script(LISTEN)
        live.append(page)
        page.goto(address)
        expect(page.locator("article.bed")).to_have_attribute("data-link", "live", timeout=10_000)
        assert "ticket" not in page.url
        expect(page.locator("h1")).to_have_text(WARD.upper())  # its name, and not its word in addresses
        expect(page.locator("#banner button").first).to_be_visible(timeout=1000 * (BEFORE_S + 20))
        wait_for_ink(page, "article.bed .strip canvas")
        album.themes(page, f"local-alarm-{lang}")
    page, other = live
    page.keyboard.press("a")  # a browser lets a page sound when somebody has pressed something
    wait_until(page, "window.tones.length >= 10", within_s=10)
    page.keyboard.press("a")
    expect(page.locator("aside.sheet .done")).to_be_visible(timeout=5000)
    other.keyboard.press("a")
    expect(other.locator("aside.sheet .done")).to_be_visible(timeout=5000)  # heard of it on another screen
    page.reload()
    expect(page.locator("article.bed")).to_have_attribute("data-link", "live", timeout=10_000)

    bed.start_hub()
    given = "select who, params ->> 'gateway', at < stored_at from alarm_event where kind = 'acknowledged'"
    until_s = time.monotonic() + HEARD_WITHIN_S
    while not (heard := rows(bed, given)):
        assert time.monotonic() < until_s, "the hub did not hear of the acknowledgement"
        time.sleep(0.2)
    [(who, where, earlier)] = heard
    assert (str(who).startswith("user:"), where, earlier) == (True, f"gateway:{GATEWAY}", True)
