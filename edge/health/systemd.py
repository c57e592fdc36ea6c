"""What the agent tells systemd: that it is ready, goes on, stops (sd_notify(3), datagrams to $NOTIFY_SOCKET).

Without such a socket nothing is told. A watchdog that is not fed ends the process: it is fed only while every part that must live does.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

READY, STOPPING, WATCHDOG = "READY=1", "STOPPING=1", "WATCHDOG=1"
_FED_WITHIN = 3.0  # times in each period, so that one that is late is not the last

_log = structlog.get_logger()


class Notifier:
    """The way to systemd. A datagram that cannot be sent is told in the log, and tried no more than the next one is."""

    def __init__(self, environment: Mapping[str, str], pid: int) -> None:
        """`environment`: of the process `pid`; NOTIFY_SOCKET is a path, or a name behind `@` in the abstract namespace (unix(7))."""
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog_s = _watchdog_s(environment, pid) if address else 0.0
        self._said = ""

    def tell(self, *lines: str) -> None:
        """Send one message."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as way:
                way.setblocking(False)
                way.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            _log.warning("systemd-not-told", what=lines[0], error=str(error))

    def status(self, text: str) -> None:
        """One line for `systemctl status`, when it says something new."""
        if text != self._said:
            self._said = text
            self.tell(f"STATUS={text}")

    def reloading(self) -> None:
        """Everything is begun anew; READY follows."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    async def feed(self, dead: Callable[[], Sequence[str]]) -> None:
        """Feed the watchdog for as long as `dead` names no part; runs in the loop, so one that stands still feeds nothing."""
        if not self.watchdog_s:
            return
        told: Sequence[str] = ()
        while True:
            parts = dead()
            if not parts:
                self.tell(WATCHDOG)
            elif parts != told:
                _log.error("watchdog-not-fed", dead=list(parts))
            told = parts
            await asyncio.sleep(self.watchdog_s / _FED_WITHIN)


def _watchdog_s(environment: Mapping[str, str], pid: int) -> float:
    """How often systemd wants to hear (sd_watchdog_enabled(3)); 0: it does not."""
    meant = environment.get("WATCHDOG_PID", str(pid))
    micros = environment.get("WATCHDOG_USEC", "")
    return int(micros) / 1e6 if micros.isdecimal() and meant == str(pid) else 0.0
