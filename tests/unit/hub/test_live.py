"""The live push over a real Unix socket: order, bounds, what is never dropped, reconnecting."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from hub.core.live import DROPPABLE_BOUND, LiveKind, LiveMessage, LivePublisher, link_message, subscribe
from tests.fixtures.waiting import PATIENCE_S


def waveform(n: int) -> LiveMessage:
    return LiveMessage(LiveKind.WAVEFORM, 1, n.to_bytes(4, "big"))


def alarm(n: int) -> LiveMessage:
    return LiveMessage(LiveKind.ALARM, 1, b"alarm", event_id=n)


async def take(messages: AsyncGenerator[LiveMessage], count: int) -> list[LiveMessage]:
    async with asyncio.timeout(PATIENCE_S):
        return [await anext(messages) for _ in range(count)]


async def test_a_message_arrives_as_it_was_published(tmp_path: Path):
    publisher = LivePublisher(tmp_path / "s")
    await publisher.start()
    async with aclosing(subscribe(tmp_path / "s")) as messages:
        assert (await take(messages, 1))[0].kind is LiveKind.CONNECTED
        publisher.publish(waveform(5))
        publisher.publish(alarm(77))
        assert await take(messages, 2) == [alarm(77), waveform(5)]
    await publisher.stop()


async def test_a_new_listener_gets_the_present_links_first(tmp_path: Path):
    link = link_message(1, "gateway-1", "cyton-1", "live", 1000)
    publisher = LivePublisher(tmp_path / "s", lambda: [link])
    await publisher.start()
    async with aclosing(subscribe(tmp_path / "s")) as messages:
        assert (await take(messages, 2))[1] == link
    await publisher.stop()


async def test_a_slow_listener_loses_the_oldest_waveforms_with_a_count_and_no_alarm(tmp_path: Path):
    publisher = LivePublisher(tmp_path / "s")
    await publisher.start()
    async with aclosing(subscribe(tmp_path / "s")) as messages:
        await take(messages, 1)
        while not publisher.has_subscribers:  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0)
        for n in range(DROPPABLE_BOUND + 300):
            publisher.publish(waveform(n))
            if n % 100 == 0:
                publisher.publish(alarm(n))
        got = await take(messages, 23 + DROPPABLE_BOUND)
    assert [m.event_id for m in got if m.kind is LiveKind.ALARM] == [n * 100 for n in range(23)]
    kept = [int.from_bytes(m.payload, "big") for m in got if m.kind is LiveKind.WAVEFORM]
    assert kept == list(range(300, DROPPABLE_BOUND + 300))
    assert got[-1].dropped == 300
    await publisher.stop()


async def test_a_listener_hears_that_ingest_went_and_came_back(tmp_path: Path):
    first = LivePublisher(tmp_path / "s")
    await first.start()
    async with aclosing(subscribe(tmp_path / "s")) as messages:
        await take(messages, 1)
        await first.stop()
        assert [m.kind for m in await take(messages, 1)] == [LiveKind.LOST]
        second = LivePublisher(tmp_path / "s")
        await second.start()
        assert [m.kind for m in await take(messages, 1)] == [LiveKind.CONNECTED]
        second.publish(alarm(1))
        assert await take(messages, 1) == [alarm(1)]
    await second.stop()


async def test_the_socket_is_for_the_hubs_own_user(tmp_path: Path):
    publisher = LivePublisher(tmp_path / "s")
    await publisher.start()
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
    await publisher.stop()
