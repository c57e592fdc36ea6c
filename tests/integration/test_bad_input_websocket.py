"""Bad input at the ward page's WebSocket: the one who sends it is told why and let go, the strips of the others go on."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
import pytest
from prometheus_client import REGISTRY
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from protocols.link import Lane
from tests.fixtures.gateway_peer import Peer
from tests.fixtures.hub import RunningHub
from tests.fixtures.web import RunningWeb, deliver, now_ns, strip

pytestmark = pytest.mark.integration


def socket(web: RunningWeb, client: httpx.AsyncClient) -> connect:
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    return connect(f"ws://{web.address}/ws/ward/7b", additional_headers={"Cookie": cookie}, close_timeout=0.5)


def refused(reason: str) -> float:
    return REGISTRY.get_sample_value("hub_web_wave_sockets_refused_total", {"reason": reason}) or 0.0


@dataclass
class Screen:
    """A well-behaved screen beside the bad one, and the gateway that feeds it."""

    hub: RunningHub
    peer: Peer
    connection: ClientConnection
    start_ns: int = field(default_factory=now_ns)
    groups: int = 0
    frames: int = 0

    async def goes_on(self) -> None:
        """The next group of two leads arrives as the next two frames."""
        await deliver(
            self.hub, self.peer, Lane.WAVEFORM, strip(self.groups * 125, self.start_ns + self.groups * 500_000_000)
        )
        self.groups += 1
        async with asyncio.timeout(5):
            for _ in range(2):
                frame = await self.connection.recv()
                assert isinstance(frame, bytes)
                assert int.from_bytes(frame[4:8], "little") == self.frames
                self.frames += 1


@pytest.fixture
async def screen(hub: RunningHub, web: RunningWeb) -> AsyncIterator[Screen]:
    async with socket(web, await web.signed_in("wu.jun")) as connection:
        made = Screen(hub, await hub.peer(), connection)
        await made.goes_on()
        yield made
        await made.goes_on()


async def let_go(connection: ClientConnection) -> tuple[int, str]:
    """The code and reason with which the hub closes; strips may still come before."""
    async with asyncio.timeout(5):
        with suppress(ConnectionClosed):
            while True:
                await connection.recv()
    return connection.close_code or 0, connection.close_reason or ""


async def test_a_binary_message_is_refused_with_the_reason(web: RunningWeb, screen: Screen):
    before = refused("binary")
    async with socket(web, await web.signed_in()) as bad:
        await bad.send(b"\x00\x01\x02")
        assert await let_go(bad) == (1003, "binary message: expected JSON text")
    assert refused("binary") == before + 1
    await screen.goes_on()


async def test_an_oversized_message_is_refused(web: RunningWeb, screen: Screen):
    client = await web.signed_in()
    for message in ("x" * 4097, b"x" * 4097, "x" * 5_000_000):
        async with socket(web, client) as bad:
            with suppress(ConnectionClosed):  # perhaps before all of it was sent
                await bad.send(message)
            code, _ = await let_go(bad)
            assert code == 1009
        await screen.goes_on()


async def test_text_that_is_no_utf_8_is_refused(web: RunningWeb, screen: Screen):
    async with socket(web, await web.signed_in()) as bad:
        await bad.send(b"\xff\xfe", text=True)
        code, _ = await let_go(bad)
        assert code == 1007
    await screen.goes_on()


NONSENSE = (
    "", "no json", "null", "[]", "5", '"painted"', "[" * 4000, "{}", '{"stop": true}', '{"painted": 5}',
    '{"painted": {"frame": 1e400, "at_ms": 1}}', '{"painted": {"frame": 0, "at_ms": NaN}}',
    '{"painted": {"frame": 0, "at_ms": Infinity}}', '{"painted": {"frame": "one", "at_ms": 1}}',
    '{"painted": {"frame": [], "at_ms": {}}}', '{"painted": {"at_ms": 1}}',
)  # fmt: skip


async def test_sixteen_unknown_messages_are_borne_and_the_next_ends_the_connection(web: RunningWeb, screen: Screen):
    assert len(NONSENSE) == 16
    before = refused("unknown")
    async with socket(web, await web.signed_in()) as bad:
        for message in NONSENSE:
            await bad.send(message)
        await screen.goes_on()
        async with asyncio.timeout(5):
            await bad.recv()  # its strips go on as well
        assert refused("unknown") == before
        await bad.send('{"stop": true}')
        code, reason = await let_go(bad)
        assert (code, reason.startswith("unknown messages: expected")) == (1008, True)
    assert refused("unknown") == before + 1


async def test_a_paint_that_cannot_be_does_not_spoil_the_figure(web: RunningWeb, screen: Screen):
    def told() -> tuple[float, float]:
        sums = (REGISTRY.get_sample_value(f"hub_web_painted_seconds_{what}") for what in ("count", "sum"))
        counted, total = (value or 0.0 for value in sums)
        return counted, total

    before = told()
    for frame, at_ms in ((0, 1e300), (-1, 1), (10**30, 1), (2**32, 1), (-(10**30), 1)):
        await screen.connection.send(json.dumps({"painted": {"frame": frame, "at_ms": at_ms}}))
    await screen.goes_on()
    assert told() == before
    await screen.connection.send(json.dumps({"painted": {"frame": 0, "at_ms": screen.start_ns / 1e6 + 700}}))
    async with asyncio.timeout(5):
        while told() == before:  # noqa: ASYNC110  what is asked is a counter
            await asyncio.sleep(0.01)
    counted, total = told()
    assert counted == before[0] + 1
    assert total - before[1] == pytest.approx(0.2, abs=0.01)  # the frame ends half a second behind its start


async def test_a_flood_ends_its_connection_and_nobody_elses(web: RunningWeb, screen: Screen):
    before = refused("flood")
    good = json.dumps({"painted": {"frame": 0, "at_ms": 1}})
    async with socket(web, await web.signed_in()) as bad:
        flood = asyncio.create_task(_send_for_ever(bad, good))
        await screen.goes_on()
        assert await let_go(bad) == (1008, "more than 50 messages a second")
        await flood
    assert refused("flood") == before + 1
    await screen.goes_on()


async def _send_for_ever(connection: ClientConnection, message: str) -> None:
    try:
        while True:
            await connection.send(message)
            # The loop is the hub's too: a flood from elsewhere takes none of its turns for itself.
            await asyncio.sleep(0)
    except ConnectionClosed:
        return


async def test_any_messages_at_all_end_in_a_close_with_a_code_and_the_ward_goes_on(
    web: RunningWeb, screen: Screen, seed: random.Random
):
    client = await web.signed_in()
    for _ in range(10):
        async with socket(web, client) as bad:
            with suppress(ConnectionClosed):
                for _ in range(60):
                    data = seed.randbytes(seed.randrange(0, 200))
                    await bad.send(seed.choice((data, data.decode("latin-1"), seed.choice(NONSENSE))))
            code, _ = await let_go(bad)
            assert code in (1003, 1008)
        await screen.goes_on()
