"""The stream of a process's log: what its target refuses, as a full disk does, is lost and counted, and ends nobody's work."""

import io
from collections.abc import Callable
from typing import TextIO


class LogStream(io.TextIOBase):
    """Writes to what `target()` is at each moment; once that takes something again, a line says how many were lost."""

    def __init__(self, target: Callable[[], TextIO]) -> None:
        self._target = target
        self.lost_lines = 0

    def write(self, text: str, /) -> int:
        """Hand on, or count. Returns the characters of `text` in any case; never OSError."""
        try:
            return self._target().write(text)
        except OSError:
            self.lost_lines += text.count("\n")
            return len(text)

    def flush(self) -> None:
        """Hand on. What is refused stays in the target's buffer, and is tried with the next."""
        try:
            self._target().flush()
            if self.lost_lines:
                self._target().write(f'{{"event": "log-lines-lost", "lines": {self.lost_lines}, "level": "error"}}\n')
                self._target().flush()
                self.lost_lines = 0
        except OSError:
            return
