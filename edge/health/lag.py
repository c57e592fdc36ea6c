"""Finds what holds up the agent's event loop: a thread looks whether it goes round, and names who has it when it does not.

Tasks bear the name of the part that began them (`named_tasks`), so that a connection of a door is told as that door.
"""

import asyncio
import sys
import threading
import time
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from traceback import walk_stack
from types import FrameType
from typing import TYPE_CHECKING, TypeVar, cast

import structlog

from edge.health.metrics import LOOP_LAG, LOOP_STALLS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Mapping

LIMIT_S = 0.2
TICK_S = 0.1
_FRAMES_SHOWN = 6
_WORST_OF_S = 60.0

T = TypeVar("T")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Culprit:
    """Who has the loop: the task's name ("" in a callback), and where it stands, innermost first."""

    task: str
    where: tuple[str, ...]


class LoopWatch:
    """`run` ticks in the loop for ever; a thread of its own watches meanwhile."""

    def __init__(self) -> None:
        """Watches nothing yet."""
        self._ticked_s = 0.0
        self._cpu_s = 0.0
        self._worst: list[tuple[float, float]] = []
        self._stalled = False
        self._ended = threading.Event()

    @property
    def worst_s(self) -> float:
        """The worst lag of the last minute."""
        now_s = time.monotonic()
        self._worst = [(at_s, lag_s) for at_s, lag_s in self._worst if now_s - at_s < _WORST_OF_S]
        return max((lag_s for _, lag_s in self._worst), default=0.0)

    async def run(self) -> None:
        """Until cancelled."""
        self._tick(0.0)
        self._ended = threading.Event()
        loop, ours = asyncio.get_running_loop(), threading.get_ident()
        watcher = threading.Thread(target=self._watch, args=(loop, ours, self._ended), name="loop-watch", daemon=True)
        watcher.start()
        try:
            while True:
                due_s = time.monotonic() + TICK_S
                await asyncio.sleep(TICK_S)
                self._tick(max(0.0, time.monotonic() - due_s))
        finally:
            self._ended.set()

    def _tick(self, lag_s: float) -> None:
        self._ticked_s, self._cpu_s = time.monotonic(), time.process_time()
        LOOP_LAG.observe(lag_s)
        if lag_s > max((known for _, known in self._worst), default=0.0) or lag_s >= LIMIT_S:
            self._worst = [*self._worst[-63:], (self._ticked_s, lag_s)]
        if lag_s >= LIMIT_S:
            _log.warning("loop-goes-on", late_s=round(lag_s, 2))
        self._stalled = False

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int, ended: threading.Event) -> None:
        while not ended.wait(max(0.01, self._ticked_s + TICK_S + LIMIT_S - time.monotonic())):
            late_s = time.monotonic() - self._ticked_s - TICK_S
            if late_s < LIMIT_S or self._stalled:
                ended.wait(TICK_S if self._stalled else 0)
                continue
            self._stalled = True
            culprit = _culprit(loop, thread)
            LOOP_STALLS.labels(task=culprit.task or "callback").inc()
            # who stands still and takes no processor time waits for a disk or a lock, or the machine is short of time
            busy_s = time.process_time() - self._cpu_s
            _log.error(
                "loop-held-up",
                task=culprit.task,
                where=list(culprit.where),
                late_s=round(late_s, 2),
                processor_s=round(busy_s, 2),
            )


def named_tasks(
    loop: asyncio.AbstractEventLoop,
    coroutine: "Coroutine[object, object, T] | Generator[asyncio.Future[object] | None, None, T]",
    context: Context | None = None,
) -> "asyncio.Task[T]":
    """A task factory: what a task begins bears its name, unless it is given another."""
    parent = asyncio.current_task(loop)
    return asyncio.Task(coroutine, loop=loop, context=context, name=None if parent is None else parent.get_name())


def _culprit(loop: asyncio.AbstractEventLoop, thread: int) -> Culprit:
    task = asyncio.current_task(loop)
    # of CPython, documented and named as if it were private
    frames = cast("Callable[[], Mapping[int, FrameType]]", getattr(sys, "_current_frames", dict))
    frame = frames().get(thread)
    return Culprit("" if task is None else task.get_name(), _where(frame))


def _where(frame: FrameType | None) -> tuple[str, ...]:
    if frame is None:
        return ()
    shown: list[str] = []
    for inner, line in walk_stack(frame):
        code = inner.f_code
        shown.append(f"{Path(code.co_filename).name}:{line} in {code.co_name}")
        if len(shown) == _FRAMES_SHOWN:
            break
    return tuple(shown)
