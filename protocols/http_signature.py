"""Signed HTTP requests: RFC 9421 (HTTP Message Signatures) with Ed25519 over method, authority, path, type and digest (RFC 9530).

The part of the standard that a device needs: one signature, no component parameters, a body without query. What is left out is
refused, never passed over. Pure: whether a signature was seen before is asked of whoever keeps time.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

# Without these, somebody between could send what was signed elsewhere, as another type, or to another gateway.
REQUIRED = ("@method", "@authority", "@path", "content-type", "content-digest")
ALGORITHM = "ed25519"

_LABEL = r"[a-z*][a-z0-9_.*-]*"  # RFC 8941 key
_COMPONENTS = r'\((?P<components>"[a-z0-9@_-]+"(?: "[a-z0-9@_-]+")*)\)'
_PARAMS = r'(?P<params>(?:;[a-z*][a-z0-9_.*-]*=(?:"[\x20-\x21\x23-\x5b\x5d-\x7e]*"|-?[0-9]{1,15}))*)'
_INPUT = re.compile(rf"(?P<label>{_LABEL})=(?P<value>{_COMPONENTS}{_PARAMS})")
_PARAM = re.compile(r';([a-z*][a-z0-9_.*-]*)=(?:"([^"]*)"|(-?[0-9]+))')
_SIGNATURE = re.compile(rf"({_LABEL})=:([A-Za-z0-9+/=]*):")
_DIGEST = re.compile(rf"(?:^|,)\s*({_LABEL})=:([A-Za-z0-9+/=]*):")


class SignatureError(ValueError):
    """A request that is not signed as it must be: says what is missing or wrong. Never holds a secret."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a signature covers. `fields`: names in lower case; several of a name joined by ", " (RFC 9110 clause 5.3)."""

    method: str
    authority: str
    path: str
    fields: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """A request whose signature holds. `signature` names this request: the same bytes are the same request sent again."""

    keyid: str
    created_s: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class _Claim:
    label: str
    value: str
    components: tuple[str, ...]
    text: Mapping[str, str]
    numbers: Mapping[str, int]


def is_signed(fields: Mapping[str, str]) -> bool:
    """Whether a request claims a signature at all."""
    return "signature" in fields or "signature-input" in fields


def verify(request: Request, keys: Mapping[str, Ed25519PublicKey], now_s: float, window_s: float) -> Signed:
    """Check digest, key, time and signature; SignatureError. A signature holds for `window_s` before and behind `created`."""
    claim = _claim(request.fields)
    missing = [c for c in REQUIRED if c not in claim.components]
    if missing:
        raise SignatureError(f"signature-input: expected it to cover {', '.join(REQUIRED)}; {missing[0]} is missing")
    if claim.text.get("alg", ALGORITHM) != ALGORITHM:
        raise SignatureError(f"signature-input, alg: expected {ALGORITHM!r}, found {claim.text['alg']!r}")
    keyid = claim.text.get("keyid", "")
    if not keyid:
        raise SignatureError("signature-input, keyid: expected the device's name")
    created = claim.numbers.get("created")
    if created is None:
        raise SignatureError("signature-input, created: expected seconds since 1970")
    signature = _signature(request.fields, claim.label)
    # One answer for a key that is not known and one that does not fit: names of devices are not to be tried out.
    if not _holds(keys.get(keyid), signature, base(request, claim.components, claim.value)):
        raise SignatureError("signature: it is not that of a device whose key this door knows, over this request")
    _check_digest(request)
    if abs(now_s - created) > window_s:
        raise SignatureError(
            f"signature-input, created: {created} is more than {window_s:g} s from the gateway's clock ({now_s:.0f}); "
            "set the device's clock"
        )
    if "expires" in claim.numbers and claim.numbers["expires"] < now_s:
        raise SignatureError(f"signature-input, expires: it expired at {claim.numbers['expires']}")
    return Signed(keyid, created, signature)


def base(request: Request, components: tuple[str, ...], params: str) -> bytes:
    """The signature base (RFC 9421 clause 2.5); SignatureError for a component that the request has not."""
    derived = {"@method": request.method, "@authority": request.authority.lower(), "@path": request.path}
    lines: list[str] = []
    for component in components:
        found = derived.get(component) if component.startswith("@") else request.fields.get(component)
        if found is None:
            raise SignatureError(f"signature-input: {component!r} is not in the request, or not known here")
        lines.append(f'"{component}": {found.strip()}')
    lines.append(f'"@signature-params": {params}')
    return "\n".join(lines).encode("latin-1", "replace")


def _holds(key: Ed25519PublicKey | None, signature: bytes, signed: bytes) -> bool:
    if key is None:
        return False
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _claim(fields: Mapping[str, str]) -> _Claim:
    said = fields.get("signature-input")
    if said is None:
        raise SignatureError("signature-input: expected a signature (RFC 9421), found none")
    match = _INPUT.fullmatch(said.strip())
    if match is None:
        raise SignatureError('signature-input: expected one signature, as sig1=("@method" ...);created=...;keyid="..."')
    components = tuple(c.strip('"') for c in match["components"].split(" "))
    params = _PARAM.findall(match["params"])
    names = [name for name, _, _ in params]
    if len(set(components)) != len(components) or len(set(names)) != len(names):
        raise SignatureError("signature-input: expected each component and parameter once")
    numbers = {name: int(number) for name, _, number in params if number}
    text = {name: value for name, value, number in params if not number}
    return _Claim(match["label"], match["value"], components, text, numbers)


def _signature(fields: Mapping[str, str], label: str) -> bytes:
    match = _SIGNATURE.fullmatch(fields.get("signature", "").strip())
    if match is None or match[1] != label:
        raise SignatureError(f"signature: expected {label}=:base64:, as signature-input names it")
    try:
        return base64.b64decode(match[2], validate=True)
    except binascii.Error as error:
        raise SignatureError("signature: expected base64") from error


def _check_digest(request: Request) -> None:
    digests = dict(_DIGEST.findall(request.fields.get("content-digest", "")))
    if "sha-256" not in digests:
        raise SignatureError("content-digest: expected sha-256=:base64: (RFC 9530)")
    found = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
    if not hmac.compare_digest(found, digests["sha-256"]):
        raise SignatureError(f"content-digest: expected {found}, that of the body, found {digests['sha-256']}")
