"""Sessions: how one is shown to its person, and from where it may go on."""

from datetime import UTC, datetime

import pytest

from hub.accounts.sessions import Inside, Live
from hub.core.caller import Caller

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("says", "shown"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36", "Chrome 140 · Windows"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0", "Edge 140 · Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox 128 · Linux"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15", "Safari 18 · macOS"),
        ("Mozilla/5.0 (Linux; Android 14; Tab) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile Safari/537.36", "Chrome 139 · Android"),
        ("Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1", "Safari 17 · iPad"),
        ("python-httpx/0.28.1", "python-httpx/0.28.1"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_browser_is_shown_by_its_name(says: str, shown: str):
    assert Live("a", NOW, NOW, "10.0.0.1", says, is_own=True).browser == shown


HERE = Caller("10.1.2.3", "Chrome")
AWAY = Caller("203.0.113.7", "Chrome")


@pytest.mark.parametrize(
    ("began", "now", "moved"),
    [
        (HERE, HERE, False),
        (HERE, Caller("10.9.9.9", "Firefox"), False),
        (AWAY, AWAY, False),
        (AWAY, Caller("203.0.113.8", "Chrome"), True),
        (AWAY, Caller("203.0.113.7", "Firefox"), True),
        (AWAY, HERE, True),
        (HERE, AWAY, True),
        (HERE, Caller("", "Chrome"), True),
        (Caller("fd00::1", "Chrome"), Caller("fd00::2", "Chrome"), False),
        (Caller("2001:db8::1", "Chrome"), Caller("2001:db8::2", "Chrome"), True),
        (Caller("203.0.113.7", "x" * 200), Caller("203.0.113.7", "x" * 300), False),
    ],
)
def test_a_session_of_elsewhere_is_bound_to_its_address_and_browser(began: Caller, now: Caller, *, moved: bool):
    assert Inside(["10.0.0.0/8", "fd00::/8"]).is_moved(began, now) is moved
