"""The keys of the spool, and the sealing of a batch with one of them: AES-256-GCM, or SM4-GCM (GB/T 32907) by setting.

A master key is never used itself. Each segment file has a key of its own, derived from it by HKDF (RFC 5869; with SM3 for SM4), and
each sealing a random nonce of 96 bits (NIST SP 800-38D, 8.2.2): docs/decisions/0128 says why. Leaves files to `keyring`.
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Protocol

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher as Blocks
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MASTER_BYTES = 32
KEY_ID_BYTES = 8
NONCE_BYTES = 12
TAG_BYTES = 16
SEAL_BYTES = KEY_ID_BYTES + NONCE_BYTES + TAG_BYTES  # that a sealed payload is longer

_FRAMES, _KEY_ID, _MARK = b"wardlink spool frames", b"wardlink spool key id", b"wardlink spool mark"
_PLACE = struct.Struct("<BI")


class CipherName(StrEnum):
    """What payloads are sealed with; the value is the setting."""

    AES = "aes-256-gcm"
    SM4 = "sm4-gcm"


class SealError(ValueError):
    """Bytes that no key of the ring has sealed for this place; says what is wrong with them."""


class Aead(Protocol):
    """Authenticated encryption as `cryptography` has it; InvalidTag when it does not open."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Ciphertext and tag."""
        ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """The text; InvalidTag."""
        ...


class _Sm4Gcm:
    """SM4 in Galois counter mode with a tag of 16 bytes behind the text (RFC 8998, 3.3)."""

    def __init__(self, key: bytes) -> None:
        self._key = SM4(key)

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        sealing = Blocks(self._key, GCM(nonce)).encryptor()
        sealing.authenticate_additional_data(associated_data or b"")
        return sealing.update(data) + sealing.finalize() + sealing.tag

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        opening = Blocks(self._key, GCM(nonce, data[-TAG_BYTES:])).decryptor()
        opening.authenticate_additional_data(associated_data or b"")
        return opening.update(data[:-TAG_BYTES]) + opening.finalize()


def sm4_gcm(key: bytes) -> Aead:
    """Seal and open with a key of 16 bytes."""
    return _Sm4Gcm(key)


@dataclass(frozen=True)
class MasterKey:
    """32 secret bytes as they are used with one cipher; `id` names both, and tells nothing of the key."""

    secret: bytes = field(repr=False)
    cipher: CipherName

    @cached_property
    def id(self) -> bytes:
        """8 bytes that stand in each frame."""
        return self._derived(KEY_ID_BYTES, b"", _KEY_ID)

    def aead(self, epoch: bytes, log: int, segment: int) -> Aead:
        """Seal and open what lies in one segment of one spool, and nothing else."""
        info = _FRAMES + _PLACE.pack(log, segment)
        if self.cipher is CipherName.AES:
            return AESGCM(self._derived(32, epoch, info))
        return sm4_gcm(self._derived(16, epoch, info))

    def mark(self, text: bytes) -> bytes:
        """A code (HMAC, RFC 2104) by which a text of this spool is known again."""
        code = hmac.HMAC(self._derived(32, b"", _MARK), hashes.SHA256())
        code.update(text)
        return code.finalize()

    def _derived(self, size: int, salt: bytes, info: bytes) -> bytes:
        digest = hashes.SHA256() if self.cipher is CipherName.AES else hashes.SM3()
        return HKDF(digest, size, salt or None, info + b"\0" + self.cipher.encode()).derive(self.secret)


def check_cipher(cipher: CipherName) -> None:
    """UnsupportedAlgorithm when the OpenSSL of this machine has not got it."""
    key = MasterKey(bytes(MASTER_BYTES), cipher)
    box = key.aead(b"", 0, 0)
    if box.decrypt(bytes(NONCE_BYTES), box.encrypt(bytes(NONCE_BYTES), b"x", b""), b"") != b"x":
        msg = f"{cipher} does not open what it sealed"
        raise UnsupportedAlgorithm(msg)


class KeyRing:
    """The keys of a spool: the first seals, all open."""

    def __init__(self, secrets: Sequence[bytes], cipher: CipherName) -> None:
        """`secrets`: 32 bytes each, the current one first."""
        self.current = MasterKey(secrets[0], cipher)
        others = (c for c in CipherName if c is not cipher)
        keys = [MasterKey(s, c) for c in (cipher, *others) for s in secrets]
        self.keys = {key.id: key for key in keys if _has(key)}

    def at(self, epoch: bytes, log: int, segment: int, *, plain: bool = False) -> "Seals":
        """Seal and open for a segment; `plain`: it may hold frames from before there was a key."""
        return Seals(self, epoch, log, segment, plain=plain)


def _has(key: MasterKey) -> bool:
    try:
        return bool(key.id)
    except UnsupportedAlgorithm:
        return False


class Seals:
    """What seals and opens the payloads of one segment. From any thread."""

    def __init__(self, ring: KeyRing, epoch: bytes, log: int, segment: int, *, plain: bool) -> None:
        """See `KeyRing.at`."""
        self.epoch, self.plain = epoch, plain
        self._ring, self._place = ring, (epoch, log, segment)
        self._boxes: dict[bytes, Aead] = {}

    def seal(self, payload: bytes, header: bytes) -> bytes:
        """Id of the key, nonce, ciphertext and tag; `header` is authenticated with them."""
        key = self._ring.current
        nonce = os.urandom(NONCE_BYTES)
        return b"".join((key.id, nonce, self._box(key).encrypt(nonce, payload, header)))

    def open(self, sealed: bytes, header: bytes) -> bytes:
        """The payload; SealError when it was not sealed so for this segment."""
        key = self._ring.keys.get(sealed[:KEY_ID_BYTES])
        if key is None or len(sealed) < SEAL_BYTES:
            msg = f"sealed with key {sealed[:KEY_ID_BYTES].hex()}, which is not among those of this spool"
            raise SealError(msg)
        nonce, data = sealed[KEY_ID_BYTES : KEY_ID_BYTES + NONCE_BYTES], sealed[KEY_ID_BYTES + NONCE_BYTES :]
        try:
            return self._box(key).decrypt(nonce, data, header)
        except InvalidTag as error:
            msg = f"not what key {key.id.hex()} sealed for segment {self._place[2]}"
            raise SealError(msg) from error

    def _box(self, key: MasterKey) -> Aead:
        found = self._boxes.get(key.id)
        if found is None:
            found = self._boxes[key.id] = key.aead(*self._place)
        return found
