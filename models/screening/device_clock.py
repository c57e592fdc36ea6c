"""What the clock of a device is worth: how far it stands from the gateway's, learned from messages that came when they were made.

A message is late by what its way took and by how long the device kept it, never early: of many, the least of (arrival - device time) is the
offset. It counts as known when several messages over some time agree on it; those of a backlog that is being sent off do not
(decision 0073). Leaves what to do with the offset to `align`.
"""

from dataclasses import dataclass, replace

from protocols.record import NS_PER_S

AGREE_NS = 2 * NS_PER_S  # what networks and a device's own pauses take, when nothing was kept back
MESSAGES, LEAST_SPAN_NS = 3, 10 * NS_PER_S  # that must agree before an offset is known
WINDOW_NS = 600 * NS_PER_S
DRIFT = 100e-6  # of a poor crystal
LEAST_UNCERTAINTY_NS = 50_000_000  # the least delay of the way is in the offset, and nothing tells it
OLDEST_NS = 90 * 86400 * NS_PER_S  # nothing is kept back for longer


@dataclass(frozen=True, slots=True)
class Trial:
    """An offset that some messages have agreed on since `since_ns` (arrival)."""

    first_ns: int
    least_ns: int
    since_ns: int
    messages: int = 1
    missed: int = 0


@dataclass(frozen=True, slots=True)
class DeviceClock:
    """`segment` counts the stretches without a step; 0: nothing is known yet.

    `least_ns`, `most_ns`: of the messages of this window; `before_ns`: the least of the one before; `seen_ns`: when the last one came.
    """

    segment: int = 0
    least_ns: int = 0
    most_ns: int = 0
    before_ns: int = 0
    window_end_ns: int = 0
    seen_ns: int = 0
    trial: Trial | None = None

    @property
    def offset_ns(self) -> int | None:
        """What must be added to the device's time; None while it is not known."""
        return min(self.least_ns, self.before_ns) if self.segment else None

    def uncertainty_ns(self, at_ns: int) -> int:
        """Of a time that is derived at gateway time `at_ns`."""
        spread_ns = max(LEAST_UNCERTAINTY_NS, self.most_ns - min(self.least_ns, self.before_ns))
        return spread_ns + round(DRIFT * abs(at_ns - self.seen_ns))


def learn(clock: DeviceClock, offset_ns: int, at_ns: int) -> DeviceClock:
    """Take the least (arrival - device time) of one message that came at `at_ns`."""
    known_ns = clock.offset_ns
    if known_ns is not None and abs(offset_ns - known_ns) <= AGREE_NS:
        return _agreed(clock, offset_ns, at_ns)
    trial = clock.trial
    if trial is None:
        trial = Trial(offset_ns, offset_ns, at_ns)
    elif abs(offset_ns - trial.first_ns) <= AGREE_NS:
        trial = replace(trial, least_ns=min(trial.least_ns, offset_ns), messages=trial.messages + 1)
        if trial.messages >= MESSAGES and at_ns - trial.since_ns >= LEAST_SPAN_NS:
            least_ns = trial.least_ns
            most_ns = max(offset_ns, trial.first_ns)
            return DeviceClock(clock.segment + 1, least_ns, most_ns, least_ns, at_ns + WINDOW_NS, at_ns)
    elif offset_ns < trial.first_ns or trial.missed + 1 >= MESSAGES:
        trial = Trial(offset_ns, offset_ns, at_ns)  # what is less late is nearer to the truth, what lasts has changed
    else:
        trial = replace(trial, missed=trial.missed + 1)
    return replace(clock, trial=trial)


def _agreed(clock: DeviceClock, offset_ns: int, at_ns: int) -> DeviceClock:
    if at_ns < clock.window_end_ns:
        least_ns, most_ns = min(clock.least_ns, offset_ns), max(clock.most_ns, offset_ns)
        return replace(clock, least_ns=least_ns, most_ns=most_ns, seen_ns=at_ns, trial=None)
    return DeviceClock(clock.segment, offset_ns, offset_ns, clock.least_ns, at_ns + WINDOW_NS, at_ns)
