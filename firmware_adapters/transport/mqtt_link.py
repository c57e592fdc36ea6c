"""One connection to an MQTT 5 broker on asyncio: paho's protocol without its threads, every acknowledgement by hand.

Mutual TLS, receive maximum and reason codes (OASIS MQTT 5.0, clauses 3 and 4). Leaves reconnecting, and what a message is, to mqtt.py.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from firmware_adapters.adapter import LinkError
from firmware_adapters.transport.mqtt_packets import Arrived, SiftedSocket

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

ANSWER_WITHIN_S = 10.0  # CONNACK, SUBACK, PUBACK
_MISC_EVERY_S = 1.0
_REFUSED = 0x80  # reason codes from here on are failures (clause 2.4)


class RefusedError(LinkError):
    """The broker refuses: what, and the name of its reason code."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker is and what is asked of it. `receive_maximum`: messages that may be unacknowledged at once."""

    host: str
    port: int
    client_id: str
    receive_maximum: int
    keepalive_s: int
    session_expiry_s: int


class _TakesContext(Protocol):
    """What paho's client does and leaves untyped."""

    def tls_set_context(self, context: ssl.SSLContext) -> None: ...


class MqttLink:
    """Made by `open_link`. `lost` is done, with what happened, as soon as the connection is gone."""

    def __init__(self, broker: Broker, tls: ssl.SSLContext, take: Callable[[Arrived], None]) -> None:
        loop = asyncio.get_running_loop()
        self._broker, self._take, self._loop = broker, take, loop
        self._connected: asyncio.Future[ReasonCode] = loop.create_future()
        self.lost: asyncio.Future[str] = loop.create_future()
        self._answers: dict[int, asyncio.Future[ReasonCode]] = {}
        self._attached: SiftedSocket | None = None
        self._given_up = False
        client = self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            protocol=MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        tls.sslsocket_class = SiftedSocket
        cast("_TakesContext", client).tls_set_context(tls)
        client.connect_timeout = ANSWER_WITHIN_S
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe, client.on_publish = self._on_subscribe, self._on_publish

    async def open(self) -> None:
        """Connect, going on with the session that the broker holds; LinkError."""
        broker = self._broker
        wanted = _properties(
            PacketTypes.CONNECT,
            SessionExpiryInterval=broker.session_expiry_s,
            ReceiveMaximum=broker.receive_maximum,
        )
        where = f"{broker.host}:{broker.port}"
        try:
            # Name look-up, TCP and TLS wait in paho itself; what it answers after that comes over the event loop.
            code = await asyncio.to_thread(self._connect, wanted)
        except (OSError, ValueError) as error:
            msg = f"broker {where}: {error}"
            raise LinkError(msg) from error
        found = self._client.socket()
        if code is not MQTTErrorCode.MQTT_ERR_SUCCESS or not isinstance(found, SiftedSocket):
            msg = f"broker {where}: {_error_name(code)}"
            raise LinkError(msg)
        self._attach(found)
        await asyncio.wait((self._connected, self.lost), timeout=ANSWER_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        if not self._connected.done():
            reason = self.lost.result() if self.lost.done() else f"no answer within {ANSWER_WITHIN_S:g} s"
            msg = f"broker {where}: {reason}; where it asks for certificates, it does not take this client's"
            raise LinkError(msg)
        self._check(self._connected.result(), f"broker {where}: connection")

    def _connect(self, wanted: Properties) -> MQTTErrorCode:
        broker = self._broker
        code = self._client.connect(broker.host, broker.port, broker.keepalive_s, clean_start=False, properties=wanted)
        found = self._client.socket()
        if self._given_up and found is not None:  # cancelled meanwhile: nobody else would close it
            found.close()
        return code

    async def subscribe(self, topics: str) -> None:
        """Subscribe to a filter with QoS 1, without what is retained; RefusedError."""
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        _, number = self._client.subscribe(topics, options=options)
        self._check(await self._answer(number or 0, f"subscription to {topics}"), f"subscription to {topics}")

    async def publish(self, topic: str, body: bytes, content_type: str = "", correlation: bytes = b"") -> None:
        """Publish with QoS 1 and wait for the PUBACK; RefusedError when the broker does not let us."""
        properties = _properties(PacketTypes.PUBLISH, ContentType=content_type, CorrelationData=correlation)
        number = self._client.publish(topic, body, qos=1, properties=properties).mid
        self._check(await self._answer(number, f"message to {topic}"), f"message to {topic}")

    def acknowledge(self, number: int) -> None:
        """PUBACK of a message that is on disk."""
        if number and self._attached is not None:
            self._client.ack(number, 1)

    def close(self) -> None:
        """Drop the connection; the broker keeps the session and what was not acknowledged."""
        self._given_up = True
        if self._attached is None:
            return
        found = self._attached
        self._client.disconnect()
        self._client.loop_write()
        self._detach()
        found.close()
        self._lose("closed here")

    async def tend(self) -> None:
        """Keep-alive, until the connection is lost; LinkError then."""
        while not self.lost.done():
            self._client.loop_misc()
            await asyncio.wait((self.lost,), timeout=_MISC_EVERY_S)
        msg = f"broker {self._broker.host}:{self._broker.port}: {self.lost.result()}"
        raise LinkError(msg)

    async def _answer(self, number: int, what: str) -> "ReasonCode":
        answer = self._answers[number] = self._loop.create_future()
        try:
            await asyncio.wait((answer, self.lost), timeout=ANSWER_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._answers.pop(number, None)
        if not answer.done():
            reason = self.lost.result() if self.lost.done() else f"no answer within {ANSWER_WITHIN_S:g} s"
            msg = f"{what}: {reason}"
            raise LinkError(msg)
        return answer.result()

    @staticmethod
    def _check(code: "ReasonCode", what: str) -> None:
        if code.value >= _REFUSED:
            msg = f"{what} is refused: {code.getName()} ({code.value})"
            raise RefusedError(msg)

    def _attach(self, found: SiftedSocket) -> None:
        client = self._client
        found.begin()
        self._attached = found
        client.on_socket_register_write = self._on_want_write
        client.on_socket_unregister_write = self._on_want_no_write
        client.on_socket_close = self._on_socket_close
        self._loop.add_reader(found, self._readable, found)
        if client.want_write():
            self._loop.add_writer(found, client.loop_write)

    def _detach(self) -> None:
        found, self._attached = self._attached, None
        if found is not None:
            self._loop.remove_reader(found)
            self._loop.remove_writer(found)

    def _lose(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)

    def _readable(self, found: SiftedSocket) -> None:
        for packet in found.sift():
            if isinstance(packet, Arrived):
                self._take(packet)
            else:
                found.leave(packet)
                self._told(found)
            if self._attached is None:
                return
        self._told(found)

    def _told(self, found: SiftedSocket) -> None:
        """Let paho read what was left for it, and that the connection has ended."""
        while self._attached is not None and not found.is_told:
            self._client.loop_read()

    def _on_want_write(self, _client: Client, _data: object, _found: object) -> None:
        if self._attached is not None:
            self._loop.add_writer(self._attached, self._client.loop_write)

    def _on_want_no_write(self, _client: Client, _data: object, _found: object) -> None:
        if self._attached is not None:
            self._loop.remove_writer(self._attached)

    def _on_socket_close(self, _client: Client, _data: object, _found: object) -> None:
        self._detach()
        # paho names the reason behind this, in on_disconnect
        self._loop.call_soon(self._lose, "the connection is lost")

    def _on_connect(
        self, _client: Client, _data: object, _flags: ConnectFlags, code: "ReasonCode", _properties: Properties | None
    ) -> None:
        if not self._connected.done():
            self._connected.set_result(code)

    def _on_disconnect(
        self, _client: Client, _data: object, flags: DisconnectFlags, code: "ReasonCode", _p: Properties | None
    ) -> None:
        who = "the broker closed it" if flags.is_disconnect_packet_from_server else "the connection is lost"
        self._lose(f"{who}: {code.getName()}")

    def _on_subscribe(
        self, _client: Client, _data: object, number: int, codes: "list[ReasonCode]", _properties: Properties | None
    ) -> None:
        self._answered(number, codes[0])

    def _on_publish(
        self, _client: Client, _data: object, number: int, code: "ReasonCode", _properties: Properties | None
    ) -> None:
        self._answered(number, code)

    def _answered(self, number: int, code: "ReasonCode") -> None:
        answer = self._answers.get(number)
        if answer is not None and not answer.done():
            answer.set_result(code)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        said = message.properties
        self._take(
            Arrived(
                message.topic,
                bytes(message.payload),
                str(getattr(said, "ContentType", "")),
                str(getattr(said, "ResponseTopic", "")),
                bytes(getattr(said, "CorrelationData", b"")),
                message.mid if message.qos else 0,
            )
        )


def _properties(packet: int, **values: object) -> Properties:
    properties = Properties(packet)
    for name, value in values.items():
        if value or isinstance(value, int):
            setattr(properties, name, value)
    return properties


def _error_name(code: MQTTErrorCode) -> str:
    return code.name.removeprefix("MQTT_ERR_").replace("_", " ").lower()
