"""Which batches of a gateway are live, and whether its clock was set back: told by its own numbers, not by its times. Pure.

Within a lane n rises with every batch. So a batch with a higher n and an earlier time was closed after the clock was set back, and
one with a lower n is what was kept or overtaken, whatever its time says (docs/decisions/0165).
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocols.link import Lane

LIVE_NS = (
    2_000_000_000  # closed so long before the newest of its lane, a batch was overtaken; before that it is a backlog
)
STEP_NS = 5_000_000_000  # batches are closed every 250 ms in their order: so much earlier is no unevenness


@dataclass(frozen=True, slots=True)
class Came:
    """What a batch is. `clock` counts how often the gateway's clock was set back, as far as was seen; None: closed before it last was."""

    is_live: bool
    clock: int | None


@dataclass(slots=True)
class _Heard:
    """The newest batch of a lane, and the first behind the last step."""

    epoch: bytes
    n: int
    closed_ns: int
    first: int = 0
    clock: int = 0


@dataclass(slots=True)
class Arrivals:
    """Those of every gateway of this process. `begin` is what clocks count from, so that two processes never say the same."""

    begin: int = 0
    _heard: "dict[tuple[Hashable, Lane], _Heard]" = field(default_factory=dict["tuple[Hashable, Lane]", _Heard])

    def took(self, gateway_key: Hashable, epoch: bytes, lane: "Lane", n: int, closed_ns: int) -> Came:
        """A batch was stored, closed at `closed_ns` by the gateway's clock."""
        heard = self._heard.get((gateway_key, lane))
        if heard is None:
            self._heard[gateway_key, lane] = _Heard(epoch, n, closed_ns)
            return Came(is_live=True, clock=0)
        if epoch == heard.epoch and n < heard.n:
            if n < heard.first:
                return Came(is_live=False, clock=None)
            return Came(heard.closed_ns - closed_ns < LIVE_NS, heard.clock)
        if closed_ns < heard.closed_ns - STEP_NS:
            heard.first, heard.clock = n, max(heard.clock, self.begin) + 1
        elif epoch != heard.epoch:
            heard.first = 0
        heard.epoch, heard.n, heard.closed_ns = epoch, n, closed_ns
        return Came(is_live=True, clock=heard.clock)
