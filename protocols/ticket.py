"""A ticket to the local page of a gateway: who may look into which ward there, until when; signed by the hub, checked alone.

The form is that of a compact JSON Web Signature (RFC 7515, 3.1) with one fixed algorithm, EdDSA (RFC 8037), and no header that
could choose another: `wlt1.<claims>.<signature>`, both base64url without padding. Issuing is the hub's, checking the gateway's.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PREFIX: Final = "wlt1"
MAX_CHARACTERS: Final = 1200  # as protocols.wire takes in an Acknowledgement
# The hub's clock may be ahead of the gateway's: a ticket that was just made must not be refused for it.
EARLY_S: Final = 300


class TicketError(ValueError):
    """A ticket that does not admit. `reason` is one word for metrics and tests; the text is for a person."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket says. `account` is a number of the hub, `name` how pages call that person; times in seconds since 1970.

    `ward_name`: how pages call the ward; hubs before it was told say nothing.
    """

    tenant: str
    ward: str
    gateway: str
    account: int
    name: str
    roles: tuple[str, ...]
    not_before_s: int
    not_after_s: int
    nonce: str
    ward_name: str = ""

    @property
    def who(self) -> str:
        """The principal, as the hub writes it."""
        return f"user:{self.account}"


def issue(ticket: Ticket, key: "Ed25519PrivateKey") -> str:
    """Sign a ticket."""
    claims = {
        "tenant": ticket.tenant,
        "ward": ticket.ward,
        "ward_name": ticket.ward_name,
        "gateway": ticket.gateway,
        "account": ticket.account,
        "name": ticket.name,
        "roles": list(ticket.roles),
        "nbf": ticket.not_before_s,
        "exp": ticket.not_after_s,
        "nonce": ticket.nonce,
    }
    signed = f"{PREFIX}.{_encode(json.dumps(claims, ensure_ascii=False, separators=(',', ':')).encode())}"
    return f"{signed}.{_encode(key.sign(signed.encode()))}"


def read(text: str, key: bytes, *, tenant: str, gateway: str, now_s: float) -> Ticket:
    """Check a ticket against the hub's public key (32 bytes) and for this gateway; TicketError says why it does not admit.

    Which ward it is for stands in the ticket: whoever serves something compares.
    """
    parts = text.split(".")
    if len(text) > MAX_CHARACTERS or len(parts) != 3 or parts[0] != PREFIX:
        raise TicketError("form", f"expected {PREFIX}.claims.signature in at most {MAX_CHARACTERS} characters")
    claims, signature = _decode(parts[1]), _decode(parts[2])
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, f"{PREFIX}.{parts[1]}".encode())
    except (InvalidSignature, ValueError) as error:
        raise TicketError("signature", "it was not signed by this gateway's hub") from error
    ticket = _ticket(claims)
    if ticket.tenant != tenant:
        raise TicketError("tenant", "it is for another hospital")
    if ticket.gateway != gateway:
        raise TicketError("gateway", f"it is for the gateway {ticket.gateway}")
    if now_s < ticket.not_before_s - EARLY_S:
        raise TicketError("early", "it does not hold yet; compare the clocks of hub and gateway")
    if now_s >= ticket.not_after_s:
        raise TicketError("expired", "it has expired; open the ward page of the hub again to get another")
    return ticket


def _ticket(claims: bytes) -> Ticket:
    """The claims of a ticket whose signature is right: anything odd in them is a hub of another version."""
    try:
        said = cast("dict[str, object]", json.loads(claims))
        texts = [*(said[name] for name in ("tenant", "ward", "gateway", "name", "nonce")), said.get("ward_name", "")]
        numbers = [said[name] for name in ("account", "nbf", "exp")]
        roles = tuple(cast("list[object]", said["roles"]))
        whole = all(isinstance(t, str) for t in (*texts, *roles)) and all(type(n) is int for n in numbers)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TicketError("claims", f"its claims cannot be read ({type(error).__name__})") from error
    if not whole:
        raise TicketError("claims", "its claims are not of this version")
    tenant, ward, gateway, name, nonce, ward_name = cast("list[str]", texts)
    account, not_before_s, not_after_s = cast("list[int]", numbers)
    return Ticket(
        tenant,
        ward,
        gateway,
        account,
        name,
        cast("tuple[str, ...]", roles),
        not_before_s,
        not_after_s,
        nonce,
        ward_name,
    )


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise TicketError("form", "a part of it is not base64url") from error
