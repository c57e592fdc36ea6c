"""The key that signs tickets to local pages: Ed25519, made at first start, 0600 in the state folder; its public half goes to gateways.

It is not the authority's key: the role web signs tickets, and it shall not be able to issue certificates.
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from hub.core.errors import InvalidError
from hub.core.state import load_or_make


def load_or_make_key(folder: Path) -> Ed25519PrivateKey:
    """Load `ticket.key`, or make it; safe for several starters at once. Roles on several machines share the file."""
    path = folder / "ticket.key"
    key = load_pem_private_key(load_or_make(path, _made), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidError(
            f"{path} is no Ed25519 key.",
            "Remove it: another is made, and open pages get new tickets.",
            reason="ticket-key",
        )
    return key


def _made() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
