"""Plays a simulated board over a pseudo-terminal in real time, as its USB dongle would.

A serial line holds nothing back: what nobody reads is lost while the board goes on counting. A stable link to the terminal is
kept: it is away while the dongle is unplugged, and leads to another terminal afterwards.
"""

import os
import random
import select
import signal
import threading
import time
import tty
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from firmware_adapters.simulate.faults import Switches

FAULTS = ("pull-lead", "drop-link", "garbage", "hang")
_TICK_S = 0.004
_LOOK_AGAIN_S = 0.05
_COMMAND_BYTES = 256
_NOISE_PER_TICK = 0.02
_NOISE_BYTES = 80


class SimulatedBoard(Protocol):
    """What can be played."""

    streaming: bool
    lead_off: bool

    def command(self, data: bytes) -> bytes:
        """Take commands, give the answer."""
        ...

    def next_packet(self) -> bytes:
        """The next packet, or nothing where the board has none."""
        ...


class PtyPlayer:
    """A board on a pseudo-terminal. `port` is the link that the gateway opens; `sent` and `dropped` count packets.

    `faults` (of FAULTS): an electrode or finger comes off, the dongle is unplugged, noise on the line, a board that hangs.
    """

    def __init__(
        self,
        board: SimulatedBoard,
        port: Path,
        *,
        rate_hz: float,
        speed: float = 1.0,
        faults: Switches | None = None,
        measured: Callable[[bytes, bool], object] = lambda _packet, _written: None,
    ) -> None:
        """Create the terminal and point `port` at it. `measured` gets every packet, and whether the line took all of it."""
        self._board, self._period_s = board, 1 / (rate_hz * speed)
        self._faults = Switches(FAULTS) if faults is None else faults
        self._measured = measured
        self.port = port
        self.sent = 0
        self.dropped = 0
        self._ends: tuple[int, int] | None = None
        self._plug_in()

    def run(self, keep_on: Callable[[], bool]) -> None:
        """Play as long as `keep_on()`; it is asked every few milliseconds."""
        due_s = time.monotonic()
        while keep_on():
            now_s = time.monotonic()
            self._go_wrong()
            self._answer()
            if not self._board.streaming:
                due_s = now_s
            while self._board.streaming and due_s <= now_s:
                packet = self._board.next_packet()
                self._measured(packet, self._write(packet))
                due_s += self._period_s
            select.select([] if self._ends is None else [self._ends[0]], [], [], _TICK_S)

    def close(self) -> None:
        """Pull the plug."""
        if self._ends is not None:
            for end in self._ends:
                os.close(end)
            self._ends = None
        self.port.unlink(missing_ok=True)

    def _plug_in(self) -> None:
        # the far end stays open here too, or reading fails when the gateway closes it
        self._ends = master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self.port.unlink(missing_ok=True)
        self.port.symlink_to(os.ttyname(slave))

    def _go_wrong(self) -> None:
        self._board.lead_off = self._faults.holds("pull-lead")
        unplugged = self._faults.holds("drop-link")
        if unplugged and self._ends is not None:
            self.close()
        elif not unplugged and self._ends is None:
            self._plug_in()
        if self._faults.holds("garbage") and random.random() < _NOISE_PER_TICK:
            self._write(random.randbytes(random.randrange(1, _NOISE_BYTES)), is_packet=False)

    def _answer(self) -> None:
        if self._ends is None:
            return
        try:
            commands = os.read(self._ends[0], _COMMAND_BYTES)
        except BlockingIOError:
            return
        answer = self._board.command(commands)
        if answer:
            self._write(answer, is_packet=False)

    def _write(self, data: bytes, *, is_packet: bool = True) -> bool:
        """Whether the terminal takes all of it: what it does not take is lost, as on a line without flow control."""
        if not data or self._faults.holds("hang"):
            return False
        written = 0
        if self._ends is not None:
            with suppress(BlockingIOError):
                written = os.write(self._ends[0], data)
        if is_packet:
            self.sent += written == len(data)
            self.dropped += written != len(data)
        return written == len(data)


def play(player: PtyPlayer, switches: Switches, wait_for: Path | None) -> None:
    """Play as a process of its own until SIGTERM or SIGINT; faults come on standard input, silent until `wait_for` exists."""
    stopped = threading.Event()

    def stop(_signal: int, _frame: object) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    switches.listen()
    while wait_for is not None and not wait_for.exists() and not stopped.wait(_LOOK_AGAIN_S):
        pass
    player.run(lambda: not stopped.is_set())
    player.close()
