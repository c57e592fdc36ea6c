"""The strips of a ward over a WebSocket (RFC 6455): the last 10 s that there are, then live, in numbered binary frames.

A slow screen gets a gap in place of what it could not take; it holds up nobody else. One that says what no page says is told why
(RFC 6455, 7.4.1) and let go; longer messages than a page's are refused by the server (`hub.web.server`).
"""

import asyncio
import contextlib
import json
import math
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter, Gauge, Histogram
from starlette.websockets import WebSocket, WebSocketDisconnect

from hub.accounts.domain import Person
from hub.core.queues import QUEUES
from hub.placement.domain import Ward
from hub.wards.clients import WaveClient
from protocols.live_frame import Frame

if TYPE_CHECKING:
    from hub.accounts.service import Accounts
    from hub.wards.room import Room
    from hub.wards.service import WardService
    from hub.wards.traced import PageTraces

_CHECK_S = 10.0
_GOING = 1001  # RFC 6455, 7.4.1
_NO_BINARY, _NOT_TO_BE = 1003, 1008
_SESSION_ENDED = 4401
_A_SECOND = 50  # messages; a page sends one in two seconds for each bed
_UNKNOWN_ALLOWED = 16
_LATE_MS = 600_000  # a frame painted later than so was one of the past
_SOCKETS = Gauge("hub_web_wave_sockets", "Open connections with strips")
_REFUSED = Counter("hub_web_wave_sockets_refused_total", "Connections let go because of what they said", ["reason"])
_PAINTED = Histogram(
    "hub_web_painted_seconds",
    "From the last sample of a frame to its paint on a screen",
    buckets=(0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5),
)


class WaveStreams:
    """Serves the connections of one process."""

    def __init__(self, room: "Room", wards: "WardService", accounts: "Accounts") -> None:
        self._room = room
        self._wards = wards
        self._accounts = accounts

    async def serve(self, socket: WebSocket, person: Person, secret: str, ward: Ward) -> None:
        """Serve one screen until it goes, its session ends or the process stops."""
        await socket.accept()
        structlog.get_logger().info("ward-page-open", ward=ward.ward_id)
        connection = _Connection(socket, self._room.traces)
        with self._room.waves(WaveClient(ward.ward_id)) as client, _SOCKETS.track_inprogress():
            listening = asyncio.create_task(connection.listen())
            sending = asyncio.create_task(self._send(connection, client, person, secret, ward))
            try:
                done, _ = await asyncio.wait((listening, sending), return_when=asyncio.FIRST_COMPLETED)
                code, reason = sending.result() if sending in done else listening.result()
                await _close(socket, code, reason)
            except (WebSocketDisconnect, OSError):
                pass
            finally:
                for task in (listening, sending):
                    task.cancel()
                await asyncio.gather(listening, sending, return_exceptions=True)

    async def _send(
        self, connection: "_Connection", client: WaveClient, person: Person, secret: str, ward: Ward
    ) -> tuple[int, str]:
        # The client listens already: what is stored meanwhile comes both ways, and is known again by its place.
        sent: set[tuple[int, int, float]] = set()
        async for bed in await self._wards.strips(person.principal, ward):
            frames = [frame for stored in bed for frame in stored.frames]
            sent |= {frame.place for frame in frames}
            await connection.send(frames)
        checked_s = time.monotonic()
        while not (client.closed or self._room.closing):
            await connection.send(frame for frame in client.take() if frame.place not in sent)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_S):
                    await client.ready.wait()
            if time.monotonic() - checked_s >= _CHECK_S:
                checked_s = time.monotonic()
                sent.clear()
                if await self._accounts.sessions.who(secret) is None:
                    return _SESSION_ENDED, "session ended"
        return _GOING, ""


class _Connection:
    """One WebSocket: numbers what it sends, and hears what was painted."""

    def __init__(self, socket: WebSocket, traces: "PageTraces") -> None:
        self._socket, self._traces = socket, traces
        self._number = 0
        self._ends: deque[float] = deque(maxlen=QUEUES["frames-sent"].bound)  # of the last frames, in their order

    async def send(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            await self._socket.send_bytes(frame.numbered(self._number))
            self._traces.sent(frame.place, self, self._number)
            self._ends.append(frame.end_ms)
            self._number += 1

    async def listen(self) -> tuple[int, str]:
        """Hear the page; what to close with when it says what a page does not say."""
        unknown, heard, since_s = 0, 0, time.monotonic()
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            if time.monotonic() - since_s >= 1:
                heard, since_s = 0, time.monotonic()
            heard += 1
            if heard > _A_SECOND:
                return _refused("flood", _NOT_TO_BE, f"more than {_A_SECOND} messages a second")
            text = message.get("text")
            if text is None:
                return _refused("binary", _NO_BINARY, "binary message: expected JSON text")
            painted = read_painted(text)
            if painted is None:
                unknown += 1
                if unknown > _UNKNOWN_ALLOWED:
                    return _refused("unknown", _NOT_TO_BE, 'unknown messages: expected {"painted": {"frame", "at_ms"}}')
                if unknown == 1:
                    structlog.get_logger().warning("wave-socket-unknown-message", length=len(text))
            else:
                self._observe(*painted)

    def _observe(self, number: int, at_ms: float) -> None:
        self._traces.painted(self, number, at_ms)
        behind = self._number - number
        if 0 < behind <= len(self._ends):
            late_ms = at_ms - self._ends[-behind]
            if late_ms <= _LATE_MS:
                _PAINTED.observe(max(0.0, late_ms) / 1000)


def read_painted(text: str) -> tuple[int, float] | None:
    """The number of a frame and when it was painted (ms since 1970), from `{"painted": {"frame", "at_ms"}}`; None for all else."""
    try:
        painted = json.loads(text)["painted"]
        number, at_ms = int(painted["frame"]), float(painted["at_ms"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return (number, at_ms) if math.isfinite(at_ms) else None


def _refused(what: str, code: int, reason: str) -> tuple[int, str]:
    _REFUSED.labels(reason=what).inc()
    structlog.get_logger().warning("wave-socket-refused", reason=reason)
    return code, reason


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    try:
        await socket.close(code, reason)
    except RuntimeError:  # the other side was quicker
        return
