"""Certificates and keys of the demo's own devices and doors: made at the first start into its folder, for this machine only.

Devices of a hospital get theirs from its own authority; docs/how-to says how for each door.
"""

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

_VALID_DAYS = 3650
_AUTHORITY = "Wardlink demo devices"


class Papers:
    """A folder with `ca.pem` and what it signed."""

    def __init__(self, folder: Path) -> None:
        """Nothing is made yet."""
        self.folder = folder
        self.ca = folder / "ca.pem"

    def of(self, name: str, *, is_server: bool = False) -> tuple[Path, Path]:
        """Certificate and key for a common name, for this machine's loopback address too when a server shows it."""
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        if not certificate.exists():
            authority, signer = self._authority()
            own = ec.generate_private_key(ec.SECP256R1())
            names: list[x509.GeneralName] = [x509.DNSName(name)]
            if is_server:
                names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            made = (
                _builder(name, authority.subject)
                .public_key(own.public_key())
                .add_extension(x509.SubjectAlternativeName(names), critical=False)
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .sign(signer, hashes.SHA256())
            )
            _write(key, own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            _write(certificate, made.public_bytes(Encoding.PEM))
        return certificate, key

    def signing_key(self, name: str) -> tuple[Path, Path]:
        """Public and private Ed25519 key of a device that signs its requests."""
        public, private = self.folder / f"{name}.pub.pem", self.folder / f"{name}.ed25519.pem"
        if not public.exists():
            own = ed25519.Ed25519PrivateKey.generate()
            _write(private, own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            _write(public, own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return public, private

    def _authority(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        place = self.folder / "ca.key"
        if self.ca.exists():
            held = load_pem_private_key(place.read_bytes(), None)
            if not isinstance(held, ec.EllipticCurvePrivateKey):
                msg = f"{place}: expected a key on an elliptic curve; remove the folder {self.folder}"
                raise ValueError(msg)
            return x509.load_pem_x509_certificate(self.ca.read_bytes()), held
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = ec.generate_private_key(ec.SECP256R1())
        made = (
            _builder(_AUTHORITY, _name(_AUTHORITY))
            .public_key(own.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(own, hashes.SHA256())
        )
        _write(place, own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        _write(self.ca, made.public_bytes(Encoding.PEM))
        return made, own


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(common: str, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common))
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=_VALID_DAYS))
    )


def _write(path: Path, content: bytes) -> None:
    """For its owner only, and never half of it."""
    part = path.with_name(f".{path.name}")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    part.replace(path)
