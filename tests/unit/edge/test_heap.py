"""What threads allocate and free again does not stay with the process, however it lies between what stays in use."""

import subprocess
import sys

# Four threads allocate pieces of 32 kB in turn (too small to be mapped by themselves), keep every twentieth and free the rest.
CHURN = """
import asyncio, ctypes, sys, threading
from pathlib import Path
from edge.health import heap

def held():
    return int(next(l for l in Path("/proc/self/smaps_rollup").read_text().splitlines() if l.startswith("Private_Dirty")).split()[1])

if sys.argv[1] == "shared":
    heap.share_one()
    heap.EVERY_S = 0.01
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def churn():
    pieces = [libc.malloc(32768) for _ in range(800)]
    for piece in pieces:
        ctypes.memset(piece, 1, 32768)
    for i, piece in enumerate(pieces):
        if i % 20:
            libc.free(piece)

before = held()
threads = [threading.Thread(target=churn) for _ in range(4)]
for one in threads: one.start()
for one in threads: one.join()

async def rest():
    try:
        await asyncio.wait_for(heap.give_back(), 0.5)
    except TimeoutError:
        pass

if sys.argv[1] == "shared":
    asyncio.run(rest())
print(held() - before)
"""
KEPT_KB = 4 * 40 * 32


def grown_kb(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", CHURN, how], capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout)


def test_what_is_free_between_pieces_in_use_is_given_back():
    """Twice as much as is kept, for the pages at the edges; without it nearly all of the 100 MB stays."""
    assert grown_kb("shared") < 2 * KEPT_KB
    assert grown_kb("alone") > 10 * KEPT_KB


# What a read does: a large piece comes and goes, then another comes.
READS = """
import ctypes, sys
from edge.health import heap

if sys.argv[1] == "shared":
    heap.share_one()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
libc.malloc_usable_size.restype, libc.malloc_usable_size.argtypes = ctypes.c_size_t, [ctypes.c_void_p]
libc.free(libc.malloc(262144))
print(libc.malloc_usable_size(libc.malloc(262144)) // 1024)  # a mapped piece goes to the end of its page
"""


def usable_kb(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", READS, how], capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout)


def test_a_large_piece_is_mapped_by_itself_also_after_one_was_freed():
    assert usable_kb("shared") > 256
    assert usable_kb("alone") == 256, "glibc takes it from the heap where nobody says otherwise"
