"""What the clock of a device is worth: how far it stands from the gateway's and how it drifts, learned from messages that were live.

A message is late by what its way took and by how long the device kept it, never early: of many, the line below (arrival - device time)
is the offset (`envelope`). It counts as known when several messages over some time agree on it; those of a backlog that is being sent
off do not (decisions 0073 and 0135). Leaves what to do with the offset to `align`.
"""

from dataclasses import dataclass, replace

from models.screening import envelope
from models.screening.envelope import Envelope
from protocols.record import NS_PER_S

AGREE_NS = 2 * NS_PER_S  # what networks and a device's own pauses take, when nothing was kept back
STEP_NS = NS_PER_S // 2  # an offset that changes by less is the way's, as far as anybody can tell
MESSAGES, LEAST_SPAN_NS = 3, 10 * NS_PER_S  # that must agree before an offset is known
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

    `base_at_ns`, `base_ns`: arrival and offset from which `line` counts, as nanoseconds since 1970 are no floats; `newest_ns`: the
    latest time that the device has told in this segment. `doubt_ns`: by how much the last message was later than its way explains, while
    nothing tells a slow way from a clock that was set back; 0 when its readings are as a backlog's, in their order.
    """

    segment: int = 0
    base_at_ns: int = 0
    base_ns: int = 0
    line: Envelope | None = None
    seen_ns: int = 0
    newest_ns: int = 0
    doubt_ns: int = 0
    trial: Trial | None = None

    @property
    def offset_ns(self) -> int | None:
        """What must be added to the device's time when the last live message came; None while it is not known."""
        return self.offset_at(self.seen_ns)

    def offset_at(self, at_ns: int) -> int | None:
        """What must be added to the device's time at a time of the gateway; None while it is not known."""
        return None if self.line is None else self.base_ns + round(self.line.fit.at_time(at_ns - self.base_at_ns))

    def measured_ns(self, device_ns: int) -> int | None:
        """The gateway's time when the device's clock showed `device_ns`; None while nothing is known."""
        return None if self.line is None else device_ns + (self.offset_at(device_ns + self.base_ns) or 0)

    def uncertainty_ns(self, at_ns: int) -> int:
        """Of a time that is derived for gateway time `at_ns`."""
        if self.line is None:
            return LEAST_UNCERTAINTY_NS
        fit = self.line.fit
        return LEAST_UNCERTAINTY_NS + round(fit.uncertainty(at_ns - self.base_at_ns) + 1.5 * fit.jitter)

    @property
    def drift(self) -> float:
        """By how much the device's clock is slow against the gateway's, in parts of one (negative: fast)."""
        return 0.0 if self.line is None else self.line.fit.drift


def learn(clock: DeviceClock, offset_ns: int, at_ns: int) -> DeviceClock:
    """Take the least (arrival - device time) of one message that came at `at_ns`."""
    known_ns = clock.offset_at(at_ns)
    device_ns = at_ns - offset_ns
    if known_ns is not None and -STEP_NS < offset_ns - known_ns <= AGREE_NS:
        return _agreed(clock, offset_ns, at_ns)
    doubt_ns = offset_ns - known_ns if known_ns is not None and device_ns < clock.newest_ns else 0
    trial = clock.trial
    if trial is None:
        trial = Trial(offset_ns, offset_ns, at_ns)
    elif abs(offset_ns - trial.first_ns) <= AGREE_NS:
        trial = replace(trial, least_ns=min(trial.least_ns, offset_ns), messages=trial.messages + 1)
        if trial.messages >= MESSAGES and at_ns - trial.since_ns >= LEAST_SPAN_NS:
            line = envelope.begin(0.0, 0.0, clock.drift)
            line = envelope.add(line, 0.0, offset_ns - trial.least_ns)
            return DeviceClock(clock.segment + 1, at_ns, trial.least_ns, line, at_ns, device_ns)
    elif offset_ns < trial.first_ns or trial.missed + 1 >= MESSAGES:
        trial = Trial(offset_ns, offset_ns, at_ns)  # what is less late is nearer to the truth, what lasts has changed
    else:
        trial = replace(trial, missed=trial.missed + 1)
    return replace(clock, trial=trial, doubt_ns=doubt_ns)


def _agreed(clock: DeviceClock, offset_ns: int, at_ns: int) -> DeviceClock:
    if clock.line is None:
        return clock
    line = envelope.add(clock.line, max(float(at_ns - clock.base_at_ns), clock.line.open.at), offset_ns - clock.base_ns)
    stepped = line.restarts != clock.line.restarts and abs(line.shift) >= STEP_NS
    device_ns = at_ns - offset_ns
    at, late = at_ns - clock.base_at_ns, offset_ns - clock.base_ns
    above = late - line.fit.at_time(at)
    return DeviceClock(
        clock.segment + stepped,
        clock.base_at_ns,
        clock.base_ns,
        line,
        max(at_ns, clock.seen_ns),
        device_ns if stepped else max(clock.newest_ns, device_ns),
        round(above) if above > LEAST_UNCERTAINTY_NS + 4 * line.fit.jitter else 0,
    )


def stepped(clock: DeviceClock, by_ns: int) -> DeviceClock:
    """The gateway's own clock was set forward by `by_ns`: the same clock of the device, seen from there, in a new segment."""
    if clock.line is None:
        return replace(clock, trial=None)
    return replace(
        clock,
        segment=clock.segment + 1,
        base_at_ns=clock.base_at_ns + by_ns,
        base_ns=clock.base_ns + by_ns,
        seen_ns=clock.seen_ns + by_ns,
        trial=None,
    )
