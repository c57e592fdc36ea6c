"""The index of what a spool holds takes no more memory the longer the agent runs."""

import _sqlite3
import ctypes
from pathlib import Path

from edge.spool.index import Entry, Index
from edge.spool.keys import CipherName, KeyRing
from edge.spool.log import Location

ROWS, HOURS = 3600, 5
CACHE_KB = 256


def test_hours_of_batches_take_no_more_than_the_cache(tmp_path: Path):
    library = ctypes.CDLL(_sqlite3.__file__)  # the one that this Python uses
    library.sqlite3_memory_used.restype = ctypes.c_int64
    index = Index(tmp_path / "index.sqlite3", KeyRing([bytes(32)], CipherName.AES).at(bytes(8), 0, 0))
    held: list[int] = []
    for hour in range(HOURS):
        numbers = range(hour * ROWS, (hour + 1) * ROWS)
        for first in range(numbers.start, numbers.stop, 60):
            index.write([Entry(2, n, 0, n, 3, Location(1, n, 900)) for n in range(first, first + 60)])
        held.append(library.sqlite3_memory_used())
    index.close()
    assert held[-1] == held[2], held
    assert held[-1] < 2 * CACHE_KB * 1024, held
