"""Availability of every function as a metric; told by the worker, as one process has to, and read from what all of them wrote."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client import Gauge

from hub.operations.domain import Span
from hub.operations.service import read_told

if TYPE_CHECKING:
    from hub.core.db import Database

EVERY_S = 300.0
_AVAILABLE = Gauge(
    "hub_function_available_ratio", "Share of the minutes of 30 days in which a function was up", ["function"]
)


class Availability:
    """Reads it now and then."""

    def __init__(self, database: "Database", every_s: float = EVERY_S) -> None:
        """`database` as the role worker."""
        self._database, self._every_s = database, every_s
        self._at_s = -every_s

    async def tell(self) -> None:
        """Set the metric, when it is time."""
        if time.monotonic() - self._at_s < self._every_s:
            return
        self._at_s = time.monotonic()
        async with self._database.connection() as connection:
            told = await read_told(connection, Span.HOUR, datetime.now(UTC))
        for function in told.functions:
            if function.available is not None:
                _AVAILABLE.labels(function.function).set(function.available)
