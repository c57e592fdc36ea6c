"""How far the hub's clock is ahead of this machine's monotonic one, from exchanges of four stamps (as in RFC 5905, clause 8).

Of an exchange the truth lies within half of its way there and back, whatever the two ways are. So the shortest of some time tells most,
and drift is what lies between short ones. Pure; times are nanoseconds.
"""

from dataclasses import dataclass
from itertools import combinations

EXCHANGES = 64
CRYSTAL = 50e-6  # what two clocks commonly drift apart by, before it is measured
WANDER = 1e-6


@dataclass(frozen=True, slots=True)
class Exchange:
    """Sent and come back by the monotonic clock here, received and answered by the hub's clock."""

    sent_ns: int
    hub_received_ns: int
    hub_sent_ns: int
    back_ns: int

    @property
    def offset_ns(self) -> int:
        """Hub's time less monotonic time, if both ways take as long."""
        return (self.hub_received_ns - self.sent_ns + self.hub_sent_ns - self.back_ns) // 2

    @property
    def half_ns(self) -> int:
        """By how much that may be off, either way."""
        return max(0, (self.back_ns - self.sent_ns) - (self.hub_sent_ns - self.hub_received_ns) + 1) // 2


@dataclass(frozen=True, slots=True)
class HubTime:
    """Hub's time less monotonic time, what that may be off by, and how fast the hub's clock is against it (parts of one)."""

    offset_ns: int
    uncertainty_ns: int
    drift: float


class HubClock:
    """`add` each exchange; `at` says what is known at a moment."""

    def __init__(self) -> None:
        self._kept: list[Exchange] = []  # the newest
        self._drift, self._doubt = 0.0, 2 * CRYSTAL
        self.steps = 0

    def add(self, exchange: Exchange) -> HubTime:
        """Take an exchange; one that what is known rules out means that a clock was set, and begins anew."""
        known = self.at(exchange.back_ns)
        if known is not None and abs(exchange.offset_ns - known.offset_ns) > exchange.half_ns + known.uncertainty_ns:
            self._kept = []
            self.steps += 1
        self._kept = [*self._kept, exchange][-EXCHANGES:]
        self._learn()
        now = self.at(exchange.back_ns)
        return HubTime(exchange.offset_ns, exchange.half_ns, 0.0) if now is None else now

    def at(self, monotonic_ns: int) -> HubTime | None:
        """What is known at a moment; None before the first exchange."""
        if not self._kept:
            return None

        def off_by(one: Exchange) -> float:
            return one.half_ns + self._doubt * abs(monotonic_ns - one.back_ns)

        best = min(self._kept, key=off_by)
        offset_ns = best.offset_ns + round(self._drift * (monotonic_ns - best.back_ns))
        return HubTime(offset_ns, round(off_by(best)), self._drift)

    def _learn(self) -> None:
        """Drift between the two exchanges that leave least doubt of it: short, and far apart."""
        self._drift, self._doubt = 0.0, 2 * CRYSTAL
        for a, b in combinations(self._kept, 2):
            span_ns = max(b.back_ns - a.back_ns, 1)
            doubt = (a.half_ns + b.half_ns) / span_ns + WANDER
            if doubt < self._doubt:
                self._drift, self._doubt = (b.offset_ns - a.offset_ns) / span_ns, doubt
