"""Runs the agent's tasks: one that fails is reported and started again with growing pauses; the others do not notice."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import structlog

from edge.ending import LINKS_S, ended
from edge.health.metrics import TASK_RESTARTS

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0
_STEADY_S = 0.5
_HOLDS_S = 2.0  # a task that failed and has run so long again does not count as failing
_CALM_S = 60.0  # a task that ran so long begins with the short pause again

_log = structlog.get_logger()


class Supervisor:
    """An async context: its tasks are cancelled, the last one first, when it is left."""

    def __init__(self, fatal: tuple[type[Exception], ...] = ()) -> None:
        """`fatal`: errors that no restart can mend; `failed` gives out the first of them."""
        self._fatal = fatal
        self._tasks: list[asyncio.Task[None]] = []
        self._began_s: dict[str, float] = {}
        self._failures: dict[str, tuple[str, float]] = {}
        self.failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a task for as long as the supervisor lives."""
        self._tasks.append(asyncio.create_task(self._supervise(name, run), name=name))

    def dead(self) -> list[str]:
        """Tasks that nobody starts again: their supervision itself has failed."""
        return [task.get_name() for task in self._tasks if task.done() and not task.cancelled() and task.exception()]

    def is_steady(self, name: str) -> bool:
        """Whether a task has run for a moment without failing."""
        return time.monotonic() - self._began_s.get(name, time.monotonic()) >= _STEADY_S

    def failing(self) -> dict[str, str]:
        """Why each task failed that waits to begin again or has only just begun."""
        now_s = time.monotonic()
        return {name: why for name, (why, again_s) in self._failures.items() if now_s < again_s + _HOLDS_S}

    async def stop(self) -> None:
        """Cancel all tasks, the last one first, and wait for their ends; for a task that does not end, no longer than LINKS_S."""
        tasks, self._tasks = self._tasks[::-1], []
        await ended(tasks, LINKS_S)
        self.failed.cancel()

    async def _supervise(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            began_s = self._began_s[name] = time.monotonic()
            try:
                await run()
            except self._fatal as error:
                if not self.failed.done():
                    self.failed.set_result(error)
                return
            except Exception as error:  # noqa: BLE001 - the boundary of a task: whatever it is, it is told and the task begins anew
                _log.exception("task-failed", task=name, error=str(error), again_in_s=pause_s)
                TASK_RESTARTS.labels(task=name).inc()
                self._began_s.pop(name, None)
                reason = str(error) or type(error).__name__
            else:
                return
            if time.monotonic() - began_s > _CALM_S:
                pause_s = FIRST_PAUSE_S
            self._failures[name] = (reason, time.monotonic() + pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
