"""The second factor by codes: one-time codes of an application (TOTP, RFC 6238) and recovery codes on paper.

The secrets of codes are sealed (AES-256-GCM) with a key that stands in the state folder and not in the database; a recovery code is kept
as its HMAC under the same key, as its 50 bits could be tried out from a plain hash.
"""

import base64
import hashlib
import hmac
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pyotp.totp import TOTP

from hub.core.errors import InvalidError
from hub.core.state import load_or_make

ISSUER = "Wardlink"
STEP_S = 30
_DRIFT = 1  # steps that the clock of a telephone may be off (RFC 6238, 5.2)
_KEY_BYTES = 32
_SECRET_BYTES = 20  # as long as the digest of the HMAC (RFC 4226, 4, R6)
_NONCE_BYTES = 12
RECOVERY_CODES = 10
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without what is read as something else
_LENGTH = 10  # characters of 5 bits


class Codes:
    """Makes and checks codes; `key`: 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._cipher = AESGCM(key)

    def new_secret(self) -> str:
        """160 random bits in base32, as applications take them."""
        return base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()

    def seal(self, secret: str, account: int) -> bytes:
        """What is stored of a secret; it opens for this account only."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), str(account).encode())

    def open(self, sealed: bytes, account: int) -> str:
        """The secret again; InvalidError when it was sealed with another key or for another account."""
        try:
            opened = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], str(account).encode())
        except InvalidTag as error:
            raise InvalidError(
                "The second factor of this account cannot be read: it was sealed with another key.",
                "Put second-factor.key back into the state folder, or give a new link with --reset-second-factor.",
                reason="second-factor-key",
            ) from error
        return opened.decode()

    def step_of(self, secret: str, code: str, now_s: float, last_step: int) -> int | None:
        """The time step that a code is of; None when it is wrong, too old, or of a step of which one was taken already."""
        digits = "".join(code.split())
        if not (digits.isascii() and digits.isdigit()):
            return None
        totp, now = TOTP(secret, interval=STEP_S), int(now_s // STEP_S)
        # Every step is compared, so that the time taken tells nothing.
        right = [
            step
            for step in range(now - _DRIFT, now + _DRIFT + 1)
            if hmac.compare_digest(totp.generate_otp(step), digits)
        ]
        return next((step for step in right if step > last_step), None)

    def address(self, secret: str, name: str) -> str:
        """The otpauth address that an application scans."""
        return TOTP(secret, interval=STEP_S).provisioning_uri(name=name, issuer_name=ISSUER)

    def recovery_codes(self) -> list[str]:
        """Fresh ones, as `ABCDE-FGHJK`."""
        made = ("".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH)) for _ in range(RECOVERY_CODES))
        return [f"{code[:5]}-{code[5:]}" for code in made]

    def recovery_hash(self, code: str, account: int) -> bytes:
        """What is stored of a recovery code, however it was typed."""
        plain = "".join(one for one in code.upper() if one.isalnum())
        return hmac.new(self._key, f"{account} {plain}".encode(), hashlib.sha256).digest()


def load_codes(state: Path) -> Codes:
    """With the key of the state folder, which is made at the first start."""
    return Codes(load_or_make(state / "second-factor.key", lambda: secrets.token_bytes(_KEY_BYTES)))


def is_recovery_code(typed: str) -> bool:
    """Whether what was typed is a recovery code, by its length; codes of an application have six digits."""
    return len([one for one in typed if one.isalnum()]) == _LENGTH
