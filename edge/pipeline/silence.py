"""Notices that a device's link brings nothing, whether it is open or not: once when that begins, and once when bytes come again.

A link that was never open is not silent: there is nothing yet that could have stopped. Leaves events and alarms to the caller.
"""

import asyncio
import time
from collections.abc import Callable

FIRST_BYTES_S = 5.0  # from the opening of a link; a strap needs seconds to begin


class Silence:
    """Looks at the steady clock by itself from the first `opened` to `end`; `began` and `ended` are called in turn."""

    def __init__(self, after_s: float, began: Callable[[], None], ended: Callable[[], None]) -> None:
        """`after_s`: how long without a byte, once there were some, is silence."""
        self._after_s, self._began, self._ended = after_s, began, ended
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.holds = False

    def opened(self) -> None:
        """A link is open: from the first one on bytes are expected, whatever becomes of it."""
        if self._timer is None and not self.holds:
            self._expect(max(self._after_s, FIRST_BYTES_S))

    def heard(self) -> None:
        """Bytes came."""
        self._expect(self._after_s)
        if self.holds:
            self.holds = False
            self._ended()

    def end(self) -> None:
        """Nobody listens any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expect(self, within_s: float) -> None:
        self._due_s = time.monotonic() + within_s
        if self._timer is not None and self._timer.when() - asyncio.get_running_loop().time() > within_s:
            self.end()
        if self._timer is None:
            self._look_in(within_s)

    def _look_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        left_s = self._due_s - time.monotonic()
        if left_s > 0:
            self._look_in(left_s)
            return
        self._timer, self.holds = None, True
        self._began()
