"""How late the event loop is: no work over 50 ms belongs in ingest or web, and this metric shows it."""

import asyncio
import time

from prometheus_client import Gauge, Histogram

_PERIOD_S = 0.1
_LAG = Histogram(
    "hub_loop_lag_seconds",
    "How much later than asked the event loop woke up",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
_WORST = Gauge("hub_loop_lag_worst_seconds", "The worst lag of the last minute")


async def watch_loop() -> None:
    """Measure for ever; run it as a task of each role."""
    worst, minute = 0.0, time.monotonic()
    while True:
        asked = time.monotonic() + _PERIOD_S
        await asyncio.sleep(_PERIOD_S)
        lag = max(0.0, time.monotonic() - asked)
        _LAG.observe(lag)
        if time.monotonic() - minute >= 60:
            worst, minute = 0.0, time.monotonic()
        worst = max(worst, lag)
        _WORST.set(worst)
