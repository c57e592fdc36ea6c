"""A small file that is there as it was or as it is to be, whatever happens in between."""

import os
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write beside it, to the disk, and put that in its place. OSError."""
    partial = path.with_suffix(".new")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
