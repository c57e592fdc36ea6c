"""The parts of aiocoap that a door stands on, with what it leaves open: sockets of one owner, messages known again, refusals told.

RFC 7252 over UDP, RFC 8613 (OSCORE). DTLS is coap_dtls.py's; what is asked and answered is coap.py's.
"""

import logging
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from aiocoap import Context, Message
from aiocoap.credentials import CredentialsMap
from aiocoap.error import NotFound, Unauthorized
from aiocoap.messagemanager import MessageManager
from aiocoap.oscore import FilesystemSecurityContext, ProtectionInvalid, ReplayErrorWithEcho, RequestIdentifiers
from aiocoap.oscore_sitewrapper import OscoreSiteWrapper
from aiocoap.tokenmanager import TokenManager
from aiocoap.transports.udp6 import MessageInterfaceUDP6

from firmware_adapters.transport.coap_dtls import DtlsInterface

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from aiocoap.interfaces import MessageInterface, Resource
    from aiocoap.pipe import Pipe

MAX_KNOWN = 65_536  # messages within the 247 s in which a repetition is known: 64 devices at 4 a second each
TOLD_EVERY_S = 60.0
STRANGER = ""
_LOGGER = "wardlink.coap"

_log = structlog.get_logger()


class Refusals:
    """Tells the log of senders who did not prove who they are: a line a minute for each reason and device, with how many there were.

    Anybody on the network can make them happen, so a line for each would fill the disk.
    """

    def __init__(self, door: str) -> None:
        self._door = door
        self._told: dict[tuple[str, str], float] = {}
        self._untold: dict[tuple[str, str], int] = {}

    def tell(self, reason: str, device: str) -> None:
        """`device`: one that the door's settings name, or STRANGER."""
        key, now_s = (reason, device), time.monotonic()
        self._untold[key] = self._untold.get(key, 0) + 1
        if now_s - self._told.get(key, now_s - TOLD_EVERY_S) < TOLD_EVERY_S:
            return
        self._told[key] = now_s
        _log.warning("sender-refused", door=self._door, reason=reason, device=device, times=self._untold.pop(key))


class DeviceContext(FilesystemSecurityContext):
    """The gateway's half of one device's OSCORE context; `close` writes down what it has seen, so that nothing is taken again."""

    def __init__(self, device: str, folder: Path, refusals: Refusals) -> None:
        """OSError when its files cannot be used or another program has it; ValueError for what stands in them."""
        self._refusals = refusals
        super().__init__(f"{folder}/")
        self.authenticated_claims = [device]

    def close(self) -> None:
        """Release it."""
        if self.lockfile is not None:
            self._destroy()

    def unprotect(
        self, protected_message: Message, request_id: RequestIdentifiers | None = None
    ) -> tuple[Message, RequestIdentifiers]:
        """Open a message; what cannot be opened, or came before, is told."""
        try:
            return super().unprotect(protected_message, request_id)
        except ReplayErrorWithEcho:
            raise  # the first message after a crash: its sender is asked for a fresh one
        except ProtectionInvalid as error:
            self._refusals.tell(f"oscore: {error}", self.authenticated_claims[0])
            raise

    def _store(self) -> None:
        super()._store()
        # else a power cut could bring back the file before, and with it numbers that were used
        folder = os.open(self.basedir, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _replay_window_changed(self) -> None:
        try:
            super()._replay_window_changed()
        except OSError:
            # else the old window would stand in the file as if it were good, and be believed after a crash
            self.replay_window_persisted = True
            raise


class OscoreSite(OscoreSiteWrapper):
    """Without the exchange of keys over the air (EDHOC), which this door does not have."""

    def __init__(self, inner: "Resource", contexts: "Iterable[DeviceContext]", refusals: Refusals) -> None:
        credentials = CredentialsMap()
        credentials.update({context.authenticated_claims[0]: context for context in contexts})
        super().__init__(inner, credentials)
        self._refusals = refusals

    async def render_to_pipe(self, pipe: "Pipe") -> None:
        """Answer one request."""
        if pipe.request.opt.uri_path == (".well-known", "edhoc"):
            raise NotFound
        try:
            await super().render_to_pipe(pipe)
        except Unauthorized:
            self._refusals.tell("oscore: no such context", STRANGER)
            raise


class _Messages(MessageManager):
    """Knows messages again, up to a bound; beyond it, new ones are lost as on a bad network, and their senders repeat them."""

    def _deduplicate_message(self, message: Message) -> bool:
        known = self._recent_messages
        if len(known) >= MAX_KNOWN and (message.remote, message.mid) not in known:
            return True
        return super()._deduplicate_message(message)


class Server(Context):
    """CoAP on one socket, opened by `over_udp` or `over_dtls`; `shutdown` closes it."""

    @classmethod
    async def over_udp(cls, site: "Resource", host: str, port: int) -> "Server":
        """Plain UDP; the site protects itself. OSError when the address cannot be had."""
        _check_free(host, port)
        server = cls(serversite=site, loggername=_LOGGER)
        await server._open(
            lambda messages: MessageInterfaceUDP6.create_server_transport_endpoint(
                messages, log=server.log, loop=server.loop, bind=(host, port), multicast=[]
            )
        )
        return server

    @classmethod
    async def over_dtls(
        cls, site: "Resource", host: str, port: int, keys: "Mapping[str, bytes]", refusals: Refusals
    ) -> "Server":
        """DTLS, `keys` by device, whose name is the identity that it shows. OSError when the address cannot be had."""
        server = cls(serversite=site, loggername=_LOGGER)

        def failed(claimed: str) -> None:
            refusals.tell("dtls: the handshake did not end", claimed if claimed in keys else STRANGER)

        await server._open(lambda messages: DtlsInterface.open(host, port, keys, messages, failed))
        return server

    async def _open(self, make: "Callable[[MessageManager], Awaitable[MessageInterface]]") -> None:
        logging.getLogger(_LOGGER).setLevel(logging.ERROR)  # a line for each datagram that is none would fill the disk
        tokens = TokenManager(self)
        messages = _Messages(tokens)
        messages.message_interface = await make(messages)
        tokens.token_interface = messages
        self.request_interfaces.append(tokens)


def _check_free(host: str, port: int) -> None:
    """OSError when somebody has the port: aiocoap would share it, and each would get a part of the messages."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.bind(address)


__all__ = ["MAX_KNOWN", "DeviceContext", "OscoreSite", "Refusals", "Server"]
