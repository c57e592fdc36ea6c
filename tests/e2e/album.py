"""Pictures of an open page in every language, theme and size, and what must hold in each: axe finds nothing, nothing scrolls sideways.

A theme changes colours alone, so the second one is taken in the first size; `WARDLINK_LONG=1` takes it in all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, expect

from tests.e2e.asking import wait_until
from tests.fixtures.long_form import LONG

LANGS = {"zh_Hans": "zh-Hans", "en": "en"}  # ours, and as a page says it
THEMES = ("day", "night")
SIZES = ((1280, 800), (1920, 1080), (390, 844))
USUAL: ViewportSize = {"width": 1280, "height": 800}
TOUCHED = 700  # narrower pages are those of phones, which are touched
BETWEEN: ViewportSize = {"width": 900, "height": 700}  # a size of no picture, so that the first one is painted anew too

_THEME = "(theme) => { document.documentElement.dataset.theme = theme; }"
# What a new size or theme changes is painted in the frames behind it.
_SETTLED = """
() => new Promise((done) => {
  let left = document.querySelector("canvas") ? 4 : 1;
  const next = () => (left-- ? requestAnimationFrame(next) : done());
  next();
})"""
# What does not fit: the page, or a box that only the mouse could move (a region that the keyboard reaches may).
_SIDEWAYS = """
() => [...document.querySelectorAll("html, body, body *")]
  .filter((e) => e.clientWidth && e.scrollWidth > e.clientWidth + 1 && !e.hasAttribute("tabindex"))
  .filter((e) => e === document.documentElement || ["auto", "scroll"].includes(getComputedStyle(e).overflowX))
  .map((e) => `${e.tagName.toLowerCase()}.${e.className}: ${e.scrollWidth} px in ${e.clientWidth}`)"""
# What a finger in a glove would miss: each target is 44 px high, with its label, and with what it has of its own around it. Excepted are
# links within a sentence (WCAG 2.2, 2.5.8) and what is out of sight until the keyboard reaches it.
_TOO_SMALL = """
() => {
  const beyond = ({ top, bottom }) => Math.max(0, -parseFloat(top)) + Math.max(0, -parseFloat(bottom));
  return [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [role=button], [role=tab]")]
  .filter((e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !e.closest(".skip, [inert]"))
  .filter((e) => !(e.tagName === "A" && getComputedStyle(e).display === "inline" && e.closest("p, li, td, dd")?.innerText.trim() !== e.innerText.trim()))
  .map((e) => [e, (e.closest("label") ?? e).getBoundingClientRect(), getComputedStyle(e, "::after")])
  .map(([e, box, more]) => [e, box.width, box.height + (more.content !== "none" && more.position === "absolute" ? beyond(more) : 0)])
  .filter(([, width, height]) => width && height < 43.5)
  .map(([e, , height]) => `${Math.round(height)} px: ${e.outerHTML.slice(0, 120)}`);
}"""
_INK = """
([selector, name]) => {
  const canvas = document.querySelector(selector);
  const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim().slice(1);
  const [r, g, b] = [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));
  if (!canvas || !canvas.width || !canvas.height) return 0;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) n += Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 30;
  return n;
}"""

# Columns that have the colour of a bold line from top to bottom, but for what is drawn over it.
_FIVE_MM = """
(selector) => {
  const canvas = document.querySelector(selector);
  const hex = getComputedStyle(document.documentElement).getPropertyValue("--grid-5").trim().slice(1);
  const bold = [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const isBold = (x, y) => bold.every((value, i) => Math.abs(data[4 * (y * canvas.width + x) + i] - value) < 4);
  const lines = Array.from({ length: canvas.width }, (_, x) => x)
    .filter((x) => Array.from({ length: canvas.height }, (_, y) => y).filter((y) => isBold(x, y)).length > canvas.height * 0.6);
  return (lines.at(-1) - lines[0]) / (lines.length - 1) / devicePixelRatio;
}"""


def ink(page: Page, canvas: str, colour: str = "ecg") -> int:
    """How many pixels of a canvas have a colour of the tokens, as a trace has it."""
    return page.evaluate(_INK, [canvas, colour])


def five_mm_px(page: Page, canvas: str) -> float:
    """How far the bold lines of a canvas are apart, which stand for 5 mm: CSS pixels."""
    return page.evaluate(_FIVE_MM, canvas)


def wait_for_ink(page: Page, canvas: str, least: int = 500, colour: str = "ecg") -> None:
    """Wait until so much of a trace is drawn."""
    wait_until(page, f"(of) => ({_INK})(of) >= {least}", [canvas, colour], within_s=20)


def _of_theme(theme: str, sizes: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    return sizes if LONG or theme == THEMES[0] else sizes[:1]


@dataclass(frozen=True)
class Album:
    """Where pictures go, and what looks for barriers."""

    folder: Path
    axe: Path

    def fill(
        self,
        page: Page,
        name: str,
        ready: Callable[[Page], object] | None = None,
        *,
        sizes: tuple[tuple[int, int], ...] = SIZES,
        load_themes: bool = False,
        check: Callable[[Page], object] | None = None,
    ) -> None:
        """Take the page as it stands in every view (see above), and leave it so in English at night.

        It is loaded once a language; `ready` then makes it stand so again, and waits for it. `load_themes`: it is loaded for the
        second theme too, as something on it is painted once for all. `check` holds in each view.
        """
        here = page.url
        for lang, tag in LANGS.items():
            for theme in THEMES:
                self.choose(page, lang, theme)
                if load_themes or theme == THEMES[0]:
                    page.set_viewport_size(USUAL)
                    page.goto(here)
                    if ready:
                        ready(page)
                else:
                    page.evaluate(_THEME, theme)
                expect(page.locator("html")).to_have_attribute("data-theme", theme)
                expect(page.locator("html")).to_have_attribute("lang", tag)
                self.still(
                    page, f"{name}-{lang}-{theme}", _of_theme(theme, sizes), all_rules=theme == THEMES[0], check=check
                )
        page.set_viewport_size(USUAL)
        self.choose(page, "en", "")

    def choose(self, page: Page, lang: str, theme: str) -> None:
        """Choose the language and the theme ("" for the page's own) of what is loaded next."""
        root = page.evaluate("location.origin") + "/"
        page.context.add_cookies(
            [
                {"url": root, "name": "wl_lang", "value": lang},
                {"url": root, "name": "wl_theme", "value": theme or "room"},
            ]
        )

    def themes(self, page: Page, name: str, *, check: Callable[[Page], object] | None = None) -> None:
        """Take a page that cannot be loaded anew in both themes."""
        for theme in THEMES:
            page.set_viewport_size(BETWEEN)
            page.evaluate(_THEME, theme)
            self.still(page, f"{name}-{theme}", _of_theme(theme, SIZES), all_rules=theme == THEMES[0], check=check)
        page.set_viewport_size(USUAL)

    def still(
        self,
        page: Page,
        name: str,
        sizes: tuple[tuple[int, int], ...] = SIZES,
        *,
        all_rules: bool = True,
        check: Callable[[Page], object] | None = None,
    ) -> None:
        """Take the page in every size. `all_rules`: the others than contrast do not change with the theme, nor on a phone with the language.

        A page that paints does so anew for each size, and thereby for a theme that has changed since the last one.
        """
        for n, (width, height) in enumerate(sizes):
            page.set_viewport_size({"width": width, "height": height})
            page.evaluate(_SETTLED)
            sideways = page.evaluate(_SIDEWAYS)
            assert not sideways, f"{name}-{width} scrolls sideways: {sideways}"
            if check:
                check(page)
            if width < TOUCHED:
                small = page.evaluate(_TOO_SMALL)
                assert not small, f"{name}-{width} has targets too small for a glove: {small}"
            if n == 0 or (all_rules and width < TOUCHED and "zh_Hans" not in name):
                barriers = self.barriers(page, all_rules=all_rules)
                assert not barriers, f"{name}-{width}: {barriers}"
            page.screenshot(
                path=self.folder / f"{name}-{width}.jpg", type="jpeg", quality=80, scale="css", animations="disabled"
            )

    def barriers(self, page: Page, *, all_rules: bool = True) -> list[str]:
        """What axe finds wrong: rule and where."""
        if not page.evaluate("'axe' in window"):
            page.evaluate(self.axe.read_text("utf-8"))
        options: dict[str, object] = {"resultTypes": ["violations"]}
        if not all_rules:
            options["runOnly"] = ["color-contrast"]
        found = page.evaluate("(options) => axe.run(options)", options)
        return [f"{v['id']}: {n['target']} {n['failureSummary']}" for v in found["violations"] for n in v["nodes"]]
