"""The MQTT door: a client of the ward's broker that acknowledges a message when it is on disk, and no earlier.

MQTT 5 over mutual TLS. Who sent a message, the broker's access list says: it ties the topic `<prefix>/<device>/...` to the client
certificate (docs/how-to/mqtt-door.md). The protocol itself is mqtt_link.py's.
"""

import asyncio
import json
import random
import ssl
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from cryptography import x509
from cryptography.x509.oid import NameOID

from firmware_adapters.adapter import ConfigError, LinkError
from firmware_adapters.door import DOOR_API_VERSION, DoorConfig, Message, Pace, Reply, Take, Verdict
from firmware_adapters.transport.mqtt_link import Broker, MqttLink, RefusedError
from firmware_adapters.transport.mqtt_packets import Arrived
from protocols import package, senml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RECEIVE_MAXIMUM = 64
KEEPALIVE_S = 30
SESSION_EXPIRY_S = 14 * 86_400
SILENCE_S = 20.0
PROBE_WITHIN_S = 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
MAX_UNASKED = 256  # messages of QoS 0, which no receive maximum holds back
KEPT_BEFORE = 20_000  # messages a device that a broker may have kept while nobody took them: 5.5 h of one a second
COMMANDS = "cmd"
NOBODY = "-"  # no device has this name: what comes without one is kept as a fault

# What stands behind the device in a topic, where a message has no content type of its own.
MEDIA_TYPES: "Mapping[str, str]" = MappingProxyType(
    {
        "package": package.PROTOBUF_TYPE,
        "package/json": package.JSON_TYPE,
        "senml": senml.CBOR_TYPE,
        "senml/json": senml.JSON_TYPE,
    }
)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """What the door's entry in the settings comes to. `prefix`: the first levels of all topics."""

    name: str
    host: str
    port: int
    prefix: str
    ca: Path
    certificate: Path
    key: Path
    client_id: str
    silence_s: float
    probe_within_s: float
    kept_before: int = KEPT_BEFORE


def make_door(config: DoorConfig) -> "MqttDoor":
    """The door that settings describe; ConfigError. Opens nothing."""
    options = config.options_of("ca", "certificate", "key", "client_id", "silence_s", "probe_within_s", "kept_before")
    url = urlsplit(config.url)
    try:
        port = url.port or 8883
    except ValueError:
        port = 0
    prefix = url.path.strip("/") or "bedside"
    if url.scheme != "mqtts" or not url.hostname or not port or url.query or set(prefix) & set("+#"):
        msg = f"door {config.name!r}, url {config.url!r}: expected mqtts://broker:port/prefix, as mqtts://127.0.0.1:8883/bedside"
        raise ConfigError(msg)
    client_id = options.get("client_id", "")
    if not isinstance(client_id, str) or len(client_id) > 128:
        msg = f"door {config.name!r}, option 'client_id': expected text of at most 128 characters, found {client_id!r}"
        raise ConfigError(msg)
    files = (config.file("ca"), config.file("certificate"), config.file("key"))
    silence_s, within_s = _seconds(config, "silence_s", SILENCE_S), _seconds(config, "probe_within_s", PROBE_WITHIN_S)
    kept = options.get("kept_before", KEPT_BEFORE)
    if isinstance(kept, bool) or not isinstance(kept, int) or not 0 <= kept <= 10_000_000:
        msg = f"door {config.name!r}, option 'kept_before': expected 0 to 10000000 messages, found {kept!r}"
        raise ConfigError(msg)
    settings = MqttSettings(config.name, url.hostname, port, prefix, *files, client_id, silence_s, within_s, kept)
    return MqttDoor(settings, config)


def _seconds(config: DoorConfig, name: str, unless_set: float) -> float:
    value = config.options.get(name, unless_set)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 3600:
        msg = f"door {config.name!r}, option {name!r}: expected 1 to 3600 seconds, found {value!r}"
        raise ConfigError(msg)
    return float(value)


@dataclass(frozen=True, slots=True)
class _Papers:
    """What this client shows a broker. `name`: its common name, which is its user name there."""

    tls: ssl.SSLContext
    name: str


@dataclass(slots=True)
class _Waiting:
    """A message on its way to the disk. `number` 0: it wants no acknowledgement, or must not get one."""

    number: int
    done: bool = False


class MqttDoor:
    """Made by `make_door`."""

    api_version = DOOR_API_VERSION

    def __init__(self, settings: MqttSettings, config: DoorConfig) -> None:
        self._settings, self._now_ns = settings, config.now_ns

    async def serve(self, take: Take) -> None:
        """Be connected until cancelled; a broker that is away or refuses is asked again, with growing pauses."""
        pause_s = FIRST_PAUSE_S
        while True:
            began_s = time.monotonic()
            try:
                await self._connected(take)
            except (LinkError, ConfigError) as error:
                _log.warning("door-lost", door=self._settings.name, reason=str(error), again_in_s=round(pause_s, 1))
            if time.monotonic() - began_s > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s * random.uniform(0.7, 1.0))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _connected(self, take: Take) -> None:
        papers = await asyncio.to_thread(_read_papers, self._settings)
        visit = _Visit(self._settings, take, self._now_ns, papers)
        try:
            await visit.run()
        finally:
            visit.end()


class _Visit:
    """One connection: what has come over it and is not acknowledged yet."""

    def __init__(self, settings: MqttSettings, take: Take, now_ns: "Callable[[], int]", papers: _Papers) -> None:
        self._settings, self._now_ns, self._taker = settings, now_ns, take
        self._probe_topic = f"{settings.prefix}/{papers.name}/probe"
        client_id = settings.client_id or f"{papers.name}-{settings.name}"
        broker = Broker(settings.host, settings.port, client_id, RECEIVE_MAXIMUM, KEEPALIVE_S, SESSION_EXPIRY_S)
        self._link = MqttLink(broker, papers.tls, self._arrived)
        self._tasks: set[asyncio.Task[None]] = set()
        self._order: deque[_Waiting] = deque()  # clause 4.6: acknowledged in the order in which they came
        self._turns: dict[str, asyncio.Lock] = {}
        self._unasked = 0
        self._came: dict[str, int] = {}
        self._heard_s = time.monotonic()
        self._probed = asyncio.Event()

    async def run(self) -> None:
        """Until the connection is lost, or silent; LinkError."""
        await self._link.open()
        # A broker that lost its session keeps the connection and brings nothing: the subscription is made each time.
        await self._link.subscribe(f"{self._settings.prefix}/#")
        _log.info("door-open", door=self._settings.name, host=self._settings.host, port=self._settings.port)
        watching = [asyncio.create_task(self._link.tend()), asyncio.create_task(self._watch())]
        try:
            done, _ = await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    def end(self) -> None:
        """No acknowledgement for what is still under way: the broker sends it again."""
        for task in self._tasks:
            task.cancel()
        self._link.close()

    async def _watch(self) -> None:
        """A link that brings nothing for a while must bring back a message of our own; LinkError when it does not."""
        while True:
            quiet_s = time.monotonic() - self._heard_s
            if quiet_s < self._settings.silence_s:
                await asyncio.sleep(self._settings.silence_s - quiet_s)
                continue
            self._probed.clear()
            try:
                async with asyncio.timeout(self._settings.probe_within_s):
                    await self._link.publish(self._probe_topic, b"probe")
                    await self._probed.wait()
            except RefusedError as error:
                msg = f"{error}; let this client write and read {self._probe_topic}"
                raise LinkError(msg) from error
            except TimeoutError as error:
                msg = f"the link is up and silent: a message to {self._probe_topic} did not come back"
                raise LinkError(msg) from error

    def _arrived(self, arrived: Arrived) -> None:
        self._heard_s = time.monotonic()
        waiting = _Waiting(arrived.number)
        self._order.append(waiting)
        if arrived.topic == self._probe_topic:
            self._probed.set()
            self._settle(waiting)
            return
        if not arrived.number and self._unasked >= MAX_UNASKED:
            _log.error(
                "message-dropped", door=self._settings.name, reason="QoS 0 while too much waits: send with QoS 1"
            )
            self._settle(waiting)
            return
        self._unasked += not arrived.number
        task = asyncio.create_task(self._take(arrived, waiting, self._now_ns()))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("message-failed", door=self._settings.name, exc_info=error)

    async def _take(self, arrived: Arrived, waiting: _Waiting, at_ns: int) -> None:
        device, _, kind = arrived.topic.removeprefix(f"{self._settings.prefix}/").partition("/")
        media_type = arrived.content_type.partition(";")[0].strip().lower() or MEDIA_TYPES.get(kind, "")
        # A larger one cannot be read whatever it is; its begin is kept, and it must not wait for room that never comes.
        body = arrived.body[: package.MAX_BYTES + 1]
        message = Message(device or NOBODY, media_type, body, arrived.topic, at_ns, pace=self._pace(device))
        waiting.number = 0  # what fails or is cancelled comes again with the next connection; the others go on
        try:
            reply = await self._taken(message)
            waiting.number = arrived.number
        finally:
            self._unasked -= not arrived.number
            self._settle(waiting)
        await self._answer(message.device, arrived, reply)

    def _pace(self, device: str) -> Pace:
        """What the broker kept comes first, all at once. Behind it nothing can be held back: PUBACKs go in one order for all."""
        came = self._came[device] = self._came.get(device, 0) + 1
        return Pace.KEPT_BEFORE if came <= self._settings.kept_before else Pace.CANNOT_WAIT

    async def _taken(self, message: Message) -> Reply:
        """Until it is on disk, or nobody will ever read it. A message told to come again holds the later ones of its device."""
        turn = self._turns.setdefault(message.device, asyncio.Lock())
        async with turn:
            pass
        reply = await self._taker(message)
        if reply.verdict is Verdict.BUSY:
            async with turn:
                while reply.verdict is Verdict.BUSY:
                    await asyncio.sleep(reply.retry_after_s)
                    reply = await self._taker(message)
        return reply

    def _settle(self, waiting: _Waiting) -> None:
        waiting.done = True
        while self._order and self._order[0].done:
            self._link.acknowledge(self._order.popleft().number)

    async def _answer(self, device: str, arrived: Arrived, reply: Reply) -> None:
        """What became of the message, for a sender that asks (clause 4.10); the broker's PUBACK says only that the broker has it."""
        if not arrived.response_topic.startswith(f"{COMMANDS}/{device}/"):
            return
        said = json.dumps({"verdict": reply.verdict.name.lower(), "reason": reply.reason}, ensure_ascii=False).encode()
        try:
            await self._link.publish(arrived.response_topic, said, "application/json", arrived.correlation)
        except LinkError as error:
            _log.warning("answer-not-sent", door=self._settings.name, reason=str(error))


def _read_papers(settings: MqttSettings) -> _Papers:
    """ConfigError for files that cannot be used: the connection is tried again, they may be mended meanwhile."""
    try:
        tls = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(settings.ca))
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
        tls.load_cert_chain(settings.certificate, settings.key)
        own = x509.load_pem_x509_certificate(settings.certificate.read_bytes())
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        msg = f"certificates of door {settings.name!r}: {error}"
        raise ConfigError(msg) from error
    names = own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        msg = f"{settings.certificate}: expected one common name, by which the broker knows this client"
        raise ConfigError(msg)
    return _Papers(tls, str(names[0].value))
