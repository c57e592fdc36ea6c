"""The HTTP door over real sockets: who is let in, what is answered, and what a sender cannot make it keep."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from firmware_adapters.adapter import ConfigError
from firmware_adapters.door import DoorConfig, DoorError, Message, Reply, Verdict
from firmware_adapters.door_registry import make_door
from firmware_adapters.transport.http import MAX_OF_ONE_DEVICE, HttpDoor
from protocols.package import MAX_BYTES
from tests.fixtures.hub_peer import Authority
from tests.fixtures.signed_http import COVERED, Device
from tests.fixtures.waiting import PATIENCE_S, until

pytestmark = pytest.mark.integration
JSON = "application/vnd.wardlink.package+json"


@dataclass
class Behind:
    """What stands behind the door: takes everything, or says what it was told to."""

    reply: Reply = field(default_factory=lambda: Reply(Verdict.ACCEPTED))
    taken: list[Message] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, message: Message) -> Reply:
        self.taken.append(message)
        await self.open.wait()
        return self.reply


@dataclass
class Rig:
    """An open door, a device that it knows, and a client that trusts it."""

    url: str
    device: Device
    behind: Behind
    client: httpx.AsyncClient
    door: HttpDoor

    async def post(self, body: bytes = b"{}", media_type: str = JSON, **how: float) -> httpx.Response:
        return await self.device.post(self.client, self.url, media_type, body, **how)


def config(
    folder: Path, device: Device | None = None, url: str = "https://127.0.0.1:0/packages", **options: str | float
) -> DoorConfig:
    devices = {} if device is None else {device.name: {"public_key": device.public_pem}}
    tls = {"certificate": "door.pem", "key": "door.key"} if url.startswith("https") else {}
    return DoorConfig("https", "http", url, time.time_ns, folder, {**tls, **options}, devices)


@asynccontextmanager
async def door(folder: Path, url: str = "https://127.0.0.1:0/packages", **options: str | float) -> AsyncGenerator[Rig]:
    authority, device, behind = Authority(), Device("monitor-5"), Behind()
    papers = authority.server()
    (folder / "door.pem").write_bytes(papers.certificate)
    (folder / "door.key").write_bytes(papers.key)
    made = make_door(config(folder, device, url, **options))
    assert isinstance(made, HttpDoor)
    behind.open.set()
    serving = asyncio.create_task(made.serve(behind.take))
    await until(lambda: made.port > 0 or serving.done())
    trust = ssl.create_default_context(cadata=authority.pem.decode())
    async with httpx.AsyncClient(verify=trust) as client:
        yield Rig(f"https://127.0.0.1:{made.port}/packages", device, behind, client, made)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


@pytest.mark.req("IOT-5.4a", "IOT-5.4e", surface="protocol")
async def test_a_signed_request_is_taken_under_the_name_of_its_key(tmp_path: Path):
    async with door(tmp_path) as rig:
        answer = await rig.post(b'{"a": 1}')
        assert (answer.status_code, answer.content) == (204, b"")
        (message,) = rig.behind.taken
        assert (message.device, message.media_type, message.body, message.where) == (
            "monitor-5",
            JSON,
            b'{"a": 1}',
            "/packages",
        )
        assert abs(message.at_ns - time.time_ns()) < 10**10


@pytest.mark.req("IOT-5.4a", surface="protocol")
async def test_a_request_that_is_not_signed_as_it_must_be_is_refused_with_the_reason(tmp_path: Path):
    async with door(tmp_path) as rig:
        at, body = httpx.URL(rig.url), b"{}"
        authority, path = at.netloc.decode(), at.path
        good = rig.device.headers(authority, path, JSON, body)
        other = Device("monitor-5")
        wrong = {
            "expected a signature": {"content-type": JSON},
            "key this door knows": other.headers(authority, path, JSON, body),
            "over this request": rig.device.headers("other.example", path, JSON, body),
            "a device whose key": rig.device.headers(authority, path, JSON, body, keyid="monitor-9"),
            "is missing": rig.device.headers(authority, path, JSON, body, covered=COVERED[:-1]),
            "set the device's clock": rig.device.headers(authority, path, JSON, body, created=time.time() - 301),
            "that of the body": rig.device.headers(authority, path, JSON, b"other"),
            "expected one signature": {**good, "signature-input": good["signature-input"] + ", sig2=()"},
            "as signature-input names it": {**good, "signature": "sig1=abc"},
        }
        for reason, headers in wrong.items():
            answer = await rig.client.post(rig.url, content=body, headers=headers)
            assert answer.status_code == 401, reason
            assert reason in answer.json()["detail"]
            assert answer.headers["www-authenticate"] == "Signature"
            told = parsedate_to_datetime(answer.headers["date"]).timestamp()  # by which a device may set its clock
            assert told == pytest.approx(time.time(), abs=2)
        assert rig.behind.taken == []


async def test_the_same_signed_request_again_is_answered_and_not_taken_again(tmp_path: Path):
    async with door(tmp_path) as rig:
        at, body = httpx.URL(rig.url), b"{}"
        headers = rig.device.headers(at.netloc.decode(), at.path, JSON, body)
        answers = [await rig.client.post(rig.url, content=body, headers=headers) for _ in range(3)]
        assert [a.status_code for a in answers] == [204, 204, 204]
        assert len(rig.behind.taken) == 1


@pytest.mark.parametrize(
    ("reply", "status", "said"),
    [
        (Reply(Verdict.ACCEPTED, "record 3, unit: wrong"), 200, "record 3"),
        (Reply(Verdict.REFUSED, "version: expected 1"), 422, "version"),
        (Reply(Verdict.UNSUPPORTED, "media type: expected"), 415, "media type"),
        (Reply(Verdict.BUSY, "the disk is behind", 7), 503, "disk"),
    ],
    ids=lambda v: v.verdict.name if isinstance(v, Reply) else None,
)
async def test_each_reply_has_its_status(tmp_path: Path, reply: Reply, status: int, said: str):
    async with door(tmp_path) as rig:
        rig.behind.reply = reply
        answer = await rig.post()
        assert answer.status_code == status
        assert said in answer.text
        assert answer.headers.get("retry-after") == ("7" if status == 503 else None)


async def test_a_sender_that_was_told_to_come_again_may_send_the_same_request(tmp_path: Path):
    async with door(tmp_path) as rig:
        at = httpx.URL(rig.url)
        headers = rig.device.headers(at.netloc.decode(), at.path, JSON, b"{}")
        rig.behind.reply = Reply(Verdict.BUSY, "the disk is behind", 1)
        assert (await rig.client.post(rig.url, content=b"{}", headers=headers)).status_code == 503
        rig.behind.reply = Reply(Verdict.ACCEPTED)
        assert (await rig.client.post(rig.url, content=b"{}", headers=headers)).status_code == 204


async def test_path_method_and_size_are_judged_before_the_body_is_kept(tmp_path: Path):
    async with door(tmp_path) as rig:
        big = b"x" * (MAX_BYTES + 1)

        async def chunks() -> AsyncGenerator[bytes]:
            for _ in range(MAX_BYTES // 50_000 + 2):
                yield b"x" * 50_000

        assert (await rig.client.post(rig.url + "/other", content=b"")).status_code == 404
        assert (await rig.client.get(rig.url)).headers["allow"] == "POST"
        assert (await rig.post(big)).status_code == 413
        assert (await rig.client.post(rig.url, content=chunks())).status_code == 413
        assert (await rig.client.post(rig.url, headers={"x": "y" * 20_000})).status_code == 431
        assert (await rig.client.post(rig.url, content=b"", headers={"content-encoding": "gzip"})).status_code == 415
        assert (await rig.post(b"x" * MAX_BYTES)).status_code == 204


async def test_a_device_has_a_bound_on_requests_at_once(tmp_path: Path):
    async with door(tmp_path) as rig:
        rig.behind.open.clear()
        under_way = [asyncio.create_task(rig.post()) for _ in range(MAX_OF_ONE_DEVICE)]
        await until(lambda: len(rig.behind.taken) == MAX_OF_ONE_DEVICE)
        answer = await rig.post()
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        rig.behind.open.set()
        assert {(await task).status_code for task in under_way} == {204}


async def test_what_is_no_http_is_answered_and_harms_nobody(tmp_path: Path):
    async with door(tmp_path, url="http://127.0.0.1:0/packages") as rig:
        port = rig.door.port
        for garbage in (b"\x16\x03\x01\x00\xff", b"GET\r\n\r\n", b"POST /packages HTTP/1.1\r\n\r\n", b"\x00" * 40_000):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(garbage)
            writer.write_eof()
            async with asyncio.timeout(PATIENCE_S):
                assert b"204" not in await reader.read()
            writer.close()
        at = f"http://127.0.0.1:{port}/packages"
        assert (await rig.device.post(rig.client, at, JSON, b"{}")).status_code == 204


async def test_strangers_are_taken_without_a_name_only_where_the_door_says_so(tmp_path: Path):
    async with door(tmp_path, strangers=True) as rig:
        answer = await rig.client.post(rig.url, content=b"{}", headers={"content-type": JSON})
        assert (answer.status_code, rig.behind.taken[0].device) == (204, "")
        bad = {"content-type": JSON, "signature": "sig1=:AA==:", "signature-input": 'sig1=("@method");created=1'}
        assert (await rig.client.post(rig.url, content=b"{}", headers=bad)).status_code == 401


async def test_a_door_that_cannot_open_says_where_and_why(tmp_path: Path):
    with pytest.raises(DoorError, match=r"cannot listen on 127\.0\.0\.1"):
        await make_door(config(tmp_path)).serve(Behind().take)


@pytest.mark.parametrize(
    ("url", "options", "named"),
    [
        ("http://0.0.0.0:8080/p", {}, "only on this machine"),
        ("ftp://127.0.0.1/", {}, "expected https"),
        ("https://127.0.0.1:1/p", {"colour": "red"}, "colour"),
        ("https://127.0.0.1:1/p", {"window_s": 0}, "window_s"),
    ],
)
def test_settings_that_cannot_work_are_named(tmp_path: Path, url: str, options: dict[str, str | float], named: str):
    with pytest.raises(ConfigError, match=named):
        make_door(config(tmp_path, None, url, **options))


def test_a_key_of_another_kind_is_named(tmp_path: Path):
    asked = DoorConfig(
        "https", "http", "http://127.0.0.1:1/", time.time_ns, tmp_path, {}, {"m": {"public_key": "none.pem"}}
    )
    with pytest.raises(ConfigError, match="device 'm', public_key"):
        make_door(asked)


async def test_a_problem_is_a_problem_document(tmp_path: Path):
    async with door(tmp_path) as rig:
        answer = await rig.client.post(rig.url, content=b"{}")
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(json.loads(answer.content)) == {"type", "title", "status", "detail"}
