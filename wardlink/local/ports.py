"""A free port for a program that is started in a moment."""

import random
import socket
from pathlib import Path

_OF_THE_SYSTEM = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST, _HIGHEST = 15_000, 65_535
_USUAL_OF_THE_SYSTEM = (32_768, 60_999)
_ENOUGH = 1000


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of the loopback address, for connections or for datagrams, that nobody has bound.

    One that `bind` chooses itself could be the near end of somebody's connection a second later (ip(7), ip_local_port_range): the ports
    from which the system takes those are left out. Where it takes nearly all of them they are not, and a port may be gone when the
    program binds it.
    """
    try:
        first, last = (int(word) for word in _OF_THE_SYSTEM.read_text().split())
    except (OSError, ValueError):
        first, last = _USUAL_OF_THE_SYSTEM
    ports = [port for port in range(_LOWEST, _HIGHEST + 1) if not first <= port <= last]
    if len(ports) < _ENOUGH:
        ports = range(_LOWEST, _HIGHEST + 1)
    while True:
        port = random.SystemRandom().choice(ports)
        with socket.socket(type=kind) as probe:
            if (
                kind == socket.SOCK_STREAM
            ):  # what has just been closed there does not matter; datagram sockets would share the port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
