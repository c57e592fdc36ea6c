"""The gateway's clock: time since 1970 that runs with the monotonic clock, and follows the system's time with a report of steps."""

from edge.clock.clock import GatewayClock, Step

__all__ = ["GatewayClock", "Step"]
