"""Makes a release out of wheels, signs it, and checks one as a gateway would check its bytes. Blocking; the form is `protocols.release`'s."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast
from zipfile import BadZipFile, ZipFile

from protocols.release import (
    MAX_HEAD_BYTES,
    FileCheck,
    Formats,
    Head,
    Manifest,
    ReleaseError,
    ReleaseFile,
    head_bytes,
    read_head,
    sign,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_READ_BYTES = 1 << 20
_FORMATS = "edge/formats.json"  # in the wheel of wardlink: what that version writes


def build(
    wheels: Sequence[Path], target: Path, *, python: str, machine: str, oldest_from: str, downgrade_from: str = ""
) -> Head:
    """Write a release that nobody has signed yet. ReleaseError, OSError."""
    files = [(_described(path), path) for path in sorted(wheels)]
    own = [(file, path) for file, path in files if file.package[0] == "wardlink"]
    if len(own) != 1:
        raise ReleaseError("manifest", f"{len(own)} wheels of wardlink: a release has one")
    for file, _ in files:
        _check_tags(file, python)
    manifest = Manifest(
        version=own[0][0].package[1],
        oldest_from=oldest_from,
        downgrade_from=downgrade_from,
        python=python,
        machine=machine,
        formats=_formats(own[0][1]),
        files=tuple(file for file, _ in files),
    )
    data = manifest.to_bytes()
    Manifest.from_bytes(data)
    with target.open("wb") as out:
        out.write(head_bytes(data, ()))
        for _, path in files:
            with path.open("rb") as wheel:
                shutil.copyfileobj(wheel, out, _READ_BYTES)
    return head_of(target)


def sign_file(path: Path, keys: "Iterable[Ed25519PrivateKey]") -> Head:
    """Add signatures to a release, in place of any that the same keys made before. ReleaseError, OSError."""
    head = head_of(path)
    added = [sign(head.manifest_bytes, key) for key in keys]
    ids = {one.key_id for one in added}
    signatures = (*(one for one in head.signatures if one.key_id not in ids), *added)
    new = path.with_name(path.name + ".new")
    with path.open("rb") as old, new.open("wb") as out:
        old.seek(head.size)
        out.write(head_bytes(head.manifest_bytes, signatures))
        shutil.copyfileobj(old, out, _READ_BYTES)
    new.replace(path)
    return head_of(path)


def head_of(path: Path) -> Head:
    """Read the head of a release. ReleaseError, OSError."""
    with path.open("rb") as file:
        head = read_head(file.read(MAX_HEAD_BYTES))
    if head is None:
        raise ReleaseError("altered", f"{path} ends before its head does")
    return head


def check_files(path: Path, head: Head) -> None:
    """Compare every file with its SHA-256. ReleaseError, OSError."""
    check = FileCheck(head)
    with path.open("rb") as file:
        file.seek(head.size)
        while data := file.read(_READ_BYTES):
            check.feed(data)
    check.end()


def _described(path: Path) -> ReleaseFile:
    try:
        with ZipFile(path) as wheel:
            unpacked = sum(one.file_size for one in wheel.infolist())
    except BadZipFile as error:
        raise ReleaseError("manifest", f"{path} is no wheel: {error}") from error
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ReleaseFile(path.name, digest, path.stat().st_size, unpacked)


def _check_tags(file: ReleaseFile, python: str) -> None:
    """Refuse a wheel of another interpreter (binary distribution format: name-version[-build]-python-abi-platform)."""
    pythons, abi, _ = file.name.removesuffix(".whl").split("-")[-3:]
    usable = {"py3", "py2.py3", python, f"py{python.removeprefix('cp')}"}
    if usable.isdisjoint({pythons, *pythons.split(".")}) and "abi3" not in abi.split("."):
        raise ReleaseError("platform", f"{file.name} is for {pythons}, the release for {python}")


def _formats(wheel: Path) -> Formats:
    try:
        with ZipFile(wheel) as file:
            said = cast("dict[str, int]", json.loads(file.read(_FORMATS)))
        return Formats(said["spool"], said["uplink"])
    except (BadZipFile, KeyError, ValueError) as error:
        raise ReleaseError(
            "manifest", f"{wheel.name} does not say which forms it writes ({_FORMATS}): {error}"
        ) from error
