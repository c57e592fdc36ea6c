"""What was measured, as values: percentiles from buckets, availability from minutes. Pure.

A function is down in a minute when its process ran for less than half of it, or when at least half of its calls failed. Everything that is
down counts, planned or not, the database too: without it no process can write its row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from hub.core.functions import BOUNDS_S

HALF_UP_S = 30.0
AVAILABILITY_OVER = timedelta(days=30)
KEPT = timedelta(days=31)
DELAY = "delay"  # stands for an action where the delay of a lane is told: device to stored


class Span(StrEnum):
    """Over how long response times are told."""

    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return timedelta(hours=1) if self is Span.HOUR else timedelta(days=1)


def percentile_s(buckets: Sequence[int], share: float) -> float | None:
    """The response time that `share` of the calls kept, linear within a bucket; None without calls, the last bound for what is above."""
    total = sum(buckets)
    if not total:
        return None
    wanted, seen = share * total, 0.0
    for n, low, high in zip(buckets, (0.0, *BOUNDS_S), (*BOUNDS_S, BOUNDS_S[-1]), strict=True):
        if n and seen + n >= wanted:
            return low + (high - low) * (wanted - seen) / n
        seen += n
    return BOUNDS_S[-1]


@dataclass(frozen=True, slots=True)
class FunctionTold:
    """One function over a span. `down_minutes` of `minutes`: over AVAILABILITY_OVER, or since the hub began to measure."""

    function: str
    calls: int
    failed: int
    buckets: tuple[int, ...]
    minutes: int = 0
    down_minutes: int = 0

    @property
    def role(self) -> str:
        """The process that has it."""
        return self.function.partition(":")[0]

    @property
    def action(self) -> str:
        """The row of the policy that it needs."""
        return self.function.split(":", 2)[1]

    @property
    def what(self) -> str:
        """The route or step."""
        return self.function.split(":", 2)[2]

    @property
    def p50_s(self) -> float | None:
        """Half of the calls took at most so long."""
        return percentile_s(self.buckets, 0.5)

    @property
    def p95_s(self) -> float | None:
        """19 of 20 calls took at most so long."""
        return percentile_s(self.buckets, 0.95)

    @property
    def available(self) -> float | None:
        """Share of the minutes in which it was up; None before one has passed."""
        return None if not self.minutes else 1 - min(self.minutes, self.down_minutes) / self.minutes


@dataclass(frozen=True, slots=True)
class RoleTold:
    """One role: minutes in which it was up of those that have passed, seconds since its last row, its newest figures."""

    role: str
    minutes: int
    up_minutes: int
    last_s: float
    figures: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def is_up(self) -> bool:
        """Whether it told of itself lately."""
        return self.last_s < 150


@dataclass(frozen=True, slots=True)
class Told:
    """The page."""

    span: Span
    roles: tuple[RoleTold, ...]
    functions: tuple[FunctionTold, ...]

    @property
    def served(self) -> dict[str, list[FunctionTold]]:
        """The functions by action, without the delays, which nobody calls."""
        found: dict[str, list[FunctionTold]] = {}
        for function in self.functions:
            if function.action != DELAY:
                found.setdefault(function.action, []).append(function)
        return found

    def rate(self, role: str, name: str) -> float | None:
        """A figure of the last minute as so many a second."""
        value = self.figure(role, name)
        return None if value is None else value / 60

    def together(self, functions: Sequence[FunctionTold]) -> FunctionTold:
        """Several functions as one: all of their calls, and the least available of them."""
        worst = max(functions, key=lambda f: f.down_minutes)
        sums = tuple(map(sum, zip(*(f.buckets for f in functions), strict=True)))
        calls, failed = sum(f.calls for f in functions), sum(f.failed for f in functions)
        return FunctionTold(worst.function, calls, failed, sums, worst.minutes, worst.down_minutes)

    def delay(self, lane: str) -> float | None:
        """P95 from the device to the row, in seconds."""
        return next((f.p95_s for f in self.functions if f.action == DELAY and f.what == lane), None)

    def merged(self, role: str, *actions: str) -> FunctionTold:
        """Several functions as one."""
        some = [f for f in self.functions if f.role == role and f.action in actions]
        sums = tuple(map(sum, zip(*(f.buckets for f in some), strict=True))) if some else ()
        return FunctionTold(f"{role}:{actions[0]}:", sum(f.calls for f in some), sum(f.failed for f in some), sums)

    def figure(self, role: str, name: str) -> float | None:
        """A figure that a role has told of; None when it has not."""
        return next((r.figures.get(name) for r in self.roles if r.role == role), None)
