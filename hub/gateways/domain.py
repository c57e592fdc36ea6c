"""A gateway of the list as a value: its state from what is known of it, and what it last said of itself. Pure."""

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

# A gateway that has nothing to send tells its state every 2 s (edge/health/reporter.py). With the 3 s in which a page asks again, one that
# falls silent is a technical alarm within 10 s.
HEARD_WITHIN = timedelta(seconds=6)
CERTIFICATE_SOON = timedelta(days=30)
CLOCK_OFF_MS = 500.0


class GatewayState(StrEnum):
    """What the list says of a gateway at a glance; the first that applies."""

    REVOKED = "revoked"
    NOT_ENROLLED = "not_enrolled"
    ONLINE = "online"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """A line of the list. `status` is what the gateway last said of itself (edge/health/status.py), empty before that."""

    name: str
    added_at: datetime
    revoked_at: datetime | None
    certificate_until: datetime | None
    last_stored_at: datetime | None
    status: dict[str, float | str] = field(default_factory=dict[str, float | str])
    status_at: datetime | None = None
    devices: int = 0
    throttled_since: datetime | None = None  # the hub holds it back: it sends more than it may
    throttled_until: datetime | None = None  # when that ended for the last time
    configuration: int | None = None  # the newest version that it was given, and what became of it
    configuration_state: str | None = None
    configuration_reason: str | None = None

    def state(self, now: datetime) -> GatewayState:
        """Its state at `now`."""
        if self.revoked_at is not None:
            return GatewayState.REVOKED
        if self.certificate_until is None:
            return GatewayState.NOT_ENROLLED
        heard = self.heard_at
        return GatewayState.ONLINE if heard is not None and now - heard <= HEARD_WITHIN else GatewayState.AWAY

    @property
    def heard_at(self) -> datetime | None:
        """When something of it was last stored, by the hub's clock; what it says of the time itself may be wrong."""
        return self.last_stored_at

    def warnings(self, now: datetime) -> list[str]:
        """What wants a person: by its own word `cpu`, `memory` or `disk` while it is not away, and `spool_key_in_file`."""
        said = str(self.status.get("warnings", "")) if self.state(now) is GatewayState.ONLINE else ""
        return [*(one for one in said.split(",") if one), *(["spool_key_in_file"] if self.spool_key_in_file else [])]

    def percent(self, what: str) -> float | None:
        """How much of something is in use there: `cpu`, `memory`, `disk`."""
        return self._number(f"{what}_percent")

    def _number(self, name: str) -> float | None:
        """A number of its status; None where it tells none. A gateway says what it likes, and the list shows the others all the same."""
        try:
            value = float(self.status.get(name, math.nan))
        except ValueError:
            return None
        return value if math.isfinite(value) else None

    def certificate_days(self, now: datetime) -> int | None:
        """Whole days that the certificate is still valid; negative when it has ended."""
        return None if self.certificate_until is None else (self.certificate_until - now).days

    def certificate_is_due(self, now: datetime) -> bool:
        """Whether somebody has to look after it, or to enrol it again soon."""
        return self.not_renewed or (
            self.certificate_until is not None and self.certificate_until - now < CERTIFICATE_SOON
        )

    @property
    def not_renewed(self) -> bool:
        """Whether the agent has tried to renew its certificate, and could not."""
        return bool(self.status.get("certificate_not_renewed"))

    @property
    def configuration_tone(self) -> str:
        """How its tag looks."""
        return {"applied": "good", "refused": "bad", "rolled_back": "bad"}.get(self.configuration_state or "", "warn")

    @property
    def waiting(self) -> int:
        """Batches that the gateway still has to hand over."""
        return int(sum(self._number(name) or 0 for name in self.status if name.startswith("waiting_")))

    @property
    def devices_down(self) -> int:
        """Devices of its settings whose link is not open."""
        return int(self._number("devices_down") or 0)

    @property
    def agent_version(self) -> str:
        """The version of its agent, "" before it told."""
        return str(self.status.get("agent_version", ""))

    @property
    def clock_off_ms(self) -> float | None:
        """How far the hub's clock was ahead of the gateway's."""
        return self._number("hub_ahead_ms")

    @property
    def clock_is_off(self) -> bool:
        """Whether that wants a person."""
        return self.clock_off_ms is not None and abs(self.clock_off_ms) > CLOCK_OFF_MS

    @property
    def spool_key_in_file(self) -> bool:
        """Whether the key of its spool lies on the disk that it protects, which wants a person."""
        return self.status.get("spool_key") == "file"

    @property
    def spool_percent(self) -> float | None:
        """How full the gateway's spool is."""
        most = self._number("spool_max_bytes")
        return None if not most else 100 * (self._number("spool_bytes") or 0) / most
