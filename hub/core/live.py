"""Live push from ingest to web over a Unix socket: what was just stored, and which links are up.

A message is a 24-byte header and a payload (a `wardlink.v1.Record` as it came, or JSON for links). Nothing here is a store:
whoever missed something reads the database; alarms are never dropped, and a subscriber too slow for them is cut off so
that it resumes from the alarm log. Either side gives up a peer that says what nobody of this version says, and goes on.
It reaches the processes of one machine only.
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

from hub.core.ending import end_all
from hub.core.queues import QUEUES
from protocols.wire import MAX_MESSAGE_BYTES

# length of the payload, kind, version, reserved, tenant id, alarm event id or clock, droppable messages dropped so far
_HEADER = struct.Struct("<IBBHIqI")
_VERSION = 1
_MAX_PAYLOAD = MAX_MESSAGE_BYTES  # a record came in a batch of at most this
_RECONNECT_S, _LONGEST_PAUSE_S = 0.25, 5.0
_GREETING_S = 5.0

DROPPABLE_BOUND, ALARM_BOUND = QUEUES["live-data"].bound, QUEUES["live-alarms"].bound

_DROPPED = Counter("hub_live_dropped_total", "Live messages dropped because a subscriber was slow")
_CUT_OFF = Counter("hub_live_cut_off_total", "Subscribers cut off because alarms piled up")
_NOT_UNDERSTOOD = Counter(
    "hub_live_not_understood_total", "Connections given up because of what came over them", ["side"]
)
_OVERSIZED = Counter("hub_live_oversized_total", "Messages too large for the live push; they are in the database")
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
    DOCUMENT = 9  # the path of its source: who wants to read it reads it in the database
    BACKLOG = 10
    TRACE = 11  # the next message of this source, kind and time is followed to the screens: rare, and never dropped


_SENT = frozenset(LiveKind) - {LiveKind.LOST}
_DROPPABLE = frozenset({LiveKind.WAVEFORM, LiveKind.NUMERIC, LiveKind.EVENT, LiveKind.GAP, LiveKind.DOCUMENT})


@dataclass(frozen=True, slots=True)
class LiveMessage:
    """One message. `payload`: Record bytes, or JSON.

    JSON is `{gateway, device, state, since_ms}` for `LINK`, `{gateway, waits}` for `BACKLOG`, `{trace, source, kind, record_ns}` for `TRACE`.
    `waits`: waveforms are still to come that are older than what was stored.
    `event_id`: for an alarm the id of its last row in alarm_event, committed; for data another number each time that the gateway's
    clock was set back, 0 while it was not. `dropped`: what this subscriber has missed.
    """

    kind: LiveKind
    tenant_id: int
    payload: bytes
    event_id: int = 0
    dropped: int = 0


class _NotUnderstoodError(Exception):
    """What came is not of this protocol and version; the text says where and what."""


class _Subscriber:
    """The queues of one listener: link states and alarms first, whatever is droppable behind them."""

    def __init__(self, cut_off: Callable[[], None]) -> None:
        """`cut_off` ends its connection, also while a write waits for it."""
        self._cut_off = cut_off
        self.kept: deque[LiveMessage] = deque(maxlen=ALARM_BOUND)
        self.droppable: deque[LiveMessage] = deque(maxlen=DROPPABLE_BOUND)
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
            if self.overrun:
                return
            if len(self.kept) >= ALARM_BOUND:
                self._give_up()
            else:
                self.kept.append(message)
        self.ready.set()

    def _give_up(self) -> None:
        self.overrun = True
        _CUT_OFF.inc()
        structlog.get_logger().warning("live-subscriber-cut-off", alarms=len(self.kept))
        self.kept.clear()
        self.droppable.clear()
        self._cut_off()

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
            await end_all(tuple(self._tasks))
            await self._server.wait_closed()
            self._path.unlink(missing_ok=True)

    @property
    def has_subscribers(self) -> bool:
        """Whether anybody listens; lets the caller leave out the making of messages."""
        return bool(self._subscribers)

    def publish(self, message: LiveMessage) -> None:
        """Hand a message to every subscriber's queue."""
        if len(message.payload) > _MAX_PAYLOAD:
            _OVERSIZED.inc()
            structlog.get_logger().error(
                "live-message-too-large", kind=message.kind.name, bytes=len(message.payload), at_most=_MAX_PAYLOAD
            )
            return
        for subscriber in self._subscribers:
            subscriber.put(message)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        subscriber = _Subscriber(writer.transport.abort)
        # Sent by this side: a subscriber that has it has missed nothing that was published since.
        subscriber.put(LiveMessage(LiveKind.CONNECTED, 0, b""))
        for message in self._snapshot():
            subscriber.put(message)
        self._subscribers.add(subscriber)
        _SUBSCRIBERS.inc()
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await _feed(subscriber, writer, gone)
            if gone.done() and gone.exception() is None and gone.result():
                _NOT_UNDERSTOOD.labels(side="ingest").inc()
                structlog.get_logger().warning(
                    "live-subscriber-spoke", what_to_do="nothing but the hub's web belongs here"
                )
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
    pause_s, why = _RECONNECT_S, ""
    while True:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError as error:
            if str(error) != why:
                why = str(error)
                structlog.get_logger().warning(
                    "live-push-not-reachable", reason=why, what_to_do="start ingest; it is tried again"
                )
            await asyncio.sleep(_RECONNECT_S)
            continue
        why = ""
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                yield await _greeting(reader)
                pause_s = _RECONNECT_S
                while True:
                    yield await _read(reader)
        except _NotUnderstoodError as error:
            _NOT_UNDERSTOOD.labels(side="web").inc()
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            structlog.get_logger().error(
                "live-push-not-understood",
                reason=str(error),
                again_in_s=pause_s,
                what_to_do="run ingest and web in the same version",
            )
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        yield LiveMessage(LiveKind.LOST, 0, b"")
        await asyncio.sleep(pause_s)


async def _greeting(reader: asyncio.StreamReader) -> LiveMessage:
    """The first message; whoever listens there says it at once."""
    try:
        async with asyncio.timeout(_GREETING_S):
            first = await _read(reader)
    except TimeoutError:
        msg = f"first message: expected within {_GREETING_S:.0f} s, found nothing"
        raise _NotUnderstoodError(msg) from None
    if first.kind is not LiveKind.CONNECTED:
        msg = f"first message: expected {LiveKind.CONNECTED.name}, found {first.kind.name}"
        raise _NotUnderstoodError(msg)
    return first


async def _read(reader: asyncio.StreamReader) -> LiveMessage:
    header = await reader.readexactly(_HEADER.size)
    length, kind, version, reserved, tenant_id, event_id, dropped = _HEADER.unpack(header)
    for what, expected, found, good in (
        ("version", str(_VERSION), version, version == _VERSION),
        ("kind", "one of an ingest", kind, kind in _SENT),
        ("reserved", "0", reserved, reserved == 0),
        ("length", f"at most {_MAX_PAYLOAD}", length, length <= _MAX_PAYLOAD),
    ):
        if not good:
            msg = f"header, {what}: expected {expected}, found {found}"
            raise _NotUnderstoodError(msg)
    return LiveMessage(LiveKind(kind), tenant_id, await reader.readexactly(length), event_id, dropped)


def link_message(tenant_id: int, gateway: str, device: str, state: str, since_ms: int) -> LiveMessage:
    """Make the message of one device's link: state is live, device_silent, gateway_lost or never."""
    body = {"gateway": gateway, "device": device, "state": state, "since_ms": since_ms}
    return LiveMessage(LiveKind.LINK, tenant_id, json.dumps(body, separators=(",", ":")).encode())


def backlog_message(tenant_id: int, gateway: str, *, waits: bool) -> LiveMessage:
    """Make the message that a gateway has waveforms to send that are older than what it has sent, or has them no more."""
    body = {"gateway": gateway, "waits": waits}
    return LiveMessage(LiveKind.BACKLOG, tenant_id, json.dumps(body, separators=(",", ":")).encode())
