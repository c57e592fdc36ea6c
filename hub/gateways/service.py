"""What can be done with gateways: add one (a one-time token), enrol it (a certificate), renew, list, revoke.

A token is `wl1.` and base64url JSON `{u: enrolment address, f: CA fingerprint, s: secret, g: gateway, t: tenant}`; the database
holds the hash of its secret only.
"""

import base64
import hashlib
import ipaddress
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from hub.core.errors import (
    ConflictError,
    DomainError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from hub.core.policy import policy
from hub.core.principal import ANONYMOUS, Principal, tenant_of
from hub.core.sql import load_queries
from hub.gateways.ca import read_request
from protocols.link import Lane

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.db import Connection, Database
    from hub.gateways.ca import CertificateAuthority
    from hub.ingest.identity import GatewayIdentity

_QUERIES = load_queries("hub.gateways")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"^(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*$")
TOKEN_S = 3600.0
# An agent asks when two thirds of a year are over. It may fail to keep one a few times; it may not fill the table.
RENEWALS_AN_HOUR = 30


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a gateway gets for its token."""

    certificate_pem: str
    ca_pem: str
    tenant: str
    gateway: str
    server_certificate_pem: str = ""


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """A certificate of a gateway."""

    serial: str
    issued_at: datetime
    not_after: datetime
    revoked_at: datetime | None
    renewed_from: str | None


@dataclass(frozen=True, slots=True)
class ResendAnswer:
    """How many batches come again, and since when the gateway keeps any of that lane (None: it keeps none)."""

    batches: int
    kept_from: datetime | None


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a token stands for."""

    tenant_id: int
    tenant: str
    gateway_id: int
    gateway: str
    addresses: tuple[str, ...]


async def tenant_id_of(database: "Database", name: str) -> int:
    """Look a tenant up by name; NotFoundError."""
    async with database.connection() as connection:
        row = await (await connection.execute(_QUERIES["tenant"], {"name": name})).fetchone()
    if row is None:
        raise NotFoundError(f"There is no tenant {name}.", "Check the name; a new hub has the tenant `default`.")
    return int(row[0])


class GatewayService:
    """The service. `enrol` needs a database role that may write certificates (ingest)."""

    def __init__(
        self,
        database: "Database",
        audit: "AuditLog",
        authority: "CertificateAuthority",
        enrolment_url: str,
        valid: timedelta | None = None,
    ) -> None:
        """`enrolment_url`: where gateways reach the enrolment door, without a trailing slash.

        `valid`: how long the certificates of gateways are; None: as the authority has it.
        """
        self._valid = valid
        self.database = database
        self.audit = audit
        self._authority = authority
        self._enrolment_url = enrolment_url

    @policy("gateway.add")
    async def add(
        self,
        principal: Principal,
        tenant: str,
        name: str,
        valid_s: float = TOKEN_S,
        addresses: Sequence[str] = (),
        *,
        forwards: bool = False,
    ) -> str:
        """Add a gateway, or bring back a revoked one, and return its one-time token. Older tokens stay valid until they expire.

        `addresses`: host names and addresses by which browsers reach its local page; those of an earlier call stay without any.
        `forwards`: it is a hub, and hands on what gateways of its own took in.
        """
        for address in addresses:
            self._check_address(address)
        if not _NAME.match(name):
            raise InvalidError(
                f"{name!r} is no name for a gateway.", "Use 1 to 63 letters, digits, dots, hyphens and underscores."
            )
        tenant_id = tenant_of(principal)
        secret = secrets.token_urlsafe(32)
        values: dict[str, object] = {"tenant": tenant_id, "name": name}
        async with self.database.transaction(tenant_id) as connection:
            await connection.execute(_QUERIES["add"], values)
            row = await (await connection.execute(_QUERIES["gateway"], values)).fetchone()
            if row is None:
                raise ConflictError(f"Gateway {name} was neither made nor found.", "Try again.")
            values["gateway"] = row[0]
            await connection.execute(_QUERIES["bring_back"], values)
            await connection.execute(_QUERIES["set_forwards"], values | {"forwards": forwards})
            if addresses:
                await connection.execute(_QUERIES["set_addresses"], values | {"addresses": list(addresses)})
            token = {**values, "hash": _hash(secret), "seconds": valid_s}
            await connection.execute(_QUERIES["add_token"], token)
            await self.audit.write(
                connection, principal, "gateway.add", f"gateway:{name}", {"valid_s": valid_s, "forwards": forwards}
            )
        body = {"u": self._enrolment_url, "f": self._authority.fingerprint, "s": secret, "g": name, "t": tenant}
        return "wl1." + base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=").decode()

    @policy("gateway.revoke")
    async def revoke(self, principal: Principal, name: str, reason: str) -> None:
        """Revoke a gateway and its certificates: its streams are cut off, and it is refused from now on."""
        tenant_id = tenant_of(principal)
        async with self.database.transaction(tenant_id) as connection:
            values: dict[str, object] = {"tenant": tenant_id, "name": name, "reason": reason}
            row = await (await connection.execute(_QUERIES["revoke"], values)).fetchone()
            if row is None:
                raise NotFoundError(f"There is no gateway {name} that is not revoked yet.", "See the list of gateways.")
            await connection.execute(_QUERIES["revoke_certificates"], {"gateway": row[0]})
            await self.audit.write(connection, principal, "gateway.revoke", f"gateway:{name}", {"reason": reason})

    async def enrol(self, secret: str, csr_pem: str, peer: str) -> Enrolled:
        """Give a certificate for a token's secret, once. Whoever has the secret may; every refusal is audited.

        Raises ForbiddenError (wrong), GoneError (used, expired) or InvalidError (the request is none, or its key is weak).
        """
        target = "-"
        try:
            claim = await self._claim(secret)
            target = f"gateway:{claim.gateway}"
            certificate = self._authority.issue_gateway(read_request(csr_pem), claim.tenant, claim.gateway, self._valid)
            values = _row_of(certificate, claim.tenant_id, claim.gateway_id) | {"hash": _hash(secret)}
            async with self.database.transaction() as connection:
                await self._use(connection, values)
                await connection.execute(_QUERIES["add_certificate"], values)
                await self.audit.write(
                    connection,
                    ANONYMOUS,
                    "gateway.enrol",
                    target,
                    {"peer": peer, "serial": str(values["serial"])},
                    tenant_id=claim.tenant_id,
                )
        except DomainError as error:
            await self.audit.record(
                ANONYMOUS, "gateway.enrol", target, {"peer": peer, "reason": error.reason}, outcome="denied"
            )
            raise
        return self._answer(certificate, claim.tenant, claim.gateway, claim.addresses)

    @policy("gateway.renew")
    async def renew(self, principal: Principal, identity: "GatewayIdentity", csr_pem: str, peer: str) -> Enrolled:
        """Give a gateway its next certificate, for a new key, because of the one that it has shown; that one stays as it is.

        Raises InvalidError for a request that is none, and UnavailableError for a gateway that asks all the time.
        """
        target = f"gateway:{identity.gateway}"
        try:
            certificate = self._authority.issue_gateway(
                read_request(csr_pem), identity.tenant, identity.gateway, self._valid
            )
            values = _row_of(certificate, identity.tenant_id, identity.gateway_id)
            values |= {"shown": identity.fingerprint, "most": RENEWALS_AN_HOUR}
            async with self.database.transaction() as connection:
                row = await (await connection.execute(_QUERIES["add_renewed"], values)).fetchone()
                if row is None:
                    raise UnavailableError(
                        f"Gateway {identity.gateway} was given {RENEWALS_AN_HOUR} certificates within an hour.",
                        "See in its log why it asks again and again; the one that it has stays valid.",
                        reason="renewals",
                    )
                details = {"peer": peer, "serial": str(values["serial"]), "renewed_from": str(row[0])}
                await self.audit.write(connection, principal, "gateway.renew", target, details)
        except DomainError as error:
            details = {"peer": peer, "reason": error.reason}
            await self.audit.record(principal, "gateway.renew", target, details, outcome="denied")
            raise
        return self._answer(certificate, identity.tenant, identity.gateway, tuple(row[1]))

    @policy("gateway.revoke")
    async def revoke_certificate(self, principal: Principal, name: str, serial: str, reason: str) -> list[str]:
        """Revoke one certificate of a gateway and those that were renewed from it; returns their serials."""
        tenant_id = tenant_of(principal)
        values: dict[str, object] = {"tenant": tenant_id, "name": name, "serial": serial.lower().replace(":", "")}
        async with self.database.transaction(tenant_id) as connection:
            rows = await (await connection.execute(_QUERIES["revoke_certificate"], values)).fetchall()
            if not rows:
                raise NotFoundError(
                    f"Gateway {name} has no certificate {serial} that is not revoked yet.",
                    f"See wardlink hub gateway certificates {name}.",
                )
            serials = [str(row[0]) for row in rows]
            details = {"reason": reason, "serials": " ".join(serials)}
            await self.audit.write(connection, principal, "gateway.revoke", f"gateway:{name}", details)
        return serials

    @policy("gateway.list")
    async def certificates(self, principal: Principal, name: str) -> list[CertificateRow]:
        """The certificates of a gateway that have not expired, the newest first."""
        tenant_id = tenant_of(principal)
        values: dict[str, object] = {"tenant": tenant_id, "name": name}
        async with self.database.transaction(tenant_id) as connection:
            rows = await (await connection.execute(_QUERIES["certificates"], values)).fetchall()
        return [CertificateRow(*row) for row in rows]

    @policy("gateway.resend")
    async def ask_again(self, principal: Principal, name: str, lane: str, begin: datetime, end: datetime) -> int:
        """Ask a gateway for what it took in of a lane between two times; returns the number of the request.

        It sends what it still keeps, now or when it comes again, and of that is stored what is not there. InvalidError,
        NotFoundError.
        """
        lanes = {one.name.lower(): one for one in Lane if one is not Lane.ALARM}
        if lane not in lanes:
            raise InvalidError(f"{lane!r} is no lane that can be asked for again.", f"Use {', '.join(lanes)}.")
        if not begin < end:
            raise InvalidError("The time begins no earlier than it ends.", "Give the earlier time first.")
        tenant_id = tenant_of(principal)
        values = {"tenant": tenant_id, "name": name, "lane": int(lanes[lane]), "begin": begin, "end": end}
        async with self.database.transaction(tenant_id) as connection:
            row = await (await connection.execute(_QUERIES["ask_again"], values)).fetchone()
            if row is None:
                raise NotFoundError(f"There is no gateway {name} that is not revoked.", "See the list of gateways.")
            details = {"lane": lane, "from": begin.isoformat(), "to": end.isoformat(), "request": int(row[0])}
            await self.audit.write(connection, principal, "gateway.resend", f"gateway:{name}", details)
        return int(row[0])

    @policy("gateway.resend")
    async def answer_of(self, principal: Principal, request: int) -> ResendAnswer | None:
        """What the gateway has answered; None while it has not."""
        async with self.database.transaction(tenant_of(principal)) as connection:
            row = await (await connection.execute(_QUERIES["asked_again"], {"request": request})).fetchone()
        return None if row is None or row[0] is None else ResendAnswer(int(row[1]), row[2])

    def _answer(self, certificate: x509.Certificate, tenant: str, gateway: str, addresses: tuple[str, ...]) -> Enrolled:
        pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        page = ""
        if addresses:
            issued = self._authority.issue_page(certificate, addresses, self._valid)
            page = issued.public_bytes(serialization.Encoding.PEM).decode()
        return Enrolled(pem, self._authority.pem.decode(), tenant, gateway, page)

    def _check_address(self, address: str) -> None:
        """A certificate for an address is the right to answer there: never one of the hub's own names."""
        try:
            loopback = ipaddress.ip_address(address).is_loopback
        except ValueError:
            loopback = False
            if not _HOST.match(address) or address.rpartition(".")[2].isdecimal():
                raise InvalidError(
                    f"{address!r} is no host name or address.",
                    "Give one as gateway-7b.ward.example or 10.0.7.2, without https:// and port.",
                ) from None
        if address.lower() == urlsplit(self._enrolment_url).hostname and not loopback:
            raise InvalidError(
                f"{address!r} is the hub's own name.", "Give the name of the gateway; the hub's stays the hub's."
            )

    async def unreadable(self, peer: str) -> None:
        """Note that somebody sent the enrolment door what is no request."""
        details = {"peer": peer, "reason": "request"}
        await self.audit.record(ANONYMOUS, "gateway.enrol", "-", details, outcome="denied")

    async def _claim(self, secret: str) -> _Claim:
        async with self.database.connection() as connection:
            row = await (await connection.execute(_QUERIES["token"], {"hash": _hash(secret)})).fetchone()
        if row is None:
            raise ForbiddenError(
                "This hub does not know the token.", "Copy the whole token, or make a new one.", reason="token-wrong"
            )
        tenant_id, tenant, gateway_id, gateway, used, expired, revoked, addresses = row
        if used:
            raise _used()
        if expired:
            raise GoneError(
                "The token has expired.", "Make a new one with `wardlink hub gateway add`.", reason="token-expired"
            )
        if revoked:
            raise ForbiddenError(
                f"Gateway {gateway} was revoked.", "Add it again if it is to come back.", reason="gateway-revoked"
            )
        return _Claim(int(tenant_id), str(tenant), int(gateway_id), str(gateway), tuple(addresses))

    async def _use(self, connection: "Connection", values: dict[str, object]) -> None:
        if await (await connection.execute(_QUERIES["use_token"], values)).fetchone() is None:
            raise _used()


def _used() -> GoneError:
    return GoneError(
        "The token was used already.",
        "If it was not you, revoke the gateway; then make a new token with `wardlink hub gateway add`.",
        reason="token-used",
    )


def _row_of(certificate: x509.Certificate, tenant_id: int, gateway_id: int) -> dict[str, object]:
    return {
        "serial": f"{certificate.serial_number:x}",
        "tenant": tenant_id,
        "gateway": gateway_id,
        "fingerprint": certificate.fingerprint(hashes.SHA256()),
        "not_before": certificate.not_valid_before_utc,
        "not_after": certificate.not_valid_after_utc,
    }


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
