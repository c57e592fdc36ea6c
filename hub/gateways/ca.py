"""The hub's certificate authority: EC P-256, made at first start, key 0600 in the state folder (RFC 5280).

Issues server certificates for the hub's own doors, client certificates for gateways and server certificates for their pages. Leaves to `service` who may have one.
"""

import fcntl
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub.core.errors import InvalidError
from hub.core.state import write_file
from hub.ingest.identity import gateway_uri

CA_DAYS = 3650
SERVER_DAYS = 90  # made anew at each start of ingest, and when two thirds of it are over
GATEWAY_DAYS = 365
# A gateway's clock may be a little behind the hub's; of a certificate for minutes (in tests) a small part.
_BACKDATED, _BACKDATED_SHARE = timedelta(minutes=5), 10
_LOCAL_NAMES = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """Key and certificate of the authority."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        """The certificate, for gateways and for the doors' trust."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate's DER in hexadecimal: what a token carries."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def issue_server(self, names: Iterable[str], valid: timedelta | None = None) -> tuple[bytes, bytes]:
        """Make a key and a certificate for host names and addresses; `localhost` and 127.0.0.1 are always in it."""
        key = ec.generate_private_key(ec.SECP256R1())
        wanted = list(dict.fromkeys((*names, *_LOCAL_NAMES)))
        certificate = self._issue(
            key.public_key(),
            wanted[0],
            x509.SubjectAlternativeName([_general_name(name) for name in wanted]),
            ExtendedKeyUsageOID.SERVER_AUTH,
            valid or timedelta(days=SERVER_DAYS),
        )
        return _key_pem(key), certificate.public_bytes(serialization.Encoding.PEM)

    def issue_gateway(
        self, request: x509.CertificateSigningRequest, tenant: str, gateway: str, valid: timedelta | None = None
    ) -> x509.Certificate:
        """Sign a gateway's request: its key is taken, and its names are the token's. InvalidError says what is wrong with it."""
        public_key = _public_key(request)
        if not _is_signed_by_its_key(request):
            raise InvalidError(
                "The signing request is not signed by its own key.", "Make the request again.", reason="csr-signature"
            )
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(gateway_uri(tenant, gateway))])
        _check_names(request, names)
        return self._issue(
            public_key, gateway, names, ExtendedKeyUsageOID.CLIENT_AUTH, valid or timedelta(days=GATEWAY_DAYS)
        )

    def issue_page(
        self, gateway: x509.Certificate, names: Iterable[str], valid: timedelta | None = None
    ) -> x509.Certificate:
        """Make the server certificate of a gateway's local page, for the key that has just become the gateway's."""
        key = gateway.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        wanted = list(names)
        return self._issue(
            key,
            wanted[0],
            x509.SubjectAlternativeName([_general_name(name) for name in wanted]),
            ExtendedKeyUsageOID.SERVER_AUTH,
            valid or timedelta(days=GATEWAY_DAYS),
        )

    def _issue(
        self,
        public_key: ec.EllipticCurvePublicKey,
        common_name: str,
        names: x509.SubjectAlternativeName,
        usage: x509.ObjectIdentifier,
        valid: timedelta,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            _builder(
                common_name,
                self.certificate.subject,
                public_key,
                now - min(_BACKDATED, abs(valid) / _BACKDATED_SHARE) + min(valid, timedelta()),
                now + valid,
            )
            .add_extension(names, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )


def load_or_make(folder: Path) -> CertificateAuthority:
    """Load the authority from `ca.key` and `ca.pem` in `folder`, or make it; safe for several starters at once."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key_path, certificate_path = folder / "ca.key", folder / "ca.pem"
    with (folder / "ca.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not certificate_path.exists():
            made = make_authority()
            write_file(key_path, _key_pem(made.key), 0o600)
            write_file(certificate_path, made.pem, 0o644)
    key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise InvalidError(
            f"{key_path} and {certificate_path} do not belong together.",
            "Put both back from one backup; with a new pair every gateway must be enrolled again.",
            reason="ca-files",
        )
    return CertificateAuthority(key, certificate)


def make_authority() -> CertificateAuthority:
    """Make a new authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    name = _name("Wardlink hub CA")
    certificate = (
        _builder("Wardlink hub CA", name, key.public_key(), now - _BACKDATED, now + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return CertificateAuthority(key, certificate)


def read_request(pem: str) -> x509.CertificateSigningRequest:
    """Read a PKCS #10 request (RFC 2986); InvalidError when it is none."""
    try:
        return x509.load_pem_x509_csr(pem.encode())
    except (ValueError, InvalidSignature) as error:
        raise InvalidError(
            "csr_pem is no signing request in PEM.", "Send a PKCS #10 request in PEM.", reason="csr"
        ) from error


def _public_key(request: x509.CertificateSigningRequest) -> ec.EllipticCurvePublicKey:
    try:
        key = request.public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidError(
            "The key of the signing request is not EC P-256.", "Make an EC P-256 key and ask again.", reason="csr-key"
        )
    return key


def _is_signed_by_its_key(request: x509.CertificateSigningRequest) -> bool:
    try:
        return request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        return False


def _check_names(request: x509.CertificateSigningRequest, names: x509.SubjectAlternativeName) -> None:
    """A request may leave its names open. The common name is none (RFC 9525, 2): it is the hub's to choose."""
    try:
        asked = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    except (ValueError, x509.DuplicateExtension) as error:
        raise InvalidError(
            f"The extensions of the signing request cannot be read: {error}.",
            "Make the request again.",
            reason="csr-names",
        ) from error
    if list(asked) != list(names):
        raise InvalidError(
            f"The signing request asks for other names than its token is for, {', '.join(str(n.value) for n in names)}.",
            "Give the gateway the token that was made for it, unchanged, and enrol again.",
            reason="csr-names",
        )


def _builder(
    common_name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
