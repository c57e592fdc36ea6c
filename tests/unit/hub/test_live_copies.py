"""Several copies of ingest on one machine: who gets which socket, how their links are told as one, and what becomes of a copy that goes."""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, aclosing
from pathlib import Path

import pytest

from hub.core.errors import ConflictError
from hub.core.live import LiveKind, LiveMessage, LivePublisher, link_message
from hub.core.live_copies import MAX_COPIES, Links, claim, subscribe_all

HELD = """
import sys; from pathlib import Path; from hub.core.live_copies import claim
with claim(Path(sys.argv[1])) as place:
    print(place.number, flush=True); sys.stdin.read()
"""


@pytest.fixture
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wl-") as folder:  # sockets need a short path
        yield Path(folder) / "live.sock"


def numbered(n: int) -> LiveMessage:
    return LiveMessage(LiveKind.ALARM, 1, b"%d" % n, n)


def told(message: LiveMessage) -> tuple[str, str]:
    body = json.loads(message.payload)
    return body["gateway"], body["state"]


async def next_of(messages: AsyncIterator[LiveMessage]) -> LiveMessage:
    return await asyncio.wait_for(anext(messages), 5)


def test_each_copy_gets_a_place_and_the_first_has_the_path_itself(base: Path):
    with claim(base) as first, claim(base) as second:
        assert (first.number, first.path) == (0, base)
        assert (second.number, second.path.name) == (1, "live-1.sock")
    with claim(base) as again:
        assert again.number == 0


def test_a_killed_copy_leaves_its_place_free(base: Path):
    process = subprocess.Popen(
        [sys.executable, "-c", HELD, str(base)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "0\n"
    with claim(base) as beside:
        assert beside.number == 1
    process.kill()
    process.wait(10)
    process.stdout.close()
    process.stdin.close()
    with claim(base) as after:
        assert after.number == 0


def test_one_copy_too_many_is_told_what_to_do(base: Path):
    with ExitStack() as held:
        for _ in range(MAX_COPIES):
            held.enter_context(claim(base))
        with pytest.raises(ConflictError, match="16 copies") as refused, claim(base):
            pass
    assert "HUB_STATE_DIR" in refused.value.what_to_do


def test_a_device_that_is_live_at_one_copy_is_live_whatever_another_says_of_its_past():
    links = Links()
    assert told(links.heard("a", link_message(1, "g", "d", "live", 1000))) == ("g", "live")
    assert told(links.heard("b", link_message(1, "g", "d", "live", 5000))) == ("g", "live")
    assert told(links.heard("a", link_message(1, "g", "d", "gateway_lost", 5000))) == ("g", "live")
    assert told(links.heard("b", link_message(1, "g", "d", "device_silent", 9000))) == ("g", "device_silent")
    # another hospital's device of that name is another device
    assert told(links.heard("b", link_message(2, "h", "d", "gateway_lost", 1))) == ("h", "gateway_lost")


def test_a_copy_that_goes_takes_only_its_own_links_along():
    links = Links()
    links.heard("a", link_message(1, "g", "mine", "live", 1000))
    links.heard("a", link_message(1, "g", "moved", "live", 1000))
    links.heard("b", link_message(1, "g", "moved", "live", 2000))
    links.heard("b", link_message(1, "h", "other", "live", 2000))
    assert [json.loads(m.payload) for m in links.lost("a", 7000)] == [
        {"gateway": "g", "device": "mine", "state": "gateway_lost", "since_ms": 7000},
        {"gateway": "g", "device": "moved", "state": "live", "since_ms": 2000},
    ]
    assert links.lost("a", 8000) == []


async def test_a_listener_hears_every_copy_those_that_come_later_too_and_the_loss_of_the_last(base: Path):
    def snapshot(device: str, gateway: str) -> list[LiveMessage]:
        return [link_message(1, gateway, device, "live", 1000)]

    with claim(base) as place_a, claim(base) as place_b:
        a = LivePublisher(place_a.path, lambda: snapshot("x", "g"))
        b = LivePublisher(place_b.path, lambda: snapshot("y", "h"))
        await a.start()
        async with aclosing(subscribe_all(base)) as messages:
            assert (await next_of(messages)).kind is LiveKind.CONNECTED
            assert told(await next_of(messages)) == ("g", "live")
            await b.start()
            assert (await next_of(messages)).kind is LiveKind.CONNECTED
            assert told(await next_of(messages)) == ("h", "live")
            a.publish(numbered(1))
            assert await next_of(messages) == numbered(1)
            b.publish(numbered(2))
            assert await next_of(messages) == numbered(2)
            await a.stop()
            assert told(await next_of(messages)) == ("g", "gateway_lost")
            b.publish(numbered(3))
            assert await next_of(messages) == numbered(3)
            await b.stop()
            assert (await next_of(messages)).kind is LiveKind.LOST


async def test_a_link_that_cannot_be_read_goes_on_to_who_logs_it(base: Path):
    publisher = LivePublisher(base)
    await publisher.start()
    odd = LiveMessage(LiveKind.LINK, 1, b"{}")
    async with aclosing(subscribe_all(base)) as messages:
        await next_of(messages)
        publisher.publish(odd)
        assert await next_of(messages) == odd
    await publisher.stop()
