"""What the agent tells the hub about its gateway every few seconds, for the page of gateways; metrics tell the same to Prometheus.

Holds nothing of a patient: sizes, counts and times only.
"""

from dataclasses import dataclass, field

from protocols.nomenclature import EVT_GATEWAY_STATUS
from protocols.record import DeviceEvent, Params, SourcePath, Times

EVERY_S = 15.0


@dataclass(slots=True)
class Status:
    """The state of a gateway at a moment. `waiting`: batches of each lane that the hub has not acknowledged."""

    gateway: str
    agent_version: str
    started_ns: int
    certificate_not_after_ns: int
    spool_bytes: int = 0
    spool_max_bytes: int = 0
    spool_key: str = ""  # where the key of the spool is kept: credential, or file, which wants a person
    waiting: dict[str, int] = field(default_factory=dict[str, int])
    hub_ahead_ns: int | None = None  # of the gateway's clock
    hub_uncertainty_ns: int | None = None  # of that
    hub_drift_ppm: float | None = None  # by which the hub's clock is faster than the gateway's crystal
    time_known: bool = True
    devices_up: int = 0
    devices_down: int = 0
    renewal_failing: bool = False  # the certificate is due, and the hub could not be asked for the next one
    machine: dict[str, float | int | str] = field(default_factory=dict[str, float | int | str])  # edge/health/vitals.py
    local_page: str = ""  # address of the gateway's own page

    def event(self, now_ns: int) -> DeviceEvent:
        """The event that tells it."""
        params: Params = (
            ("agent_version", self.agent_version),
            ("uptime_s", (now_ns - self.started_ns) // 1_000_000_000),
            ("certificate_not_after_ms", self.certificate_not_after_ns // 1_000_000),
            ("spool_bytes", self.spool_bytes),
            ("spool_max_bytes", self.spool_max_bytes),
            *((("spool_key", self.spool_key),) if self.spool_key else ()),
            *((f"waiting_{lane}", batches) for lane, batches in self.waiting.items()),
            *(() if self.hub_ahead_ns is None else (("hub_ahead_ms", self.hub_ahead_ns / 1e6),)),
            *(() if self.hub_uncertainty_ns is None else (("hub_uncertainty_ms", self.hub_uncertainty_ns / 1e6),)),
            *(() if self.hub_drift_ppm is None else (("hub_drift_ppm", self.hub_drift_ppm),)),
            *(() if self.time_known else (("time_known", False),)),
            ("devices_up", self.devices_up),
            ("devices_down", self.devices_down),
            *((("certificate_not_renewed", True),) if self.renewal_failing else ()),
            *self.machine.items(),
            *((("local_page", self.local_page),) if self.local_page else ()),
        )
        return DeviceEvent(SourcePath(self.gateway), EVT_GATEWAY_STATUS, Times(now_ns), params)
