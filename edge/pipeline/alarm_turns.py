"""Cuts alarms into batches, and says which of them yield: a device that tells of alarms by the hundred holds up its own alone.

What yields is on disk as soon as the rest, and goes to the hub when nothing else of the alarm connection waits (docs/decisions/0169).
Leaves the spool to the batcher, and what a device is told to keep to the doors.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from protocols.pace import Bucket
from protocols.record import Record

# Of one device, before what more it tells yields: four times what one makes when power or network goes and comes (decision 0166).
AT_ONCE, PER_S = 64, 10.0
MOST = 50  # changes that the hub stores in a transaction
# A hub that holds the gateway to 50 changes a second reads an alarm behind such a batch 0.4 s later.
MOST_YIELDING = 20
DEVICES = 4096


class AlarmTurns:
    """The alarms of each device so far. `now_s`: a steady clock."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        """Nobody has told of any."""
        self._now_s = now_s
        self._told: dict[str, Bucket] = {}

    def parts(self, alarms: Sequence[Record]) -> Iterator[tuple[list[Record], bool]]:
        """The batches of what was told at once, in its order; whether each yields."""
        now_s = self._now_s()
        judged = [(self._yields(alarm.source.device, now_s), alarm) for alarm in alarms]
        for yields, group in groupby(judged, key=lambda one: one[0]):
            same = [alarm for _, alarm in group]
            most = MOST_YIELDING if yields else MOST
            for first in range(0, len(same), most):
                yield same[first : first + most], yields

    def _yields(self, device: str, now_s: float) -> bool:
        bucket = self._told.get(device)
        if bucket is None:
            if len(self._told) >= DEVICES:  # strangers may choose their names; whoever is forgotten begins anew
                del self._told[next(iter(self._told))]
            bucket = self._told[device] = Bucket(PER_S, AT_ONCE / PER_S)
        return not bucket.take(1, now_s)
