"""The real nginx with deploy/nginx/wardlink.conf in front of the real role web: what passes, and what is refused before it costs the hub."""

import asyncio
import os
import re
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from hub.web.guard import MAX_BODY
from protocols.link import Lane
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_peer import Authority
from tests.fixtures.waiting import until_asked
from tests.fixtures.web import PASSWORD, RunningWeb, deliver, heart_rate, now_ns, strip, token_of
from tests.integration.test_web_live import events, frames, wanted
from wardlink.local.parts import Program, find_or_unpack
from wardlink.local.places import Places
from wardlink.local.ports import free_port

pytestmark = pytest.mark.integration
DEPLOYED = Path(__file__).parents[2] / "deploy" / "nginx" / "wardlink.conf"
_AROUND = """\
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/wardlink.conf;
}}
"""


@dataclass
class Nginx:
    """A running nginx in front of a running web."""

    web: RunningWeb
    port: int
    plain_port: int
    tls: ssl.SSLContext

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def client(self, **headers: str) -> httpx.AsyncClient:
        found = httpx.AsyncClient(base_url=f"https://{self.address}", verify=self.tls, headers=headers)
        self.web.clients.append(found)
        return found

    async def signed_in(self) -> httpx.AsyncClient:
        """A nurse who follows her link, through nginx all the way."""
        client = self.client(**{"Accept-Language": "en"})
        link = await self.web.invite()
        fields = {"csrf": token_of(await client.get(link)), "password": PASSWORD, "password_again": PASSWORD}
        answer = await client.post(link, data=fields, headers={"Origin": f"https://{self.address}"})
        assert answer.status_code == 303, answer.text
        return client

    async def raw(self, text: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which `text` was sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)
        writer.write(text.encode())
        await writer.drain()
        return reader, writer


@pytest.fixture
def program(usual_places: Places) -> Program:
    return find_or_unpack("nginx", usual_places, lambda _line: None)


@pytest.fixture
def nginx(program: Program, web: RunningWeb, short_folder: Callable[[], Path]) -> Iterator[Nginx]:
    """Started with the file of deploy/, in which ports, certificate and the hub's address are those of the test."""
    folder, authority = short_folder(), Authority()
    papers, port, plain_port = authority.server(), free_port(), free_port()
    (folder / "hub.pem").write_bytes(papers.certificate)
    (folder / "hub.key").write_bytes(papers.key)
    text = DEPLOYED.read_text("utf-8")
    for deployed, here in (
        ("listen 443 ", f"listen 127.0.0.1:{port} "),
        ("listen 80;", f"listen 127.0.0.1:{plain_port};"),
        ("/etc/wardlink/nginx/", f"{folder}/"),
        ("server 127.0.0.1:7400;", f"server {web.address};"),
    ):
        assert text.count(deployed) >= 1, deployed
        text = text.replace(deployed, here)
    (folder / "wardlink.conf").write_text(text)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_AROUND.format(folder=folder, user=user))
    words = [str(program.executable), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(words, env={"PATH": "/usr/bin:/bin", **program.env}, stderr=file)
    try:
        until_s = time.monotonic() + 15
        while not (folder / "nginx.pid").exists() or not (folder / "nginx.pid").read_text().strip():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until_s, log.read_text()
            time.sleep(0.02)
        yield Nginx(web, port, plain_port, ssl.create_default_context(cadata=authority.pem.decode()))
    finally:
        process.terminate()
        process.wait(15)


async def test_a_nurse_signs_in_and_opens_the_ward_with_the_hubs_own_headers(nginx: Nginx):
    client = await nginx.signed_in()
    page = await client.get("/ward/7b")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    styles = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    assert styles
    for path in styles:
        assert (await client.get(path)).status_code == 200, path
    async with httpx.AsyncClient() as plain:
        answer = await plain.get(f"http://127.0.0.1:{nginx.plain_port}/ward/7b")
    assert (answer.status_code, answer.headers["location"]) == (308, "https://127.0.0.1/ward/7b")


async def test_events_and_strips_come_through_at_once(nginx: Nginx, hub: RunningHub):
    client, peer = await nginx.signed_in(), await hub.peer()
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    headers = {"Cookie": cookie, "Origin": f"https://{nginx.address}"}
    async with (
        events(client) as stream,
        connect(f"wss://{nginx.address}/ws/ward/7b", ssl=nginx.tls, additional_headers=headers) as socket,
    ):
        await wanted(stream, "hello")
        began_s = time.monotonic()
        await deliver(hub, peer, Lane.NUMERIC, heart_rate(61.0, now_ns()))
        await wanted(stream, "numeric", within_s=5)
        assert time.monotonic() - began_s < 2  # a buffer would hold it until it is full
        await deliver(hub, peer, Lane.WAVEFORM, strip(0, now_ns() - 500_000_000))
        assert [f.number for f in await frames(socket, 2)] == [0, 1]


async def test_headers_addresses_and_bodies_beyond_their_bounds_are_refused_with_the_reason(nginx: Nginx):
    client = await nginx.signed_in()
    header = await client.get("/ward/7b", headers={"X-Long": "x" * 9000})
    assert (header.status_code, header.json()["status"]) == (431, 431)
    assert "8 KiB" in header.json()["detail"]
    assert (await client.get("/ward/7b?" + "x" * 9000)).status_code == 414
    large = await client.post("/sign-in", content=b"x" * (MAX_BODY + 1))
    assert (large.status_code, large.headers["content-type"]) == (413, "application/problem+json")
    assert "64 KiB" in large.json()["detail"]
    assert (await client.get("/ward/7b")).status_code == 200
    # as much as the hub itself takes reaches it
    assert (await client.post("/sign-in", content=b"x" * MAX_BODY)).status_code == 403


async def test_one_address_has_so_many_requests_at_once_and_no_more(nginx: Nginx):
    head = f"POST /sign-in HTTP/1.1\r\nHost: {nginx.address}\r\nContent-Length: 10\r\n\r\n"
    held = [await nginx.raw(head) for _ in range(128)]  # each waits for its body
    try:

        async def refused() -> httpx.Response:
            async with httpx.AsyncClient(base_url=f"https://{nginx.address}", verify=nginx.tls) as client:
                return await client.get("/sign-in")

        async def passes() -> bool:
            return (await refused()).status_code == 200

        answer = await refused()
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
        assert "at once" in answer.json()["detail"]
        held.pop()[1].close()
        await until_asked(passes)
    finally:
        for _, writer in held:
            writer.transport.abort()


async def test_who_sends_a_header_or_a_body_drop_by_drop_is_not_waited_for(nginx: Nginx):
    halves = [
        "GET /sign-in HTTP/1.1\r\nHost: x\r\n",
        "POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab",
    ]
    began_s = time.monotonic()
    held = [await nginx.raw(half) for half in halves]
    async with asyncio.timeout(20):
        said = await asyncio.gather(*(reader.read() for reader, _ in held))
    assert 9 < time.monotonic() - began_s < 15
    assert all(text == b"" or b" 408 " in text for text in said)


async def test_a_hub_that_is_away_is_told_in_words(nginx: Nginx):
    client = nginx.client()
    assert (await client.get("/health")).json()["status"] == "ok"
    nginx.web.server.leave()

    async def refused() -> bool:
        return (await client.get("/health")).status_code != 200

    await until_asked(refused)
    answer = await client.get("/health")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "go on by themselves" in answer.json()["detail"]
