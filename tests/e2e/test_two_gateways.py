"""A ward whose beds stand at two gateways: the page asks for itself only the one that the hub does not hear, and both when the hub is away."""

import asyncio
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Response, expect

from edge.identity import load_identity, save_identity
from tests.e2e.asking import wait_until
from tests.e2e.watching import WATCH, Seen, holes
from tests.fixtures.one_bed import sign_in, switch_on_when_open
from tests.fixtures.ports import free_port
from tests.fixtures.tcp_proxy import Proxy
from wardlink.demo.beds import DemoBed, seed
from wardlink.demo.commands import CAPTURES
from wardlink.demo.installation import GATEWAY, command, plain_environment
from wardlink.demo.one_bed import WARD, OneBed, Recording
from wardlink.demo.rigs.serial import amplifier
from wardlink.local.database import Database
from wardlink.local.places import Places

pytestmark = pytest.mark.e2e

OTHER = "gateway-7c"
VF_S = 60.0  # of the excerpt (tests/captures/ATTRIBUTION.md)
ASKED_AGAIN_WITHIN_S = (
    60.0  # a page that lacks the gateway of one of its beds, with what it takes to sign in on a busy machine
)


@dataclass
class Line:
    """The second gateway's way to the hub, which can be cut and mended while both ends stand."""

    proxy: Proxy
    loop: asyncio.AbstractEventLoop

    def cut(self) -> None:
        self.loop.call_soon_threadsafe(self.proxy.swallow)

    def mend(self) -> None:
        self.loop.call_soon_threadsafe(self.proxy.heal)


@contextmanager
def line_to(port: int) -> Generator[Line]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    proxy = Proxy(port)
    asyncio.run_coroutine_threadsafe(proxy.__aenter__(), loop).result(10)
    try:
        yield Line(proxy, loop)
    finally:
        asyncio.run_coroutine_threadsafe(proxy.__aexit__(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@dataclass
class Ward:
    """Bed 1 at the first gateway, bed 2 at the other."""

    bed: OneBed
    line: Line
    other_page: int  # port of the other gateway's own page


@pytest.fixture
def ward(usual_places: Places, short_folder: Callable[[], Path], hub_database: Database) -> Iterator[Ward]:
    recording = Recording(CAPTURES / "mitdb-100-normal", start_s=0.0, loop_pause_s=None)
    with (
        OneBed(usual_places, short_folder(), recording, database=hub_database) as bed,
        line_to(bed.ports["uplink"]) as line,
    ):
        made = Ward(bed, line, free_port())
        start_other(made, short_folder())
        yield made
        bed.processes.stop("agent-7c")


def start_other(ward: Ward, folder: Path) -> None:
    """The second gateway, by the commands of an installation; its papers lead it to the hub over the line."""
    bed = ward.bed
    playing = Recording(CAPTURES / "vfdb-419-vf", loop_pause_s=None)
    rig = amplifier("amplifier-2", [playing], {"1": "II"})
    (folder / "seed.toml").write_text(
        seed(WARD, [DemoBed("2", "Li Demo", "female", date(1961, 5, 2), (rig,))]), "utf-8"
    )
    bed.hub("seed", "--file", str(folder / "seed.toml"))
    rig.start(bed.ground, bed.processes, plain_environment())
    token = bed.hub("gateway", "add", OTHER, "--address", "127.0.0.1").strip().splitlines()[0]
    state, config = folder / "edge", folder / "edge.toml"
    bed.run("edge", "enrol", token, "--state", str(state), env=plain_environment())
    save_identity(state, replace(load_identity(state), uplink=f"127.0.0.1:{ward.line.proxy.port}"))
    config.write_text(
        f'state_dir = "{state}"\n{rig.settings(bed.ground)}'
        f'[local_page]\nlisten = "127.0.0.1:{ward.other_page}"\ntls = false\n',
        "utf-8",
    )
    bed.processes.start("agent-7c", command("edge", "run", "--config", str(config)), plain_environment())


def both_are_told(answer: Response) -> bool:
    """Whether the hub tells where the pages of both gateways are."""
    return answer.url.endswith("/gateways") and len(answer.json()["gateways"]) == 2


def key_at_hub(page: Page, bed: str) -> int:
    """By which the hub's frames name a bed."""
    asked = "async (bed) => (await (await fetch('/api/v1/ward/7b')).json()).beds.find((one) => one.id === bed).key"
    key = page.evaluate(asked, bed)
    assert isinstance(key, int)
    return key


def at(port: int) -> str:
    """Whether a frame came over this port, as a script asks."""
    return f"new URL(url).port === '{port}'"


def of_bed(frames: list[Seen], hub: tuple[int, int], gateway: int) -> list[Seen]:
    """The frames of a bed: from the hub's port by its key there, or from the port of the page that shows this bed alone."""
    came = [(urlsplit(frame[0]).port, frame) for frame in frames]
    return [frame for port, frame in came if port == gateway or (port, frame[2]) == hub]


def test_only_the_gateway_that_the_hub_does_not_hear_is_asked_itself_and_both_are_when_the_hub_is_away(
    ward: Ward, open_page: Callable[..., Page], pictures: Path
) -> None:
    bed, own, other = ward.bed, ward.bed.ports["local_page"], ward.other_page
    page = open_page("en")
    page.add_init_script(WATCH)
    with page.expect_response(both_are_told, timeout=1000 * ASKED_AGAIN_WITHIN_S):
        sign_in(page, bed)
        switch_on_when_open(bed)
    first, second = (page.locator(f'article.bed[data-bed="{n}"]') for n in (1, 2))
    notice = page.locator("#notice")
    for tile in (first, second):
        expect(tile).to_have_attribute("data-link", "live")
    at_hub = {n: (bed.ports["web"], key_at_hub(page, n)) for n in ("1", "2")}
    for port, key in at_hub.values():  # both stream, by way of the hub
        wait_until(page, f"window.seen.filter(([url, , bed]) => {at(port)} && bed === {key}).length > 20", within_s=30)

    ward.line.cut()
    expect(notice).to_contain_text(f"The hub hears nothing of {OTHER}: its beds come from the gateway itself")
    wait_until(page, f"window.seen.filter(([url]) => {at(other)}).length > 10", within_s=15)
    expect(second).to_have_attribute("data-link", "live")
    expect(page.locator("#banner")).to_contain_text("Ventricular fibrillation", timeout=1000 * (VF_S + 15))
    page.screenshot(path=pictures / "two-gateways-apart-en-1280.png")
    assert page.evaluate(f"window.seen.filter(([url]) => {at(own)}).length") == 0, "the hub hears the first"
    expect(first).to_have_attribute("data-link", "live")

    ward.line.mend()
    expect(notice).to_be_hidden(timeout=40_000)
    expect(page.locator("#banner")).to_contain_text("Ventricular fibrillation")
    page.wait_for_timeout(4000)
    frames = page.evaluate("window.seen")
    assert holes(of_bed(frames, at_hub["1"], own)) == []
    assert holes(of_bed(frames, at_hub["2"], other)) == []
    assert not [frame for frame in frames if frame[1] == 2], "a gap was drawn"

    bed.stop_hub()
    expect(notice).to_contain_text(f"the beds come from the gateway ({GATEWAY}, {OTHER})")
    for port in (own, other):
        wait_until(page, f"window.seen.slice({len(frames)}).filter(([url]) => {at(port)}).length > 10", within_s=15)
    for tile in (first, second):
        expect(tile).to_have_attribute("data-link", "live")
    page.screenshot(path=pictures / "two-gateways-over-en-1280.png")
