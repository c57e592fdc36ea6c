"""A small file that is there as it was or as it is to be, whatever happens in between; folders that stay."""

import asyncio
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


class Kept:
    """What the hub said last, in a file: written only where it is not there yet, and a disk that takes nothing ends no connection."""

    def __init__(self, path: Path) -> None:
        """Nothing is read here: see `read`."""
        self._path = path
        self._on_disk: bytes | None = None

    def read(
        self, read: Callable[[bytes], _Read], event: str, what_to_do: str, *, refused: type[Exception] = ValueError
    ) -> _Read | None:
        """What is there, as `read_or_set_aside` says it."""

        def known(content: bytes) -> _Read:
            found = read(content)
            self._on_disk = content
            return found

        return read_or_set_aside(self._path, known, event, what_to_do, refused=refused)

    async def write(self, content: bytes) -> bool:
        """Make it durable; whether it is. A refusal is logged."""
        if content == self._on_disk:
            return True
        self._on_disk = None  # not known until it is written
        try:
            await asyncio.to_thread(replace_file, self._path, content)
        except OSError as error:
            _log.error(
                "not-kept",
                path=str(self._path),
                reason=str(error),
                what_to_do="make room: it is used all the same, and gone behind a restart until the hub says it again",
            )
            return False
        self._on_disk = content
        return True


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
