"""Where the keys of a spool come from: a systemd credential, else a file beside the spool, which is made at the first start.

Both hold a key a line, 64 hexadecimal digits, the current one first; `#` begins a comment. Nothing is written or removed when a key
that the spool needs is not there.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm

from edge.durable import make_folder, replace_file
from edge.spool.keys import MASTER_BYTES, CipherName, KeyRing, check_cipher

FILE_NAME = "spool.key"
_HOW = "docs/how-to/install.md, The key of the spool"


class SpoolKeyError(RuntimeError):
    """The spool cannot be opened with the keys that are there: says which, where it was looked for, and what to do."""


class KeptIn(StrEnum):
    """Where the key that seals comes from. A file lies on the same disk as what it protects."""

    CREDENTIAL = "credential"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where to look. `credential`: a file that systemd shows to this service alone, None where there is none."""

    file: Path
    credential: Path | None = None
    cipher: CipherName = CipherName.AES

    @classmethod
    def beside(cls, spool: Path) -> "KeySource":
        """The file beside a spool's directory, which is what an agent without settings has."""
        return cls(spool.parent / FILE_NAME)

    def load(self, spool: Path, needed: Mapping[bytes, Sequence[str]]) -> tuple[KeyRing, KeptIn]:
        """The keys; `needed` says which segments of `spool` are sealed with which key. SpoolKeyError."""
        try:
            check_cipher(self.cipher)
        except UnsupportedAlgorithm as error:
            others = ", ".join(c for c in CipherName if c is not self.cipher)
            msg = f"the OpenSSL of this machine has no {self.cipher} ({error}); set [spool] cipher to {others}"
            raise SpoolKeyError(msg) from error
        credential = _keys_in(self.credential) if self.credential is not None else []
        file = self._keys_in_file()
        if not credential and not file and not needed:
            file = [self._make()]
        found = [*credential, *file]
        ring = KeyRing(list(dict.fromkeys(found)), self.cipher) if found else None
        lacking = {key: names for key, names in needed.items() if ring is None or key not in ring.keys}
        if lacking or ring is None:
            raise SpoolKeyError(self._what_lacks(spool, lacking, len(credential), len(file)))
        return ring, KeptIn.CREDENTIAL if credential else KeptIn.FILE

    def _keys_in_file(self) -> list[bytes]:
        if not self.file.exists():
            return []
        if self.file.stat().st_mode & 0o077:
            msg = (
                f"{self.file}, the key of the spool, may be read by others; run chmod 600 on it, and if somebody else had"
                f" access to this machine, put a new key into its first line ({_HOW})"
            )
            raise SpoolKeyError(msg)
        return _keys_in(self.file)

    def _make(self) -> bytes:
        """A new key, durable before anything is sealed with it."""
        key = secrets.token_bytes(MASTER_BYTES)
        try:
            make_folder(self.file.parent, mode=0o700)
            replace_file(self.file, key.hex().encode() + b"\n", mode=0o600)
        except OSError as error:
            msg = f"{self.file}, the key of the spool, cannot be made: {error}"
            raise SpoolKeyError(msg) from error
        return key

    def _what_lacks(self, spool: Path, lacking: Mapping[bytes, Sequence[str]], credential: int, file: int) -> str:
        sealed = "; ".join(
            f"key {key.hex()} of {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
            for key, names in lacking.items()
        )
        where = (
            "no systemd credential" if self.credential is None else f"credential {self.credential} ({credential} keys)"
        )
        there = f"{file} keys" if self.file.exists() else "does not exist"
        return (
            f"{spool} cannot be opened: the keys that some of its segments are encrypted with are not there ({sealed})."
            f" Looked at: {where}; file {self.file} ({there}). Nothing was changed or deleted. Put the key back as a further line"
            f" of one of them and start again ({_HOW}). If it is gone for ever, move {spool} to another name: the agent"
            " then begins a new spool, and what the hub had not acknowledged is lost."
        )


def _keys_in(path: Path) -> list[bytes]:
    try:
        lines = [line.partition("#")[0].strip() for line in path.read_text("ascii").splitlines()]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}, the key of the spool, cannot be read: {error}"
        raise SpoolKeyError(msg) from error
    keys: list[bytes] = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            key = bytes.fromhex(line)
        except ValueError:
            key = b""
        if len(key) != MASTER_BYTES:
            msg = f"{path}, line {number}: expected a key of {2 * MASTER_BYTES} hexadecimal digits ({_HOW})"
            raise SpoolKeyError(msg)
        keys.append(key)
    if not keys:
        msg = f"{path} holds no key: expected a line of {2 * MASTER_BYTES} hexadecimal digits ({_HOW})"
        raise SpoolKeyError(msg)
    return keys
