"""Keeps the process's heap from growing by what is free in it (mallopt(3), malloc_trim(3)).

glibc gives each thread that allocates a heap of its own, up to eight a core, and none of them gives back what lies between pieces in use:
an agent whose use stays the same grows for hours. One heap for all threads, and its free pages given back every minute, hold it. Large
pieces (a read from a socket asks for 256 kB and keeps some hundred bytes of it) are mapped by themselves, always: left to itself glibc
takes them from the heap as soon as one was freed. Where the C library knows neither call, nothing is done.
"""

import asyncio
import ctypes

EVERY_S = 60.0
MAPPED_BYTES = 1 << 16
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8


def share_one() -> None:
    """One heap for all threads from here on, and none for large pieces; called before there is a second thread."""
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)


async def give_back() -> None:
    """Give the heap's free pages back to the machine, every minute, for ever."""
    library = ctypes.CDLL(None)
    while True:
        await asyncio.sleep(EVERY_S)
        if hasattr(library, "malloc_trim"):
            await asyncio.to_thread(library.malloc_trim, 0)
