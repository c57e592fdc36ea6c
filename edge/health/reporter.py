"""Looks at the clock, the spool and the machine about once a second, and tells the hub how the gateway is.

A gateway that has nothing else to send tells its state every 2 s: the hub takes silence for what it is (hub/gateways/domain.py).
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from edge.health.metrics import MACHINE, SPOOL_BYTES, SPOOL_WAITING, UPLINK_WAITING
from edge.health.status import EVERY_S, Status
from protocols.link import Lane
from protocols.nomenclature import EVT_GATEWAY_SHORT
from protocols.record import DeviceEvent, SourcePath, Times

if TYPE_CHECKING:
    from edge.clock import GatewayClock
    from edge.clock.timekeeper import Timekeeper
    from edge.health.lag import LoopWatch
    from edge.health.vitals import Vitals
    from edge.identity.renewal import Renewal
    from edge.pipeline.batcher import Batcher
    from edge.spool import Spool
    from protocols.link import LinkSender

LOOK_EVERY_S = 1.0
QUIET_S = 2.0

_log = structlog.get_logger()


@dataclass(slots=True)
class Reporter:
    """`states`: how each device is, None when nobody expects it."""

    status: Status
    clock: "GatewayClock"
    times: "Timekeeper"
    vitals: "Vitals"
    lag: "LoopWatch"
    spool: "Spool"
    link: "LinkSender"
    batcher: "Batcher"
    renewal: "Renewal"
    states: Callable[[], Collection[bool | None]]
    page_url: Callable[[], str]

    async def run(self) -> None:
        """Until cancelled."""
        told_s = -EVERY_S
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.times.look()
            SPOOL_BYTES.set(self.spool.allocated_bytes())
            for lane in Lane:
                SPOOL_WAITING.labels(lane=lane.name.lower()).set(self.spool.waiting(lane))
                UPLINK_WAITING.labels(lane=lane.name.lower()).set(self.link.waiting(lane))
            changed = self._look_at_machine() or self.page_url() != self.status.local_page
            now_s = time.monotonic()
            is_quiet = now_s - self.batcher.closed_s >= QUIET_S - LOOK_EVERY_S / 2
            if changed or is_quiet or now_s - told_s >= EVERY_S:
                told_s = now_s
                self._tell()

    def _look_at_machine(self) -> Sequence[tuple[str, bool]]:
        changes = self.vitals.look()
        for name in ("cpu", "memory", "disk"):
            MACHINE.labels(what=name).set(self.vitals.percent(name))
        for name, begins in changes:
            percent = self.vitals.percent(name)
            _log.warning("gateway-short" if begins else "gateway-not-short", what=name, percent=percent)
            self._event(EVT_GATEWAY_SHORT, ("what", name), ("percent", percent), ("begins", begins))
        return changes

    def _event(self, code: str, *params: tuple[str, float | int | str | bool]) -> None:
        source = SourcePath(self.status.gateway)
        self.batcher.add([DeviceEvent(source, code, Times(self.clock.now_ns()), params)])

    def _tell(self) -> None:
        status = self.status
        status.spool_bytes = self.spool.allocated_bytes()
        status.local_page = self.page_url()
        status.waiting = {lane.name.lower(): self.link.waiting(lane) for lane in Lane}
        status.certificate_not_after_ns = self.renewal.not_after_ns or status.certificate_not_after_ns
        status.renewal_failing = bool(self.renewal.failing)
        self.times.tell(status)
        states = self.states()
        status.devices_up = sum(state is True for state in states)
        status.devices_down = sum(state is False for state in states)
        status.machine = {
            **self.vitals.params,
            "loop_lag_ms": round(1000 * self.lag.worst_s),
            "warnings": ",".join(self.vitals.warnings),
        }
        self.batcher.add([status.event(self.clock.now_ns())])
