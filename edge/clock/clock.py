"""The gateway's disciplined clock: the monotonic clock plus an offset that follows the system's, or the hub's where the system has none.

Small differences (NTP's slewing) are followed slowly, so that intervals stay true; a step is taken over at once and reported,
so that the records behind it can be told from those before. A time that cannot be is not taken for one: until a right one is known the
clock runs on from the last that was, which at a start is a lower bound and no more (decisions 0136 and 0164).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

STEP_NS = 500_000_000
DAY_NS = 86_400_000_000_000
EARLIEST_NS = 1_735_689_600_000_000_000  # 2025-01-01: no agent ran before
LATEST_NS = 4_070_908_800_000_000_000  # 2099-01-01: a clock that shows it has lost itself
CONFIRMED_NS = 60_000_000_000  # for so long a clock that something disciplines has to show what was doubted
# By how much a system's clock that nothing disciplines may be off the hub's before the hub's is taken: two ward clocks may differ so much.
HUB_STEP_NS = 2_000_000_000
_FOLLOW = 0.1  # the part of a small difference that is taken over at each look


@dataclass(frozen=True, slots=True)
class Step:
    """The clock was set: `by_ns` forward (or back). `learned`: until now the time was not known. `by_hub`: whose it is.

    `doubted`: the system's clock was set, and not this one: nobody confirms such a time, so that from now on none is known.
    """

    by_ns: int
    learned: bool = False
    by_hub: bool = False
    doubted: bool = False


class GatewayClock:
    """`now_ns()` is the gateway's time everywhere in the agent; `look()` is called about once a second."""

    def __init__(
        self,
        system_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        *,
        not_before_ns: int = 0,
        is_synchronised: Callable[[], bool] = lambda: True,
        is_raised: Callable[[], bool] = lambda: False,
    ) -> None:
        """`not_before_ns`: the last time that was known. `is_synchronised`: whether something disciplines the system's clock.

        `is_raised`: whether that was only set to a lower bound, for TLS.
        """
        self._is_raised = is_raised
        self._system_ns, self._monotonic_ns, self._is_synchronised = system_ns, monotonic_ns, is_synchronised
        system = system_ns()
        is_possible = not_before_ns <= system < LATEST_NS
        self._known = is_possible and (is_synchronised() or not is_raised())
        self._doubted_ns: int | None = (
            None  # since when, by the monotonic clock, what the system's clock was set to is not believed
        )
        self._offset_ns = (system if is_possible else not_before_ns) - monotonic_ns()
        self._hub_offset_ns: int | None = None  # while the hub's time is followed

    @property
    def is_known(self) -> bool:
        """Whether `now_ns` is the time, and not only no earlier than it."""
        return self._known

    @property
    def monotonic_ns(self) -> int:
        """The clock below, which is never set."""
        return self._monotonic_ns()

    def now_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC."""
        return self._monotonic_ns() + self._offset_ns

    def expected(self, hub_offset_ns: int, uncertainty_ns: int) -> Step | None:
        """The step that `follow_hub` would make; nothing is changed."""
        off_ns = self._monotonic_ns() + hub_offset_ns - self.now_ns()
        if not self._known:
            return Step(off_ns, learned=True, by_hub=True)
        if (
            self._hub_offset_ns is None
            and abs(off_ns) > max(HUB_STEP_NS, 3 * uncertainty_ns)
            and not self._is_synchronised()
        ):
            return Step(off_ns, by_hub=True)
        return None

    def follow_hub(self, hub_offset_ns: int, uncertainty_ns: int) -> Step | None:
        """Hear how far the hub's time is ahead of the monotonic clock; the step when it is taken for the gateway's.

        It is where the gateway does not know the time, and where nothing disciplines the system's clock and the two are far apart.
        """
        step = self.expected(hub_offset_ns, uncertainty_ns)
        if step is not None:
            self._known, self._doubted_ns = True, None
            self._offset_ns += step.by_ns
            self._hub_offset_ns = hub_offset_ns
        elif self._hub_offset_ns is not None:
            self._hub_offset_ns = hub_offset_ns
        return step

    def pending(self) -> Step | None:
        """The step that `look` would make; nothing is changed."""
        system_ns = self._system_ns()
        system_off_ns = system_ns - self.now_ns()
        if self._doubted_ns is not None:
            is_over = abs(system_off_ns) < STEP_NS or self._is_confirmed(system_ns)
            return Step(system_off_ns, learned=True) if is_over else None
        if not self._known:
            is_set = system_off_ns >= 0 and system_ns < LATEST_NS and (self._is_synchronised() or not self._is_raised())
            return Step(system_off_ns, learned=True) if is_set else None
        off_ns = self._off_ns(system_off_ns)
        if abs(off_ns) < STEP_NS:
            return None
        return Step(0, doubted=True) if self._is_doubtful(off_ns) else Step(off_ns)

    def look(self) -> Step | None:
        """Compare with the clock that is followed; the step when it was set."""
        step = self.pending()
        if step is not None:
            self._known = not step.doubted
            self._doubted_ns = self._monotonic_ns() if step.doubted else None
            self._offset_ns += step.by_ns
        elif self._known:
            self._offset_ns += round(self._off_ns(self._system_ns() - self.now_ns()) * _FOLLOW)
        return step

    def _is_doubtful(self, off_ns: int) -> bool:
        """A step of the system's clock that nothing vouches for: by more than a day, or back where nothing disciplines it."""
        return self._hub_offset_ns is None and (abs(off_ns) > DAY_NS or (off_ns < 0 and not self._is_synchronised()))

    def _is_confirmed(self, system_ns: int) -> bool:
        """Whether what was doubted is possible, and something has kept the system's clock there for a while."""
        since_ns = self._monotonic_ns() - (self._doubted_ns or 0)
        return EARLIEST_NS <= system_ns < LATEST_NS and since_ns >= CONFIRMED_NS and self._is_synchronised()

    def _off_ns(self, system_off_ns: int) -> int:
        if self._hub_offset_ns is None:
            return system_off_ns
        if self._is_synchronised() and -STEP_NS < system_off_ns <= DAY_NS:
            self._hub_offset_ns = None
            return system_off_ns
        return self._hub_offset_ns - self._offset_ns
