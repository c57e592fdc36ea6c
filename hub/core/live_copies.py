"""Live push from several copies of ingest on one machine: each has a socket of its own, and web listens to all of them.

A copy claims the first free place beside `live.sock`; the claim is a lock of the kernel, so that it ends with the process
whatever ends that. Links are told together: a device may have come over from one copy to another, whose word then counts.
Copies on other machines are not heard.
"""

import asyncio
import fcntl
import json
import time
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from hub.core.ending import end_all
from hub.core.errors import ConflictError
from hub.core.live import LiveKind, LiveMessage, link_message, subscribe
from hub.core.queues import QUEUES

MAX_COPIES = 16
_LOOK_S = 0.25
UNREADABLE = (ValueError, KeyError, TypeError, OverflowError, RecursionError)  # as of a number or a nesting without end

DeviceKey: TypeAlias = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one copy pushes. The first, number 0, has the path itself."""

    number: int
    path: Path


@contextmanager
def claim(base: Path) -> Generator[Place]:
    """Hold the first free place while the copy runs; ConflictError when there is none."""
    base.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for number, path in enumerate(_paths(base)):
        with path.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield Place(number, path)
            return
    raise ConflictError(
        f"There are {MAX_COPIES} copies of ingest with live sockets at {base}.",
        "Stop one, or give the others another HUB_STATE_DIR.",
        reason="live-copies",
    )


def _paths(base: Path) -> Iterable[Path]:
    yield base
    for number in range(1, MAX_COPIES):
        yield base.with_name(f"{base.stem}-{number}{base.suffix}")


@dataclass(frozen=True, slots=True)
class _Told:
    gateway: str
    state: str
    since_ms: int

    @property
    def rank(self) -> tuple[bool, int]:
        """Who has the device live knows best, else who heard of it last."""
        return self.state == "live", self.since_ms


@dataclass(slots=True)
class Links:
    """What each copy says of the links, told as one. Pure; copies are named by any string."""

    _told: dict[DeviceKey, dict[str, _Told]] = field(default_factory=dict[DeviceKey, dict[str, _Told]])

    def heard(self, copy: str, message: LiveMessage) -> LiveMessage:
        """Take a LINK message of a copy; returns what now holds. UNREADABLE when it cannot be read."""
        body = json.loads(message.payload)
        key = message.tenant_id, str(body["device"])
        told = _Told(str(body["gateway"]), str(body["state"]), int(body["since_ms"]))
        said = self._told.setdefault(key, {})
        said[copy] = told
        return _message(key, said.values())

    def lost(self, copy: str, now_ms: int) -> list[LiveMessage]:
        """Forget a copy that has gone; returns what now holds of its links: what others say, else that the gateway is lost."""
        changed: list[LiveMessage] = []
        for key, said in tuple(self._told.items()):
            mine = said.pop(copy, None)
            if mine is None:
                continue
            if said:
                changed.append(_message(key, said.values()))
            else:
                del self._told[key]
                if mine.state == "live":
                    changed.append(link_message(key[0], mine.gateway, key[1], "gateway_lost", now_ms))
        return changed


def _message(key: DeviceKey, said: Iterable[_Told]) -> LiveMessage:
    tenant, device = key
    best = max(said, key=lambda one: one.rank)
    return link_message(tenant, best.gateway, device, best.state, best.since_ms)


async def subscribe_all(base: Path) -> AsyncGenerator[LiveMessage]:
    """Yield the messages of every copy for ever, those that start later too, as `hub.core.live.subscribe` does of one.

    `LOST` is said when the last copy has gone; while others are there, only the links of the one that has gone are lost.
    """
    queue: asyncio.Queue[tuple[str, LiveMessage]] = asyncio.Queue(QUEUES["live-copies"].bound)
    listening: dict[str, asyncio.Task[None]] = {}
    looking = asyncio.create_task(_look(base, listening, queue))
    links, here = Links(), set[str]()
    try:
        while True:
            copy, message = await queue.get()
            match message.kind:
                case LiveKind.CONNECTED:
                    here.add(copy)
                    yield message
                case LiveKind.LOST:
                    here.discard(copy)
                    told = links.lost(copy, time.time_ns() // 1_000_000)
                    for one in told if here else [message]:
                        yield one
                case LiveKind.LINK:
                    # One that cannot be read goes on as it is: the room says so in its log.
                    with suppress(*UNREADABLE):
                        message = links.heard(copy, message)
                    yield message
                case _:
                    yield message
    finally:
        await end_all((looking, *listening.values()))


async def _look(
    base: Path, listening: dict[str, asyncio.Task[None]], queue: asyncio.Queue[tuple[str, LiveMessage]]
) -> None:
    while True:
        for path in _paths(base):
            if path.name not in listening and path.exists():
                listening[path.name] = asyncio.create_task(_listen(path, queue))
        await asyncio.sleep(_LOOK_S)


async def _listen(path: Path, queue: asyncio.Queue[tuple[str, LiveMessage]]) -> None:
    async with aclosing(subscribe(path)) as messages:
        async for message in messages:
            await queue.put((path.name, message))
