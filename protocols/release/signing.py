"""Signatures of a release: Ed25519 (RFC 8032) over a fixed line and the manifest's bytes, which hold the SHA-256 of every file.

The line keeps a signature of something else that the same key may have signed from being one of a release.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protocols.release.archive import Signature

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_LINE: Final = b"wardlink release 1\n"
_KEY_ID_BYTES = 8


def key_id(key: "Ed25519PublicKey") -> bytes:
    """The first 8 bytes of the SHA-256 of its 32: tells keys apart, proves nothing."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).digest()[:_KEY_ID_BYTES]


def sign(manifest: bytes, key: "Ed25519PrivateKey") -> Signature:
    """Sign the bytes of a manifest."""
    return Signature(key_id(key.public_key()), key.sign(_LINE + manifest))


def signed_by(
    manifest: bytes, signatures: Sequence[Signature], keys: "Iterable[Ed25519PublicKey]"
) -> "Ed25519PublicKey | None":
    """Tell which of `keys` has signed the manifest; None: none of them."""
    for key in keys:
        for signature in signatures:
            if signature.key_id == key_id(key) and _verifies(key, signature.signature, manifest):
                return key
    return None


def _verifies(key: "Ed25519PublicKey", signature: bytes, manifest: bytes) -> bool:
    try:
        key.verify(signature, _LINE + manifest)
    except InvalidSignature:
        return False
    return True
