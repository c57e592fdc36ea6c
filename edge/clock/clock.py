"""The gateway's disciplined clock: the monotonic clock plus an offset that follows the system's.

Small differences (NTP's slewing) are followed slowly, so that intervals stay true; a step is taken over at once and reported,
so that the records behind it can be told from those before.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

STEP_NS = 500_000_000
_FOLLOW = 0.1  # the part of a small difference that is taken over at each look


@dataclass(frozen=True, slots=True)
class Step:
    """The system's clock was set: `by_ns` forward (or back)."""

    by_ns: int


class GatewayClock:
    """`now_ns()` is the gateway's time everywhere in the agent; `look()` is called about once a second."""

    def __init__(
        self, system_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._system_ns, self._monotonic_ns = system_ns, monotonic_ns
        self._offset_ns = system_ns() - monotonic_ns()

    def now_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC."""
        return self._monotonic_ns() + self._offset_ns

    def look(self) -> Step | None:
        """Compare with the system's clock; the step when it was set."""
        off_ns = self._system_ns() - self.now_ns()
        if abs(off_ns) >= STEP_NS:
            self._offset_ns += off_ns
            return Step(off_ns)
        self._offset_ns += round(off_ns * _FOLLOW)
        return None
