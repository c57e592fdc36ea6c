"""The browser of the tests draws Chinese, so that a picture of a page shows what a nurse in China sees."""

import pytest
from playwright.sync_api import Browser

pytestmark = pytest.mark.e2e


def test_each_chinese_character_has_a_shape_of_its_own(chromium: Browser):
    # A browser without the font draws the same empty box for each of them.
    characters = "监护仪心率室颤床报警"
    page = chromium.new_page(viewport={"width": 80, "height": 80})
    pictures: set[bytes] = set()
    for character in characters:
        page.set_content(f"<html lang='zh-Hans'><body style='font: 48px sans-serif'>{character}")
        pictures.add(page.screenshot())
    page.close()
    assert len(pictures) == len(set(characters))
