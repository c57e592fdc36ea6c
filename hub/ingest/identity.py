"""Who a gateway is: the URI SAN `urn:wardlink:{tenant}:gateway:{gateway}` of its certificate, as the hub's table knows it.

TLS has checked that our CA signed it and that it is in date; here it is compared with what was issued and revoked.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from hub.core.errors import ForbiddenError
from hub.core.sql import load_queries

if TYPE_CHECKING:
    from hub.core.db import Database

_QUERIES = load_queries("hub.ingest")
_SAN = re.compile(r"^urn:wardlink:([a-z0-9][a-z0-9-]{0,62}):gateway:([A-Za-z0-9][A-Za-z0-9._-]{0,62})$")


@dataclass(frozen=True, slots=True)
class GatewayIdentity:
    """A gateway that may speak."""

    tenant_id: int
    tenant: str
    gateway_id: int
    gateway: str
    fingerprint: bytes
    forwards: bool = False  # a hub: it hands on what gateways of its own took in
    history: int = 0  # of the database from which the ids are

    @property
    def key(self) -> tuple[int, str]:
        """What it is called here, whatever id a database gives it."""
        return self.tenant_id, self.gateway


def gateway_uri(tenant: str, gateway: str) -> str:
    """Make the URI that stands in the certificate."""
    return f"urn:wardlink:{tenant}:gateway:{gateway}"


def names_in(certificate: x509.Certificate) -> tuple[str, str]:
    """Return (tenant, gateway); ForbiddenError when the certificate is of no gateway."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    found = [match for uri in uris if (match := _SAN.match(uri))]
    if len(found) != 1:
        raise ForbiddenError(
            f"The certificate names {len(found)} gateways: expected one URI urn:wardlink:TENANT:gateway:NAME.",
            "Enrol the gateway again.",
            reason="certificate-names-no-gateway",
        )
    return found[0][1], found[0][2]


def _is_for_clients(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False  # TLS takes that for every purpose
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage


async def identify(database: "Database", pem: bytes) -> GatewayIdentity:
    """Look the client's certificate up; ForbiddenError when it is unknown or revoked."""
    certificate = x509.load_pem_x509_certificate(pem)
    tenant, gateway = names_in(certificate)
    if not _is_for_clients(certificate):
        raise ForbiddenError(
            f"The certificate of gateway {gateway} is not for TLS clients (RFC 5280, 4.2.1.12).",
            "Enrol the gateway again with a new token.",
            reason="certificate-purpose",
        )
    fingerprint = certificate.fingerprint(hashes.SHA256())
    values = {"fingerprint": fingerprint, "tenant": tenant, "gateway": gateway}
    async with database.connection() as connection:
        history = database.history.number
        row = await (await connection.execute(_QUERIES["gateway_of_certificate"], values)).fetchone()
    if row is None:
        raise unknown(gateway, tenant)
    fallen = fallen_from(gateway, gateway_revoked=bool(row[2]), certificate_revoked=bool(row[3]))
    if fallen is not None:
        raise fallen
    return GatewayIdentity(int(row[0]), tenant, int(row[1]), gateway, fingerprint, bool(row[4]), history)


def unknown(gateway: str, tenant: str) -> ForbiddenError:
    """Make the error of a certificate that is not in the table, as after the database was put back to a time before it."""
    return ForbiddenError(
        f"This hub has not issued that certificate to gateway {gateway} of tenant {tenant}.",
        "Enrol the gateway again with a new token.",
        reason="certificate-unknown",
    )


def fallen_from(
    gateway: str, *, gateway_revoked: bool, certificate_revoked: bool, expired: bool = False
) -> ForbiddenError | None:
    """Why a gateway may not go on with its certificate; None when it may."""
    if gateway_revoked:
        return ForbiddenError(
            f"Gateway {gateway} was revoked.",
            "If it is to come back, add it again and enrol it with the new token.",
            reason="gateway-revoked",
        )
    if certificate_revoked:
        return ForbiddenError(
            f"This certificate of gateway {gateway} was revoked.",
            "Enrol the gateway again with a new token.",
            reason="certificate-revoked",
        )
    if expired:
        return ForbiddenError(
            f"The certificate of gateway {gateway} has expired.",
            "An agent renews it long before; see why it could not, and enrol the gateway again with a new token.",
            reason="certificate-expired",
        )
    return None
