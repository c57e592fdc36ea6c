"""A shim at the operating system's door: it lets every call through and writes down, in order, what changes a folder.

And the disk that a power cut may leave of that: what was synced is there; of the rest each sector of 512 bytes is there or is not, and of
the names in a folder those up to some moment (a journal keeps their order). What was allocated and not written reads as zeros.
Changes by a C library (SQLite) do not come through this door.
"""

import os
import random
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

SECTOR = 512
FOLDER = -1  # instead of an inode


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes written to a file."""

    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Size:
    """A file was made at least so long."""

    inode: int
    size: int


@dataclass(frozen=True, slots=True)
class Name:
    """A name in a folder means another inode now, or nothing (0); `moved_from` is the name that it had."""

    path: str
    inode: int
    moved_from: str = ""


@dataclass(frozen=True, slots=True)
class Sync:
    """What was recorded of a file (inode), or of the names in a folder (path), before `until` is on the disk."""

    of: int | str
    until: int


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody was told at this moment."""

    said: object


Operation: TypeAlias = Data | Size | Name | Sync | Note
AnyPath: TypeAlias = "str | os.PathLike[str]"


@dataclass
class Disk:
    """The record of a folder: its operations in order."""

    root: str
    deaf: bool = False  # syncs are done and not written down: what a program would be that had forgotten them
    operations: list[Operation] = field(default_factory=list[Operation])
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _names: dict[str, int] = field(default_factory=dict[str, int])
    _open: dict[int, int | str] = field(default_factory=dict[int, "int | str"])
    _inodes: int = 0

    def note(self, said: object) -> None:
        """Put what was told into the order."""
        with self._lock:
            self.operations.append(Note(said))

    @contextmanager
    def recording(self) -> Generator["Disk"]:
        """Stand between the program and the operating system for a while."""
        shims: dict[str, Callable[..., object]] = {
            "open": self._opens(os.open), "close": self._closes(os.close),
            "write": self._writes(os.write), "pwrite": self._pwrites(os.pwrite),
            "posix_fallocate": self._allocates(os.posix_fallocate),
            "fsync": self._syncs(os.fsync), "fdatasync": self._syncs(os.fdatasync),
            "rename": self._renames(os.rename), "replace": self._renames(os.replace),
            "unlink": self._removes(os.unlink), "mkdir": self._makes(os.mkdir),
        }  # fmt: skip
        before: dict[str, object] = {name: getattr(os, name) for name in shims}
        for name, shim in shims.items():
            setattr(os, name, shim)
        try:
            yield self
        finally:
            for name, real in before.items():
                setattr(os, name, real)

    def _ours(self, path: AnyPath) -> str | None:
        name = os.fspath(path)
        return name if name.startswith(self.root + os.sep) or name == self.root else None

    def _opens(self, real: Callable[..., int]) -> Callable[..., int]:
        def shim(path: AnyPath, flags: int, *rest: int, dir_fd: int | None = None) -> int:
            with self._lock:
                fd = real(path, flags, *rest, dir_fd=dir_fd)
                name = self._ours(path)
                if name is None:
                    return fd
                if Path(name).is_dir():
                    self._open[fd] = name
                    return fd
                if name not in self._names:
                    self._inodes += 1
                    self._names[name] = self._inodes
                    self.operations.append(Name(name, self._inodes))
                elif flags & os.O_TRUNC:
                    msg = f"{name}: the replay knows no truncated file"
                    raise ValueError(msg)
                self._open[fd] = self._names[name]
                return fd

        return shim

    def _closes(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def shim(fd: int) -> None:
            with self._lock:
                self._open.pop(fd, None)
                real(fd)

        return shim

    def _writes(self, real: Callable[[int, bytes], int]) -> Callable[[int, bytes], int]:
        def shim(fd: int, data: bytes) -> int:
            with self._lock:
                of = self._open.get(fd)
                at = os.lseek(fd, 0, os.SEEK_CUR) if isinstance(of, int) else 0
                size = real(fd, data)
                if isinstance(of, int):
                    self.operations.append(Data(of, at, bytes(data[:size])))
                return size

        return shim

    def _pwrites(self, real: Callable[[int, bytes, int], int]) -> Callable[[int, bytes, int], int]:
        def shim(fd: int, data: bytes, offset: int) -> int:
            with self._lock:
                size = real(fd, data, offset)
                of = self._open.get(fd)
                if isinstance(of, int):
                    self.operations.append(Data(of, offset, bytes(data[:size])))
                return size

        return shim

    def _allocates(self, real: Callable[[int, int, int], None]) -> Callable[[int, int, int], None]:
        def shim(fd: int, offset: int, size: int) -> None:
            with self._lock:
                real(fd, offset, size)
                of = self._open.get(fd)
                if isinstance(of, int):
                    self.operations.append(Size(of, offset + size))

        return shim

    def _syncs(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def shim(fd: int) -> None:
            until = len(self.operations)  # what another thread does meanwhile is not surely in it
            real(fd)
            with self._lock:
                of = self._open.get(fd)
                if of is not None and not self.deaf:
                    self.operations.append(Sync(of, until))

        return shim

    def _renames(self, real: Callable[[AnyPath, AnyPath], None]) -> Callable[[AnyPath, AnyPath], None]:
        def shim(source: AnyPath, target: AnyPath) -> None:
            with self._lock:
                real(source, target)
                one, other = self._ours(source), self._ours(target)
                if one is not None and other is not None:
                    self._names[other] = self._names.pop(one)
                    self.operations.append(Name(other, self._names[other], one))

        return shim

    def _removes(self, real: Callable[..., None]) -> Callable[..., None]:
        def shim(path: AnyPath, *, dir_fd: int | None = None) -> None:
            with self._lock:
                real(path, dir_fd=dir_fd)
                name = self._ours(path)
                if name is not None and self._names.pop(name, None) is not None:
                    self.operations.append(Name(name, 0))

        return shim

    def _makes(self, real: Callable[..., None]) -> Callable[..., None]:
        def shim(path: AnyPath, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
            with self._lock:
                real(path, mode, dir_fd=dir_fd)
                name = self._ours(path)
                if name is not None:
                    self.operations.append(Name(name, FOLDER))

        return shim


@dataclass(frozen=True, slots=True)
class Luck:
    """How much of what was not synced reached the disk before the power was gone: `share` 0 is nothing, 1 all."""

    chance: random.Random
    share: float

    def __call__(self) -> bool:
        """Whether the next piece did."""
        return self.chance.random() < self.share


def _folder(path: str) -> str:
    return path.rpartition(os.sep)[0]


@dataclass
class _File:
    """`data` is what is surely there, `due` what may be."""

    data: bytearray = field(default_factory=bytearray)
    due: list[tuple[int, Data | Size]] = field(default_factory=list[tuple[int, Data | Size]])

    def apply(self, one: Data | Size, luck: Luck | None) -> None:
        if luck is None:
            self._put(*((one.offset, one.data) if isinstance(one, Data) else (one.size, b"")))
        elif isinstance(one, Size):
            if luck():
                self._grow(one.size)
        else:
            at = one.offset
            while at < one.offset + len(one.data):
                end = min((at // SECTOR + 1) * SECTOR, one.offset + len(one.data))
                if luck():
                    self._put(at, one.data[at - one.offset : end - one.offset])
                at = end

    def _put(self, offset: int, data: bytes) -> None:
        self._grow(offset + len(data))
        self.data[offset : offset + len(data)] = data

    def _grow(self, size: int) -> None:
        if size > len(self.data):
            self.data.extend(bytes(size - len(self.data)))


def left(operations: Sequence[Operation], luck: Luck | None) -> dict[str, bytes | None]:
    """What is on the disk behind these operations, by path; None is a folder.

    Without `luck` all of it is (the program was killed); with it, what was not synced may be missing (the power was cut).
    """
    files: dict[int, _File] = {}
    changes: dict[str, list[tuple[int, Name]]] = {}
    sure: dict[str, int] = {}  # of each folder, up to which operation its names are there
    for at, one in enumerate(operations):
        match one:
            case Data() | Size():
                file = files.setdefault(one.inode, _File())
                if luck is None:
                    file.apply(one, None)
                else:
                    file.due.append((at, one))
            case Name():
                changes.setdefault(_folder(one.path), []).append((at, one))
            case Sync() if isinstance(one.of, str):
                sure[one.of] = max(sure.get(one.of, 0), one.until)
            case Sync():
                file = files.setdefault(int(one.of), _File())
                for _, due in (d for d in file.due if d[0] < one.until):
                    file.apply(due, None)
                file.due = [d for d in file.due if d[0] >= one.until]
            case Note():
                pass
    if luck is not None:
        for file in files.values():
            for _, due in file.due:
                file.apply(due, luck)
    return _named(files, changes, sure, luck)


def _named(
    files: dict[int, _File],
    changes: dict[str, list[tuple[int, Name]]],
    sure: dict[str, int],
    luck: Luck | None,
) -> dict[str, bytes | None]:
    names: dict[str, int] = {}
    kept: list[tuple[int, Name]] = []
    for folder, made in changes.items():
        until = len(made) if luck is None else sum(at < sure.get(folder, 0) for at, _ in made)
        if luck is not None:
            while until < len(made) and luck():
                until += 1
        kept += made[:until]
    for _, name in sorted(kept, key=lambda k: k[0]):
        names.pop(name.moved_from, None)
        if name.inode:
            names[name.path] = name.inode
        else:
            names.pop(name.path, None)
    folders = {path for path, inode in names.items() if inode == FOLDER}
    found: dict[str, bytes | None] = {}
    for path, inode in sorted(names.items()):
        above = _folder(path)
        if above in changes and above not in folders and any(n.path == above for c in changes.values() for _, n in c):
            continue  # its folder was not there to stay
        found[path] = None if inode == FOLDER else bytes(files.get(inode, _File()).data)
    return found


def lay_out(found: dict[str, bytes | None], root: str, folder: Path) -> None:
    """Make these files in a folder that stands for the root."""
    for path, data in found.items():
        here = folder / path.removeprefix(root + os.sep)
        if data is None:
            here.mkdir(parents=True, exist_ok=True)
        else:
            here.parent.mkdir(parents=True, exist_ok=True)
            here.touch(0o600)
            here.write_bytes(data)
