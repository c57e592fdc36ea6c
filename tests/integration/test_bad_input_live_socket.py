"""Bad input at the socket between ingest and web: either side gives up a peer that talks nonsense, and goes on with the others."""

import asyncio
import json
import random
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from hub.core.live import ALARM_BOUND, LiveKind, LiveMessage, LivePublisher, link_message, subscribe
from protocols.wire import MAX_MESSAGE_BYTES
from tests.fixtures.hub import RunningHub, eventually
from tests.fixtures.waiting import PATIENCE_S
from tests.fixtures.web import RunningWeb, furnish, running_web

pytestmark = pytest.mark.integration
HEADER = struct.Struct("<IBBHIqI")
GREETING = HEADER.pack(0, LiveKind.CONNECTED, 1, 0, 0, 0, 0)


def header(length: int = 0, kind: int = LiveKind.ALARM, version: int = 1, reserved: int = 0) -> bytes:
    return HEADER.pack(length, kind, version, reserved, 1, 0, 0)


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def alarm(n: int) -> LiveMessage:
    return LiveMessage(LiveKind.ALARM, 1, b"alarm", event_id=n)


@asynccontextmanager
async def speaker(path: Path, says: Callable[[], bytes], *, hang_up: bool = True) -> AsyncGenerator[list[int]]:
    """Somebody else in place of ingest, who says the same on each connection; gives out when they were made."""
    times: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        times.append(len(times))
        writer.write(says())
        if not hang_up:
            await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield times
    finally:
        server.close()


async def take(messages: AsyncGenerator[LiveMessage], until: Callable[[LiveMessage], bool]) -> list[LiveMessage]:
    got: list[LiveMessage] = []
    async with asyncio.timeout(PATIENCE_S):
        async for message in messages:
            got.append(message)
            if until(message):
                return got
    raise AssertionError("the subscription ended")


NONSENSE = {
    "another version": GREETING + header(version=2),
    "an unknown kind": GREETING + header(kind=200),
    "a kind that only the subscriber makes": GREETING + header(kind=LiveKind.LOST),
    "a length beyond the bound": GREETING + header(length=MAX_MESSAGE_BYTES + 1),
    "reserved bits": GREETING + header(reserved=1),
    "no greeting": header(length=5) + b"alarm",
}


@pytest.mark.parametrize("says", NONSENSE.values(), ids=NONSENSE)
async def test_an_ingest_that_is_not_understood_is_given_up_and_found_again(
    short_folder: Callable[[], Path], says: bytes
):
    path = short_folder() / "s"
    before = count("hub_live_not_understood_total", side="web")
    async with aclosing(subscribe(path)) as messages:
        async with speaker(path, lambda: says, hang_up=False):
            got = await take(messages, lambda m: m.kind is LiveKind.LOST)
        assert {m.kind for m in got} <= {LiveKind.CONNECTED, LiveKind.LOST}
        assert count("hub_live_not_understood_total", side="web") == before + 1
        publisher = LivePublisher(path)
        await publisher.start()
        await take(messages, lambda m: m.kind is LiveKind.CONNECTED)
        publisher.publish(alarm(7))
        assert await take(messages, lambda m: m == alarm(7))
    await publisher.stop()


async def test_a_message_that_breaks_off_is_a_lost_connection_and_no_message(short_folder: Callable[[], Path]):
    path = short_folder() / "s"
    for cut in (1, HEADER.size - 1, HEADER.size, HEADER.size + 4):
        says = GREETING + (header(length=5) + b"alarm")[:cut]
        async with speaker(path, lambda s=says: s), aclosing(subscribe(path)) as messages:
            got = await take(messages, lambda m: m.kind is LiveKind.LOST)
        assert [m.kind for m in got] == [LiveKind.CONNECTED, LiveKind.LOST]


async def test_a_listener_survives_any_bytes_and_then_hears_the_true_ingest(
    short_folder: Callable[[], Path], seed: random.Random
):
    path = short_folder() / "s"
    good = GREETING + b"".join(HEADER.pack(5, LiveKind.ALARM, 1, 0, 1, n, 0) + b"alarm" for n in range(20))

    def says() -> bytes:
        if seed.random() < 0.3:
            return seed.randbytes(seed.randrange(1, 5000))
        said = bytearray(good if seed.random() < 0.5 else GREETING + seed.randbytes(500))
        for _ in range(seed.randrange(1, 4)):
            said[seed.randrange(len(said))] = seed.randrange(256)
        return bytes(said[: seed.randrange(1, len(said) + 1)])

    async with aclosing(subscribe(path)) as messages:
        async with speaker(path, says) as connections:
            await take(messages, lambda m: m.kind is LiveKind.LOST and len(connections) >= 5)
        publisher = LivePublisher(path)
        await publisher.start()
        await take(messages, lambda m: m.kind is LiveKind.CONNECTED)
        publisher.publish(alarm(7))
        assert await take(messages, lambda m: m == alarm(7))
    await publisher.stop()


async def test_a_listener_that_never_reads_is_cut_off_and_holds_up_nobody(short_folder: Callable[[], Path]):
    path = short_folder() / "s"
    publisher = LivePublisher(path)
    await publisher.start()
    cut_off = count("hub_live_cut_off_total")
    _, deaf = await asyncio.open_unix_connection(path, limit=1)
    async with aclosing(subscribe(path)) as messages:
        await take(messages, lambda m: m.kind is LiveKind.CONNECTED)
        await eventually(lambda: count("hub_live_subscribers") >= 2)
        big = LiveMessage(LiveKind.ALARM, 1, bytes(500))
        for burst in range(40):
            for _ in range(ALARM_BOUND // 20):
                publisher.publish(big)
            publisher.publish(alarm(1000 + burst))
            heard = await take(messages, lambda m, n=burst: m.event_id == 1000 + n)
            assert heard.count(big) == ALARM_BOUND // 20
            if count("hub_live_cut_off_total") > cut_off:
                break
        assert count("hub_live_cut_off_total") == cut_off + 1
        publisher.publish(alarm(7))
        assert await take(messages, lambda m: m == alarm(7))
        await eventually(lambda: count("hub_live_subscribers") == 1)
    deaf.close()
    await publisher.stop()


async def test_a_listener_that_speaks_is_given_up_and_the_others_hear_on(short_folder: Callable[[], Path]):
    path = short_folder() / "s"
    publisher = LivePublisher(path)
    await publisher.start()
    before = count("hub_live_not_understood_total", side="ingest")
    async with aclosing(subscribe(path)) as messages:
        await take(messages, lambda m: m.kind is LiveKind.CONNECTED)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(random.SystemRandom().randbytes(1000))
        async with asyncio.timeout(PATIENCE_S):
            while await reader.read(1000):
                pass
        writer.close()
        assert count("hub_live_not_understood_total", side="ingest") == before + 1
        publisher.publish(alarm(7))
        assert await take(messages, lambda m: m == alarm(7))
    await publisher.stop()


async def test_a_message_beyond_the_bound_is_not_sent_and_the_next_one_is(short_folder: Callable[[], Path]):
    path = short_folder() / "s"
    publisher = LivePublisher(path)
    await publisher.start()
    before = count("hub_live_oversized_total")
    async with aclosing(subscribe(path)) as messages:
        await take(messages, lambda m: m.kind is LiveKind.CONNECTED)
        publisher.publish(LiveMessage(LiveKind.EVENT, 1, bytes(MAX_MESSAGE_BYTES + 1)))
        publisher.publish(alarm(7))
        assert [m.kind for m in await take(messages, lambda m: m == alarm(7))] == [LiveKind.ALARM]
    assert count("hub_live_oversized_total") == before + 1
    await publisher.stop()


@pytest.fixture
async def deaf_web(hub: RunningHub, short_folder: Callable[[], Path]) -> AsyncGenerator[tuple[RunningWeb, Path]]:
    """The role web beside a socket of this test's own."""
    path = short_folder() / "s"
    async with running_web(hub.database, path) as web:
        await furnish(web)
        yield web, path


async def test_payloads_that_mean_nothing_leave_the_ward_page_live(
    deaf_web: tuple[RunningWeb, Path], seed: random.Random
):
    web, path = deaf_web
    client = await web.signed_in()
    publisher = LivePublisher(path)
    await publisher.start()
    await eventually(lambda: publisher.has_subscribers)
    bodies: list[object] = [None, [], "live", 5, {}, {"state": "live"}, {"state": [], "since_ms": 1}]
    link = {"gateway": "g", "device": "cyton-1", "state": "live"}
    bodies += [
        {**link, "since_ms": None},
        {**link, "since_ms": float("inf")},
        {**link, "state": "asleep", "since_ms": 1},
    ]
    payloads = [json.dumps(body).encode() for body in bodies] + [b"[" * 100_000, b"\xff\xfe", b""]
    payloads += [seed.randbytes(seed.randrange(1, 300)) for _ in range(100)]
    for payload in payloads:
        for kind in (LiveKind.LINK, LiveKind.WAVEFORM, LiveKind.NUMERIC, LiveKind.EVENT, LiveKind.GAP):
            publisher.publish(LiveMessage(kind, 1, payload))
    publisher.publish(link_message(1, "gateway-1", "cyton-1", "live", 1000))
    async with asyncio.timeout(PATIENCE_S):
        while True:
            (bed,) = (await client.get("/api/v1/ward/7b")).json()["beds"]
            if (bed["link"]["state"], bed["link"]["since_ms"]) == ("live", 1000):
                break
            await asyncio.sleep(0.05)
    await publisher.stop()
