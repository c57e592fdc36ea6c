"""File systems of their own for a while, small enough to be filled."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.possible import NotPossibleError


@contextmanager
def mounted(folder: Path, size_mb: int, mode: str) -> Generator[None]:
    """A file system of that size in memory; NotPossibleError where none can be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode={mode}", "wardlink-fault", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"no file system can be mounted: {done.stderr.strip()}"
        raise NotPossibleError(msg)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
