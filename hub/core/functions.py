"""Response time of every function of the hub, measured where it answers: a route, a batch of a gateway, a job.

A function is named `role:action:what`: the process that has it, the row of `hub.core.policy` that it needs, and the route or step. What
becomes of the numbers is told by hub.operations.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram

from hub.core.errors import DomainError

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
SECONDS = Histogram("hub_function_seconds", "Response time of each function", ["function"], buckets=BOUNDS_S)
FAILED = Counter("hub_function_failures_total", "Calls of each function that the hub failed to answer", ["function"])


def observe(function: str, seconds: float, *, failed: bool = False) -> None:
    """Count one call."""
    SECONDS.labels(function).observe(max(0.0, seconds))
    if failed:
        FAILED.labels(function).inc()


@contextmanager
def timed(function: str) -> Generator[None]:
    """Count what is done within as one call, a failed one when it raises; a refusal is an answer, and what was cancelled is no call."""
    began = time.monotonic()
    try:
        yield
    except DomainError as error:
        observe(function, time.monotonic() - began, failed=error.status >= 500)
        raise
    except Exception:
        observe(function, time.monotonic() - began, failed=True)
        raise
    observe(function, time.monotonic() - began)
