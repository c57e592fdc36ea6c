"""The key that signs tickets to local pages: Ed25519, made at first start, 0600 in the state folder; its public half goes to gateways.

It is not the authority's key: the role web signs tickets, and it shall not be able to issue certificates.
"""

import fcntl
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from hub.core.errors import InvalidError
from hub.gateways.ca import write_file


def load_or_make_key(folder: Path) -> Ed25519PrivateKey:
    """Load `ticket.key`, or make it; safe for several starters at once. Roles on several machines share the file."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "ticket.key"
    with (folder / "ticket.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            made = Ed25519PrivateKey.generate()
            write_file(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidError(
            f"{path} is no Ed25519 key.",
            "Remove it: another is made, and open pages get new tickets.",
            reason="ticket-key",
        )
    return key
