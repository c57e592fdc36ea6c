"""Figure `wall`: a ward page of 64 live strips on a display of 1920 by 1080, in frames a second, and what the browser takes for it."""

import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, cast

from playwright.sync_api import Browser, Page, expect, sync_playwright

from hub.migrations.runner import migrate
from tests.figures.alarm_path import FLAGS
from tests.figures.entry import Entry, Figure
from tests.fixtures.database import quiet
from tests.fixtures.synthetic_ward import synthetic_wards
from wardlink.local.database import create_database, stack_down, stack_up
from wardlink.local.debs import find_or_unpack_chromium
from wardlink.local.places import default_places

BEDS = 64
SETTLE_S, WATCH_S = 15.0, 20.0
# A frame counts when some line was painted in it.
_WATCH_LINES = """
    window.linesPainted = 0;
    const stroke = CanvasRenderingContext2D.prototype.stroke;
    CanvasRenderingContext2D.prototype.stroke = function (...path) { window.linesPainted += 1; return stroke.apply(this, path); };"""
_COUNT = """
    (seconds) => new Promise((done) => {
      const begun = performance.now();
      let frames = 0, lines = window.linesPainted, last = begun, longest = 0;
      const next = () => {
        const now = performance.now();
        if (window.linesPainted !== lines) {
          frames += 1;
          longest = Math.max(longest, now - last);
          [lines, last] = [window.linesPainted, now];
        }
        if (now - begun < seconds * 1000) requestAnimationFrame(next);
        else done({ frames, seconds: (now - begun) / 1000, longest_ms: longest });
      };
      requestAnimationFrame(next);
    })"""
# A bare canvas of the same size on which 64 lines are swept, for what this machine's Chromium can do at all.
_SKETCH = """
    () => {
      document.body.innerHTML = '<canvas width="1920" height="1080"></canvas>';
      const c = document.querySelector("canvas").getContext("2d", { alpha: false });
      let before = performance.now();
      const next = (now) => {
        const x = (now / 40) % 200, wide = Math.max(1, (now - before) / 40);
        for (let bed = 0; bed < 64; bed += 1) {
          const left = (bed % 10) * 190, top = Math.floor(bed / 10) * 150;
          c.fillStyle = "#0f161d";
          c.fillRect(left + x, top, wide + 8, 140);
          c.strokeStyle = "#4ade80";
          c.beginPath();
          for (let i = 0; i <= 8; i += 1) c.lineTo(left + x + (wide * i) / 8, top + 70 + 40 * Math.sin((now + i) / 90));
          c.stroke();
        }
        before = now;
        requestAnimationFrame(next);
      };
      requestAnimationFrame(next);
    }"""


class _Counted(TypedDict):
    frames: int
    seconds: float
    longest_ms: float


def _cpu_s(browser: Browser) -> dict[str, float]:
    """CPU seconds of each kind of the browser's processes so far, as it tells itself."""
    session = browser.new_browser_cdp_session()
    told = cast("Mapping[str, Sequence[Mapping[str, object]]]", session.send("SystemInfo.getProcessInfo"))
    session.detach()
    spent: dict[str, float] = {}
    for process in told["processInfo"]:
        kind = str(process["type"])
        spent[kind] = spent.get(kind, 0.0) + float(str(process["cpuTime"]))
    return spent


def _watch(browser: Browser, page: Page) -> tuple[_Counted, dict[str, float]]:
    """Frames and CPU seconds by kind of process over the watch."""
    before = _cpu_s(browser)
    counted = cast("_Counted", page.evaluate(_COUNT, WATCH_S))
    after = _cpu_s(browser)
    return counted, {kind: spent - before.get(kind, 0.0) for kind, spent in after.items()}


def measure(_: Path) -> Sequence[Entry]:
    """The page and then the sketch, in the same browser."""
    folder = Path(tempfile.mkdtemp(prefix="wl-"))
    folder.chmod(0o755)
    usual = default_places(os.environ, None)
    places, found = replace(usual, data=folder / "data", database_url=None), find_or_unpack_chromium(usual, quiet)
    made: list[Path] = []

    def short_folder() -> Path:
        made.append(folder / f"s{len(made)}")
        made[-1].mkdir(mode=0o700)
        return made[-1]

    try:
        database = create_database(stack_up(places, quiet), "figure_wall")
        migrate(database.url_for("wardlink_owner"))
        with (
            sync_playwright() as playwright,
            playwright.chromium.launch(
                executable_path=str(found.executable), env={**os.environ, **found.env}, args=list(FLAGS)
            ) as browser,
        ):
            page = browser.new_page(viewport={"width": 1920, "height": 1080})
            page.add_init_script(_WATCH_LINES)
            with synthetic_wards(database, short_folder) as make:
                ward = make(BEDS)
                ward.all_have_ecg = True
                ward.sign_in(page)
                expect(page.locator("article.bed[data-link='live']")).to_have_count(BEDS, timeout=60_000)
                time.sleep(SETTLE_S)
                strips = cast(
                    "int",
                    page.evaluate(
                        "[...document.querySelectorAll('canvas.trace')].filter((e) => e.checkVisibility({visibilityProperty: true}) && e.clientHeight > 20).length"
                    ),
                )
                ours = _watch(browser, page)
            page.goto("about:blank")
            page.evaluate(_SKETCH)
            time.sleep(2)
            sketch = _watch(browser, page)
    finally:
        stack_down(places, quiet)
        shutil.rmtree(folder, ignore_errors=True)
    return entries(strips, ours, sketch)


def entries(
    strips: int, ours: tuple[_Counted, dict[str, float]], sketch: tuple[_Counted, dict[str, float]]
) -> list[Entry]:
    """Frames a second, and the share of one core of all processes of the browser."""
    (counted, spent), (bare, bare_spent) = ours, sketch
    details: dict[str, object] = {
        "strips in sight": strips,
        "longest frame": f"{counted['longest_ms']:.0f} ms",
        "share of a core by process": ", ".join(
            f"{kind} {100 * cpu / counted['seconds']:.0f} %" for kind, cpu in sorted(spent.items()) if cpu > 0
        ),
        "bare canvas sketch": f"{bare['frames'] / bare['seconds']:.1f} frames/s at "
        f"{100 * sum(bare_spent.values()) / bare['seconds']:.0f} %",
    }
    return [
        Entry(
            id="wall-fps", group="pages", value=round(counted["frames"] / counted["seconds"], 1), unit="frames/s", gate=30, goal=60,
            reference="bare canvas sketch, in the details", higher_is_better=True, n=counted["frames"], details=details,
        ),
        Entry(
            id="wall-core", group="pages", value=round(100 * sum(spent.values()) / counted["seconds"]), unit="% of one core", gate=60,
            goal=None, reference="bare canvas sketch, in the details", higher_is_better=False, n=counted["frames"],
        ),
    ]  # fmt: skip


FIGURES = (
    Figure(
        "wall",
        "pages",
        measure,
        code=("hub", "protocols", "wardlink/web", "tests/figures", "tests/fixtures"),
        cached=False,
        yields=("wall-fps", "wall-core"),
    ),
)
