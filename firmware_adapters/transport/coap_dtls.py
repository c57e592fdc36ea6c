"""CoAP over DTLS (RFC 7252 clause 9.1.3.1) for aiocoap's message layer: a socket, and the sessions of dtls.py behind it."""

import asyncio
from typing import TYPE_CHECKING, cast

from aiocoap import Message
from aiocoap.error import UnparsableMessage
from aiocoap.interfaces import EndpointAddress, MessageInterface

from firmware_adapters.transport.dtls import DtlsServer, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiocoap.messagemanager import MessageManager

    from firmware_adapters.transport.dtls import Address

LOOK_EVERY_S = 1.0


class DtlsRemote(EndpointAddress):
    """A device at the other end of a session; no two sessions are equal, so that nothing of one is taken for another's."""

    scheme = "coaps"
    is_multicast = False
    is_multicast_locally = False

    def __init__(self, session: Session, send: "Callable[[Session, bytes], None]") -> None:
        self._session, self._send = session, send

    @property
    def hostinfo(self) -> str:
        """Address and port of the device."""
        host, port = self._session.address[:2]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"

    @property
    def hostinfo_local(self) -> str:
        """Never asked for: this door calls nobody."""
        return ""

    @property
    def uri_base(self) -> str:
        """The same as a URL."""
        return f"coaps://{self.hostinfo}"

    @property
    def uri_base_local(self) -> str:
        """Never asked for."""
        return "coaps://"

    @property
    def authenticated_claims(self) -> tuple[str, ...]:
        """The device, by its identity."""
        return (self._session.device,)

    @property
    def blockwise_key(self) -> object:
        """What blocks of one body have in common."""
        return (self._session.address, self._session.device)

    def send(self, message: bytes) -> None:
        """Send a message through the session."""
        self._send(self._session, message)


class DtlsInterface(MessageInterface, asyncio.DatagramProtocol):
    """One socket. `failed` hears of each handshake that did not end well: who it said it was."""

    def __init__(
        self, keys: "Mapping[str, bytes]", messages: "MessageManager", failed: "Callable[[str], None]"
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = DtlsServer(keys, self._loop.time)
        self._messages, self._failed = messages, failed
        self._remotes: dict[Session, DtlsRemote] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._looking = asyncio.create_task(self._look())

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        keys: "Mapping[str, bytes]",
        messages: "MessageManager",
        failed: "Callable[[str], None]",
    ) -> "DtlsInterface":
        """OSError when the address cannot be had."""
        made = cls(keys, messages, failed)
        try:
            await made._loop.create_datagram_endpoint(lambda: made, (host, port))
        except OSError:
            made._looking.cancel()
            raise
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: "Address") -> None:
        """Somebody has sent something."""
        received = self._server.receive(addr, data)
        self._put(addr, received.reply)
        session = received.session
        if session is None:
            return
        for payload in received.messages:
            remote = self._remotes.setdefault(session, DtlsRemote(session, self._say))
            try:
                message = Message.decode(payload, remote=remote)
            except UnparsableMessage:
                continue  # as over UDP: no message, so there is nothing to answer
            self._messages.dispatch_message(message)
        if received.ended:
            self._end(session)

    def error_received(self, exc: Exception) -> None:
        """An ICMP message about somebody who has gone; requests that are under way go on to the disk."""

    def send(self, message: Message) -> None:
        """Send a message of aiocoap's."""
        remote = message.remote
        if isinstance(remote, DtlsRemote):
            remote.send(message.encode())

    async def recognize_remote(self, remote: EndpointAddress) -> bool:
        """Whether an address is one of ours."""
        return isinstance(remote, DtlsRemote)

    async def determine_remote(self, _request: Message) -> None:
        """This door calls nobody."""

    async def shutdown(self) -> None:
        """Say goodbye and close."""
        self._looking.cancel()
        for address, datagram in self._server.close():
            self._put(address, datagram)
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            due = self._server.look()
            for address, datagram in due.replies:
                self._put(address, datagram)
            for session in due.failed:
                self._end(session)

    def _end(self, session: Session) -> None:
        self._remotes.pop(session, None)
        if not session.device:
            self._failed(session.claimed)

    def _say(self, session: Session, message: bytes) -> None:
        self._put(session.address, session.send(message))

    def _put(self, address: "Address", datagram: bytes) -> None:
        if datagram and self._transport is not None:
            self._transport.sendto(datagram, address)
