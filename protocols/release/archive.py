"""A release as one file: a head (manifest and signatures), then the wheels one behind the other in the order of the manifest.

No archive format of others: what is to be verified first stands first and is complete without the rest, each byte of the rest has one place and
belongs to one file of the manifest, and there is no path, link or compression to be careful with. Wheels are compressed already.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from protocols.release.manifest import MAX_MANIFEST_BYTES, Manifest, ReleaseError

MAGIC: Final = b"WLR1"
MAX_SIGNATURES: Final = 8
_SIGNATURE = struct.Struct(">8s64s")
_SIZES = struct.Struct(">4sIB")  # magic, bytes of the manifest, signatures
MAX_HEAD_BYTES: Final = _SIZES.size + MAX_SIGNATURES * _SIGNATURE.size + MAX_MANIFEST_BYTES


@dataclass(frozen=True, slots=True)
class Signature:
    """64 bytes by the key of that id."""

    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a release. `size` is its own, `digest` the SHA-256 of the manifest, which names the release everywhere."""

    manifest: Manifest
    manifest_bytes: bytes
    signatures: tuple[Signature, ...]

    @property
    def size(self) -> int:
        """Bytes before the first file."""
        return _SIZES.size + len(self.signatures) * _SIGNATURE.size + len(self.manifest_bytes)

    @property
    def archive_bytes(self) -> int:
        """The size of the whole release."""
        return self.size + self.manifest.files_bytes

    @property
    def digest(self) -> bytes:
        """32 bytes."""
        return hashlib.sha256(self.manifest_bytes).digest()

    def places(self) -> dict[str, tuple[int, int]]:
        """Where the bytes of each file begin and end in the archive, by SHA-256."""
        places: dict[str, tuple[int, int]] = {}
        at = self.size
        for file in self.manifest.files:
            places[file.sha256] = (at, at + file.size)
            at += file.size
        return places


class FileCheck:
    """Compares what stands behind a head with its manifest, fed in any pieces."""

    def __init__(self, head: Head) -> None:
        self._files = list(head.manifest.files)
        self._left = 0
        self._digest = hashlib.sha256()
        self._begin()

    def feed(self, data: bytes) -> None:
        """Take the next bytes; ReleaseError "altered" as soon as a file is not what the manifest says."""
        view = memoryview(data)
        while view:
            if not self._files:
                raise ReleaseError("altered", "there is something behind the last file")
            part, view = view[: self._left], view[self._left :]
            self._digest.update(part)
            self._left -= len(part)
            self._settle()

    def end(self) -> None:
        """Nothing more comes; ReleaseError "altered" when something is missing."""
        if self._files:
            raise ReleaseError("altered", f"it ends within {self._files[0].name}")

    def _begin(self) -> None:
        self._digest = hashlib.sha256()
        self._left = self._files[0].size if self._files else 0

    def _settle(self) -> None:
        while self._files and not self._left:
            if self._digest.hexdigest() != self._files[0].sha256:
                raise ReleaseError("altered", f"{self._files[0].name} is not what the manifest says")
            del self._files[0]
            self._begin()


def head_bytes(manifest: bytes, signatures: tuple[Signature, ...]) -> bytes:
    """The head of a release; ReleaseError for more signatures than one may have."""
    if len(signatures) > MAX_SIGNATURES:
        raise ReleaseError("signature", f"{len(signatures)} signatures: at most {MAX_SIGNATURES}")
    signed = b"".join(_SIGNATURE.pack(one.key_id, one.signature) for one in signatures)
    return _SIZES.pack(MAGIC, len(manifest), len(signatures)) + signed + manifest


def read_head(data: bytes) -> Head | None:
    """Read the head at the beginning of `data`; None while it is not all there; ReleaseError for what is no release."""
    if len(data) < _SIZES.size:
        if not MAGIC.startswith(data[: len(MAGIC)]):
            raise ReleaseError("manifest", "this is no release of Wardlink")
        return None
    magic, size, count = _SIZES.unpack_from(data)
    if magic != MAGIC or size > MAX_MANIFEST_BYTES or count > MAX_SIGNATURES:
        raise ReleaseError("manifest", "this is no release of Wardlink, or one of a version to come")
    at = _SIZES.size + count * _SIGNATURE.size
    if len(data) < at + size:
        return None
    signatures = tuple(Signature(*one) for one in _SIGNATURE.iter_unpack(data[_SIZES.size : at]))
    manifest = data[at : at + size]
    return Head(Manifest.from_bytes(manifest), manifest, signatures)
