"""The CoAP door over real sockets: aiocoap's client under OSCORE and libcoap's over DTLS, each as a process of its own."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog

from firmware_adapters.adapter import ConfigError
from firmware_adapters.door import DoorConfig, DoorError, Message, Reply, Verdict
from firmware_adapters.door_registry import make_door
from firmware_adapters.transport import dtls
from firmware_adapters.transport.coap_keys import make_oscore, make_psk
from protocols.package import MAX_BYTES
from tests.fixtures.coap import CoapClient, Wire, oscore_device
from tests.fixtures.ports import free_udp_port
from tests.fixtures.waiting import until

pytestmark = pytest.mark.integration
SENML = "application/senml+cbor"
HANDSHAKE_S = 4.0  # for the one that is waited for
BODY = bytes.fromhex("81a200636120620201")


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
    """A door that is opened and closed, and what came through it."""

    config: DoorConfig
    port: int
    behind: Behind
    log: Sequence[Mapping[str, object]]
    serving: "asyncio.Task[None] | None" = None

    @property
    def url(self) -> str:
        return self.config.url

    async def open(self) -> None:
        opened = len(self.said("door-open"))
        self.serving = serving = asyncio.create_task(make_door(self.config).serve(self.behind.take))
        await until(lambda: len(self.said("door-open")) > opened or serving.done())

    async def close(self) -> None:
        assert self.serving is not None
        self.serving.cancel()
        await asyncio.wait((self.serving,))
        assert self.serving.cancelled(), self.serving.exception()

    def said(self, event: str) -> list[Mapping[str, object]]:
        return [line for line in self.log if line["event"] == event]

    def refused(self) -> list[tuple[object, object]]:
        return [(line["reason"], line["device"]) for line in self.said("sender-refused")]


@asynccontextmanager
async def door(folder: Path, devices: dict[str, dict[str, str]], scheme: str = "coap") -> AsyncGenerator[Rig]:
    port = free_udp_port()
    config = DoorConfig("coap", "coap", f"{scheme}://127.0.0.1:{port}/packages", time.time_ns, folder, {}, devices)
    behind = Behind()
    behind.open.set()
    with structlog.testing.capture_logs() as log:
        rig = Rig(config, port, behind, log)
        await rig.open()
        try:
            yield rig
        finally:
            await rig.close()


def oscore(folder: Path, device: str = "patch-4") -> tuple[dict[str, dict[str, str]], Path]:
    """The door's devices, and where the device's half lies."""
    gateways, devices = make_oscore(device, folder)
    return {device: {"oscore": gateways.name}}, devices


@pytest.mark.req("IOT-5.4a", "IOT-5.4c", "IOT-5.4e", surface="protocol")
async def test_what_comes_under_oscore_is_taken_under_the_name_of_its_context(tmp_path: Path):
    known, own = oscore(tmp_path)
    async with door(tmp_path, known) as rig, Wire.to(rig.port) as wire:
        async with oscore_device(rig.url.replace(str(rig.port), str(wire.port)), own) as device:
            answer = await device.post(BODY)
        assert (answer.code, answer.text, answer.protected) == ("2.04", "", True)
        (message,) = rig.behind.taken
        taken = (message.device, message.media_type, message.body, message.where)
        assert taken == ("patch-4", SENML, BODY, "/packages")
        assert abs(message.at_ns - time.time_ns()) < 10**10
        # neither the path nor the body can be read on the wire
        assert not [d for d in wire.sent if b"packages" in d or BODY in d]


@pytest.mark.req("IOT-5.4a", surface="protocol")
async def test_plain_coap_is_refused_with_4_01_and_told(tmp_path: Path, coap_client: Callable[[str], CoapClient]):
    known, _ = oscore(tmp_path)
    async with door(tmp_path, known) as rig:
        async with oscore_device(rig.url, None) as device:
            answer = await device.post(BODY)
        assert (answer.code, answer.text) == ("4.01", "packages are taken under OSCORE or DTLS only")
        assert "4.01" in await coap_client("openssl").post(rig.url, BODY)
        assert not rig.behind.taken
        assert rig.refused() == [("no OSCORE and no DTLS", "")]  # the second within a minute is only counted


@pytest.mark.req("IOT-5.4a", surface="protocol")
async def test_a_datagram_that_is_said_again_by_somebody_is_refused_as_a_replay(tmp_path: Path):
    known, own = oscore(tmp_path)
    async with door(tmp_path, known) as rig, Wire.to(rig.port) as wire, Wire.to(rig.port) as another:
        async with oscore_device(rig.url.replace(str(rig.port), str(wire.port)), own) as device:
            assert (await device.post(BODY)).code == "2.04"
        (request,) = wire.sent
        again = await another.say(request)
        assert (again[1], again[-15:]) == (0x81, b"Replay detected")  # 4.01
        assert len(rig.behind.taken) == 1
        assert rig.refused() == [("oscore: Sequence number was reused", "patch-4")]


async def test_a_request_that_is_repeated_because_its_answer_was_lost_is_taken_once(tmp_path: Path):
    known, own = oscore(tmp_path)
    async with door(tmp_path, known) as rig, Wire.to(rig.port) as wire:
        wire.lose = 1
        async with oscore_device(rig.url.replace(str(rig.port), str(wire.port)), own) as device:
            assert (await device.post(BODY)).code == "2.04"
        assert len(wire.sent) == 2
        assert wire.sent[0] == wire.sent[1]
        assert len(rig.behind.taken) == 1


@pytest.mark.req("IOT-5.4a", surface="protocol")
async def test_a_wrong_key_and_an_unknown_context_are_refused_and_told(tmp_path: Path):
    known, own = oscore(tmp_path)
    (tmp_path / "other").mkdir()
    _, others = make_oscore("patch-4", tmp_path / "other")
    wrong = tmp_path / "wrong"
    shutil.copytree(own, wrong)
    shutil.copy(others / "secret.json", wrong / "secret.json")
    async with door(tmp_path, known) as rig:
        for folder, code in ((wrong, "4.00"), (others, "4.01")):
            async with oscore_device(rig.url, folder) as device:
                answer = await device.post(BODY)
            assert (answer.code, answer.protected) == (code, False)
        assert not rig.behind.taken
        assert rig.refused() == [
            ("oscore: Tag invalid", "patch-4"),
            ("oscore: no such context", ""),
        ]


async def test_numbers_go_on_when_either_side_begins_anew(tmp_path: Path):
    known, own = oscore(tmp_path)
    async with door(tmp_path, known) as rig:
        async with Wire.to(rig.port) as wire:
            url = rig.url.replace(str(rig.port), str(wire.port))
            async with oscore_device(url, own) as device:
                assert (await device.post(BODY)).code == "2.04"
            used = json.loads((own / "sequence.json").read_text())["next-to-send"]
            async with oscore_device(url, own) as device:  # the one before was killed
                assert (await device.post(BODY)).code == "2.04"
                assert json.loads((own / "sequence.json").read_text())["next-to-send"] > used
                await rig.close()
                await rig.open()
                assert (await device.post(BODY)).code == "2.04"
        await rig.close()
        await rig.open()
        async with Wire.to(rig.port) as another:  # what was taken before the door was closed is known behind it
            for request in wire.sent:
                assert (await another.say(request))[1] == 0x81
        assert len(rig.behind.taken) == 3


async def test_a_door_that_was_killed_asks_for_a_fresh_message_before_it_takes_one(tmp_path: Path):
    known, own = oscore(tmp_path)
    async with door(tmp_path, known) as rig, Wire.to(rig.port) as wire:
        async with oscore_device(rig.url.replace(str(rig.port), str(wire.port)), own) as device:
            assert (await device.post(BODY)).code == "2.04"
            # what kill -9 leaves behind: numbers that were seen are not written down with each message
            left = (tmp_path / "patch-4.gateway" / "sequence.json").read_text()
            await rig.close()
            (tmp_path / "patch-4.gateway" / "sequence.json").write_text(left)
            await rig.open()
            before = len(wire.sent)
            assert (await device.post(BODY)).code == "2.04"
        assert len(wire.sent) == before + 2  # the device answered the question by itself
        assert len(rig.behind.taken) == 2


@pytest.mark.parametrize("size", [1024, 1025, 50_000, MAX_BYTES])
async def test_a_large_body_comes_in_blocks(tmp_path: Path, size: int):
    known, own = oscore(tmp_path)
    body = bytes(i * 7 % 251 for i in range(size))
    async with door(tmp_path, known) as rig, oscore_device(rig.url, own) as device:
        assert (await device.post(body)).code == "2.04"
        assert [m.body for m in rig.behind.taken] == [body]


async def test_a_body_that_is_too_large_is_refused_and_the_next_one_taken(tmp_path: Path):
    known, own = oscore(tmp_path)
    async with door(tmp_path, known) as rig, oscore_device(rig.url, own) as device:
        assert (await device.post(bytes(MAX_BYTES + 1))).code == "4.13"
        assert (await device.post(BODY)).code == "2.04"
        assert len(rig.behind.taken) == 1


async def test_the_answer_waits_for_the_disk(tmp_path: Path):
    known, own = oscore(tmp_path)
    async with door(tmp_path, known) as rig, oscore_device(rig.url, own) as device:
        rig.behind.open.clear()
        device.begin(BODY)
        waiting = asyncio.create_task(device.answer())
        await until(lambda: len(rig.behind.taken) == 1)
        await asyncio.sleep(3)  # longer than a client waits before it repeats what was not acknowledged
        assert not waiting.done()
        rig.behind.open.set()
        assert (await waiting).code == "2.04"
        assert len(rig.behind.taken) == 1


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(Verdict.BUSY, "the disk is behind", 7), ("5.03", "the disk is behind", 7)),
        (Reply(Verdict.REFUSED, "records: expected 1"), ("4.00", "records: expected 1", None)),
        (Reply(Verdict.UNSUPPORTED, "media type"), ("4.15", "media type", None)),
        (Reply(Verdict.REFUSED, "温" * 400), ("4.00", "温" * 170, None)),  # 512 bytes, in whole letters
        (Reply(Verdict.ACCEPTED, "a\nb"), ("2.04", '{"unread": ["a", "b"]}', None)),
    ],
)
async def test_each_verdict_has_its_code(tmp_path: Path, reply: Reply, expected: tuple[str, str, int | None]):
    known, own = oscore(tmp_path)
    async with door(tmp_path, known) as rig, oscore_device(rig.url, own) as device:
        rig.behind.reply = reply
        answer = await device.post(BODY)
        assert (answer.code, answer.text, answer.max_age) == expected
        assert answer.protected


async def test_another_path_method_or_content_format_is_said_to_be_wrong(
    tmp_path: Path, coap_client: Callable[[str], CoapClient]
):
    known, own = oscore(tmp_path)
    async with door(tmp_path, known) as rig:
        async with oscore_device(rig.url.replace("/packages", "/other"), own) as device:
            answer = await device.post(BODY)
            assert (answer.code, answer.text) == ("4.04", "packages are taken at /packages")
        async with oscore_device(rig.url, own) as device:
            await device.post(BODY, 65_000)
        assert rig.behind.taken[0].media_type == "coap content-format 65000"


async def test_noise_does_no_harm(tmp_path: Path):
    known, own = oscore(tmp_path)
    async with door(tmp_path, known) as rig, Wire.to(rig.port) as wire:
        for noise in (b"", b"\xff" * 40, bytes(4), b"\x40\x02\x00\x01", b"\x40\x02\x00\x02\x91\x09\xff"):
            wire.shout(noise)
        async with oscore_device(rig.url, own) as device:
            assert (await device.post(BODY)).code == "2.04"


@pytest.mark.req("IOT-5.4a", "IOT-5.4c", "IOT-5.4e", surface="protocol")
@pytest.mark.parametrize("library", ["openssl", "gnutls"])
async def test_libcoaps_client_is_taken_over_dtls_under_its_identity(
    tmp_path: Path, coap_client: Callable[[str], CoapClient], library: str
):
    key = make_psk("monitor-7", tmp_path).read_text().strip().encode()
    client = coap_client(library)
    async with door(tmp_path, {"monitor-7": {"psk": "monitor-7.psk"}}, "coaps") as rig, Wire.to(rig.port) as wire:
        url = rig.url.replace(str(rig.port), str(wire.port))
        large = bytes(i * 7 % 251 for i in range(40_000))
        for body in (BODY, large):
            said = await client.post(url, body, identity="monitor-7", key=key)
            assert "2.04" in said, said
        assert [(m.device, m.media_type, m.body) for m in rig.behind.taken] == [
            ("monitor-7", SENML, BODY),
            ("monitor-7", SENML, large),
        ]
        assert not [d for d in wire.sent if b"packages" in d or BODY in d]


@pytest.mark.req("IOT-5.4a", surface="protocol")
async def test_a_wrong_key_of_dtls_gets_no_session_and_is_told(
    tmp_path: Path, coap_client: Callable[[str], CoapClient], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dtls, "HANDSHAKE_WITHIN_S", HANDSHAKE_S)
    make_psk("monitor-7", tmp_path)
    async with door(tmp_path, {"monitor-7": {"psk": "monitor-7.psk"}}, "coaps") as rig:
        client, key = coap_client("openssl"), b"0123456789abcdef"
        who = ("monitor-7", "somebody")
        said = await asyncio.gather(*(client.post(rig.url, BODY, identity=name, key=key, wait_s=2) for name in who))
        assert not [text for text in said if "2.04" in text]
        assert not rig.behind.taken
        await until(lambda: len(rig.refused()) == 2, HANDSHAKE_S + 5)
        reason = "dtls: the handshake did not end"
        assert set(rig.refused()) == {
            (reason, "monitor-7"),
            (reason, ""),
        }  # what a stranger calls itself is not for the log


async def test_plain_coap_at_a_dtls_door_gets_nothing(tmp_path: Path, coap_client: Callable[[str], CoapClient]):
    make_psk("monitor-7", tmp_path)
    async with door(tmp_path, {"monitor-7": {"psk": "monitor-7.psk"}}, "coaps") as rig:
        said = await coap_client("openssl").post(rig.url.replace("coaps:", "coap:"), BODY, wait_s=1)
        assert "2.04" not in said
        assert not rig.behind.taken


async def test_a_dtls_answer_waits_for_the_disk(tmp_path: Path, coap_client: Callable[[str], CoapClient]):
    key = make_psk("monitor-7", tmp_path).read_text().strip().encode()
    async with door(tmp_path, {"monitor-7": {"psk": "monitor-7.psk"}}, "coaps") as rig:
        rig.behind.open.clear()
        posting = asyncio.create_task(
            coap_client("openssl").post(rig.url, BODY, identity="monitor-7", key=key, wait_s=10)
        )
        await until(lambda: len(rig.behind.taken) == 1)
        await asyncio.sleep(1)
        assert not posting.done()
        rig.behind.open.set()
        assert "2.04" in await posting


async def test_two_doors_cannot_have_one_port(tmp_path: Path):
    known, _ = oscore(tmp_path)
    make_psk("monitor-7", tmp_path)
    async with door(tmp_path, known) as rig:
        for scheme, devices in (("coap", {}), ("coaps", {"monitor-7": {"psk": "monitor-7.psk"}})):
            url = f"{scheme}://127.0.0.1:{rig.port}/packages"
            other = make_door(DoorConfig("second", "coap", url, time.time_ns, tmp_path, {}, devices))
            with pytest.raises(DoorError, match=f"'second' cannot listen on 127.0.0.1:{rig.port}"):
                await other.serve(rig.behind.take)


async def test_a_context_has_one_user(tmp_path: Path):
    known, _ = oscore(tmp_path)
    async with door(tmp_path, known) as rig:
        url = f"coap://127.0.0.1:{free_udp_port()}/"
        other = make_door(DoorConfig("second", "coap", url, time.time_ns, tmp_path, {}, known))
        with pytest.raises(DoorError, match=r"device 'patch-4': .*patch-4.gateway cannot be opened"):
            await other.serve(rig.behind.take)


@pytest.mark.parametrize(
    ("url", "devices", "named"),
    [
        ("http://127.0.0.1:1/", {}, "expected coap://"),
        ("coap://127.0.0.1:x/", {}, "expected coap://"),
        ("coaps://0.0.0.0/", {}, "name it"),
        ("coap://127.0.0.1/", {"p": {"psk": "p.psk"}}, "device 'p': expected oscore"),
        ("coap://127.0.0.1/", {"p": {"oscore": "none"}}, "device 'p', oscore: .*none/secret.json: No such file"),
        ("coaps://127.0.0.1/", {"p": {"oscore": "p.gateway"}}, "device 'p': expected psk"),
        ("coaps://127.0.0.1/", {"p": {"psk": "none"}}, "device 'p', psk: .*none: No such file"),
        ("coaps://127.0.0.1/", {"p": {"psk": "short"}}, "at least 16 bytes, found 5"),
        ("coaps://127.0.0.1/", {"p": {"psk": "open"}}, "can be read by others"),
    ],
)
def test_settings_that_cannot_work_are_named(tmp_path: Path, url: str, devices: dict[str, dict[str, str]], named: str):
    for name, mode in (("short", 0o600), ("open", 0o644)):
        (tmp_path / name).write_text("12345")
        (tmp_path / name).chmod(mode)
    with pytest.raises(ConfigError, match=named):
        make_door(DoorConfig("coap", "coap", url, time.time_ns, tmp_path, {}, devices))


def test_two_devices_with_one_identifier_are_named(tmp_path: Path):
    known, _ = oscore(tmp_path)
    shutil.copytree(tmp_path / "patch-4.gateway", tmp_path / "copy")
    devices = {**known, "patch-5": {"oscore": "copy"}}
    with pytest.raises(ConfigError, match="device 'patch-5', oscore: device 'patch-4' has the same identifier"):
        make_door(DoorConfig("coap", "coap", "coap://127.0.0.1/", time.time_ns, tmp_path, {}, devices))
