"""Joins the gateway's clock to what runs by it: says what the hub's stamps come to, tells a step to everything that counts in time.

While the time is not known, data wait in the spool and alarms go at once, marked. Leaves what is followed to `clock`, what is kept
over a restart to `ledger`.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from edge.clock.clock import EARLIEST_NS, LATEST_NS, GatewayClock, Step
from edge.clock.hub_clock import Exchange, HubClock, HubTime
from edge.clock.ledger import KEEP_EVERY_S, TimeLedger
from edge.health.metrics import CLOCK_STEPS
from protocols.link import Connection, Lane
from protocols.nomenclature import EVT_CLOCK_STEP
from protocols.record import AlarmCondition, DeviceEvent, Params, Record, SourcePath, Times
from protocols.wire.moved import TIME_UNCERTAIN

if TYPE_CHECKING:
    from edge.health.status import Status
    from edge.pipeline.batcher import Batcher
    from edge.spool import Spool

_log = structlog.get_logger()


class Timekeeper:
    """One for a life of the spool; `join` gives it what can only be made behind it."""

    def __init__(self, clock: GatewayClock, ledger: TimeLedger, spool: "Spool", source: SourcePath) -> None:
        """`source`: of the gateway's own events."""
        self._clock, self._ledger, self._spool, self._source = clock, ledger, spool, source
        self._hub = HubClock()
        self._batcher: Batcher | None = None
        self._tell: list[Callable[[int], None]] = []
        self._wake: Callable[[Connection], None] = lambda _: None
        self._ask: Callable[[], None] = lambda: None
        self._kept_s = float("-inf")
        self._saving: asyncio.Task[None] | None = None
        self.stepped_ns = 0  # by how much the clock was set since the agent began

    def join(
        self,
        batcher: "Batcher",
        clock_stepped: Callable[[int], None],
        wake: Callable[[Connection], None],
        ask: Callable[[], None],
    ) -> None:
        """`clock_stepped` hears of each step; `wake` is called when what waited for the time may go, `ask` has the hub asked for it at once."""
        self._batcher, self._wake, self._ask = batcher, wake, ask
        self._tell.append(clock_stepped)

    def mark(self, records: Iterable[Record]) -> list[Record]:
        """The records, alarms among them marked while the time is not known."""
        if self._clock.is_known:
            return list(records)
        return [
            replace(r, params=(*r.params, (TIME_UNCERTAIN, True))) if isinstance(r, AlarmCondition) else r
            for r in records
        ]

    def may_send(self, connection: Connection) -> bool:
        """Whether what waits for a connection may go: alarms always."""
        return self._clock.is_known or connection is Connection.ALARM

    def right(self, lane: Lane, n: int, batch: bytes) -> bytes:
        """A batch as it is sent."""
        return self._ledger.right(self._spool.epoch, lane, n, batch)

    def answered(self, sent_ns: int, hub_received_ns: int, hub_sent_ns: int, back_ns: int) -> None:
        """Take an exchange of stamps with the hub; sent and back are of the monotonic clock."""
        if not (EARLIEST_NS <= hub_received_ns < LATEST_NS and EARLIEST_NS <= hub_sent_ns < LATEST_NS):
            return  # a hub that has no time itself, or has lost it
        told = self._hub.add(Exchange(sent_ns, hub_received_ns, hub_sent_ns, back_ns))
        expected = self._clock.expected(told.offset_ns, told.uncertainty_ns)
        self._begin(expected)
        self._end(self._clock.follow_hub(told.offset_ns, told.uncertainty_ns), told.uncertainty_ns)

    async def look(self) -> None:
        """Compare with the system's clock, about once a second; keep the time now and then."""
        self._begin(self._clock.pending())
        self._end(self._clock.look(), 0)
        if self._clock.is_known and time.monotonic() - self._kept_s >= KEEP_EVERY_S:
            self._kept_s = time.monotonic()
            self._ledger.keep(self._clock.now_ns())
        self._save()

    def _save(self) -> None:
        """Beside the loop, and nobody waits for it: on a disk that hangs alarms go out all the same. `look` tries again what was refused."""
        if self._ledger.is_unsaved and (self._saving is None or self._saving.done()):
            self._saving = asyncio.create_task(asyncio.to_thread(self._ledger.save))

    def hub_time(self) -> HubTime | None:
        """What is known of the hub's clock against the monotonic one."""
        return self._hub.at(self._clock.monotonic_ns)

    def tell(self, status: "Status") -> None:
        """What the gateway's state says of its clock."""
        status.time_known = self._clock.is_known
        known = self.hub_time()
        if known is not None:
            status.hub_ahead_ns = self._clock.monotonic_ns + known.offset_ns - self._clock.now_ns()
            status.hub_uncertainty_ns, status.hub_drift_ppm = known.uncertainty_ns, round(known.drift * 1e6, 3)

    def _begin(self, step: Step | None) -> None:
        """What was made without a known time goes into batches of its own."""
        if step is not None and (step.learned or step.doubted) and self._batcher is not None:
            self._batcher.close_at_once()

    def _end(self, step: Step | None, uncertainty_ns: int) -> None:
        if not self._clock.is_known or (step is not None and not step.by_hub):
            self._ask()
        if step is None:
            return
        if step.doubted:
            self._ledger.doubt(self._spool.epoch, self._spool.newest, self._clock.now_ns())
            self._save()
            _log.error(
                "clock-doubted",
                system_ns=time.time_ns(),
                what_to_do="nothing: data wait until the hub, or what sets the clock, confirms a time",
            )
            return
        if step.learned:
            self._ledger.learned(step.by_ns, uncertainty_ns, self._spool.newest, self._clock.now_ns())
            self._save()
        self.stepped_ns += step.by_ns
        for tell in self._tell:
            tell(step.by_ns)
        CLOCK_STEPS.inc()
        _log.warning("clock-stepped", by_ns=step.by_ns, learned=step.learned, by_hub=step.by_hub)
        params: Params = (("shift_ns", step.by_ns), ("learned", step.learned), ("by_hub", step.by_hub))
        if self._batcher is not None:
            self._batcher.add([DeviceEvent(self._source, EVT_CLOCK_STEP, Times(self._clock.now_ns()), params)])
        for connection in Connection:
            self._wake(connection)
