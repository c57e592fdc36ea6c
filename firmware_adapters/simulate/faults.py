"""What goes wrong with a simulated device on request: a line `NAME [SECONDS]` on its standard input makes it so for that long.

Leaves to each simulator what a name means for it. Used by the demo, and by tests that run a simulator as a process of its own.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import TextIO

LASTS_S = 15.0
LONGEST_S = 3600.0


class Switches:
    """Which faults hold now. `names` are those that this device can have."""

    def __init__(self, names: Iterable[str], *, now_s: Callable[[], float] = time.monotonic) -> None:
        """None holds yet."""
        self._until_s = dict.fromkeys(names, float("-inf"))
        self._now_s = now_s
        self.changed = threading.Event()  # set with each fault that is switched on

    def take(self, line: str) -> None:
        """Switch a fault on; ValueError that says what was expected."""
        name, _, rest = line.strip().partition(" ")
        if name not in self._until_s:
            msg = f"fault {name!r}: expected one of {', '.join(sorted(self._until_s))}"
            raise ValueError(msg)
        try:
            seconds = float(rest) if rest else LASTS_S
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds <= LONGEST_S:
            msg = f"fault {name!r} for {rest!r}: expected seconds, up to {LONGEST_S:.0f}"
            raise ValueError(msg)
        self._until_s[name] = self._now_s() + seconds
        self.changed.set()

    def holds(self, name: str) -> bool:
        """Whether it goes wrong now."""
        return self._now_s() < self._until_s[name]

    def listen(self, lines: TextIO = sys.stdin) -> None:
        """Take lines from a thread of its own, until they end; a line that is none is answered on standard error."""
        threading.Thread(target=self._take_all, args=(lines,), daemon=True).start()

    def _take_all(self, lines: TextIO) -> None:
        for line in lines:
            try:
                self.take(line)
            except ValueError as error:
                sys.stderr.write(f"{error}\n")
                sys.stderr.flush()
