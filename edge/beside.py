"""Asks the disk beside the event loop, one question at a time: one that hangs takes one thread, and nobody waits longer than he means to."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


class Beside:
    """For one asker. A question that is not answered in time goes on, and the next waits behind it."""

    def __init__(self) -> None:
        """Nothing is asked yet."""
        self._asked: asyncio.Task[object] | None = None

    async def ask(self, question: Callable[[], _T], within_s: float | None = None) -> _T:
        """What the (blocking) question says, or raises; TimeoutError, which is an OSError, when that takes longer."""
        async with asyncio.timeout(within_s):
            while self._asked is not None and not self._asked.done():
                await asyncio.wait((self._asked,))
            asked = asyncio.create_task(asyncio.to_thread(question))
            asked.add_done_callback(_heard)
            self._asked = asked
            return await asyncio.shield(asked)


def _heard(asked: "asyncio.Task[_T]") -> None:
    """Nobody may be waiting for it any more: an error is then nobody's."""
    if not asked.cancelled():
        asked.exception()
