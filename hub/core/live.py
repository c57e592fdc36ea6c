"""Live push from ingest to web over a Unix socket: what was just stored, and which links are up.

A message is a 24-byte header and a payload (a `wardlink.v1.Record` as it came, or JSON for links). Nothing here is a store:
whoever missed something reads the database; alarms are never dropped, and a subscriber too slow for them is cut off so
that it resumes from the alarm log. Several machines use NATS instead (architecture.md, Processes).
"""

import asyncio
import json
import struct
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import structlog
from prometheus_client import Counter, Gauge

# length of the payload, kind, version, reserved, tenant id, alarm event id (else 0), droppable messages dropped so far
_HEADER = struct.Struct("<IBBHIqI")
_VERSION = 1
_MAX_PAYLOAD = 16 * 1024 * 1024
_RECONNECT_S = 0.25

DROPPABLE_BOUND = 2_000  # messages; about 15 s of 64 beds at two groups a second
ALARM_BOUND = 10_000

_DROPPED = Counter("hub_live_dropped_total", "Live messages dropped because a subscriber was slow")
_CUT_OFF = Counter("hub_live_cut_off_total", "Subscribers cut off because alarms piled up")
_SUBSCRIBERS = Gauge("hub_live_subscribers", "Processes that listen to live data")


class LiveKind(IntEnum):
    """What a message is. `CONNECTED` is the first of a connection, `LOST` is made by the subscriber; they carry nothing."""

    WAVEFORM = 1
    NUMERIC = 2
    ALARM = 3
    EVENT = 4
    GAP = 5
    LINK = 6
    CONNECTED = 7
    LOST = 8


_DROPPABLE = frozenset({LiveKind.WAVEFORM, LiveKind.NUMERIC, LiveKind.EVENT, LiveKind.GAP})


@dataclass(frozen=True, slots=True)
class LiveMessage:
    """One message. `payload`: Record bytes, or JSON `{gateway, device, state, since_ms}` for `LINK`.

    `event_id`: for an alarm the id of its last row in alarm_event, committed. `dropped`: what this subscriber has missed.
    """

    kind: LiveKind
    tenant_id: int
    payload: bytes
    event_id: int = 0
    dropped: int = 0


class _Subscriber:
    """The queues of one listener: link states and alarms first, whatever is droppable behind them."""

    def __init__(self) -> None:
        self.kept: deque[LiveMessage] = deque()
        self.droppable: deque[LiveMessage] = deque()
        self.dropped = 0
        self.overrun = False
        self.ready = asyncio.Event()

    def put(self, message: LiveMessage) -> None:
        if message.kind in _DROPPABLE:
            if len(self.droppable) >= DROPPABLE_BOUND:
                self.droppable.popleft()
                self.dropped += 1
                _DROPPED.inc()
            self.droppable.append(message)
        else:
            self.overrun = self.overrun or len(self.kept) >= ALARM_BOUND
            self.kept.append(message)
        self.ready.set()

    def take(self) -> list[LiveMessage]:
        taken = [*self.kept, *self.droppable]
        self.kept.clear()
        self.droppable.clear()
        self.ready.clear()
        return taken


class LivePublisher:
    """The side of ingest. `publish` never waits and never fails; every subscriber has its own bounded queue."""

    def __init__(self, path: Path, snapshot: Callable[[], Iterable[LiveMessage]] = tuple) -> None:
        """`snapshot` gives what a new subscriber must know at once: the present link states."""
        self._path = path
        self._snapshot = snapshot
        self._subscribers: set[_Subscriber] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on the socket (0600), in place of one that a killed process left."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        self._path.chmod(0o600)

    async def stop(self) -> None:
        """Close the socket and every subscriber."""
        if self._server is not None:
            self._server.close()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._server.wait_closed()
            self._path.unlink(missing_ok=True)

    @property
    def has_subscribers(self) -> bool:
        """Whether anybody listens; lets the caller leave out the making of messages."""
        return bool(self._subscribers)

    def publish(self, message: LiveMessage) -> None:
        """Hand a message to every subscriber's queue."""
        for subscriber in self._subscribers:
            subscriber.put(message)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        subscriber = _Subscriber()
        # Sent by this side: a subscriber that has it has missed nothing that was published since.
        subscriber.put(LiveMessage(LiveKind.CONNECTED, 0, b""))
        for message in self._snapshot():
            subscriber.put(message)
        self._subscribers.add(subscriber)
        _SUBSCRIBERS.inc()
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await _feed(subscriber, writer, gone)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            gone.cancel()
            self._subscribers.discard(subscriber)
            _SUBSCRIBERS.dec()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _feed(subscriber: _Subscriber, writer: asyncio.StreamWriter, gone: asyncio.Future[bytes]) -> None:
    while not gone.done():
        waiting = asyncio.ensure_future(subscriber.ready.wait())
        await asyncio.wait((waiting, gone), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if subscriber.overrun:
            _CUT_OFF.inc()
            structlog.get_logger().warning("live-subscriber-cut-off", alarms=len(subscriber.kept))
            return
        writer.write(b"".join(_encoded(m, subscriber.dropped) for m in subscriber.take()))
        await writer.drain()


def _encoded(message: LiveMessage, dropped: int) -> bytes:
    header = _HEADER.pack(
        len(message.payload),
        message.kind,
        _VERSION,
        0,
        message.tenant_id,
        message.event_id,
        dropped & 0xFFFFFFFF,
    )
    return header + message.payload


async def subscribe(path: Path) -> AsyncGenerator[LiveMessage]:
    """Yield messages for ever, connecting again when ingest restarts.

    Yields `CONNECTED` each time a connection stands (then the present link states follow) and `LOST` when it breaks, so
    that a page shows lost links at once. Close the generator to stop.
    """
    log = structlog.get_logger()
    while True:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except (FileNotFoundError, ConnectionError):
            await asyncio.sleep(_RECONNECT_S)
            continue
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while (message := await _read(reader)) is not None:
                    yield message
                log.error("live-push-not-understood", what_to_do="run ingest and web in the same version")
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        yield LiveMessage(LiveKind.LOST, 0, b"")
        await asyncio.sleep(_RECONNECT_S)


async def _read(reader: asyncio.StreamReader) -> LiveMessage | None:
    header = await reader.readexactly(_HEADER.size)
    length, kind, version, _, tenant_id, event_id, dropped = _HEADER.unpack(header)
    if version != _VERSION or length > _MAX_PAYLOAD:
        return None
    return LiveMessage(LiveKind(kind), tenant_id, await reader.readexactly(length), event_id, dropped)


def link_message(tenant_id: int, gateway: str, device: str, state: str, since_ms: int) -> LiveMessage:
    """Make the message of one device's link: state is live, device_silent, gateway_lost or never."""
    body = {"gateway": gateway, "device": device, "state": state, "since_ms": since_ms}
    return LiveMessage(LiveKind.LINK, tenant_id, json.dumps(body, separators=(",", ":")).encode())
