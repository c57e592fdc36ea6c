"""A release of the agent: what is in it, who signed it, and whether a gateway may go over to it (docs/reference/release.md). Pure."""

from protocols.release.archive import MAX_HEAD_BYTES, FileCheck, Head, Signature, head_bytes, read_head
from protocols.release.manifest import Formats, Manifest, ReleaseError, ReleaseFile
from protocols.release.signing import key_id, sign, signed_by
from protocols.release.versions import Version

__all__ = [
    "MAX_HEAD_BYTES",
    "FileCheck",
    "Formats",
    "Head",
    "Manifest",
    "ReleaseError",
    "ReleaseFile",
    "Signature",
    "Version",
    "head_bytes",
    "key_id",
    "read_head",
    "sign",
    "signed_by",
]
