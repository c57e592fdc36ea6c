"""The browser of the tests draws Chinese, so that a picture of a page shows what a nurse in China sees."""

import os

import pytest
from playwright.sync_api import sync_playwright

from wardlink.local.debs import find_or_unpack_chromium
from wardlink.local.places import default_places

pytestmark = pytest.mark.e2e

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def quiet(_line: str) -> None:
    """Drop progress lines."""


def test_each_chinese_character_has_a_shape_of_its_own():
    browser = find_or_unpack_chromium(default_places(os.environ, None), quiet)
    # A browser without the font draws the same empty box for each of them.
    characters = "监护仪心率室颤床报警"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=str(browser.executable), env={**os.environ, **browser.env}, args=FLAGS
        )
        page = chromium.new_page(viewport={"width": 80, "height": 80})
        pictures: set[bytes] = set()
        for character in characters:
            page.set_content(f"<html lang='zh-Hans'><body style='font: 48px sans-serif'>{character}")
            pictures.add(page.screenshot())
        chromium.close()
    assert len(pictures) == len(set(characters))
