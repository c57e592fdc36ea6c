"""Whether this gateway may go over to a release: who signed it, for which machines it is, from which version it may come. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocols.release import ReleaseError, Version, signed_by

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from protocols.release import Head, Manifest


@dataclass(frozen=True, slots=True)
class Here:
    """What runs here: version, interpreter and machine, which forms of the spool it reads, which uplink it speaks."""

    version: str
    python: str
    machine: str
    spool_reads: frozenset[int]
    uplink: int


def check_head(head: "Head", keys: "Sequence[Ed25519PublicKey]", here: Here) -> None:
    """ReleaseError says why this release is not for this gateway."""
    if not keys:
        raise ReleaseError("signature", "no public key is in the folder of release keys: this gateway takes no updates")
    if signed_by(head.manifest_bytes, head.signatures, keys) is None:
        found = ", ".join(one.key_id.hex() for one in head.signatures) or "nobody"
        raise ReleaseError("signature", f"it was signed by none of the keys that this gateway trusts (but by {found})")
    manifest = head.manifest
    if manifest.python != here.python or manifest.machine not in {"any", here.machine}:
        wanted, found = f"{here.python} on {here.machine}", f"{manifest.python} on {manifest.machine}"
        raise ReleaseError("platform", f"it was built for {found}, this gateway runs {wanted}")
    _check_order(manifest, here.version)
    if manifest.formats.spool not in here.spool_reads:
        raise ReleaseError(
            "spool",
            f"it writes the spool in form {manifest.formats.spool}, which version {here.version} cannot read: after going back"
            " what it kept would be lost",
        )
    if manifest.formats.uplink != here.uplink:
        raise ReleaseError(
            "uplink", f"it speaks uplink {manifest.formats.uplink}, the hub of this gateway {here.uplink}"
        )


def _check_order(manifest: "Manifest", running: str) -> None:
    try:
        now = Version.parse(running)
    except ValueError as error:
        raise ReleaseError("version", f"what runs here cannot be compared: {error}") from error
    if manifest.order <= now and manifest.downgrade_from != running:
        raise ReleaseError(
            "downgrade",
            f"version {manifest.version} is not newer than {running}, and was not signed for going back from it",
        )
    if now < Version.parse(manifest.oldest_from) and manifest.downgrade_from != running:
        raise ReleaseError(
            "oldest",
            f"it can follow {manifest.oldest_from} or later; this is {running}: install a version between first",
        )


def check_room(needed_bytes: int, free_bytes: int, promised_bytes: int) -> None:
    """ReleaseError unless it fits beside what the spool may still take."""
    if needed_bytes > free_bytes - promised_bytes:
        raise ReleaseError(
            "disk",
            f"it needs {needed_bytes >> 20} MiB, and of the {free_bytes >> 20} MiB that are free the spool may"
            f" still take {promised_bytes >> 20} MiB",
        )


def missing(manifest: "Manifest", wheels: Collection[str], base: Collection[tuple[str, str]]) -> list[int]:
    """Which files of a manifest have to be fetched: those that are neither unpacked here (by SHA-256) nor installed in this version by hand."""
    return [
        i
        for i, file in enumerate(manifest.files)
        if file.sha256 not in wheels and (file.package not in base or file.package[0] == "wardlink")
    ]
