"""The gateway's clock: time since 1970 that runs with the monotonic clock, and follows the system's time, or the hub's, with a report of steps."""

from edge.clock.clock import GatewayClock, Step
from edge.clock.hub_clock import Exchange, HubClock, HubTime
from edge.clock.ledger import TimeLedger

__all__ = ["Exchange", "GatewayClock", "HubClock", "HubTime", "Step", "TimeLedger"]
