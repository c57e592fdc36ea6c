"""Which batches the disk does not give just now, and what may go past them: at first what is in memory, and in the end everything.

An alarm's end follows its onset where both are on the disk and the refusal is one of a moment; one that lasts holds up nothing else.
"""

import time
from collections.abc import Callable, Collection

from protocols.link import Lane, SendBatch

AGAIN_S = 1.0  # behind the first refusal of a pass everything is asked for again
MOMENT_S = 5.0  # so long what is on the disk waits behind what is refused in its lane


class Refused:
    """One for a connection that is up."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        """`now_s`: a monotonic clock, in seconds."""
        self._now_s = now_s
        self._since_s: dict[Lane, float] = {}  # since when each pass had a refusal in the lane
        self._without: set[SendBatch] = set()
        self._holding: set[Lane] = set()
        self._again_s = 0.0

    @property
    def without(self) -> Collection[SendBatch]:
        """What is not asked for in this pass."""
        return self._without

    def begin(self) -> None:
        """Ask for everything again when it is time."""
        if not self._without:
            self._since_s.clear()
        elif self._now_s() >= self._again_s:
            lanes = {send.lane for send in self._without}
            self._since_s = {lane: since_s for lane, since_s in self._since_s.items() if lane in lanes}
            self._without.clear()
            self._holding.clear()

    def holds(self, lane: Lane) -> bool:
        """Whether what is on the disk only waits in this lane."""
        return lane in self._holding

    def pass_over(self, send: SendBatch) -> None:
        """It waits behind another."""
        self._without.add(send)

    def refuse(self, send: SendBatch) -> bool:
        """The disk did not give it; True for the first of a pass."""
        now_s = self._now_s()
        is_first = not self._without
        if is_first:
            self._again_s = now_s + AGAIN_S
        self._without.add(send)
        if now_s - self._since_s.setdefault(send.lane, now_s) < MOMENT_S:
            self._holding.add(send.lane)
        return is_first
