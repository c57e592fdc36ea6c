"""Which batches a medium has lost for good: those whose place it refused to read again and again, and nothing else."""

import errno
from collections.abc import Callable
from threading import Lock

from edge.spool.index import IndexRefusedError

TIMES = 4
WITHIN_S = 10.0  # so long the first refusal has to be past: a bus that is set anew takes seconds
_MOST = 1024  # places


class Medium:
    """Counts the refusals of each place. From any thread."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        """`now_s`: a monotonic clock, in seconds."""
        self._now_s = now_s
        self._lock = Lock()
        self._refused: dict[tuple[int, int], tuple[float, int]] = {}  # by lane and n: since when, how often

    def is_lost(self, lane: int, n: int, error: OSError) -> bool:
        """Take a refusal: whether the batch is to be given up. Errors other than of the medium (no more files, no memory) never say so."""
        if error.errno != errno.EIO or isinstance(error, IndexRefusedError):
            return False
        with self._lock:
            now_s = self._now_s()
            since_s, times = self._refused.pop((lane, n), (now_s, 0))
            if times + 1 >= TIMES and now_s - since_s >= WITHIN_S:
                return True
            self._refused[lane, n] = (since_s, times + 1)
            while len(self._refused) > _MOST:
                del self._refused[next(iter(self._refused))]
            return False
