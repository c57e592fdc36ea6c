"""The agent's last five seconds: what does not end by itself is named and left, and the process ends all the same.

The spool is made for a process that is killed at any moment, so that nothing which is on disk is lost by that.
"""

import asyncio
import os
import sys
import threading
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Collection

LINKS_S = 1.0  # for closing the links of devices, and again for the connections to the hub
BATCHES_S = 1.0  # for what waits for the disk
_LEAVE_S = 0.3
OVERDUE_S = 4.5  # for all of it; systemd waits for 5

_log = structlog.get_logger()


async def ended(tasks: "Collection[asyncio.Task[None]]", within_s: float) -> None:
    """Cancel tasks and wait for their ends; one that takes longer is named and left."""
    for task in tasks:
        task.cancel()
    if not tasks:
        return
    _, left = await asyncio.wait(tasks, timeout=within_s)
    for task in left:
        _log.warning("task-does-not-end", task=task.get_name(), after_s=within_s)


async def leave() -> None:
    """The spool is closed. A task that does not end even now is left: asyncio.run would wait for it as long as it likes."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if not left:
        return
    _, stubborn = await asyncio.wait(left, timeout=_LEAVE_S)
    if stubborn:
        _log.warning("agent-left-tasks", tasks=sorted({task.get_name() for task in stubborn}))
        sys.stderr.flush()
        os._exit(0)


def end_overdue(loop: asyncio.AbstractEventLoop) -> None:
    """From now on the process has `OVERDUE_S`; then it is ended as it is."""

    def overdue() -> None:
        left = sorted({task.get_name() for task in asyncio.all_tasks(loop)})
        _log.error("agent-ended-overdue", after_s=OVERDUE_S, tasks=left)
        sys.stderr.flush()
        os._exit(1)

    timer = threading.Timer(OVERDUE_S, overdue)
    timer.daemon = True
    timer.start()
