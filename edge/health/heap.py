"""Keeps the process's heap from growing by what is free in it (mallopt(3), malloc_trim(3)).

glibc gives each thread that allocates a heap of its own, up to eight a core, and none of them gives back what lies between pieces in use:
an agent whose use stays the same grows for hours. One heap for all threads, and its free pages given back every minute, hold it. Where
the C library knows neither call, nothing is done.
"""

import asyncio
import ctypes

EVERY_S = 60.0
_M_ARENA_MAX = -8


def share_one() -> None:
    """One heap for all threads from here on; called before there is a second thread."""
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_ARENA_MAX, 1)


async def give_back() -> None:
    """Give the heap's free pages back to the machine, every minute, for ever."""
    library = ctypes.CDLL(None)
    while True:
        await asyncio.sleep(EVERY_S)
        if hasattr(library, "malloc_trim"):
            await asyncio.to_thread(library.malloc_trim, 0)
