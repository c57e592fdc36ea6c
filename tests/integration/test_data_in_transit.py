"""Somebody on the way of the data: at the gateway's door and before the hub's uplink nothing can be read, changed, or talked into less."""

import asyncio
import ssl
import warnings
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from edge.identity import save_identity
from protocols.link import Lane
from protocols.nomenclature import HEART_RATE
from protocols.record import Observation, SourcePath, Times
from protocols.wire import encode_package
from tests.conformance.formats import PROTOBUF
from tests.fixtures.agent import Gateway
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_peer import Authority, Store, hub_peer, write_config
from tests.fixtures.signed_http import Device
from tests.fixtures.waiting import until
from wardlink.local.ports import free_port

pytestmark = pytest.mark.integration


class Listener:
    """Carries everything between a device and its gateway, keeps what it sees, and changes a byte of data on request."""

    def __init__(self, port: int) -> None:
        self._port, self.seen, self.spoil = port, bytearray(), False
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        pair = [asyncio.create_task(self._carry(a, b)) for a, b in ((reader, back), (there, writer))]
        self._tasks.update(pair)
        await asyncio.wait(pair, return_when=asyncio.FIRST_COMPLETED)
        back.close()
        writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.seen += data
            # 0x17: application data of TLS (RFC 8446, 5.1), so that no handshake is what fails
            if self.spoil and data[0] == 0x17 and len(data) > 200:
                self.spoil = False
                data = data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]
            writer.write(data)
            await writer.drain()


def reading(number: int) -> bytes:
    value = Observation(SourcePath("monitor-5", ("n",)), HEART_RATE, 60.0 + number, "/min", Times(1))
    return encode_package("monitor-5", number, [value])


@pytest.mark.req("IOT-9.3f", surface="protocol")
async def test_between_a_device_and_its_gateway_data_can_be_neither_read_nor_changed(tmp_path: Path):
    store, authority, device = Store(), Authority(), Device("monitor-5")
    papers = authority.server()
    for name, content in (("door.pem", papers.certificate), ("door.key", papers.key), ("ca.pem", authority.pem)):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "device.pem").write_text(device.public_pem)
    port = free_port()
    settings = (
        f'[[doors]]\nname = "https"\nkind = "http"\nurl = "https://127.0.0.1:{port}/packages"\n'
        '[doors.options]\ncertificate = "door.pem"\nkey = "door.key"\n'
        '[[doors.devices]]\nid = "monitor-5"\npublic_key = "device.pem"\n'
    )

    def values() -> list[float | str]:
        return [r.value for r in store.records(Lane.NUMERIC) if isinstance(r, Observation)]

    async with hub_peer(store, authority) as hub:
        save_identity(tmp_path / "state", authority.identity(f"127.0.0.1:{hub.port}"))
        agent = Gateway(write_config(tmp_path, settings))
        await agent.start()
        listener = Listener(port)
        try:
            await until(lambda: bool(agent.said("door-open")))
            url = f"https://127.0.0.1:{await listener.start()}/packages"
            trusted = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
            async with httpx.AsyncClient(verify=trusted, timeout=5) as client:
                assert (await device.post(client, url, PROTOBUF, reading(1))).status_code == 204
                listener.spoil = True
                with pytest.raises(httpx.HTTPError):
                    await device.post(client, url, PROTOBUF, reading(2))
                assert not listener.spoil
                await until(lambda: values() == [61.0])
                assert (await device.post(client, url, PROTOBUF, reading(2))).status_code == 204
                await until(lambda: values() == [61.0, 62.0])
            for word in (b"monitor-5", HEART_RATE.encode(), b"packages"):
                assert word not in listener.seen
            async with httpx.AsyncClient(
                timeout=5
            ) as stranger:  # who does not trust the gateway's authority sends nothing
                with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                    await device.post(stranger, url, PROTOBUF, reading(3))
        finally:
            await listener.stop()
            await agent.kill()
    assert values() == [61.0, 62.0]


async def answered(hub: RunningHub, said: bytes) -> bytes:
    """The first byte that the uplink answers, if it answers at all."""
    host, _, port = hub.uplink.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(said)
    try:
        async with asyncio.timeout(30):
            return await reader.read(1)
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


def hello(version: ssl.TLSVersion) -> bytes:
    """What a client begins with that speaks this version and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")  # this end would take anything
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


@pytest.mark.req("IOT-9.3f", surface="protocol")
async def test_the_hubs_uplink_speaks_with_nobody_in_the_clear_or_by_an_outdated_protocol(hub: RunningHub):
    handshake = b"\x16"  # RFC 8446, 5.1
    in_the_clear = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # RFC 9113, 3.4
    for said in (in_the_clear, hello(ssl.TLSVersion.TLSv1), hello(ssl.TLSVersion.TLSv1_1)):
        assert len(said) > 30
        assert await answered(hub, said) in (b"", b"\x15")  # nothing, or an alert
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert await answered(hub, hello(version)) == handshake
