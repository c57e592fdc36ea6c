"""A free port for a program that is started in a moment."""

import random
import socket
from pathlib import Path

_OF_THE_SYSTEM = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST, _USUAL_FIRST_OF_THE_SYSTEM = 15_000, 32_768


def free_port() -> int:
    """A port of the loopback address that nobody listens on, and that the system gives to no connection until the program binds it.

    One that `bind` chooses itself could be the near end of somebody's connection a second later (ip(7), ip_local_port_range).
    """
    try:
        below = int(_OF_THE_SYSTEM.read_text().split()[0])
    except (OSError, ValueError):
        below = _USUAL_FIRST_OF_THE_SYSTEM
    ports = range(_LOWEST, below) if below > _LOWEST + 1000 else range(_LOWEST, 65_536)
    while True:
        port = random.SystemRandom().choice(ports)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
