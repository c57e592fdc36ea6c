"""Renews the gateway's certificate by itself when about two thirds of its life are over, and tells when it cannot.

A new key is made here each time. Leaves the asking to the uplink, and the going over to its connections.
"""

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.health.metrics import CERTIFICATE_LEFT, RENEWALS_FAILED
from edge.identity.store import URI_FORM, Identity, IdentityError, load_identity, save_renewed, utc_now

# Renewed between these parts of its life, each certificate at a place of its own: a hospital's gateways do not all ask at once.
_FROM, _TO = 0.6, 2 / 3
_LOOK_S = 60.0  # the system's clock may step
_LONGEST_PAUSE_S, _PAUSES = 3600.0, 40  # at least so many tries in a life

_log = structlog.get_logger()

Ask = Callable[[Identity, str], Awaitable[tuple[str, str]]]
"""(present identity, signing request in PEM) -> certificate and, or "", certificate of the local page; RenewalError."""


class RenewalError(RuntimeError):
    """The certificate was not renewed: why."""


class Renewal:
    """`run` until cancelled. `failing` says why the last try failed, "" while all is well."""

    def __init__(
        self,
        state_dir: Path,
        ask: Ask,
        renewed: Callable[[], Awaitable[None]],
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`renewed` is called when the new identity is on disk."""
        self._state_dir, self._ask, self._renewed, self._now = state_dir, ask, renewed, now
        self.failing = ""
        self.not_after_ns = 0

    async def run(self) -> None:
        """Renew, for ever."""
        while True:
            try:
                identity = await asyncio.to_thread(load_identity, self._state_dir)
                begin, end = identity.life()
            except (IdentityError, ValueError, OSError) as error:
                self._failed(str(error), timedelta())
                await asyncio.sleep(_LOOK_S)
                continue
            self.not_after_ns = identity.not_after_ns()
            CERTIFICATE_LEFT.set((end - self._now()).total_seconds())
            wait_s = (due(identity) - self._now()).total_seconds()
            if wait_s > 0:
                await asyncio.sleep(min(wait_s, _LOOK_S))
                continue
            try:
                identity.check(self._now())
                await self._renew(identity)
            except (RenewalError, IdentityError, OSError) as error:
                self._failed(str(error), end - self._now())
                pause_s = min(_LONGEST_PAUSE_S, (end - begin).total_seconds() / _PAUSES)
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))

    async def _renew(self, identity: Identity) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, page = await self._ask(identity, signing_request(key, identity.tenant, identity.gateway))
        renewed = replace(
            identity,
            key_pem=key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            certificate_pem=certificate.encode(),
            server_certificate_pem=page.encode(),
        )
        renewed.check(self._now())
        if renewed.life()[1] <= identity.life()[1]:
            msg = "the hub's new certificate ends no later than the present one; is the hub's clock right?"
            raise RenewalError(msg)
        await asyncio.to_thread(save_renewed, self._state_dir, renewed)
        self.failing = ""
        self.not_after_ns = renewed.not_after_ns()
        _log.info("certificate-renewed", until=renewed.life()[1].isoformat())
        await self._renewed()

    def _failed(self, reason: str, left: timedelta) -> None:
        self.failing = reason
        RENEWALS_FAILED.inc()
        _log.warning(
            "certificate-not-renewed",
            reason=reason,
            days_left=round(left.total_seconds() / 86400, 2),
            what_to_do="it is tried again; see that the hub can be reached. Once it has ended, the gateway has to be enrolled again",
        )


def due(identity: Identity) -> datetime:
    """When an identity's certificate is to be renewed: the same moment after each restart."""
    begin, end = identity.life()
    place = int.from_bytes(hashlib.sha256(identity.certificate_pem).digest()[:4], "big") / 2**32
    return begin + (end - begin) * (_FROM + (_TO - _FROM) * place)


def signing_request(key: ec.EllipticCurvePrivateKey, tenant: str, gateway: str) -> str:
    """Make the PKCS #10 request of a gateway, in PEM."""
    uri = URI_FORM.format(tenant=tenant, gateway=gateway)
    builder = x509.CertificateSigningRequestBuilder()
    builder = builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gateway)]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode("ascii")
