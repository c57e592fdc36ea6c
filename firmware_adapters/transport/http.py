"""The HTTP door: one path that takes signed POST requests, over TLS, with a bound on everything a sender may make us keep.

HTTP/1.1 is h11's, signatures are protocols.http_signature's; this file is sockets and limits. docs/how-to/http-door.md shows a request
made with curl and openssl.
"""

import asyncio
import base64
import binascii
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import h11
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from firmware_adapters.adapter import ConfigError
from firmware_adapters.door import DOOR_API_VERSION, DoorConfig, DoorError, Message, Reply, Take, Verdict
from protocols.http_signature import Request, SignatureError, Signed, is_signed, verify
from protocols.package import MAX_BYTES
from protocols.record import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER_BYTES = 16 * 1024
REQUEST_WITHIN_S = 30.0  # from a connection's first byte to the last of the body
HANDSHAKE_WITHIN_S = 10.0
IDLE_S = 75.0  # between requests of a connection
MAX_CONNECTIONS = 128
MAX_OF_ONE_DEVICE = 8  # requests under way at once
WINDOW_S = 300.0
MAX_REMEMBERED = 65_536  # signatures within the window; 64 devices at 1.7 requests a second each
_READ_BYTES = 64 * 1024
_LOOPBACK = ("127.0.0.1", "::1", "localhost")

_log = structlog.get_logger()

_STATUS = {
    Verdict.ACCEPTED: HTTPStatus.NO_CONTENT,
    Verdict.REFUSED: HTTPStatus.UNPROCESSABLE_ENTITY,
    Verdict.UNSUPPORTED: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Verdict.BUSY: HTTPStatus.SERVICE_UNAVAILABLE,
    Verdict.GIVEN_UP: HTTPStatus.TOO_MANY_REQUESTS,
}


class _AnswerError(Exception):
    """A request that ends with a problem before anybody reads its body's meaning."""

    def __init__(self, status: HTTPStatus, reason: str, headers: "Sequence[tuple[str, str]]" = ()) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, headers


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What the door's entry in the settings comes to."""

    name: str
    host: str
    port: int
    path: str
    tls: tuple[Path, Path] | None  # certificate and key
    keys: Mapping[str, Ed25519PublicKey]
    strangers: bool
    window_s: float


def make_door(config: DoorConfig) -> "HttpDoor":
    """The door that settings describe; ConfigError. Opens nothing."""
    options = config.options_of("certificate", "key", "strangers", "window_s")
    url = urlsplit(config.url)
    try:
        port = url.port
    except ValueError:
        port = None
    if url.scheme not in ("http", "https") or not url.hostname or port is None or url.query:
        msg = f"door {config.name!r}, url {config.url!r}: expected https://address:port/path to listen on"
        raise ConfigError(msg)
    if url.scheme == "http" and url.hostname not in _LOOPBACK:
        msg = f"door {config.name!r}, url {config.url!r}: http only on this machine itself (127.0.0.1); use https"
        raise ConfigError(msg)
    tls = (config.file("certificate"), config.file("key")) if url.scheme == "https" else None
    window = options.get("window_s", WINDOW_S)
    if isinstance(window, bool) or not isinstance(window, int | float) or not 1 <= window <= 3600:
        msg = f"door {config.name!r}, option 'window_s': expected 1 to 3600 seconds, found {window!r}"
        raise ConfigError(msg)
    keys = {device: _key(config, device, said.get("public_key")) for device, said in config.devices.items()}
    strangers = options.get("strangers", False) is True
    settings = HttpSettings(config.name, url.hostname, port, url.path or "/", tls, keys, strangers, float(window))
    return HttpDoor(settings, config)


def _key(config: DoorConfig, device: str, said: object) -> Ed25519PublicKey:
    """A public key: PEM text, 32 bytes in base64, or the name of a PEM file."""
    what = f"door {config.name!r}, device {device!r}, public_key"
    if not isinstance(said, str) or not said:
        msg = f"{what}: expected an Ed25519 public key, as PEM, base64 or the name of a PEM file"
        raise ConfigError(msg)
    try:
        if len(said) == 44 and "." not in said:
            return Ed25519PublicKey.from_public_bytes(base64.b64decode(said, validate=True))
        pem = said.encode() if said.startswith("-----") else (config.folder / said).read_bytes()
        key = load_pem_public_key(pem)
    except (OSError, ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        msg = f"{what}: {error}; openssl pkey -in key.pem -pubout makes one"
        raise ConfigError(msg) from error
    if not isinstance(key, Ed25519PublicKey):
        msg = f"{what}: expected an Ed25519 key, found {type(key).__name__}"
        raise ConfigError(msg)
    return key


class HttpDoor:
    """Made by `make_door`. `port` is the port it listens on, once it does."""

    api_version = DOOR_API_VERSION

    def __init__(self, settings: HttpSettings, config: DoorConfig) -> None:
        self._settings, self._now_ns = settings, config.now_ns
        self._remembered: dict[bytes, tuple[int, asyncio.Task[Reply]]] = {}
        self._of_device: dict[str, int] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    async def serve(self, take: Take) -> None:
        """Take requests until cancelled; DoorError when the address or the certificate cannot be used."""
        settings = self._settings

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(self._connections) >= MAX_CONNECTIONS:
                writer.close()  # nothing is kept for those; a sender finds the door closed and comes again
                return
            task = asyncio.create_task(_Connection(self, take, reader, writer).run())
            self._connections.add(task)
            task.add_done_callback(self._ended)

        try:
            tls = None if settings.tls is None else await asyncio.to_thread(_context, *settings.tls)
            server = await asyncio.start_server(
                connected,
                settings.host,
                settings.port,
                ssl=tls,
                limit=_READ_BYTES,
                backlog=MAX_CONNECTIONS,
                ssl_handshake_timeout=None if tls is None else HANDSHAKE_WITHIN_S,
            )
        except OSError as error:  # ssl.SSLError is one
            msg = f"door {settings.name!r} cannot listen on {settings.host}:{settings.port}: {error}"
            raise DoorError(msg) from error
        self.port = server.sockets[0].getsockname()[1]
        _log.info("door-open", door=settings.name, host=settings.host, port=self.port)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            server.close()
            for task in (*self._connections, *(t for _, t in self._remembered.values())):
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("connection-failed", door=self._settings.name, exc_info=task.exception())

    async def answer(self, request: Request, take: Take) -> Reply:
        """Authenticate and take one request; _AnswerError for one that is not taken at all."""
        self._check_head(request)
        at_ns = self._now_ns()
        signed = self._authenticate(request, at_ns)
        media_type = request.fields.get("content-type", "").partition(";")[0].strip().lower()
        device = signed.keyid if signed else ""
        message = Message(device, media_type, request.body, request.path, at_ns)
        if self._of_device.get(device, 0) >= MAX_OF_ONE_DEVICE:
            raise _AnswerError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"at most {MAX_OF_ONE_DEVICE} requests of a device at once",
                (("Retry-After", "1"),),
            )
        self._of_device[device] = self._of_device.get(device, 0) + 1
        try:
            return await (take(message) if signed is None else self._once(signed, message, take))
        finally:
            self._of_device[device] -= 1
            if not self._of_device[device]:
                del self._of_device[device]

    def date(self) -> str:
        """The gateway's clock for the field Date: a device whose clock is wrong signs by it."""
        return formatdate(self._now_ns() / NS_PER_S, usegmt=True)

    def check_early(self, method: str, path: str) -> None:
        """What can be said before the body is read."""
        if path != self._settings.path:
            raise _AnswerError(HTTPStatus.NOT_FOUND, f"packages are taken at {self._settings.path}")
        if method != "POST":
            raise _AnswerError(HTTPStatus.METHOD_NOT_ALLOWED, "packages are sent by POST", (("Allow", "POST"),))

    def _check_head(self, request: Request) -> None:
        if "content-encoding" in request.fields:
            raise _AnswerError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "content-encoding: expected none", (("Accept-Encoding", "identity"),)
            )

    def _authenticate(self, request: Request, at_ns: int) -> Signed | None:
        if self._settings.strangers and not is_signed(request.fields):
            return None
        try:
            return verify(request, self._settings.keys, at_ns / NS_PER_S, self._settings.window_s)
        except SignatureError as error:
            raise _AnswerError(HTTPStatus.UNAUTHORIZED, str(error), (("WWW-Authenticate", "Signature"),)) from error

    async def _once(self, signed: Signed, message: Message, take: Take) -> Reply:
        """The same signed request again gets the answer of the first and is not taken again, whoever sent it."""
        self._forget(message.at_ns // NS_PER_S)
        found = self._remembered.get(signed.signature)
        if found is None:
            if len(self._remembered) >= MAX_REMEMBERED:
                return Reply(Verdict.BUSY, "too many requests within the time a signature holds", 10)
            task = asyncio.create_task(_taken(take, message))
            found = self._remembered[signed.signature] = (signed.created_s, task)
        task = found[1]
        try:
            return await asyncio.shield(task)
        finally:
            if task.done() and (task.cancelled() or task.exception() or task.result().verdict is Verdict.BUSY):
                self._remembered.pop(signed.signature, None)

    def _forget(self, now_s: int) -> None:
        """Signatures that no longer hold. They stand about in the order of their time; one out of it waits for those before it."""
        while self._remembered:
            signature, (created_s, task) = next(iter(self._remembered.items()))
            if created_s + self._settings.window_s >= now_s or not task.done():
                return
            del self._remembered[signature]


async def _taken(take: Take, message: Message) -> Reply:
    return await take(message)


class _Connection:
    """One connection, request after request."""

    def __init__(self, door: HttpDoor, take: Take, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._door, self._take, self._reader, self._writer = door, take, reader, writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_BYTES)

    async def run(self) -> None:
        """Until the peer goes, is silent, or breaks a rule."""
        try:
            while await self._request():
                self._http.start_next_cycle()
        except (OSError, TimeoutError, h11.LocalProtocolError):
            pass  # the peer has gone or stalls: there is nobody to answer
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
        try:
            async with asyncio.timeout(REQUEST_WITHIN_S):
                request = await self._read()
            reply = await self._door.answer(request, self._take)
        except _AnswerError as error:
            await self._problem(error.status, error.reason, error.headers)
        except h11.RemoteProtocolError as error:
            await self._problem(HTTPStatus(error.error_status_hint), str(error))
        except TimeoutError:
            await self._problem(HTTPStatus.REQUEST_TIMEOUT, f"a request within {REQUEST_WITHIN_S:g} s")
        else:
            await self._reply(reply)
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _read(self) -> Request:
        event = await self._next()
        if not isinstance(event, h11.Request):
            raise ConnectionResetError
        target = event.target.decode("latin-1")
        method = event.method.decode("latin-1")
        fields: dict[str, str] = {}
        # h11 bounds what is incomplete; headers that come in one piece are complete at once
        if sum(len(name) + len(value) for name, value in event.headers) > HEADER_BYTES:
            large = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise _AnswerError(large, f"at most {HEADER_BYTES} bytes of headers")
        for raw_name, raw_value in event.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        self._door.check_early(method, target)
        if int(fields.get("content-length", "0")) > MAX_BYTES:
            raise _AnswerError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BYTES} bytes a package")
        if self._http.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
        body = bytearray()
        while True:
            part = await self._next()
            if isinstance(part, h11.EndOfMessage):
                return Request(method, fields.get("host", ""), target, fields, bytes(body))
            if not isinstance(part, h11.Data):
                raise ConnectionResetError
            body += part.data
            if len(body) > MAX_BYTES:
                raise _AnswerError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BYTES} bytes a package")

    async def _next(self) -> "h11.Event | type[h11.PAUSED]":
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return cast("h11.Event | type[h11.PAUSED]", event)
            self._http.receive_data(await self._reader.read(_READ_BYTES))

    async def _reply(self, reply: Reply) -> None:
        status = _STATUS[reply.verdict]
        if reply.verdict is Verdict.ACCEPTED and not reply.reason:
            await self._respond(status, b"", ())
        elif reply.verdict is Verdict.ACCEPTED:
            unread = json.dumps({"unread": reply.reason.split("\n")}, ensure_ascii=False).encode()
            await self._respond(HTTPStatus.OK, unread, (("Content-Type", "application/json"),))
        else:
            headers = (("Retry-After", str(reply.retry_after_s)),) if reply.verdict is Verdict.BUSY else ()
            await self._problem(status, reply.reason, headers)

    async def _problem(self, status: HTTPStatus, reason: str, headers: "Sequence[tuple[str, str]]" = ()) -> None:
        """RFC 9457."""
        document = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": reason}
        body = json.dumps(document, ensure_ascii=False).encode()
        await self._respond(status, body, (("Content-Type", "application/problem+json"), *headers))

    async def _respond(self, status: HTTPStatus, body: bytes, headers: "Sequence[tuple[str, str]]") -> None:
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        length = [] if status is HTTPStatus.NO_CONTENT else [("Content-Length", str(len(body)))]
        # A sender whose body was not read has to begin anew: what is left of it would be taken for a request.
        more = [] if self._http.their_state is h11.DONE else [("Connection", "close")]
        always = [("Date", self._door.date()), *length, *more]
        await self._send(
            h11.Response(status_code=int(status), headers=[*headers, *always], reason=status.phrase.encode()),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )

    async def _send(self, *events: h11.Event) -> None:
        for event in events:
            self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context
