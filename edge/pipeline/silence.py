"""Notices that a device is silent, whatever its link does: once when that begins, and once when it is heard again.

A device that was never heard is silent too: nobody is watched by it. Leaves events and alarms to the caller.
"""

import asyncio
from collections.abc import Callable

FIRST_HEARD_S = 5.0  # from the start of the watch; a port takes time to open and a strap seconds to begin


class Silence:
    """Looks at the loop's steady clock by itself from `watch` to `end`; `began` and `ended` are called in turn."""

    def __init__(self, after_s: float, began: Callable[[], None], ended: Callable[[], None]) -> None:
        """`after_s`: how long without a word is silence; 0 for a device that measures now and then, which never is silent."""
        self._after_s, self._began, self._ended = after_s, began, ended
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.holds = False

    @property
    def after_s(self) -> float:
        """How long without a word is silence; 0: nothing is."""
        return self._after_s

    def watch(self) -> None:
        """From now on the device is expected; a watch that runs already, or a silence, goes on as it is."""
        if self._after_s and self._timer is None and not self.holds:
            self._expect(max(self._after_s, FIRST_HEARD_S))

    def change(self, after_s: float) -> None:
        """Another `after_s` holds from the next word on; with 0 nobody is waited for any more."""
        self._after_s = after_s
        if not after_s:
            self.end()

    def heard(self) -> None:
        """The device said something."""
        if self._after_s:
            self._expect(self._after_s)
        else:
            self.end()
        if self.holds:
            self.holds = False
            self._ended()

    def end(self) -> None:
        """Nobody listens any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expect(self, within_s: float) -> None:
        self._due_s = asyncio.get_running_loop().time() + within_s
        if self._timer is not None and self._timer.when() > self._due_s:
            self.end()
        if self._timer is None:
            self._look_at(self._due_s)

    def _look_at(self, due_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_at(due_s, self._look)

    def _look(self) -> None:
        # one timer a silence, not one a word: words only move what it is held against
        if asyncio.get_running_loop().time() < self._due_s:
            self._look_at(self._due_s)
            return
        self._timer, self.holds = None, True
        self._began()
