"""Each process writes a row a minute of what it measured: how long it ran, its figures, and its functions with their times.

A table and no question from process to process: it is right with several copies of a role, with roles on several machines, and it tells
of a process that is gone. What a minute could not write is lost, and the minute counts as down.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg
import structlog
from prometheus_client import Gauge
from prometheus_client.registry import REGISTRY
from psycopg.types.json import Jsonb

from hub.core.db import Database
from hub.core.errors import DomainError
from hub.core.functions import BOUNDS_S, FAILED, SECONDS
from hub.core.sql import load_queries

_QUERIES = load_queries("hub.operations")
_MINUTE_S = 60.0
_FIGURES_WITHIN_S = 0.5  # what comes later is told in the next minute; less than what stopping leaves
_WRITTEN = Gauge("hub_operations_written_timestamp_seconds", "When this process last wrote what it measured")

Figures = Callable[[], Awaitable[Mapping[str, float]]]


@dataclass(slots=True)
class _Seen:
    """A function as it stood at the last row."""

    calls: int = 0
    failed: int = 0
    buckets: tuple[int, ...] = (0,) * (len(BOUNDS_S) + 1)


@dataclass(frozen=True, slots=True)
class Counted:
    """What was added to a function since the last row."""

    function: str
    calls: int
    failed: int
    buckets: list[int]


@dataclass(slots=True)
class Recorder:
    """The task of one process. `counters`: metrics whose growth in the minute is told, by the name of the figure.

    `figures` may take longer than a minute: the row then has those that were known last.
    """

    database: Database
    role: str
    instance: str
    counters: Mapping[str, str] = field(default_factory=dict[str, str])
    figures: Figures | None = None
    _began_s: float = field(default_factory=time.time)
    _functions: dict[str, _Seen] = field(default_factory=dict[str, _Seen])
    _counted: dict[str, float] = field(default_factory=dict[str, float])
    _measuring: "asyncio.Task[None] | None" = None
    _told: Mapping[str, float] = field(default_factory=dict[str, float])

    async def run(self) -> None:
        """Until cancelled; then what the open minute has is written too."""
        self._since_now()
        try:
            while True:
                await asyncio.sleep(_MINUTE_S - time.time() % _MINUTE_S)
                await self._write_or_say_why(time.time() - 1)
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await self._write_or_say_why(time.time())
            if self._measuring is not None:
                self._measuring.cancel()

    async def write(self, at_s: float) -> None:
        """Write the row of the minute in which `at_s` is, ended or not."""
        told = await self._figures_known()
        begin_s = at_s // _MINUTE_S * _MINUTE_S
        place = {"minute": datetime.fromtimestamp(begin_s, UTC), "role": self.role, "instance": self.instance}
        up_s = min(_MINUTE_S, time.time() - max(begin_s, self._began_s))
        grown = {name: self._grown(name, metric) for name, metric in self.counters.items()}
        functions = self._added()
        async with self.database.transaction() as connection:
            values = {**place, "up_s": up_s, "figures": Jsonb({**grown, **told})}
            await connection.execute(_QUERIES["write_process"], values)
            for one in functions:
                counted = {"function": one.function, "calls": one.calls, "failed": one.failed, "buckets": one.buckets}
                await connection.execute(_QUERIES["write_function"], {**place, **counted})
        _WRITTEN.set_to_current_time()

    async def _figures_known(self) -> Mapping[str, float]:
        if self.figures is not None:
            if self._measuring is None or self._measuring.done():
                self._measuring = asyncio.create_task(self._measure(self.figures))
            await asyncio.wait((self._measuring,), timeout=_FIGURES_WITHIN_S)
        return self._told

    async def _measure(self, figures: Figures) -> None:
        try:
            self._told = dict(await figures())
        except (psycopg.Error, DomainError, OSError) as error:
            structlog.get_logger().warning("figures-not-measured", role=self.role, error=type(error).__name__)

    async def _write_or_say_why(self, at_s: float) -> None:
        try:
            await self.write(at_s)
        except (psycopg.Error, DomainError, OSError) as error:
            structlog.get_logger().warning("operations-not-written", role=self.role, error=type(error).__name__)

    def _since_now(self) -> None:
        """What the process counted before is of nobody's minute."""
        self._added()
        for name, metric in self.counters.items():
            self._grown(name, metric)

    def _grown(self, name: str, metric: str) -> float:
        now = sum(sample.value for family in REGISTRY.collect() for sample in family.samples if sample.name == metric)
        before, self._counted[name] = self._counted.get(name, 0.0), now
        return now - before

    def _added(self) -> list[Counted]:
        added: list[Counted] = []
        failures = {
            sample.labels["function"]: int(sample.value)
            for family in FAILED.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
        }
        cumulative: dict[str, list[int]] = {}
        for family in SECONDS.collect():
            for sample in family.samples:
                if sample.name.endswith("_bucket"):
                    cumulative.setdefault(sample.labels["function"], []).append(int(sample.value))
        for function, upto in cumulative.items():
            if not function.startswith(f"{self.role}:"):
                continue
            buckets = tuple(here - before for here, before in zip(upto, (0, *upto), strict=False))
            now = _Seen(upto[-1], failures.get(function, 0), buckets)
            before = self._functions.get(function, _Seen())
            self._functions[function] = now
            if now.calls > before.calls:
                grown = [a - b for a, b in zip(now.buckets, before.buckets, strict=True)]
                added.append(Counted(function, now.calls - before.calls, now.failed - before.failed, grown))
        return added
