"""What a release says of itself: version, files, for which machines, what it writes on disk and on the wire. JSON, signed as it lies there.

Every count and length is bounded before anything is made of it: a manifest is read before its signature is known to be right.
"""

import json
import re
from dataclasses import asdict, dataclass
from typing import Final, cast

from protocols.release.versions import Version

FORMAT: Final = 1
MAX_FILES: Final = 200
MAX_FILE_BYTES: Final = 512 << 20
MAX_MANIFEST_BYTES: Final = 128 << 10
# A wheel's name (binary distribution format): nothing that is a path, and only what an installer takes for a wheel.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,180}\.whl", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_TAG = re.compile(r"[a-z0-9_.]{1,64}", re.ASCII)


class ReleaseError(ValueError):
    """A release that is not taken. `reason` is one word for programs and tests; the text is for a person."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """A wheel. `installed_bytes`: what it takes when it is unpacked."""

    name: str
    sha256: str
    size: int
    installed_bytes: int

    @property
    def package(self) -> tuple[str, str]:
        """Its distribution (normalized, PEP 503) and version."""
        name, version, *_ = self.name.split("-")
        return re.sub(r"[-_.]+", "-", name).lower(), version


@dataclass(frozen=True, slots=True)
class Formats:
    """What the version writes: the newest form of the spool, and the protocol of the uplink."""

    spool: int
    uplink: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """A release. `oldest_from`: older versions cannot go over to it. `downgrade_from`: the one version that may go back to it, or ""."""

    version: str
    oldest_from: str
    downgrade_from: str
    python: str  # as cp311
    machine: str  # as linux_x86_64, or any
    formats: Formats
    files: tuple[ReleaseFile, ...]

    def to_bytes(self) -> bytes:
        """The bytes that are signed."""
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=True, indent=1).encode()

    @property
    def files_bytes(self) -> int:
        """What its files take in the archive."""
        return sum(file.size for file in self.files)

    @property
    def order(self) -> Version:
        """Its version, to be compared."""
        return Version.parse(self.version)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """Read one; ReleaseError "manifest"."""
        if len(data) > MAX_MANIFEST_BYTES:
            raise ReleaseError("manifest", f"its manifest has {len(data)} bytes: at most {MAX_MANIFEST_BYTES}")
        try:
            said = cast("dict[str, object]", json.loads(data))
            manifest = _read(said)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            why = str(error) if isinstance(error, ReleaseError) else f"{type(error).__name__}: {error}"
            raise ReleaseError("manifest", f"its manifest cannot be used ({why})") from error
        return manifest


def _read(said: dict[str, object]) -> Manifest:
    if said["format"] != FORMAT:
        raise ReleaseError("manifest", f"format {said['format']!r}: this version knows format {FORMAT}")
    files = cast("list[dict[str, object]]", said["files"])
    if not 1 <= len(files) <= MAX_FILES:
        raise ReleaseError("manifest", f"{len(files)} files: expected 1 to {MAX_FILES}")
    formats = cast("dict[str, object]", said["formats"])
    manifest = Manifest(
        version=_text(said, "version"),
        oldest_from=_text(said, "oldest_from"),
        downgrade_from=_text(said, "downgrade_from"),
        python=_text(said, "python"),
        machine=_text(said, "machine"),
        formats=Formats(_number(formats, "spool", 1 << 16), _number(formats, "uplink", 1 << 16)),
        files=tuple(_file(one) for one in files),
    )
    for version in (manifest.version, manifest.oldest_from, *filter(None, (manifest.downgrade_from,))):
        Version.parse(version)
    for tag in (manifest.python, manifest.machine):
        if not _TAG.fullmatch(tag):
            raise ReleaseError("manifest", f"platform {tag!r}")
    if len({file.name for file in manifest.files}) != len(manifest.files):
        raise ReleaseError("manifest", "a file is named twice")
    if not any(file.package == ("wardlink", manifest.version) for file in manifest.files):
        raise ReleaseError("manifest", f"there is no wheel of wardlink {manifest.version}")
    return manifest


def _file(said: dict[str, object]) -> ReleaseFile:
    size, installed = _number(said, "size", MAX_FILE_BYTES, 1), _number(said, "installed_bytes", 4 * MAX_FILE_BYTES)
    file = ReleaseFile(_text(said, "name"), _text(said, "sha256"), size, installed)
    if not _NAME.fullmatch(file.name) or file.name.count("-") < 4:
        raise ReleaseError("manifest", f"file {file.name!r}: expected a wheel")
    if not _SHA256.fullmatch(file.sha256):
        raise ReleaseError("manifest", f"file {file.name}: no SHA-256")
    return file


def _text(said: dict[str, object], name: str) -> str:
    value = said[name]
    if not isinstance(value, str):
        raise ReleaseError("manifest", f"{name}: expected text")
    return value


def _number(said: dict[str, object], name: str, most: int, least: int = 0) -> int:
    value = said[name]
    if type(value) is not int or not least <= value <= most:
        raise ReleaseError("manifest", f"{name}: expected a number up to {most}")
    return value
