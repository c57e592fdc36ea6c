"""Files of the state folder that are made at the first start: whole or not there, 0600, by one of several starters at once."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path


def load_or_make(path: Path, make: Callable[[], bytes]) -> bytes:
    """What is in the file; it is made when it is not there. Roles on several machines share the file."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            write_file(path, make(), 0o600)
    return path.read_bytes()


def write_file(path: Path, content: bytes, mode: int) -> None:
    """Write a file that is whole or not there, with its rights from the first byte on."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
