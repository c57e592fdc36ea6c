"""Puts a release beside the one that runs: its files from wherever they come, verified, unpacked by pip without a network, durable.

Each wheel has a folder of its own, named by its SHA-256, so that a release shares those that did not change with the one before it, and
needs neither their bytes nor their place again. Whatever ends this in between, it goes on where it was.
"""

import asyncio
import hashlib
import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Callable, Collection
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from edge.durable import make_folder, sync_folder
from edge.update.checks import check_room, missing
from edge.update.state import Release
from protocols.release import MAX_HEAD_BYTES, Head, ReleaseError, read_head

if TYPE_CHECKING:
    from edge.update.state import Folder
    from protocols.release import ReleaseFile

_SPARE_BYTES = 64 << 20  # for what the wheels compile to, and for logs
_READ_BYTES = 1 << 20
_PIP = (
    "-I",
    "-m",
    "pip",
    "install",
    "--isolated",
    "--quiet",
    "--no-index",
    "--no-deps",
    "--no-cache-dir",
)
_PIP_S = 300.0

_log = structlog.get_logger()


class Source(Protocol):
    """Where the bytes of a release are."""

    async def read(self, offset: int, most: int) -> bytes:
        """Some bytes from `offset` on, at least one and at most `most`; waits for them; ReleaseError when there are none."""
        ...


class FileSource:
    """A release as a file of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self, offset: int, most: int) -> bytes:
        """Read them."""
        return await asyncio.to_thread(self._read, offset, min(most, _READ_BYTES))

    def _read(self, offset: int, most: int) -> bytes:
        with self._path.open("rb") as file:
            file.seek(offset)
            data = file.read(most)
        if not data:
            raise ReleaseError("altered", "the file ends before the release does")
        return data


def trusted_keys(folder: Path) -> list[Ed25519PublicKey]:
    """The public keys (PEM) in a folder, by name; ReleaseError for a file that holds none, none when there is no folder."""
    keys: list[Ed25519PublicKey] = []
    for path in sorted(folder.glob("*.pem")):
        try:
            key = load_pem_public_key(path.read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise ReleaseError("signature", f"{path} cannot be used: {error}") from error
        if not isinstance(key, Ed25519PublicKey):
            raise ReleaseError("signature", f"{path} is no Ed25519 public key")
        keys.append(key)
    return keys


def machine() -> str:
    """The platform, as manifests name it: linux_x86_64."""
    return f"{platform.system()}_{platform.machine()}".lower()


def interpreter() -> str:
    """The interpreter, as wheels name it: cp311."""
    return f"cp{sys.version_info.major}{sys.version_info.minor}"


async def fetch_head(source: Source) -> Head:
    """Read as much as the head needs; ReleaseError."""
    data = b""
    while (head := read_head(data)) is None:
        if len(data) > MAX_HEAD_BYTES:
            raise ReleaseError("manifest", "its head does not end")
        data += await source.read(len(data), MAX_HEAD_BYTES)
    return head


class Installer:
    """For one agent. `promised_bytes`: what the spool may still take of the disk."""

    def __init__(self, folder: "Folder", promised_bytes: Callable[[], int], base: str) -> None:
        """`base`: the version that was installed by hand."""
        self._folder, self._promised_bytes, self._base = folder, promised_bytes, base
        self._fetched = folder.path / "fetched"

    async def install(self, head: Head, source: Source, name: str) -> None:
        """Fetch and install a release whose head was checked; ReleaseError, OSError."""
        manifest = head.manifest
        await asyncio.to_thread(self._make)
        await asyncio.to_thread(self.prune, {self._folder.current}, {file.sha256 for file in manifest.files})
        base = await asyncio.to_thread(_installed_by_hand)
        have = {path.name for path in self._folder.wheels.iterdir()}
        wanted = [manifest.files[i] for i in missing(manifest, have, base)]
        self._check_room(wanted)
        places = head.places()
        part = self._fetched / head.digest.hex()
        await asyncio.to_thread(make_folder, part, mode=0o700)
        for file in wanted:
            await self._fetch(file, source, places[file.sha256][0], part / file.name)
            await self._unpack(file, part / file.name)
        have |= {file.sha256 for file in wanted}
        # wardlink goes before its dependencies: nothing of theirs may stand before its modules
        files = sorted(manifest.files, key=lambda file: file.package[0] != "wardlink")
        wheels = tuple(file.sha256 for file in files if file.sha256 in have)
        release = Release(head.digest.hex(), manifest.version, wheels, self._base)
        await asyncio.to_thread(self._folder.add, name, release)
        await asyncio.to_thread(shutil.rmtree, self._fetched, ignore_errors=True)

    def prune(self, keep: set[str], wheels: Collection[str] = ()) -> None:
        """Remove releases but these, and wheels but theirs and those of `wheels`. Blocking."""
        used = set(wheels)
        for path in self._folder.releases.iterdir():
            release = self._folder.release(path.name) if path.name in keep else None
            if release is None:
                shutil.rmtree(path, ignore_errors=True)
            else:
                used |= set(release.wheels)
        for path in self._folder.wheels.iterdir():
            if path.name not in used:
                shutil.rmtree(path, ignore_errors=True)

    def _make(self) -> None:
        self._folder.make()
        make_folder(self._fetched, mode=0o700)

    def _check_room(self, wanted: "list[ReleaseFile]") -> None:
        # One wheel at a time lies there packed and unpacked.
        needed = sum(file.installed_bytes for file in wanted) + max((file.size for file in wanted), default=0)
        free = shutil.disk_usage(self._folder.path).free
        check_room(needed + _SPARE_BYTES, free, self._promised_bytes())

    async def _fetch(self, file: "ReleaseFile", source: Source, begin: int, path: Path) -> None:
        """Bring a file here, from where an earlier attempt ended, and compare it with its SHA-256."""
        partial = path.with_name(path.name + ".partial")
        have = resumed = await asyncio.to_thread(_size, partial)
        while have < file.size:
            data = await source.read(begin + have, file.size - have)
            have += await asyncio.to_thread(_append, partial, data[: file.size - have])
        try:
            await asyncio.to_thread(_proven, file, partial, path)
        except ReleaseError:
            if not resumed:
                raise
            # What a power cut, or an earlier attempt, has left was not it: once more, all of it.
            await self._fetch(file, source, begin, path)

    async def _unpack(self, file: "ReleaseFile", path: Path) -> None:
        new = self._folder.wheels / f"{file.sha256}.new"
        await asyncio.to_thread(shutil.rmtree, new, ignore_errors=True)
        process = await asyncio.create_subprocess_exec(
            "nice", "-n", "19", sys.executable, *_PIP, "--target", str(new), str(path),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_PIP_S):
                _, said = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise ReleaseError("install", f"pip could not install {file.name}: {said.decode(errors='replace')[-400:]}")
        await asyncio.to_thread(_sync_all, new)
        new.rename(self._folder.wheels / file.sha256)
        await asyncio.to_thread(sync_folder, self._folder.wheels)
        await asyncio.to_thread(path.unlink)
        _log.info("update-wheel-installed", wheel=file.name)


def _installed_by_hand() -> set[tuple[str, str]]:
    """Distributions below every release: those of the interpreter's own folder."""
    found = distributions(path=[sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    return {(one.metadata["Name"].replace("_", "-").replace(".", "-").lower(), one.version) for one in found}


def _proven(file: "ReleaseFile", partial: Path, path: Path) -> None:
    """Give a file its name when it is what was signed; else ReleaseError, and it begins anew the next time."""
    partial.touch()  # one without bytes
    if (found := _sha256(partial)) != file.sha256:
        partial.unlink()
        raise ReleaseError("altered", f"{file.name} is not what was signed: its SHA-256 is {found}")
    partial.rename(path)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _append(path: Path, data: bytes) -> int:
    with path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # else a power cut leaves the length without the bytes
    return len(data)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_all(folder: Path) -> None:
    """Everything below a folder to the disk: a name that survives a power cut without its content would be run."""
    for path, folders, files in os.walk(folder):
        del folders
        for name in files:
            fd = os.open(Path(path) / name, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        sync_folder(Path(path))
