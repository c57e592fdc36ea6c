"""The packets of an MQTT 5 broker, sifted: messages (PUBLISH, OASIS MQTT 5.0, clause 3.3) are read here, all others are paho's.

paho reads a packet from the socket byte by byte up to its length and takes a message apart in some forty calls; a gateway gets little else
than messages (decision 0156). Whatever is not a plain message, and everything that is wrong, goes on to paho as it came.
"""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass

_PUBLISH = 3
_MAX_LENGTH_BYTES = 4  # clause 1.5.5
_READ_BYTES = 64 * 1024
# Properties of a message, clause 3.3.2.3, and how many bytes their values have; of a topic alias we allow none.
_SIZES = {0x01: 1, 0x02: 4}  # payload format, message expiry
_CONTENT_TYPE, _RESPONSE_TOPIC, _CORRELATION = _READ = (0x03, 0x08, 0x09)
_SUBSCRIPTION, _USER = 0x0B, 0x26


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message as it came; `number` is its packet identifier, 0 where QoS 0 wants no acknowledgement."""

    topic: str
    body: bytes
    content_type: str
    response_topic: str
    correlation: bytes
    number: int


class Packets:
    """Fed with bytes as they come, in any pieces."""

    def __init__(self) -> None:
        """At the begin of a packet."""
        self._waiting = bytearray()

    def feed(self, data: bytes) -> Iterator[Arrived | bytes]:
        """The packets that are whole now, in order: a message, or the bytes of another one."""
        self._waiting += data
        at = 0
        while (size := _length(self._waiting, at)) is not None:
            if size < 0:  # a length that none may have: paho gives the connection up
                yield bytes(self._waiting[at:])
                at = len(self._waiting)
            elif at + size > len(self._waiting):
                break
            else:
                packet = bytes(self._waiting[at : at + size])
                at += size
                yield _published(packet) or packet
        del self._waiting[:at]


class SiftedSocket(ssl.SSLSocket):
    """A socket that `sift` is asked for messages; `recv` brings paho what that was told to `leave`, and how the connection ended."""

    packets: Packets
    left: bytearray
    error: OSError | None
    ended: bool

    def begin(self) -> None:
        """Behind the TLS handshake: `ssl.SSLContext.wrap_socket` makes it, and calls no constructor of ours."""
        self.packets, self.left, self.error, self.ended = Packets(), bytearray(), None, False

    def sift(self) -> Iterator[Arrived | bytes]:
        """All that is there: TLS may hold decrypted bytes for which no socket becomes readable."""
        more = True
        while more and not self.ended:
            try:
                data = super().recv(_READ_BYTES)
            except ssl.SSLWantReadError:
                return
            except OSError as error:
                self.error = error
                return
            self.ended = not data
            yield from self.packets.feed(data)
            more = self.pending() > 0

    def leave(self, packet: bytes) -> None:
        """Let paho read a packet."""
        self.left += packet

    @property
    def is_told(self) -> bool:
        """Whether paho has read all that it was left, and of the connection's end."""
        return not (self.left or self.error or self.ended)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """What was left for paho; SSLWantReadError when that is nothing."""
        if flags:  # as in SSLSocket
            msg = f"flags {flags}: a TLS connection has none"
            raise ValueError(msg)
        if self.left:
            out = bytes(self.left[:buflen])
            del self.left[:buflen]
            return out
        error, self.error = self.error, None
        if error is not None:
            raise error
        if self.ended:
            return b""
        raise ssl.SSLWantReadError


def _length(data: bytearray, at: int) -> int | None:
    """Bytes of the packet that begins there; None while that cannot be said, -1 when it cannot be."""
    size, shift = 0, 0
    for i in range(at + 1, at + 1 + _MAX_LENGTH_BYTES):
        if i >= len(data):
            return None
        size |= (data[i] & 0x7F) << shift
        if data[i] < 0x80:
            return i + 1 - at + size
        shift += 7
    return -1


def _published(packet: bytes) -> Arrived | None:
    qos = packet[0] >> 1 & 3
    if packet[0] >> 4 != _PUBLISH or qos > 1:
        return None
    try:
        at = 1
        while packet[at] >= 0x80:
            at += 1
        at, topic = _text(packet, at + 1, len(packet))
        number = int.from_bytes(packet[at : at + 2], "big") if qos else 0
        at += 2 * qos
        at, size = _variable(packet, at)
        end = at + size
        said = _properties(packet, at, end) if size else {}
        if not topic or end > len(packet) or (qos and not number):
            return None
        return Arrived(
            topic,
            packet[end:],
            said.get(_CONTENT_TYPE, b"").decode(),
            said.get(_RESPONSE_TOPIC, b"").decode(),
            said.get(_CORRELATION, b""),
            number,
        )
    except (IndexError, ValueError):
        return None


def _properties(packet: bytes, at: int, end: int) -> dict[int, bytes]:
    """The values of those that we read; ValueError or IndexError for what is not plain."""
    said: dict[int, bytes] = {}
    seen: set[int] = set()
    while at < end:
        kind = packet[at]
        at += 1
        if kind in seen and kind not in (_SUBSCRIPTION, _USER):
            raise ValueError
        seen.add(kind)
        if kind in _SIZES:
            at += _SIZES[kind]
        elif kind in _READ:
            at, said[kind] = _binary(packet, at, end)
        elif kind == _SUBSCRIPTION:
            at, _ = _variable(packet, at)
        elif kind == _USER:
            at, _ = _text(packet, at, end)
            at, _ = _text(packet, at, end)
        else:
            raise ValueError
    if at != end:
        raise ValueError
    return said


def _text(packet: bytes, at: int, end: int) -> tuple[int, str]:
    at, raw = _binary(packet, at, end)
    return at, raw.decode()


def _binary(packet: bytes, at: int, end: int) -> tuple[int, bytes]:
    behind = at + 2 + int.from_bytes(packet[at : at + 2], "big")
    if behind > end or at + 2 > end:
        raise ValueError
    return behind, packet[at + 2 : behind]


def _variable(packet: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while packet[at] >= 0x80:
        value |= (packet[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return at + 1, value | packet[at] << shift
