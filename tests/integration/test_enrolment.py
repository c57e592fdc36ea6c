"""Enrolment over the real HTTPS door: who gets a certificate, who is refused, and what the audit says about both."""

import asyncio
import base64
import hashlib
import json
import ssl
from collections.abc import Callable

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from hub.core import principal
from hub.core.errors import DomainError, ForbiddenError
from tests.fixtures.gateway_peer import make_key, make_request
from tests.fixtures.hub import RunningHub, secret_of

pytestmark = pytest.mark.integration


async def enrol(hub: RunningHub, secret: str, csr: str | None = None) -> httpx.Response:
    async with hub.client() as client:
        return await client.post("/enrolment", json={"secret": secret, "csr_pem": csr or make_request(make_key())})


def denied(hub: RunningHub) -> list[str]:
    return [
        json.loads(body)["details"]["reason"]
        for (body,) in hub.rows(
            "select body from audit where action = 'gateway.enrol' and outcome = 'denied' order by seq"
        )
    ]


async def test_a_token_carries_what_a_gateway_needs_to_trust_the_hub(hub: RunningHub):
    token = await hub.add("ward-3")
    body = token.removeprefix("wl1.")
    said = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert set(said) == {"u", "f", "s", "g", "t"}
    assert (said["g"], said["t"]) == ("ward-3", "default")
    async with httpx.AsyncClient(verify=False) as client:
        pem = (await client.get(f"{hub.enrolment}/enrolment/ca")).content
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    assert hashlib.sha256(der).hexdigest() == said["f"]


@pytest.mark.req("IOT-5.4a", surface="api")
async def test_a_gateway_gets_a_certificate_with_its_identity_for_its_token(hub: RunningHub):
    key = make_key()
    answer = await enrol(hub, secret_of(await hub.add("ward-3")), make_request(key, "somebody-else"))
    assert answer.status_code == 201
    body = answer.json()
    certificate = x509.load_pem_x509_certificate(body["certificate_pem"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:wardlink:default:gateway:ward-3"]
    assert certificate.public_key() == key.public_key()
    certificate.verify_directly_issued_by(hub.authority.certificate)
    assert (body["tenant"], body["gateway"], body["uplink"]) == ("default", "ward-3", hub.uplink)
    assert hub.rows("select outcome, target from audit where action = 'gateway.enrol'") == [("done", "gateway:ward-3")]


async def test_a_used_token_is_refused_with_the_reason_and_an_audit_event(hub: RunningHub):
    secret = secret_of(await hub.add("ward-3"))
    assert (await enrol(hub, secret)).status_code == 201
    again = await enrol(hub, secret)
    assert (again.status_code, again.headers["content-type"]) == (410, "application/problem+json")
    assert "used already" in again.json()["detail"]
    assert "revoke" in again.json()["what_to_do"]
    assert denied(hub) == ["token-used"]


async def test_two_gateways_with_one_token_get_one_certificate(hub: RunningHub):
    secret = secret_of(await hub.add("ward-3"))
    answers = await asyncio.gather(*(enrol(hub, secret) for _ in range(4)))
    assert sorted(a.status_code for a in answers) == [201, 410, 410, 410]
    assert hub.rows("select count(*) from gateway_certificate") == [(1,)]


async def test_an_expired_token_is_refused_with_the_reason_and_an_audit_event(hub: RunningHub):
    answer = await enrol(hub, secret_of(await hub.add("ward-3", valid_s=-1)))
    assert (answer.status_code, answer.json()["detail"]) == (410, "The token has expired.")
    assert denied(hub) == ["token-expired"]


async def test_a_wrong_token_is_refused_with_the_reason_and_an_audit_event(hub: RunningHub):
    answer = await enrol(hub, "no such secret")
    assert (answer.status_code, answer.json()["title"]) == (403, "Not allowed")
    assert denied(hub) == ["token-wrong"]


@pytest.mark.parametrize(
    ("csr", "reason"),
    [
        (lambda: make_request(rsa.generate_private_key(65537, 2048)), "csr-key"),
        (lambda: make_request(ec.generate_private_key(ec.SECP384R1())), "csr-key"),
        (
            lambda: _with_wrong_signature(),  # noqa: PLW0108  defined below
            "csr-signature",
        ),
        (lambda: "no request", "csr"),
    ],
)
async def test_a_bad_request_does_not_use_the_token_up(hub: RunningHub, csr: Callable[[], str], reason: str):
    secret = secret_of(await hub.add("ward-3"))
    answer = await enrol(hub, secret, csr())
    assert (answer.status_code, answer.json()["type"]) == (422, f"urn:wardlink:problem:{reason}")
    assert denied(hub) == [reason]
    assert (await enrol(hub, secret)).status_code == 201


async def test_garbage_is_answered_with_a_problem_that_says_what_to_send(hub: RunningHub):
    async with hub.client() as client:
        for content in (b"", b"\x00\xff", b"[]", b'{"secret": 5}', b'{"secret":"' + b"x" * 300 + b'"}'):
            answer = await client.post("/enrolment", content=content, headers={"content-type": "application/json"})
            assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
            assert "csr_pem" in answer.json()["what_to_do"]


@pytest.mark.req("IOT-9.1a", surface="protocol")
async def test_the_door_speaks_tls_1_3_only(hub: RunningHub):
    context = ssl.create_default_context(cadata=hub.authority.pem.decode())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with httpx.AsyncClient(verify=context) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{hub.enrolment}/enrolment/ca")


async def test_the_secret_and_the_key_are_kept_by_nobody(hub: RunningHub):
    secret = secret_of(await hub.add("ward-3"))
    ((stored,),) = hub.rows("select token_hash from enrolment_token")
    assert bytes(stored) == hashlib.sha256(secret.encode()).digest()
    assert (hub.state / "ca.key").stat().st_mode & 0o777 == 0o600


async def test_a_nurse_may_not_add_a_gateway_and_the_audit_says_that_one_tried(hub: RunningHub):
    nurse = principal.Principal(principal.PrincipalKind.USER, "7", 1, frozenset({principal.Role.NURSE}))
    with pytest.raises(ForbiddenError):
        await hub.gateways.add(nurse, "default", "mine")
    assert hub.rows("select principal, action, outcome from audit") == [("user:7", "gateway.add", "denied")]


async def test_a_revoked_gateway_needs_a_new_token(hub: RunningHub):
    secret = secret_of(await hub.add("ward-3"))
    await hub.gateways.revoke(principal.operator("test", 1), "ward-3", "lost")
    with pytest.raises(DomainError, match="revoked"):
        await hub.gateways.enrol(secret, make_request(make_key()), "test")
    assert (await enrol(hub, secret_of(await hub.add("ward-3")))).status_code == 201


def _with_wrong_signature() -> str:
    request = x509.load_pem_x509_csr(make_request(make_key()).encode())
    raw = bytearray(request.public_bytes(Encoding.DER))
    raw[-1] ^= 1
    return x509.load_der_x509_csr(bytes(raw)).public_bytes(Encoding.PEM).decode()
