"""Enrolment: makes the gateway's key, checks the hub's authority against the token's fingerprint, gets the certificate.

The authority's certificate is fetched unverified and must have exactly the fingerprint of the token; everything behind that is
verified against it. The key never leaves the gateway.
"""

import hashlib
import http.client
import json
import ssl
from typing import cast
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge.identity.renewal import signing_request
from edge.identity.store import Identity, utc_now
from edge.identity.token import Token

TIMEOUT_S = 15.0
_MAX_ANSWER_BYTES = 64 * 1024
_CREATED = 201


class EnrolmentError(RuntimeError):
    """Enrolment did not succeed: what happened and what to do, in the hub's words where it gave some."""


def enrol(token: Token) -> Identity:
    """Ask the hub for a certificate; EnrolmentError when it refuses, cannot be reached, or is not the hub of the token."""
    ca_pem = _authority(token)
    key = ec.generate_private_key(ec.SECP256R1())
    request = json.dumps(
        {"secret": token.secret, "csr_pem": signing_request(key, token.tenant, token.gateway)}
    ).encode()
    context = ssl.create_default_context(cadata=ca_pem.decode("ascii"))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    status, body = _call(token.url, "POST", "/enrolment", context, request)
    fields = _json(body)
    if status != _CREATED:
        title, detail, to_do = (str(fields.get(k, "")) for k in ("title", "detail", "what_to_do"))
        text = " ".join(t.rstrip(".") + "." for t in (title, detail, to_do) if t)
        msg = f"the hub refused the enrolment (status {status}). {text}".rstrip()
        raise EnrolmentError(msg)
    try:
        identity = Identity(
            tenant=str(fields["tenant"]),
            gateway=str(fields["gateway"]),
            uplink=str(fields["uplink"]),
            key_pem=key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            certificate_pem=str(fields["certificate_pem"]).encode(),
            ca_pem=ca_pem,
            server_certificate_pem=str(fields.get("server_certificate_pem", "")).encode(),
        )
    except KeyError as error:
        msg = f"the hub's answer lacks {error}; are hub and agent of the same version?"
        raise EnrolmentError(msg) from error
    if (identity.tenant, identity.gateway) != (token.tenant, token.gateway):
        msg = (
            f"the hub gave a certificate to gateway {identity.gateway} of {identity.tenant}, the token names {token.gateway} of "
            f"{token.tenant}; ask the hub's administrator to revoke {identity.gateway} and to make a new token"
        )
        raise EnrolmentError(msg)
    identity.check(utc_now())
    return identity


def _authority(token: Token) -> bytes:
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE  # the fingerprint in the token is the proof
    status, pem = _call(token.url, "GET", "/enrolment/ca", unverified)
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        msg = f"{token.url} did not answer with a certificate (status {status}); is it a Wardlink hub?"
        raise EnrolmentError(msg) from error
    found = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
    if found != token.ca_fingerprint:
        msg = (
            f"the authority at {token.url} has the fingerprint {found[:16]}..., the token says {token.ca_fingerprint[:16]}...: "
            "this is not the hub that made the token; nothing was sent to it. Check the address, or get a token from this hub"
        )
        raise EnrolmentError(msg)
    return certificate.public_bytes(serialization.Encoding.PEM)


def _call(url: str, method: str, path: str, context: ssl.SSLContext, body: bytes | None = None) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPSConnection(
        parts.hostname or "", parts.port or 443, timeout=TIMEOUT_S, context=context
    )
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, parts.path + path, body, headers)
        response = connection.getresponse()
        return response.status, response.read(_MAX_ANSWER_BYTES)
    except ssl.SSLCertVerificationError as error:
        msg = f"{url} has a certificate that the hub's authority does not vouch for ({error.verify_message})"
        raise EnrolmentError(msg) from error
    except (OSError, http.client.HTTPException) as error:
        msg = f"{url} cannot be reached ({error}); check the address and that the hub runs"
        raise EnrolmentError(msg) from error
    finally:
        connection.close()


def _json(body: bytes) -> dict[str, object]:
    try:
        value: object = json.loads(body)
    except ValueError:
        return {}
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}
