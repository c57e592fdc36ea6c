"""One starter at a time: an exclusive flock(2) on a file, let go when its holder ends, however it ends."""

import fcntl
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from wardlink.local.errors import StackError
from wardlink.local.places import Progress


@contextmanager
def exclusive(lock: Path, progress: Progress, timeout_s: float = 300.0) -> Generator[None, None, None]:
    """Hold the lock file; waits for another holder and says so. Raises `StackError` after `timeout_s`."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        told = False
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    progress("waiting for another start that is under way")
                    told = True
                if time.monotonic() > deadline:
                    raise StackError(
                        f"Another process has held {lock} for {timeout_s:.0f} s.", f"see who it is: fuser {lock}"
                    ) from None
                time.sleep(0.05)
        yield
