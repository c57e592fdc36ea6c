"""Plays a simulated board over a pseudo-terminal in real time, as its USB dongle would.

A serial line holds nothing back: what nobody reads is lost while the board goes on counting. A stable link to the terminal is
kept, so that "unplugging" can be shown by closing and opening again.
"""

import os
import select
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

_TICK_S = 0.004
_COMMAND_BYTES = 256


class SimulatedBoard(Protocol):
    """What can be played."""

    streaming: bool

    def command(self, data: bytes) -> bytes:
        """Take commands, give the answer."""
        ...

    def next_packet(self) -> bytes:
        """The next packet, or nothing where the board has none."""
        ...


class PtyPlayer:
    """A board on a pseudo-terminal. `port` is the link that the gateway opens; `sent` and `dropped` count packets."""

    def __init__(self, board: SimulatedBoard, port: Path, *, rate_hz: float, speed: float = 1.0) -> None:
        """Create the terminal and point `port` at it."""
        self._board, self._period_s = board, 1 / (rate_hz * speed)
        self._master, self._slave = (
            os.openpty()
        )  # the slave stays open here, or reading fails when the gateway closes it
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port = port
        self.sent = 0
        self.dropped = 0
        port.unlink(missing_ok=True)
        port.symlink_to(os.ttyname(self._slave))

    def run(self, keep_on: Callable[[], bool]) -> None:
        """Play as long as `keep_on()`; it is asked every few milliseconds."""
        due_s = time.monotonic()
        while keep_on():
            now_s = time.monotonic()
            self._answer()
            if not self._board.streaming:
                due_s = now_s
            while self._board.streaming and due_s <= now_s:
                self._write(self._board.next_packet())
                due_s += self._period_s
            select.select([self._master], [], [], _TICK_S)

    def close(self) -> None:
        """Pull the plug."""
        os.close(self._master)
        os.close(self._slave)
        self.port.unlink(missing_ok=True)

    def _answer(self) -> None:
        try:
            commands = os.read(self._master, _COMMAND_BYTES)
        except BlockingIOError:
            return
        answer = self._board.command(commands)
        if answer:
            self._write(answer, is_packet=False)

    def _write(self, data: bytes, *, is_packet: bool = True) -> None:
        """A terminal takes all of a packet or the rest of it is lost, as on a line without flow control."""
        if not data:
            return
        try:
            written = os.write(self._master, data)
        except BlockingIOError:
            written = 0
        if is_packet:
            self.sent += written == len(data)
            self.dropped += written != len(data)
