"""Processes of which some are started again when they end by themselves, as the units in deploy/systemd say (Restart=always)."""

import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from wardlink.processes import Processes

RESTART_S = 2.0  # RestartSec of the units
_MOST = 20  # of one process; more is a process that cannot start


class Tended(Processes):
    """`restarts`: the names of what was started again, once for each time."""

    def __init__(self, logs: Path, tended: Collection[str]) -> None:
        """`tended`: which; the end of any other stays an error."""
        super().__init__(logs)
        self._tended = frozenset(tended)
        self._commands: dict[str, tuple[Sequence[str], Mapping[str, str] | None]] = {}
        self.restarts: list[str] = []

    def start(
        self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None, *, listens: bool = False
    ) -> int:
        """As `Processes.start`."""
        self._commands[name] = command, env
        return super().start(name, command, env, listens=listens)

    def check(self) -> None:
        """Start again what has ended; ProcessError for the others, and for one that ends over and over."""
        for name in sorted(self._tended):
            if self.ended(name) is None or self.restarts.count(name) >= _MOST:
                continue
            self.restarts.append(name)
            self.stop(name)
            time.sleep(RESTART_S)
            command, env = self._commands[name]
            self.start(name, command, env)
        super().check()
