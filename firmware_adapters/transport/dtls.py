"""DTLS 1.2 with pre-shared keys, the server's side: datagrams in, messages and datagrams out (RFC 6347, RFC 4279, RFC 6655). Sans-I/O.

The protocol is OpenSSL's; this file adds what pyOpenSSL leaves out (the keys) and a bound on the sessions. Decision 0074 says why.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL

MAX_SESSIONS = 128
HANDSHAKE_WITHIN_S = 15.0
MTU_BYTES = 1280  # that every IPv6 network carries

# RFC 7252 clause 9.1.3.1 asks for CCM_8, which OpenSSL has at its lowest level only; the list says all that may be used.
_CIPHERS = b"PSK-AES128-CCM8:PSK-AES128-CCM:PSK-AES128-GCM-SHA256:@SECLEVEL=0"
_DTLS_1_2 = 0xFEFD
_READ_BYTES = 16_384
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_KEY_OF_NOBODY_BYTES = 16

Address: TypeAlias = tuple[str | int, ...]


@dataclass(eq=False, slots=True)
class Session:
    """What is spoken with one address. `device`: who it has proved to be, "" while it has not. `claimed`: who it says it is."""

    address: Address
    connection: SSL.Connection
    begun_s: float
    device: str = ""
    claimed: str = ""

    def send(self, message: bytes) -> bytes:
        """The datagram that carries a message; nothing when the session has ended."""
        try:
            self.connection.send(message)
        except SSL.Error:
            return b""
        return self.outgoing()

    def outgoing(self) -> bytes:
        """What waits to be sent: records that fit into one datagram."""
        out = bytearray()
        try:
            while True:
                out += self.connection.bio_read(_READ_BYTES)
        except SSL.WantReadError:
            return bytes(out)


@dataclass(frozen=True, slots=True)
class Received:
    """What a datagram led to: `reply` goes back to its address, `messages` are what the session's device says."""

    session: Session | None = None
    reply: bytes = b""
    messages: tuple[bytes, ...] = ()
    ended: bool = False


@dataclass(slots=True)
class Due:
    """What time leads to: datagrams to send again, and handshakes that did not end well."""

    replies: list[tuple[Address, bytes]] = field(default_factory=list[tuple[Address, bytes]])
    failed: list[Session] = field(default_factory=list[Session])


class DtlsServer:
    """All sessions of one socket. `keys`: of each device, by the identity that it shows."""

    def __init__(self, keys: Mapping[str, bytes], now_s: Callable[[], float]) -> None:
        self._keys, self._now_s = dict(keys), now_s
        self._cookie_key = secrets.token_bytes(32)
        self._sessions: OrderedDict[Address, Session] = OrderedDict()
        self._address: Address = ()
        self._shaking: Session | None = None
        self._psk_callback = Binding.ffi.callback(
            "unsigned int(*)(SSL *, const char *, unsigned char *, unsigned int)", self._key_of
        )
        self._context = self._make_context()
        self._fresh = self._connection()

    def receive(self, address: Address, datagram: bytes) -> Received:
        """One datagram. Nothing is kept for an address until it has sent back the cookie that was sent to it."""
        session = self._sessions.get(address)
        begins = _is_client_hello(datagram)
        if begins and (
            session is None or session.device
        ):  # a device that has lost its session begins anew (clause 4.2.8)
            reply, session = self._hello(address, datagram)
            if session is None:
                return Received(reply=reply)
            return self._handshake(session)
        if session is None:
            return Received()
        self._sessions.move_to_end(address)
        session.connection.bio_write(datagram)
        return self._read(session) if session.device else self._handshake(session)

    def look(self) -> Due:
        """To be called about once a second."""
        due = Due()
        for address, session in list(self._sessions.items()):
            if session.device:
                continue
            if self._now_s() - session.begun_s > HANDSHAKE_WITHIN_S:
                del self._sessions[address]
                due.failed.append(session)
            elif session.connection.DTLSv1_handle_timeout():
                due.replies.append((address, session.outgoing()))
        return due

    def close(self) -> list[tuple[Address, bytes]]:
        """Say goodbye to all."""
        ends: list[tuple[Address, bytes]] = []
        for address, session in self._sessions.items():
            if session.device:
                session.connection.shutdown()
                ends.append((address, session.outgoing()))
        self._sessions.clear()
        return ends

    def _hello(self, address: Address, datagram: bytes) -> tuple[bytes, Session | None]:
        """What is asked of a stranger, or the session of one who has answered."""
        connection, self._address = self._fresh, address
        connection.bio_write(datagram)
        session = Session(address, connection, self._now_s())
        try:
            connection.DTLSv1_listen()
        except SSL.WantReadError:
            return session.outgoing(), None
        except SSL.Error:
            self._fresh = self._connection()  # what is left in this one would be taken for the next address's
            return b"", None
        self._fresh = self._connection()
        self._sessions.pop(address, None)
        if len(self._sessions) >= MAX_SESSIONS:
            strange = (a for a, s in self._sessions.items() if not s.device)
            del self._sessions[next(strange, next(iter(self._sessions)))]
        self._sessions[address] = session
        return b"", session

    def _handshake(self, session: Session) -> Received:
        self._shaking = session
        try:
            session.connection.do_handshake()
        except SSL.WantReadError:
            return Received(session, session.outgoing())
        except SSL.Error:
            self._sessions.pop(session.address, None)
            return Received(session, session.outgoing(), ended=True)
        session.device = session.claimed
        read = self._read(session)
        return Received(session, read.reply, read.messages, read.ended)

    def _read(self, session: Session) -> Received:
        messages: list[bytes] = []
        ended = False
        try:
            while True:
                messages.append(session.connection.recv(_READ_BYTES))
        except SSL.WantReadError:
            pass
        except SSL.Error:  # the device has ended it, or broken it
            ended = True
            self._sessions.pop(session.address, None)
        return Received(session, session.outgoing(), tuple(messages), ended)

    def _make_context(self) -> SSL.Context:
        context = SSL.Context(SSL.DTLS_SERVER_METHOD)
        context.set_min_proto_version(_DTLS_1_2)
        context.set_max_proto_version(_DTLS_1_2)
        context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_cipher_list(_CIPHERS)
        context.set_cookie_generate_callback(lambda _connection: self._cookie())
        context.set_cookie_verify_callback(lambda _connection, cookie: hmac.compare_digest(cookie, self._cookie()))
        # pyOpenSSL has no word for it; the library below has
        Binding.lib.SSL_CTX_set_psk_server_callback(vars(context)["_context"], self._psk_callback)
        return context

    def _connection(self) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_ciphertext_mtu(MTU_BYTES)
        connection.set_accept_state()
        return connection

    def _cookie(self) -> bytes:
        return hmac.new(self._cookie_key, repr(self._address).encode(), hashlib.sha256).digest()

    def _key_of(self, _ssl: object, identity: object, out: object, most: int) -> int:
        """A name that nobody has gets a key that nobody has: it cannot be told from a wrong key."""
        name = Binding.ffi.string(identity).decode("utf-8", "replace")
        key = self._keys.get(name) or secrets.token_bytes(_KEY_OF_NOBODY_BYTES)
        if self._shaking is None or len(key) > most:
            return 0
        self._shaking.claimed = name
        Binding.ffi.memmove(out, key, len(key))
        return len(key)


def _is_client_hello(datagram: bytes) -> bool:
    """A handshake record of epoch 0 whose message is a ClientHello."""
    return (
        len(datagram) > 25 and datagram[0] == _HANDSHAKE and datagram[3:5] == b"\0\0" and datagram[13] == _CLIENT_HELLO
    )


__all__ = ["HANDSHAKE_WITHIN_S", "MAX_SESSIONS", "MTU_BYTES", "Address", "DtlsServer", "Due", "Received", "Session"]
