"""HTTP/1.1 for the local page: h11 and the data half of websockets on asyncio streams, with a bound on all that a peer can make us keep.

What is served is a `Handler`'s; here are sockets, limits and times. A WebSocket begins as a request (RFC 6455, 4.2).
"""

import asyncio
import base64
import binascii
import hashlib
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeAlias, cast
from urllib.parse import urlsplit

import h11
import structlog
from websockets.exceptions import ProtocolError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side, State

HEADER_BYTES = 16 * 1024
BODY_BYTES = 4 * 1024  # a page sends nothing longer than when it painted an alarm
MESSAGE_BYTES = 4 * 1024
REQUEST_WITHIN_S = 10.0
HANDSHAKE_WITHIN_S = 10.0
IDLE_S = 60.0
WRITE_WITHIN_S = 10.0  # a screen that takes nothing for so long is let go; it comes again when it can
BUFFER_BYTES = 256 * 1024
MAX_CONNECTIONS = 96
MAX_OF_ONE_PEER = 24
_READ_BYTES = 16 * 1024
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose body is whole. `fields` has small names; `query` is as it came."""

    method: str
    path: str
    query: str
    fields: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `stream` goes on without end in place of `body`."""

    status: HTTPStatus
    headers: Mapping[str, str]
    body: bytes = b""
    stream: AsyncGenerator[bytes] | None = None


@dataclass(slots=True)
class Socket:
    """The WebSocket of a screen, once it is open. `closed` is set when the screen has gone; `heard` counts its messages."""

    send: Callable[[bytes], Awaitable[None]]
    closed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The answer to a request for a WebSocket: the sub-protocol, and what to serve; returns why it is closed (code, reason)."""

    protocol: str
    serve: Callable[[Socket], Awaitable[tuple[int, str]]]


Handler: TypeAlias = Callable[[Request], Awaitable[Answer | Upgrade]]
Problem: TypeAlias = Callable[[Request | None, HTTPStatus, str], Answer]


class HttpServer:
    """`serve` until cancelled; `port` is there once it listens."""

    def __init__(self, handler: Handler, problem: Problem, listen: tuple[str, int], tls: ssl.SSLContext | None) -> None:
        """`problem` makes the answer to what cannot be handled."""
        self.handler, self.problem = handler, problem
        self._listen, self._tls = listen, tls
        self._connections: dict[asyncio.Task[None], str] = {}
        self.port = 0

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def serve(self) -> None:
        """Take connections until cancelled; OSError when the address cannot be used."""
        host, port = self._listen
        server = await asyncio.start_server(
            self._connected,
            host,
            port,
            ssl=self._tls,
            limit=_READ_BYTES,
            backlog=MAX_CONNECTIONS,
            ssl_handshake_timeout=None if self._tls is None else HANDSHAKE_WITHIN_S,
        )
        self.port = server.sockets[0].getsockname()[1]
        _log.info("local-page-open", host=host, port=self.port)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            server.close()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str((writer.get_extra_info("peername") or ("?",))[0])
        of_peer = sum(other == peer for other in self._connections.values())
        if len(self._connections) >= MAX_CONNECTIONS or of_peer >= MAX_OF_ONE_PEER:
            _log.warning("local-page-full", connections=len(self._connections), of_peer=of_peer)
            writer.close()
            return
        task = asyncio.create_task(_Connection(self, reader, writer).run())
        self._connections[task] = peer
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._connections[task]
        if not task.cancelled() and task.exception() is not None:
            _log.error("local-page-connection-failed", exc_info=task.exception())


class _RefusedError(Exception):
    """A request that is answered before anybody reads what it asks."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Connection:
    """One connection, request after request, until it becomes a WebSocket."""

    def __init__(self, server: HttpServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_BYTES)
        writer.transport.set_write_buffer_limits(high=BUFFER_BYTES)

    async def run(self) -> None:
        """Until the peer goes, stalls, or breaks a rule."""
        try:
            while await self._request():
                self._http.start_next_cycle()
        except (OSError, TimeoutError, h11.LocalProtocolError):
            self._writer.transport.abort()  # the peer has gone or stalls: there is nobody to answer
        finally:
            self._writer.close()

    async def _request(self) -> bool:
        """Answer one request; whether another may follow."""
        if not self._http.trailing_data[0]:
            async with asyncio.timeout(IDLE_S):
                data = await self._reader.read(_READ_BYTES)
            if not data:
                return False
            self._http.receive_data(data)
        request: Request | None = None
        try:
            async with asyncio.timeout(REQUEST_WITHIN_S):
                request = await self._read()
            answer = await self._server.handler(request)
        except _RefusedError as error:
            answer = self._server.problem(request, error.status, str(error))
        except h11.RemoteProtocolError as error:
            answer = self._server.problem(request, HTTPStatus(error.error_status_hint), str(error))
        except TimeoutError:
            text = f"expected a request within {REQUEST_WITHIN_S:g} s"
            answer = self._server.problem(request, HTTPStatus.REQUEST_TIMEOUT, text)
        if isinstance(answer, Upgrade):
            assert request is not None
            await self._socket(request, answer)
            return False
        await self._answer(answer, head=request is not None and request.method == "HEAD")
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _read(self) -> Request:
        event = await self._next()
        if not isinstance(event, h11.Request):
            raise ConnectionResetError
        # h11 bounds what is incomplete; headers that come in one piece are complete at once
        if sum(len(name) + len(value) for name, value in event.headers) + len(event.target) > HEADER_BYTES:
            large = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise _RefusedError(large, f"expected at most {HEADER_BYTES} bytes of headers")
        fields: dict[str, str] = {}
        for raw_name, raw_value in event.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        body = bytearray()
        while not isinstance(part := await self._next(), h11.EndOfMessage):
            if part is h11.PAUSED:  # an upgrade: what follows is not HTTP
                break
            if not isinstance(part, h11.Data):
                raise ConnectionResetError
            body += part.data
            if len(body) > BODY_BYTES:
                raise _RefusedError(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected a body of at most {BODY_BYTES} bytes"
                )
        target = urlsplit(event.target.decode("latin-1"))
        return Request(event.method.decode("latin-1"), target.path, target.query, fields, bytes(body))

    async def _next(self) -> "h11.Event | type[h11.PAUSED]":
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_READ_BYTES))
        return cast("h11.Event | type[h11.PAUSED]", event)

    async def _answer(self, answer: Answer, *, head: bool) -> None:
        headers = [(name, value) for name, value in answer.headers.items()]
        if answer.stream is None and answer.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            headers.append(("Content-Length", str(len(answer.body))))
        if self._http.their_state is not h11.DONE:  # what it still sends is not read
            headers.append(("Connection", "close"))
        await self._write(h11.Response(status_code=answer.status, headers=headers))
        if answer.stream is not None and not head:
            async with aclosing(answer.stream) as stream:
                async for part in stream:
                    await self._write(h11.Data(data=part))
        elif not head:
            await self._write(h11.Data(data=answer.body))
        await self._write(h11.EndOfMessage())

    async def _write(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            await self._out(data)

    async def _out(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(WRITE_WITHIN_S):
            await self._writer.drain()

    async def _socket(self, request: Request, upgrade: Upgrade) -> None:
        accept = base64.b64encode(
            hashlib.sha1(request.fields["sec-websocket-key"].encode() + _MAGIC, usedforsecurity=False).digest()
        )
        headers = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept.decode())]
        if upgrade.protocol:
            headers.append(("Sec-WebSocket-Protocol", upgrade.protocol))
        await self._write(h11.InformationalResponse(status_code=101, headers=headers))
        protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=MESSAGE_BYTES)
        writing = asyncio.Lock()

        async def flush() -> None:
            async with writing:
                for data in protocol.data_to_send():
                    if data:
                        await self._out(data)

        async def send(data: bytes) -> None:
            if protocol.state is State.OPEN:
                protocol.send_binary(data)
            await flush()

        socket = Socket(send)
        hearing = asyncio.create_task(self._hear(protocol, socket, flush, self._http.trailing_data[0]))
        serving = asyncio.ensure_future(upgrade.serve(socket))
        try:
            await asyncio.wait((hearing, serving), return_when=asyncio.FIRST_COMPLETED)
            if serving.done() and protocol.state is State.OPEN:
                code, reason = serving.result()
                protocol.send_close(code, reason)
                await flush()
        finally:
            for task in (hearing, serving):
                task.cancel()
            await asyncio.gather(hearing, serving, return_exceptions=True)

    async def _hear(
        self, protocol: Protocol, socket: Socket, flush: Callable[[], Awaitable[None]], data: bytes
    ) -> None:
        """Take what a screen says: only that it lives. Floods and long messages end it (RFC 6455, 7.4.1)."""
        heard, since_s = 0, asyncio.get_running_loop().time()
        try:
            while True:
                if data:
                    protocol.receive_data(data)
                    for event in protocol.events_received():
                        assert isinstance(event, Frame)
                        heard += event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.PING)
                now_s = asyncio.get_running_loop().time()
                if now_s - since_s >= 1:
                    heard, since_s = 0, now_s
                if heard > MAX_MESSAGES and protocol.state is State.OPEN:
                    protocol.fail(CloseCode.POLICY_VIOLATION, f"more than {MAX_MESSAGES} messages a second")
                await flush()
                if protocol.state is not State.OPEN:
                    return
                data = await self._reader.read(_READ_BYTES)
                if not data:
                    return
        except ProtocolError:
            return
        finally:
            socket.closed.set()


MAX_MESSAGES = 50  # a second


def is_handshake(fields: Mapping[str, str]) -> bool:
    """Whether a request asks for a WebSocket of version 13 (RFC 6455, 4.2.1)."""
    try:
        key = base64.b64decode(fields.get("sec-websocket-key", ""), validate=True)
    except (binascii.Error, ValueError):
        return False
    upgrades = {part.strip().lower() for part in fields.get("upgrade", "").split(",")}
    return "websocket" in upgrades and fields.get("sec-websocket-version") == "13" and len(key) == 16
