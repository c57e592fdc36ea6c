"""A screen without a browser: follows a one-time link, opens the strips of a ward, and notes how old each frame is when it comes."""

import asyncio
import http.client
import re
import secrets
import time
from collections import Counter
from urllib.parse import urlencode, urlsplit

from websockets.asyncio.client import connect

from protocols.live_frame import SAMPLES, read_head


def new_password() -> str:
    """A random one that has a character of each class, whatever chance gives."""
    return f"{secrets.token_urlsafe(18)}-aA1"


class PageError(RuntimeError):
    """The hub does not let this page in: what it answered."""


class Page:
    """`frame_ms`: how often a frame came so many milliseconds behind its last sample."""

    def __init__(self, url: str, ward: str, link: str, password: str) -> None:
        """`url`: of the hub's pages; `link`: a one-time link to an account that may see `ward`; `password`: of four classes, as hubs ask."""
        self._url, self._ward, self._link, self._password = urlsplit(url), ward, link, password
        self.frame_ms: Counter[int] = Counter()
        self.opened = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled; PageError when it may not."""
        cookie = await asyncio.to_thread(self._sign_in)
        address = f"ws://{self._url.netloc}/ws/ward/{self._ward}"
        origin = f"{self._url.scheme}://{self._url.netloc}"
        since_ms = time.time() * 1000
        async with connect(address, additional_headers={"Cookie": cookie, "Origin": origin}, max_size=None) as socket:
            self.opened.set()
            async for message in socket:
                if not isinstance(message, bytes):
                    continue
                head = read_head(message)
                if head.kind == SAMPLES and head.end_ms > since_ms:
                    self.frame_ms[round(time.time() * 1000 - head.end_ms)] += 1

    def _sign_in(self) -> str:
        path = urlsplit(self._link).path
        status, cookies, page = self._ask("GET", path, {})
        found = re.search(r'<meta name="csrf" content="([0-9a-f]+)">', page)
        if status != http.client.OK or found is None:
            msg = f"the one-time link answers {status}: it may have been used"
            raise PageError(msg)
        fields = {"csrf": found[1], "password": self._password, "password_again": self._password}
        status, more, page = self._ask("POST", path, cookies, urlencode(fields))
        if status != http.client.SEE_OTHER:
            msg = f"the hub answers {status} to the new password: {page[:200]}"
            raise PageError(msg)
        if "wl_session" not in more:
            msg = (
                "the hub asks for a second factor: let its pages listen on this machine with HUB_SECOND_FACTOR=offered"
            )
            raise PageError(msg)
        return "; ".join(f"{name}={value}" for name, value in {**cookies, **more}.items())

    def _ask(self, method: str, path: str, cookies: dict[str, str], body: str = "") -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=30)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} if cookies else {}
        if body:
            headers |= {
                "Content-Type": "application/x-www-form-urlencoded",
                "Origin": f"{self._url.scheme}://{self._url.netloc}",
            }
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            given = [line.partition(";")[0].partition("=") for line in answer.headers.get_all("Set-Cookie") or []]
            return answer.status, {name: value for name, _, value in given}, text
        finally:
            connection.close()
