"""The live half of the local page: the event stream of a ward and its strips, in the forms of the hub (docs/reference/http-api.md)."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from edge.local.http import Socket
from edge.local.present import Json, alarm_json, dump, link_json, number_json
from edge.local.room import Link, Room
from edge.local.strips import Screen

BEAT_S = 2.0
_AGAIN = 1012  # RFC 6455 registry: the service begins anew
_TICKET_ENDED = 4401


async def events(
    room: Room, ward: str, last_event_id: str | None, version: str, holds: Callable[[], bool]
) -> AsyncGenerator[bytes]:
    """The text of the stream, until the ticket no longer holds or the screen goes."""
    reset = last_event_id is not None and not (last_event_id.isdecimal() and room.can_resume(int(last_event_id)))
    event = room.last_event if last_event_id is None or reset else int(last_event_id)
    resets, numbers = room.resets, max((n.order for bed in room.beds(ward) for n in bed.numbers.values()), default=0)
    links: dict[str, Link] = {}
    hello: Json = {"now_ms": room.now_ns() // 1_000_000, "last_event_id": room.last_event, "version": version}
    yield _event("hello", hello)
    if reset:
        yield _event("reset", {})
    loop = asyncio.get_running_loop()
    beat_s = loop.time()
    while holds():
        news = room.news
        if resets != room.resets:
            resets = room.resets
            yield _event("reset", {})
        for number, alarm in list(room.since(ward, event)):
            event = number
            yield _event("alarm", alarm_json(alarm), number)
        for bed in room.beds(ward):
            for one in sorted(bed.numbers.values(), key=lambda n: n.order):
                if one.order > numbers:
                    yield _event("numeric", {"bed": bed.name, **number_json(one)})
            link = room.link(bed)
            if bed.point in links and links[bed.point].state != link.state:
                yield _event("link", {"bed": bed.name, "link": link_json(room, link)})
            links[bed.point] = link
        numbers = max((n.order for bed in room.beds(ward) for n in bed.numbers.values()), default=numbers)
        if loop.time() - beat_s >= BEAT_S:
            beat_s = loop.time()
            yield b": beat\n\n"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, beat_s + BEAT_S - loop.time())):
                await news.wait()


async def strips(room: Room, ward: str, since_ms: float, holds: Callable[[], bool], socket: Socket) -> tuple[int, str]:
    """Serve the strips of a ward from `since_ms` on, each frame numbered; why it ended (RFC 6455, 7.4)."""
    screen, shape, number = Screen(since_ms), room.shape, 0
    while holds():
        if shape != room.shape:
            return _AGAIN, "beds have changed"
        news = room.news
        # Sending waits for a slow screen; what comes meanwhile is kept in the room and is next.
        for frame in list(room.frames(ward, screen)):
            await socket.send(frame.numbered(number))
            number += 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEAT_S):
                await news.wait()
    return _TICKET_ENDED, "ticket has expired"


def _event(name: str, data: Json, event_id: int | None = None) -> bytes:
    head = "" if event_id is None else f"id: {event_id}\n"
    return f"event: {name}\n{head}data: ".encode() + dump(data) + b"\n\n"
