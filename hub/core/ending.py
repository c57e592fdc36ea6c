"""Tasks that run for ever, ended for sure."""

import asyncio
from collections.abc import Iterable

_AGAIN_S = 1.0


async def end_all(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancel tasks and return when all have ended, whatever with.

    Each second again: asyncio's own `wait_for`, which pools of connections wait by, can swallow a cancellation before Python 3.12, and a
    task that goes round would then go round for ever.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN_S)
