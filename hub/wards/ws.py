"""The strips of a ward over a WebSocket (RFC 6455): the last 10 s that there are, then live, in numbered binary frames.

A slow screen gets a gap in place of what it could not take; it holds up nobody else.
"""

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Gauge, Histogram
from starlette.websockets import WebSocket, WebSocketDisconnect

from hub.accounts.domain import Person
from hub.placement.domain import Ward
from hub.wards.clients import WaveClient
from hub.wards.frames import Frame

if TYPE_CHECKING:
    from hub.accounts.service import Accounts
    from hub.wards.room import Room
    from hub.wards.service import WardService

_CHECK_S = 10.0
_REMEMBERED = 4096  # frames whose paint can still be told
_GOING = 1001  # RFC 6455, 7.4.1
_SESSION_ENDED = 4401
_SOCKETS = Gauge("hub_web_wave_sockets", "Open connections with strips")
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
        connection = _Connection(socket)
        with self._room.waves(WaveClient(ward.ward_id)) as client, _SOCKETS.track_inprogress():
            listening = asyncio.create_task(connection.listen())
            sending = asyncio.create_task(self._send(connection, client, person, secret, ward))
            try:
                done, _ = await asyncio.wait((listening, sending), return_when=asyncio.FIRST_COMPLETED)
                if sending in done:
                    await _close(socket, sending.result())
            except (WebSocketDisconnect, OSError):
                pass
            finally:
                for task in (listening, sending):
                    task.cancel()
                await asyncio.gather(listening, sending, return_exceptions=True)

    async def _send(
        self, connection: "_Connection", client: WaveClient, person: Person, secret: str, ward: Ward
    ) -> int:
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
                if await self._accounts.who(secret) is None:
                    return _SESSION_ENDED
        return _GOING


class _Connection:
    """One WebSocket: numbers what it sends, and hears what was painted."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._number = 0
        self._ends: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)

    async def send(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            await self._socket.send_bytes(frame.numbered(self._number))
            self._ends.append((self._number, frame.end_ms))
            self._number += 1

    async def listen(self) -> None:
        while True:
            text = await self._socket.receive_text()
            try:
                painted = json.loads(text)["painted"]
                number, at_ms = int(painted["frame"]), float(painted["at_ms"])
            except (ValueError, KeyError, TypeError):
                structlog.get_logger().warning("wave-socket-unknown-message", length=len(text))
                continue
            end_ms = next((end for n, end in reversed(self._ends) if n == number), None)
            if end_ms is not None:
                _PAINTED.observe(max(0.0, at_ms - end_ms) / 1000)


async def _close(socket: WebSocket, code: int) -> None:
    try:
        await socket.close(code)
    except RuntimeError:  # the other side was quicker
        return
