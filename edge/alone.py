"""A folder that one process has for itself."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class InUseError(RuntimeError):
    """Another process works with the folder."""


@contextmanager
def alone(folder: Path) -> Generator[None]:
    """Have a folder for oneself; InUseError: two on one spool would give numbers twice."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = f"another agent works with {folder}; stop it, or give this one a folder of its own"
            raise InUseError(msg) from error
        yield
