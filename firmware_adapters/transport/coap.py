"""The CoAP door: one path that takes POST from devices it knows, by OSCORE over UDP or by DTLS with pre-shared keys.

RFC 7252, block-wise bodies (RFC 7959), OSCORE (RFC 8613). 2.04 follows the spool; the empty acknowledgement that UDP needs before
says only that the datagram came. Sockets are coap_sockets.py's. docs/how-to/coap-door.md shows both kinds of device.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from aiocoap import Code, Message
from aiocoap.numbers import OptionNumber
from aiocoap.resource import Resource

from firmware_adapters.adapter import ConfigError
from firmware_adapters.door import DOOR_API_VERSION, DoorConfig, DoorError, Reply, Take, Verdict
from firmware_adapters.door import Message as DoorMessage
from firmware_adapters.transport.coap_blocks import Block, BlockError, BlockFault, Blocks
from firmware_adapters.transport.coap_keys import KeyFileError, check_oscore, read_psk
from firmware_adapters.transport.coap_sockets import STRANGER, DeviceContext, OscoreSite, Refusals, Server
from protocols import package, senml

if TYPE_CHECKING:
    from aiocoap.pipe import Pipe

PORTS = MappingProxyType({"coap": 5683, "coaps": 5684})
MAX_OF_ONE_DEVICE = 8  # requests under way at once
MAX_DIAGNOSTIC_BYTES = 512  # beside headers, within a datagram of any network

# RFC 7252 clause 12.3 and RFC 8428 clause 12.3; those of the device package lie in the range for private use
CONTENT_FORMATS = MappingProxyType(
    {
        50: "application/json",
        110: senml.JSON_TYPE,
        112: senml.CBOR_TYPE,
        65_001: package.PROTOBUF_TYPE,
        65_002: package.JSON_TYPE,
    }
)
_JSON = 50

_CODES = {
    Verdict.ACCEPTED: Code.CHANGED,
    Verdict.REFUSED: Code.BAD_REQUEST,
    Verdict.UNSUPPORTED: Code.UNSUPPORTED_CONTENT_FORMAT,
    Verdict.BUSY: Code.SERVICE_UNAVAILABLE,
    Verdict.GIVEN_UP: Code.TOO_MANY_REQUESTS,
}
_BLOCK_CODES = {
    BlockFault.INCOMPLETE: Code.REQUEST_ENTITY_INCOMPLETE,
    BlockFault.TOO_LARGE: Code.REQUEST_ENTITY_TOO_LARGE,
    BlockFault.WRONG_SIZE: Code.BAD_REQUEST,
}
_UNDERSTOOD = frozenset(
    (OptionNumber.URI_HOST, OptionNumber.URI_PORT, OptionNumber.URI_PATH, OptionNumber.ACCEPT, OptionNumber.BLOCK1)
)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CoapSettings:
    """What the door's entry in the settings comes to: folders of contexts for OSCORE, or keys for DTLS, by device."""

    name: str
    host: str
    port: int
    path: tuple[str, ...]
    contexts: Mapping[str, Path]
    keys: Mapping[str, bytes]
    secure: bool  # DTLS


def make_door(config: DoorConfig) -> "CoapDoor":
    """The door that settings describe; ConfigError. Opens nothing."""
    config.options_of()
    url = urlsplit(config.url)
    try:
        port = url.port or PORTS.get(url.scheme, 0)
    except ValueError:
        port = 0
    if url.scheme not in PORTS or not url.hostname or not port or url.query:
        msg = (
            f"door {config.name!r}, url {config.url!r}: expected coap://address:port/path or coaps://address:port/path"
        )
        raise ConfigError(msg)
    secure = url.scheme == "coaps"
    if secure and _is_any(url.hostname):
        msg = f"door {config.name!r}, url {config.url!r}: coaps listens on one address of this machine; name it"
        raise ConfigError(msg)
    path = tuple(part for part in url.path.split("/") if part)
    contexts = {} if secure else _contexts(config)
    keys = {device: _key(config, device, said) for device, said in config.devices.items()} if secure else {}
    return CoapDoor(CoapSettings(config.name, url.hostname, port, path, contexts, keys, secure), config)


def _is_any(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _file(config: DoorConfig, device: str, said: Mapping[str, object], option: str) -> Path:
    value = said.get(option)
    if not isinstance(value, str) or not value or set(said) - {option}:
        msg = f"door {config.name!r}, device {device!r}: expected {option}, and nothing else, as the name of what `wardlink edge device-key` made"
        raise ConfigError(msg)
    return config.folder / value


def _contexts(config: DoorConfig) -> dict[str, Path]:
    folders = {device: _file(config, device, said, "oscore") for device, said in config.devices.items()}
    owner: dict[str, str] = {}
    for device, folder in folders.items():
        try:
            peer = check_oscore(folder).peer
        except KeyFileError as error:
            msg = f"door {config.name!r}, device {device!r}, oscore: {error}"
            raise ConfigError(msg) from error
        if peer in owner:
            msg = f"door {config.name!r}, device {device!r}, oscore: device {owner[peer]!r} has the same identifier; make a context for each"
            raise ConfigError(msg)
        owner[peer] = device
    return folders


def _key(config: DoorConfig, device: str, said: Mapping[str, object]) -> bytes:
    try:
        return read_psk(_file(config, device, said, "psk"))
    except KeyFileError as error:
        msg = f"door {config.name!r}, device {device!r}, psk: {error}"
        raise ConfigError(msg) from error


class CoapDoor:
    """Made by `make_door`."""

    api_version = DOOR_API_VERSION

    def __init__(self, settings: CoapSettings, config: DoorConfig) -> None:
        self._settings, self._now_ns = settings, config.now_ns

    async def serve(self, take: Take) -> None:
        """Take requests until cancelled; DoorError when the address or a context cannot be used."""
        settings = self._settings
        refusals = Refusals(settings.name)
        packages = _Packages(settings, take, self._now_ns, refusals)
        contexts: list[DeviceContext] = []
        try:
            for device, folder in settings.contexts.items():
                contexts.append(_opened(settings.name, device, folder, refusals))
            server = await self._listen(packages, contexts, refusals)
            _log.info("door-open", door=settings.name, host=settings.host, port=settings.port)
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await server.shutdown()
        finally:
            for context in contexts:
                context.close()

    async def _listen(self, packages: "_Packages", contexts: list[DeviceContext], refusals: Refusals) -> Server:
        settings = self._settings
        try:
            if settings.secure:
                return await Server.over_dtls(packages, settings.host, settings.port, settings.keys, refusals)
            return await Server.over_udp(OscoreSite(packages, contexts, refusals), settings.host, settings.port)
        except OSError as error:
            msg = f"door {settings.name!r} cannot listen on {settings.host}:{settings.port}: {error}"
            raise DoorError(msg) from error


def _opened(door: str, device: str, folder: Path, refusals: Refusals) -> DeviceContext:
    try:
        return DeviceContext(device, folder, refusals)
    except (OSError, ValueError, KeyError) as error:  # a lock that another program has is an OSError
        msg = f"door {door!r}, device {device!r}: {folder} cannot be opened: {error}"
        raise DoorError(msg) from error


class _AnswerError(Exception):
    """A request that ends with a code before anybody reads its body's meaning."""

    def __init__(self, code: Code, reason: str, max_age_s: int | None = None) -> None:
        super().__init__(reason)
        self.code, self.reason, self.max_age_s = code, reason, max_age_s


class _Packages(Resource):
    """All that there is behind the socket: the path that packages are posted to."""

    def __init__(self, settings: CoapSettings, take: Take, now_ns: Callable[[], int], refusals: Refusals) -> None:
        super().__init__()
        self._refusals = refusals
        self._path, self._take, self._now_ns = settings.path, take, now_ns
        self._devices = frozenset(settings.contexts) | frozenset(settings.keys)
        self._blocks = Blocks()
        self._under_way: dict[str, int] = {}

    async def render_to_pipe(self, pipe: "Pipe") -> None:
        """Answer one request."""
        request = pipe.request
        try:
            answer = await self._answer(request)
        except _AnswerError as error:
            answer = _diagnostic(error.code, error.reason, error.max_age_s)
        if request.opt.block1 is not None and answer.code.is_successful():
            answer.opt.block1 = request.opt.block1
        pipe.add_response(answer, is_last=True)

    async def _answer(self, request: Message) -> Message:
        device = self._sender(request)
        self._check(request)
        body = self._body(device, request)
        if body is None:
            return Message(code=Code.CONTINUE)
        content_format = request.opt.content_format
        unknown = "" if content_format is None else f"coap content-format {int(content_format)}"
        media_type = unknown if content_format is None else CONTENT_FORMATS.get(int(content_format), unknown)
        message = DoorMessage(device, media_type, body, "/" + "/".join(self._path), self._now_ns())
        if self._under_way.get(device, 0) >= MAX_OF_ONE_DEVICE:
            raise _AnswerError(Code.TOO_MANY_REQUESTS, f"at most {MAX_OF_ONE_DEVICE} requests of a device at once", 1)
        self._under_way[device] = self._under_way.get(device, 0) + 1
        try:
            return _replied(await self._take(message))
        finally:
            self._under_way[device] -= 1
            if not self._under_way[device]:
                del self._under_way[device]

    def _sender(self, request: Message) -> str:
        """Who has proved to be who; before anything else is looked at."""
        claims = request.remote.authenticated_claims
        device = claims[0] if claims else None
        if device is None or device not in self._devices:
            self._refusals.tell("no OSCORE and no DTLS", STRANGER)
            raise _AnswerError(Code.UNAUTHORIZED, "packages are taken under OSCORE or DTLS only")
        return device

    def _check(self, request: Message) -> None:
        if request.opt.uri_path != self._path:
            raise _AnswerError(Code.NOT_FOUND, f"packages are taken at /{'/'.join(self._path)}")
        if request.code is not Code.POST:
            raise _AnswerError(Code.METHOD_NOT_ALLOWED, "packages are sent by POST")
        for option in request.opt.option_list():
            if option.number.is_critical() and option.number not in _UNDERSTOOD:
                raise _AnswerError(Code.BAD_OPTION, f"option {int(option.number)} is not understood here")
        if (request.opt.size1 or 0) > package.MAX_BYTES:
            raise _AnswerError(Code.REQUEST_ENTITY_TOO_LARGE, BlockFault.TOO_LARGE.value)

    def _body(self, device: str, request: Message) -> bytes | None:
        if request.opt.block1 is None:
            return request.payload
        number, more, size_exponent = request.opt.block1
        block = Block(number, bool(more), size_exponent)
        content_format = request.opt.content_format
        try:
            return self._blocks.take(
                device, None if content_format is None else int(content_format), block, request.payload
            )
        except BlockError as error:
            raise _AnswerError(_BLOCK_CODES[error.fault], error.fault.value) from error


def _replied(reply: Reply) -> Message:
    code = _CODES[reply.verdict]
    if reply.verdict is not Verdict.ACCEPTED:
        return _diagnostic(code, reply.reason, reply.retry_after_s if reply.verdict is Verdict.BUSY else None)
    if not reply.reason:
        return Message(code=code)
    return Message(code=code, payload=_unread(reply.reason.split("\n")), content_format=_JSON)


def _unread(reasons: list[str]) -> bytes:
    """As many reasons as fit into one datagram, as over HTTP."""
    told: list[str] = []
    for reason in reasons:
        text = json.dumps({"unread": [*told, reason], "more": len(reasons)}, ensure_ascii=False)
        if len(text.encode()) > MAX_DIAGNOSTIC_BYTES and told:
            break
        told.append(reason.encode()[: MAX_DIAGNOSTIC_BYTES // 2].decode("utf-8", "ignore"))
    left = len(reasons) - len(told)
    said: dict[str, object] = {"unread": told, **({"more": left} if left else {})}
    return json.dumps(said, ensure_ascii=False).encode()


def _diagnostic(code: Code, reason: str, max_age_s: int | None = None) -> Message:
    """RFC 7252 clause 5.5.2: text for a person, in UTF-8."""
    text = reason.encode()[:MAX_DIAGNOSTIC_BYTES].decode("utf-8", "ignore").encode()
    return Message(code=code, payload=text, max_age=max_age_s)
