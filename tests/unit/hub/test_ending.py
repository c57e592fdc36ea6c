"""That tasks end although one of them loses a cancellation."""

import asyncio
from contextlib import suppress

from hub.core.ending import end_all


async def test_a_task_that_swallows_a_cancellation_ends_with_the_next_one():
    swallowed: list[int] = []

    async def deaf() -> None:
        while True:
            if not swallowed:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(60)
                swallowed.append(1)
            await asyncio.sleep(60)

    async def failing() -> None:
        await asyncio.sleep(0)
        raise OSError

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(failing()), asyncio.create_task(asyncio.sleep(60))]
    await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        await end_all(tasks)
    assert swallowed == [1]
    assert all(task.done() for task in tasks)
    assert isinstance(tasks[1].exception(), OSError)
