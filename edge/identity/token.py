"""The one-time enrolment token that the hub's administrator hands over: where to enrol, whom to trust, the secret.

`wl1.` and base64url (without padding) of a JSON object with u (base URL), f (SHA-256 of the CA certificate), s, g (gateway), t (tenant).
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

PREFIX = "wl1."
_FINGERPRINT_DIGITS = 64


class TokenError(ValueError):
    """The token cannot be used: says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Token:
    """What the token says. `ca_fingerprint`: hex SHA-256 of the DER form."""

    url: str
    ca_fingerprint: str
    secret: str
    gateway: str
    tenant: str

    def __repr__(self) -> str:
        """Keep the secret out of logs."""
        return f"Token(url={self.url!r}, gateway={self.gateway!r}, tenant={self.tenant!r})"


def parse_token(text: str) -> Token:
    """Read a token; TokenError when a part is missing or impossible."""
    text = "".join(text.split())
    if not text.startswith(PREFIX):
        msg = f"the token does not begin with {PREFIX!r}: copy it whole from `wardlink hub gateway add`"
        raise TokenError(msg)
    body = text.removeprefix(PREFIX)
    try:
        fields: object = json.loads(base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        msg = "the token is damaged or cut off: copy it whole from `wardlink hub gateway add`"
        raise TokenError(msg) from error
    values = cast("dict[str, object]", fields) if isinstance(fields, dict) else {}
    found = {key: value for key, value in values.items() if isinstance(value, str) and value}
    missing = [key for key in ("u", "f", "s", "g", "t") if key not in found]
    if missing:
        msg = f"the token lacks {', '.join(missing)}: is it from a hub of this version?"
        raise TokenError(msg)
    parts = urlsplit(found["u"])
    if parts.scheme != "https" or not parts.hostname:
        msg = f"the token's address {found['u']!r} is no https address"
        raise TokenError(msg)
    fingerprint = found["f"].lower().replace(":", "")
    if len(fingerprint) != _FINGERPRINT_DIGITS or not set(fingerprint) <= set("0123456789abcdef"):
        msg = f"the token's fingerprint {found['f']!r} is no SHA-256"
        raise TokenError(msg)
    return Token(found["u"].rstrip("/"), fingerprint, found["s"], found["g"], found["t"])
