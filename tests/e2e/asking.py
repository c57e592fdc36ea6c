"""Waiting for what a page says. Playwright's own wait asks by `eval`, which the policy of our pages refuses from the second time on."""

import time

from playwright.sync_api import Page

AGAIN_MS = 100


def wait_until(page: Page, script: str, arg: object = None, *, within_s: float) -> None:
    """Ask until it is true; AssertionError with what was asked."""
    until_s = time.monotonic() + within_s
    while not page.evaluate(script, arg):
        assert time.monotonic() < until_s, f"not within {within_s} s: {script}"
        page.wait_for_timeout(AGAIN_MS)
