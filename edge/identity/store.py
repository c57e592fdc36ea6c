"""The gateway's identity on disk: key (0600), certificate, authority, and where the hub's uplink is.

Checked before every connection: TLS reports a certificate that has expired only as a closed socket.
"""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

URI_FORM = "urn:wardlink:{tenant}:gateway:{gateway}"
SERVER_FILE = "server.pem"
RENEWED_FILE, _PREVIOUS_FILE, PAGE_FILE = "renewed.json", "previous.json", "renewed-page.pem"
_PEMS = ("key_pem", "certificate_pem", "ca_pem", "server_certificate_pem")
_FILES = ("key.pem", "certificate.pem", "ca.pem", "identity.json")


class IdentityError(RuntimeError):
    """The gateway has no usable identity: says what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """PEM texts and names. `uplink` is host:port."""

    tenant: str
    gateway: str
    uplink: str
    key_pem: bytes
    certificate_pem: bytes
    ca_pem: bytes
    server_certificate_pem: bytes = b""  # of the local page, for the same key; none when the hub knows no address of it

    def page_names(self) -> list[str]:
        """Host names and addresses in the certificate of the local page, the first one first."""
        if not self.server_certificate_pem:
            return []
        certificate = x509.load_pem_x509_certificate(self.server_certificate_pem)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return [str(name.value) for name in names]

    def life(self) -> tuple[datetime, datetime]:
        """From when to when the certificate is valid."""
        certificate = x509.load_pem_x509_certificate(self.certificate_pem)
        return certificate.not_valid_before_utc, certificate.not_valid_after_utc

    def not_after_ns(self) -> int:
        """When the certificate ends, in nanoseconds since 1970."""
        certificate = x509.load_pem_x509_certificate(self.certificate_pem)
        return int(certificate.not_valid_after_utc.timestamp()) * 1_000_000_000

    def check(self, now: datetime) -> None:
        """IdentityError when the certificate is not valid now, is another's, or does not fit key and authority."""
        again = f"ask the hub's administrator for a new token (wardlink hub gateway add {self.gateway}) and run wardlink edge enrol"
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate_pem)
            authority = x509.load_pem_x509_certificate(self.ca_pem)
            key = serialization.load_pem_private_key(self.key_pem, None)
        except ValueError as error:
            msg = f"the gateway's key or certificate cannot be read ({error}); {again}"
            raise IdentityError(msg) from error
        if now > certificate.not_valid_after_utc:
            msg = f"the gateway's certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; {again}"
            raise IdentityError(msg)
        if now < certificate.not_valid_before_utc:
            msg = (
                f"the gateway's certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on, "
                f"but the gateway's clock says {now:%Y-%m-%d %H:%M}; set the clock"
            )
            raise IdentityError(msg)
        public = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        if certificate.public_key().public_bytes(*public) != key.public_key().public_bytes(*public):
            msg = f"the gateway's certificate does not belong to its key; {again}"
            raise IdentityError(msg)
        try:
            certificate.verify_directly_issued_by(authority)
        except (InvalidSignature, ValueError, TypeError) as error:
            msg = f"the gateway's certificate was not issued by the authority that it trusts; {again}"
            raise IdentityError(msg) from error
        expected = URI_FORM.format(tenant=self.tenant, gateway=self.gateway)
        if expected not in _uris(certificate):
            msg = f"the gateway's certificate does not name {expected}; {again}"
            raise IdentityError(msg)
        if not _is_for_clients(certificate):
            msg = f"the gateway's certificate is not for TLS clients; {again}"
            raise IdentityError(msg)

    def expires_in(self, now: datetime) -> timedelta:
        """How long the certificate is still valid."""
        return x509.load_pem_x509_certificate(self.certificate_pem).not_valid_after_utc - now


def load_identity(state_dir: Path) -> Identity:
    """Read it; IdentityError when the gateway is not enrolled. What was renewed goes before what enrolment left."""
    folder = state_dir / "identity"
    renewed = _whole(folder / RENEWED_FILE)
    return _enrolled(folder) if renewed is None else renewed


def save_identity(state_dir: Path, identity: Identity) -> None:
    """Write what enrolment has given durably; the key is readable by its owner alone from the first byte on."""
    folder = state_dir / "identity"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Whole in one file first: an agent that starts between the others finds key and certificate that fit.
    _write(folder, RENEWED_FILE, _as_json(identity))
    names = {"tenant": identity.tenant, "gateway": identity.gateway, "uplink": identity.uplink}
    contents = (identity.key_pem, identity.certificate_pem, identity.ca_pem, json.dumps(names).encode())
    (folder / SERVER_FILE).unlink(missing_ok=True)  # it is of the key before
    files: list[tuple[str, bytes]] = [*zip(_FILES, contents, strict=True)]
    if identity.server_certificate_pem:
        files.append((SERVER_FILE, identity.server_certificate_pem))
    for name, content in files:
        _write(folder, name, content)
    for name in (PAGE_FILE, _PREVIOUS_FILE, RENEWED_FILE):
        (folder / name).unlink(missing_ok=True)


def save_renewed(state_dir: Path, identity: Identity) -> None:
    """Put a renewed identity in the place of the present one, in one step; that one is kept until the next renewal."""
    folder = state_dir / "identity"
    if (folder / RENEWED_FILE).exists():
        _write(folder, _PREVIOUS_FILE, (folder / RENEWED_FILE).read_bytes())
    _write(folder, RENEWED_FILE, _as_json(identity))
    if identity.server_certificate_pem:
        _write(folder, PAGE_FILE, identity.server_certificate_pem + identity.key_pem)


def fall_back(state_dir: Path) -> bool:
    """Go back to the identity before the renewal, as the hub does not know the renewed one; False when there is none that holds.

    A hub whose database was put back to a time before the renewal is such a hub.
    """
    folder = state_dir / "identity"
    if _whole(folder / RENEWED_FILE) is None:
        return False
    before = _whole(folder / _PREVIOUS_FILE)
    try:
        (_enrolled(folder) if before is None else before).check(utc_now())
    except IdentityError:
        return False
    if before is None:
        (folder / RENEWED_FILE).unlink()
    else:
        (folder / _PREVIOUS_FILE).rename(folder / RENEWED_FILE)
    (folder / PAGE_FILE).unlink(missing_ok=True)
    return True


def page_files(state_dir: Path) -> tuple[Path, Path]:
    """Where certificate and key of the local page are."""
    folder = state_dir / "identity"
    renewed = folder / PAGE_FILE
    return (renewed, renewed) if renewed.exists() else (folder / SERVER_FILE, folder / "key.pem")


def _enrolled(folder: Path) -> Identity:
    missing = [name for name in _FILES if not (folder / name).exists()]
    if missing:
        msg = f"this gateway is not enrolled ({folder} lacks {', '.join(missing)}); run wardlink edge enrol TOKEN"
        raise IdentityError(msg)
    _check_rights(folder / "key.pem")
    key, certificate, ca, names = ((folder / name).read_bytes() for name in _FILES)
    try:
        fields = cast("dict[str, str]", json.loads(names))
        page = (folder / SERVER_FILE).read_bytes() if (folder / SERVER_FILE).exists() else b""
        return Identity(fields["tenant"], fields["gateway"], fields["uplink"], key, certificate, ca, page)
    except (ValueError, KeyError) as error:
        msg = f"{folder / 'identity.json'} cannot be read ({error}); run wardlink edge enrol TOKEN"
        raise IdentityError(msg) from error


def _whole(path: Path) -> Identity | None:
    """Read an identity in one file; None when it is not there or damaged: what enrolment left may still do."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    _check_rights(path)
    try:
        fields = cast("dict[str, str]", json.loads(content))
        pems = (fields[name].encode() for name in _PEMS)
        return Identity(fields["tenant"], fields["gateway"], fields["uplink"], *pems)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _as_json(identity: Identity) -> bytes:
    names = ("tenant", "gateway", "uplink", *_PEMS)
    values = (getattr(identity, name) for name in names)
    return json.dumps(
        {name: v.decode() if isinstance(v, bytes) else v for name, v in zip(names, values, strict=True)}
    ).encode()


def _check_rights(path: Path) -> None:
    if path.stat().st_mode & 0o077:
        msg = f"{path} may be read by others; run chmod 600 on it, or enrol again if it was copied"
        raise IdentityError(msg)


def _write(folder: Path, name: str, content: bytes) -> None:
    """Write a file that is as it was or as it is to be, whatever happens in between."""
    partial = folder / f"{name}.new"
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(folder / name)
    entries = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entries)
    finally:
        os.close(entries)


def utc_now() -> datetime:
    """The system's time, as the TLS library will compare it."""
    return datetime.now(UTC)


def _is_for_clients(certificate: x509.Certificate) -> bool:
    try:
        return (
            ExtendedKeyUsageOID.CLIENT_AUTH
            in certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        )
    except x509.ExtensionNotFound:
        return False


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)
