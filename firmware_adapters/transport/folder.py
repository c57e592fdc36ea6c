"""The watched folder: files that a device exports are taken when they are complete and moved when they are on disk.

One folder a device, whose name the settings give: whoever may write there is that device. What a file says is the agent's to read;
nothing is ever deleted here. docs/how-to/folder-door.md.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

from firmware_adapters.adapter import ConfigError
from firmware_adapters.door import DOOR_API_VERSION, DoorConfig, Message, Reply, Take, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_EVERY_S = 1.0
SETTLED_S = 2.0  # a file of the same size and time for so long is complete
GIVEN_UP_S = 60.0  # one that has no end after so long will get none
TRIED_AGAIN_S = 30.0
READ_BYTES = 1024 * 1024  # of a file; more than any that is read
TAKEN, REFUSED = "taken", "refused"

# By the end of a file's name. Others are refused with the reason, but for those that say they are under way.
MEDIA_TYPES: "Mapping[str, str]" = MappingProxyType({".xml": "application/vnd.hl7.aecg+xml"})
_UNDER_WAY = (".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", "~")
_LAST = MappingProxyType({".xml": b">"})  # what a complete file ends with

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Look:
    """What a file looked like, and since when."""

    inode: int
    size: int
    changed_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> "_Look":
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(slots=True)
class _Folder:
    """One device's folder."""

    device: str
    path: Path
    zone: str
    since: dict[str, tuple[_Look, float]] = field(default_factory=dict[str, "tuple[_Look, float]"])
    stuck: dict[str, float] = field(
        default_factory=dict[str, float]
    )  # could not be read or moved; when it is tried again
    trouble: str = ""


def make_door(config: DoorConfig) -> "FolderDoor":
    """The door that settings describe; ConfigError. Opens nothing."""
    config.options_of()
    url = urlsplit(config.url)
    if url.scheme != "file" or url.netloc or not url.path.startswith("/"):
        msg = f"door {config.name!r}, url {config.url!r}: expected file:///path/of/a/folder"
        raise ConfigError(msg)
    root = Path(unquote(url.path))
    folders: dict[Path, _Folder] = {}
    for device, said in config.devices.items():
        unknown = sorted(set(said) - {"folder", "zone"})
        if unknown:
            msg = f"door {config.name!r}, device {device!r}, option {unknown[0]!r}: expected one of folder, zone"
            raise ConfigError(msg)
        path = root / str(said.get("folder", device))
        if path in folders:
            msg = f"door {config.name!r}, device {device!r}: {path} is the folder of {folders[path].device!r}; each has one of its own"
            raise ConfigError(msg)
        folders[path] = _Folder(device, path, _zone(config, device, str(said.get("zone", ""))))
    if not folders:
        msg = f"door {config.name!r}: expected [[doors.devices]], one for each folder"
        raise ConfigError(msg)
    return FolderDoor(config, list(folders.values()))


def _zone(config: DoorConfig, device: str, name: str) -> str:
    try:
        if name:
            ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        msg = f"door {config.name!r}, device {device!r}, zone: expected a name such as Asia/Shanghai, found {name!r}"
        raise ConfigError(msg) from error
    return name


class FolderDoor:
    """Made by `make_door`."""

    api_version = DOOR_API_VERSION

    def __init__(self, config: DoorConfig, folders: "list[_Folder]") -> None:
        self._name, self._now_ns, self._folders = config.name, config.now_ns, folders

    async def serve(self, take: Take) -> None:
        """Look into all folders until cancelled; one that cannot be used keeps no other from being looked into."""
        _log.info("door-open", door=self._name, folders=len(self._folders))
        async with asyncio.TaskGroup() as group:
            for folder in self._folders:
                group.create_task(_Watch(self._name, folder, take, self._now_ns).run())


class _Watch:
    """One folder being looked into."""

    def __init__(self, door: str, folder: _Folder, take: Take, now_ns: "Callable[[], int]") -> None:
        self._door, self._folder, self._taker, self._now_ns = door, folder, take, now_ns

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            trouble = ""
            try:
                ready = await asyncio.to_thread(self._complete)
            except OSError as error:
                ready, trouble = [], _said(error)
            for path, look in ready:
                try:
                    await self._file(path, look)
                except OSError as error:
                    trouble = _said(error)
                    self._folder.stuck[path.name] = time.monotonic() + TRIED_AGAIN_S
            self._tell(trouble)
            await asyncio.sleep(LOOK_EVERY_S)

    def _tell(self, trouble: str) -> None:
        """Once a change, not once a look."""
        if trouble != self._folder.trouble:
            if trouble:
                _log.error("folder-not-usable", door=self._door, device=self._folder.device, reason=trouble)
            else:
                _log.info("folder-usable", door=self._door, device=self._folder.device)
            self._folder.trouble = trouble

    def _complete(self) -> list[tuple[Path, _Look]]:
        """The files that have not changed for a while, oldest first."""
        folder, now_s = self._folder, time.monotonic()
        for name in (TAKEN, REFUSED):
            (folder.path / name).mkdir(exist_ok=True)
        found: dict[str, tuple[_Look, float]] = {}
        ready: list[tuple[Path, _Look]] = []
        for name, look in _files(folder.path):
            known = folder.since.get(name)
            since_s = known[1] if known is not None and known[0] == look else now_s
            found[name] = (look, since_s)
            age_s = now_s - since_s
            if age_s < SETTLED_S or now_s < folder.stuck.get(name, 0):
                continue
            path = folder.path / name
            if age_s >= GIVEN_UP_S or _has_end(path, look.size):
                ready.append((path, look))
        folder.since = found
        folder.stuck = {name: at_s for name, at_s in folder.stuck.items() if name in found}
        return sorted(ready, key=lambda item: item[1].changed_ns)

    async def _file(self, path: Path, look: _Look) -> None:
        folder = self._folder
        try:
            body, digest = await asyncio.to_thread(_read, path)
        except FileNotFoundError:
            return  # whoever put it there took it away again
        # its name may hold a patient's; logs and events name the file by its content
        media_type = MEDIA_TYPES.get(path.suffix.lower(), f"file {path.suffix.lower()}")
        message = Message(folder.device, media_type, body, f"file {digest}", self._now_ns(), folder.zone)
        known = await asyncio.to_thread(_is_there, folder.path / TAKEN, digest)
        reply = Reply(Verdict.ACCEPTED) if known else await self._taken(message)
        target, reason = (TAKEN, "") if reply.verdict is Verdict.ACCEPTED else (REFUSED, reply.reason)
        moved = await asyncio.to_thread(_move, path, folder.path / target, digest, look, reason)
        _log.info(
            "file-judged", door=self._door, device=folder.device, file=digest, to=target, known=known, moved=moved
        )

    async def _taken(self, message: Message) -> Reply:
        reply = await self._taker(message)
        while reply.verdict is Verdict.BUSY:
            await asyncio.sleep(reply.retry_after_s)
            reply = await self._taker(message)
        return reply


def _files(folder: Path) -> Iterator[tuple[str, _Look]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            under_way = entry.name.startswith(".") or entry.name.lower().endswith(_UNDER_WAY)
            if not under_way and entry.is_file(follow_symlinks=False):
                yield entry.name, _Look.of(entry.stat(follow_symlinks=False))


def _has_end(path: Path, size: int) -> bool:
    """Whether the file ends as its kind does: a copy over a network may stall for longer than files rest."""
    last = _LAST.get(path.suffix.lower())
    if last is None:
        return True
    with path.open("rb") as file:
        file.seek(max(0, size - 64))
        return file.read().rstrip().endswith(last)


def _read(path: Path) -> tuple[bytes, str]:
    """The begin of a file, which is the whole of all that are read, and the digest of the whole."""
    with path.open("rb") as file:
        body = file.read(READ_BYTES)
        digest = hashlib.sha256(body)
        while part := file.read(READ_BYTES):
            digest.update(part)
    return body, digest.hexdigest()[:16]


def _is_there(folder: Path, digest: str) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.name.startswith(digest) for entry in entries)


def _move(path: Path, folder: Path, digest: str, look: _Look, reason: str) -> bool:
    """Under a name that no other content has; the reason first, so that no refused file is without one. False: it changed meanwhile."""
    if _Look.of(path.stat()) != look:
        return False
    name = f"{digest}-{path.name}"
    if reason:
        (folder / f"{name}.reason.txt").write_text(reason + "\n", "utf-8")
    path.replace(folder / name)
    return True


def _said(error: OSError) -> str:
    return f"{type(error).__name__}: {error.strerror or error}"
