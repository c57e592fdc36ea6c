"""A small file that is there as it was or as it is to be, whatever happens in between; folders that stay."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import structlog

_Read = TypeVar("_Read")

_log = structlog.get_logger()


def read_or_set_aside(
    path: Path, read: Callable[[bytes], _Read], event: str, what_to_do: str, *, refused: type[Exception] = ValueError
) -> _Read | None:
    """What a small file says; None when it is not there, or the disk or `read` (by `refused`) cannot read it.

    That is told in the log, and the file kept beside as .damaged: one bad block may not keep the agent down.
    """
    try:
        return read(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, refused) as error:
        # what a file says that cannot be read may not stand in a log
        text = str(error) if isinstance(error, OSError) else type(error).__name__
    _log.error(event, path=str(path), error=text, what_to_do=what_to_do)
    with suppress(OSError):
        path.replace(path.with_name(path.name + ".damaged"))
    return None


def replace_file(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write beside it, to the disk, and put that in its place. `mode` is the new file's, less the umask. OSError."""
    partial = path.with_name(path.name + ".new")
    partial.unlink(missing_ok=True)
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    partial.rename(path)
    sync_folder(path.parent)


def make_folder(path: Path, *, mode: int = 0o777) -> None:
    """Make a folder and those above it, and their names durable. OSError."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(mode=mode, exist_ok=True)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable: files made, renamed and removed. OSError."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
