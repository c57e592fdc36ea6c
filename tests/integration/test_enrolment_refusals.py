"""Every way in which a token, a signing request or a certificate is refused, over the real command and real sockets.

Each row proves that it is refused, that the reason is told with what to do, that the audit has one event with the reason, and
that the store is as it was.
"""

import asyncio
import base64
import datetime as dt
import json
import secrets
import socket
import ssl
import warnings
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

import grpc
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from typer.testing import CliRunner

from edge.commands import app as edge
from edge.identity import Identity, load_identity, save_identity
from hub.app import gateway_service
from hub.core.principal import operator
from hub.gateways.ca import CertificateAuthority, load_or_make, make_authority
from hub.gateways.service import GatewayService
from hub.settings import HubSettings
from protocols.uplink_pb2 import CONNECTION_DATA, GatewayMessage, Hello
from tests.fixtures.gateway_peer import Credentials, key_pem, make_key, make_request, open_channel, open_stream
from tests.fixtures.hub import eventually
from tests.fixtures.hub_roles import Installation

pytestmark = pytest.mark.integration

TENANT, GATEWAY = "default", "gateway-1"


@dataclass
class Hub:
    """A hub whose role ingest runs as a process, with one enrolled gateway."""

    installation: Installation
    authority: CertificateAuthority
    uplink: str
    enrolment: str
    enrolled: Identity

    def add(self, name: str) -> str:
        async def work() -> str:
            async with self._service() as service:
                return await service.add(operator("test", 1), TENANT, name)

        return asyncio.run(work())

    def revoke(self, name: str) -> None:
        async def work() -> None:
            async with self._service() as service:
                await service.revoke(operator("test", 1), name, "lost")

        asyncio.run(work())

    def _service(self) -> AbstractAsyncContextManager[GatewayService]:
        """What the commands of the hub have."""
        url = self.installation.database.url_for("wardlink_web")
        settings = HubSettings.model_validate(
            {"state_dir": self.installation.state, "enrolment_public": self.enrolment}
        )
        return gateway_service(settings, url)


@pytest.fixture(scope="module")
def hub(shared_installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Generator[Hub]:
    with shared_installation.running("ingest") as ready:
        ports = ready["ingest"]
        running = Hub(
            shared_installation,
            load_or_make(shared_installation.state),
            f"127.0.0.1:{ports['uplink_port']}",
            f"https://127.0.0.1:{ports['enrolment_port']}",
            Identity("", "", "", b"", b"", b""),
        )
        state = tmp_path_factory.mktemp("gateway")
        assert enrol(running.add(GATEWAY), state)[0] == 0
        running.enrolled = load_identity(state)
        yield running


def enrol(token: str, state: Path) -> tuple[int, str]:
    """What a person at the gateway gets: the exit status and what is printed."""
    done = CliRunner().invoke(edge, ["enrol", token, "--state", str(state)])
    return done.exit_code, done.output


# --- tokens -------------------------------------------------------------------------------------------------------------------


def fields_of(token: str) -> dict[str, str]:
    body = token.removeprefix("wl1.")
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def changed(token: str, **changes: str) -> str:
    return "wl1." + base64.urlsafe_b64encode(json.dumps(fields_of(token) | changes).encode()).rstrip(b"=").decode()


def used(hub: Hub, token: str, folder: Path) -> str:
    assert enrol(token, folder / "first")[0] == 0
    return token


def expired(hub: Hub, token: str, _: Path) -> str:
    hub.installation.do(
        "update enrolment_token set expires_at = now() - interval '1 s' where gateway_id ="
        " (select gateway_id from gateway where name = %s)",
        fields_of(token)["g"],
    )
    return token


def revoked(hub: Hub, token: str, _: Path) -> str:
    hub.revoke(fields_of(token)["g"])
    return token


@dataclass(frozen=True)
class BadToken:
    """`spoil` makes it of a good one; `reason` is the audit's, None where the gateway sends nothing to the hub."""

    name: str
    spoil: Callable[[Hub, str, Path], str]
    reason: str | None
    told: tuple[str, ...]


ASK_AGAIN = "wardlink hub gateway add"
TOKENS = (
    BadToken(
        "wrong",
        lambda _hub, token, _folder: changed(token, s=secrets.token_urlsafe(32)),
        "token-wrong",
        ("does not know the token", "Copy the whole token, or make a new one"),
    ),
    BadToken("cut", lambda _hub, token, _folder: token[:-30], None, ("damaged or cut off", f"copy it whole from `{ASK_AGAIN}`")),
    BadToken("without its head", lambda _hub, token, _folder: token[4:], None, ("does not begin with", f"copy it whole from `{ASK_AGAIN}`")),
    BadToken("used", used, "token-used", ("was used already", f"make a new token with `{ASK_AGAIN}`")),
    BadToken("expired", expired, "token-expired", ("has expired", f"Make a new one with `{ASK_AGAIN}`")),
    BadToken("of a revoked gateway", revoked, "gateway-revoked", ("was revoked", "Add it again if it is to come back")),
    BadToken(
        "of another hub at this address",
        lambda _hub, token, _folder: changed(token, f=make_authority().fingerprint),
        None,
        ("not the hub that made the token", "nothing was sent to it", "get a token from this hub"),
    ),
    BadToken(
        "with another gateway's name",
        lambda _hub, token, _folder: changed(token, g="gateway-9"),
        "csr-names",
        ("asks for other names", "Give the gateway the token that was made for it"),
    ),
    BadToken(
        "with another tenant's name",
        lambda _hub, token, _folder: changed(token, t="elsewhere"),
        "csr-names",
        ("asks for other names", "Give the gateway the token that was made for it"),
    ),
)  # fmt: skip


@pytest.mark.req("IOT-5.4a", surface="command")
@pytest.mark.parametrize("bad", TOKENS, ids=lambda bad: bad.name)
async def test_a_gateway_is_not_enrolled_with_a_token_that_is(hub: Hub, tmp_path: Path, bad: BadToken):
    token = await asyncio.to_thread(hub.add, f"ward-{secrets.token_hex(4)}")
    token = await asyncio.to_thread(bad.spoil, hub, token, tmp_path)
    store, refused = hub.installation.traces(), len(hub.installation.denied())
    status, said = await asyncio.to_thread(enrol, token, tmp_path / "state")
    assert status == 1
    for words in bad.told:
        assert words in said
    assert hub.installation.denied(refused) == ([bad.reason] if bad.reason else [])
    assert hub.installation.traces() == store
    assert not (tmp_path / "state" / "identity").exists()


# --- signing requests ---------------------------------------------------------------------------------------------------------


def request(
    *uris: str, key: CertificateIssuerPrivateKeyTypes | None = None, others: tuple[x509.GeneralName, ...] = ()
) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    names = [x509.UniformResourceIdentifier(uri) for uri in uris]
    if names or others:
        builder = builder.add_extension(x509.SubjectAlternativeName([*names, *others]), critical=False)
    key = key or make_key()
    signed = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def with_bytes(pem: str, old: bytes, new: bytes) -> str:
    """The same request with some of its DER bytes changed at their last place; the lengths stay."""
    der = x509.load_pem_x509_csr(pem.encode()).public_bytes(Encoding.DER)
    at = der.rindex(old)
    der = der[:at] + new + der[at + len(old) :]
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n"


def spoilt_signature() -> str:
    good = request()
    end = x509.load_pem_x509_csr(good.encode()).signature[-4:]
    return with_bytes(good, end, bytes(byte ^ 1 for byte in end))


def garbled_names(_: str) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    garbled = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x30\x05garbl")
    return (
        builder.add_extension(garbled, critical=False)
        .sign(make_key(), hashes.SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )


EC_KEY = bytes.fromhex("06072a8648ce3d0201")  # id-ecPublicKey (RFC 5480, 2.1.1)
ECDSA_SHA256 = bytes.fromhex("06082a8648ce3d040302")  # RFC 5758, 3.2
OURS = "urn:wardlink:default:gateway:{name}"

REQUESTS: tuple[tuple[str, str, Callable[[str], str], str], ...] = (
    ("signed by another key", "csr-signature", lambda _: spoilt_signature(), "Make the request again"),
    (
        "signed in a way that nobody knows",
        "csr-signature",
        lambda _: with_bytes(request(), ECDSA_SHA256, ECDSA_SHA256[:-1] + b"\x7f"),
        "Make the request again",
    ),
    ("with an RSA key", "csr-key", lambda _: request(key=rsa.generate_private_key(65537, 2048)), "Make an EC P-256 key"),
    ("with a weak RSA key", "csr-key", lambda _: request(key=rsa.generate_private_key(65537, 1024)), "Make an EC P-256 key"),
    ("with a P-384 key", "csr-key", lambda _: request(key=ec.generate_private_key(ec.SECP384R1())), "Make an EC P-256 key"),
    ("with a P-224 key", "csr-key", lambda _: request(key=ec.generate_private_key(ec.SECP224R1())), "Make an EC P-256 key"),
    ("with an Ed25519 key", "csr-key", lambda _: request(key=ed25519.Ed25519PrivateKey.generate()), "Make an EC P-256 key"),
    (
        "with a key of no known kind",
        "csr-key",
        lambda _: with_bytes(request(), EC_KEY, EC_KEY[:-1] + b"\x7f"),
        "Make an EC P-256 key",
    ),
    ("for another gateway", "csr-names", lambda _: request(OURS.format(name="other")), "the token that was made for it"),
    (
        "for another tenant",
        "csr-names",
        lambda name: request(OURS.format(name=name).replace("default", "other")),
        "the token that was made for it",
    ),
    (
        "for another gateway too",
        "csr-names",
        lambda name: request(OURS.format(name=name), OURS.format(name="other")),
        "the token that was made for it",
    ),
    (
        "for the hub's own address too",
        "csr-names",
        lambda name: request(OURS.format(name=name), others=(x509.IPAddress(ip_address("127.0.0.1")),)),
        "the token that was made for it",
    ),
    (
        "with names that cannot be read",
        "csr-names",
        garbled_names,
        "Make the request again",
    ),
    ("that is none", "csr", lambda _: "no request", "Send a PKCS #10 request in PEM"),
    ("that is a certificate", "csr", lambda _: make_authority().pem.decode(), "Send a PKCS #10 request in PEM"),
    ("that is cut off", "csr", lambda _: request()[:-80], "Send a PKCS #10 request in PEM"),
)  # fmt: skip


@pytest.mark.req("IOT-5.4a", surface="protocol")
@pytest.mark.parametrize(("reason", "make", "to_do"), [row[1:] for row in REQUESTS], ids=[row[0] for row in REQUESTS])
async def test_no_certificate_is_given_for_a_request(hub: Hub, reason: str, make: Callable[[str], str], to_do: str):
    name = f"ward-{secrets.token_hex(4)}"
    token = fields_of(await asyncio.to_thread(hub.add, name))
    store, refused = hub.installation.traces(), len(hub.installation.denied())
    context = ssl.create_default_context(cadata=hub.authority.pem.decode())
    async with httpx.AsyncClient(base_url=hub.enrolment, verify=context, timeout=30) as client:
        answer = await client.post("/enrolment", json={"secret": token["s"], "csr_pem": make(name)})
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        problem = answer.json()
        assert problem["type"] == f"urn:wardlink:problem:{reason}"
        assert to_do in problem["what_to_do"]
        assert hub.installation.denied(refused) == [reason]
        assert hub.installation.traces() == store  # so the token is still good
        good = {"secret": token["s"], "csr_pem": request(OURS.format(name=name))}
        assert (await client.post("/enrolment", json=good)).status_code == 201


# --- certificates -------------------------------------------------------------------------------------------------------------

DAY = dt.timedelta(days=1)
CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])


def issue(
    authority: CertificateAuthority,
    *uris: str,
    begin: dt.timedelta = -DAY,
    end: dt.timedelta = DAY,
    purpose: x509.ExtendedKeyUsage | None = CLIENT,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> tuple[bytes, x509.Certificate]:
    """A key and a certificate such as only a test makes."""
    subject = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, GATEWAY)]) if key is None else authority.certificate.subject
    )
    key, now = key or make_key(), dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .issuer_name(authority.certificate.subject)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begin)
        .not_valid_after(now + end)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris]), critical=False
        )
    )
    if purpose is not None:
        builder = builder.add_extension(purpose, critical=False)
    return key_pem(key), builder.sign(authority.key, hashes.SHA256())


def known(hub: Hub, certificate: x509.Certificate) -> x509.Certificate:
    """Write it into the hub's table as if the hub had issued it."""
    hub.installation.do(
        "insert into gateway_certificate (serial, tenant_id, gateway_id, fingerprint, not_before, not_after)"
        " select %s, tenant_id, gateway_id, %s, now(), now() + interval '1 day' from gateway where name = %s",
        f"{certificate.serial_number:x}",
        certificate.fingerprint(hashes.SHA256()),
        GATEWAY,
    )
    return certificate


URI = OURS.format(name=GATEWAY)


def papers(hub: Hub, made: tuple[bytes, x509.Certificate]) -> Identity:
    key, certificate = made
    return replace(hub.enrolled, key_pem=key, certificate_pem=certificate.public_bytes(Encoding.PEM))


def self_signed(hub: Hub) -> Identity:
    own = make_authority()
    return papers(hub, issue(own, URI, key=own.key))


def servers(hub: Hub) -> Identity:
    folder = hub.installation.state / "ingest-0"
    return replace(
        hub.enrolled, key_pem=(folder / "server.key").read_bytes(), certificate_pem=(folder / "server.pem").read_bytes()
    )


def known_for(hub: Hub, purpose: x509.ExtendedKeyUsage | None) -> Identity:
    key, certificate = issue(hub.authority, URI, purpose=purpose)
    return papers(hub, (key, known(hub, certificate)))


def gone(hub: Hub) -> Identity:
    name = f"ward-{secrets.token_hex(4)}"
    context = ssl.create_default_context(cadata=hub.authority.pem.decode())
    key = make_key()
    body = {"secret": fields_of(hub.add(name))["s"], "csr_pem": make_request(key)}
    got = httpx.post(f"{hub.enrolment}/enrolment", json=body, verify=context, timeout=30).json()
    hub.revoke(name)
    return Identity(TENANT, name, hub.uplink, key_pem(key), got["certificate_pem"].encode(), hub.authority.pem)


SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
ENROL_AGAIN = "run wardlink edge enrol"


@dataclass(frozen=True)
class BadPapers:
    """`by_gateway`: what `wardlink edge status` says of them; `by_hub`: what the stream's end says, where TLS lets it come to that."""

    name: str
    make: Callable[[Hub], Identity]
    reason: str
    by_gateway: tuple[str, ...] = ()
    by_hub: tuple[str, ...] = ()


PAPERS = (
    BadPapers(
        "of a foreign authority",
        lambda hub: papers(hub, issue(make_authority(), URI)),
        "certificate-foreign",
        ("not issued by the authority that it trusts", ENROL_AGAIN),
    ),
    BadPapers("signed by itself", self_signed, "certificate-foreign", ("not issued by the authority", ENROL_AGAIN)),
    BadPapers(
        "that has expired",
        lambda hub: papers(hub, issue(hub.authority, URI, begin=-2 * DAY, end=-DAY)),
        "certificate-expired",
        ("expired on", ENROL_AGAIN),
    ),
    BadPapers(
        "that is not valid yet",
        lambda hub: papers(hub, issue(hub.authority, URI, begin=DAY, end=2 * DAY)),
        "certificate-not-yet-valid",
        ("is valid from", "set the clock"),
    ),
    BadPapers(
        "for servers only",
        lambda hub: known_for(hub, SERVER),
        "certificate-purpose",
        ("not for TLS clients", ENROL_AGAIN),
    ),
    BadPapers(
        "without a purpose",
        lambda hub: known_for(hub, None),
        "certificate-purpose",
        ("not for TLS clients", ENROL_AGAIN),
        ("not for TLS clients", "Enrol the gateway again"),
    ),
    BadPapers("of the hub's own server", servers, "certificate-purpose", ("does not name", ENROL_AGAIN)),
    BadPapers(
        "that names no gateway",
        lambda hub: papers(hub, issue(hub.authority, "urn:somebody")),
        "certificate-names-no-gateway",
        ("does not name", ENROL_AGAIN),
        ("names 0 gateways", "Enrol the gateway again"),
    ),
    BadPapers(
        "that names two gateways",
        lambda hub: papers(hub, issue(hub.authority, URI, OURS.format(name="other"))),
        "certificate-names-no-gateway",
        (),
        ("names 2 gateways", "Enrol the gateway again"),
    ),
    BadPapers(
        "that the hub never issued",
        lambda hub: papers(hub, issue(hub.authority, URI)),
        "certificate-unknown",
        (),
        ("has not issued that certificate", "Enrol the gateway again with a new token"),
    ),
    BadPapers(
        "of another tenant than its Hello",
        lambda hub: replace(hub.enrolled, tenant="elsewhere"),
        "hello-tenant",
        ("does not name urn:wardlink:elsewhere:", ENROL_AGAIN),
        ("the certificate says 'default'", "enrol the gateway again"),
    ),
    BadPapers(
        "of another gateway than its Hello",
        lambda hub: replace(hub.enrolled, gateway="gateway-9"),
        "hello-gateway",
        ("does not name urn:wardlink:default:gateway:gateway-9", ENROL_AGAIN),
        ("the certificate says 'gateway-1'", "enrol the gateway again"),
    ),
    BadPapers(
        "of a revoked gateway",
        gone,
        "gateway-revoked",
        (),
        ("was revoked", "add it again and enrol it with the new token"),
    ),
)


async def stream_with(hub: Hub, identity: Identity) -> tuple[grpc.StatusCode, str]:
    """Say Hello on the uplink as a gateway with these papers; how the hub ends the stream."""
    credentials = Credentials(
        identity.key_pem, identity.certificate_pem, hub.authority.pem, identity.tenant, identity.gateway
    )
    hello = Hello(
        version=1,
        tenant=identity.tenant,
        gateway=identity.gateway,
        epoch=secrets.token_bytes(16),
        connection=CONNECTION_DATA,
    )
    async with asyncio.timeout(30), open_channel(hub.uplink, credentials) as channel:
        stream = open_stream(channel)
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await stream.write(GatewayMessage(hello=hello).SerializeToString())
            while await stream.read() is not grpc.aio.EOF:
                pass
        return await stream.code(), await stream.details() or ""


@pytest.mark.req("IOT-5.4a", surface="protocol")
@pytest.mark.parametrize("bad", PAPERS, ids=lambda bad: bad.name)
async def test_the_uplink_serves_nobody_with_a_certificate(hub: Hub, tmp_path: Path, bad: BadPapers):
    identity = await asyncio.to_thread(bad.make, hub)
    store, refused = hub.installation.traces(), len(hub.installation.denied())
    code, details = await stream_with(hub, identity)
    if bad.by_hub:
        assert (code, details.partition(":")[0]) == (grpc.StatusCode.PERMISSION_DENIED, bad.reason)
        for words in bad.by_hub:
            assert words in details
    else:
        assert code is grpc.StatusCode.UNAVAILABLE  # TLS ended it
    await eventually(lambda: len(hub.installation.denied(refused)) > 0, 10)
    assert set(hub.installation.denied(refused)) == {bad.reason}
    assert hub.installation.traces() == store
    save_identity(tmp_path, identity)
    said = CliRunner().invoke(edge, ["status", "--state", str(tmp_path)])
    assert said.exit_code == (1 if bad.by_gateway else 0)
    for words in bad.by_gateway:
        assert words in said.output


def connect(hub: Hub, version: ssl.TLSVersion) -> None:
    """Shake hands as a client that has no certificate and speaks this version only; any end of it will do."""
    host, _, port = hub.uplink.partition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=hub.authority.pem.decode())
    context.set_ciphers("ALL:@SECLEVEL=0")  # this end would take anything
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    with (
        suppress(ssl.SSLError, ConnectionError),
        socket.create_connection((host, int(port)), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as wrapped,
    ):
        while wrapped.recv(4096):
            pass


@pytest.mark.req("IOT-5.4a", "IOT-9.1a", surface="protocol")
@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (ssl.TLSVersion.TLSv1_3, "no-certificate"),
        (ssl.TLSVersion.TLSv1_2, "tls-version"),
        (ssl.TLSVersion.TLSv1_1, "tls-version"),
        (ssl.TLSVersion.TLSv1, "tls-version"),
    ],
    ids=["no certificate", "TLS 1.2", "TLS 1.1", "TLS 1.0"],
)
async def test_the_uplink_serves_nobody_who_comes_with(hub: Hub, version: ssl.TLSVersion, reason: str, tmp_path: Path):
    store, refused = hub.installation.traces(), len(hub.installation.denied())
    await asyncio.to_thread(connect, hub, version)
    await eventually(lambda: hub.installation.denied(refused) == [reason], 10)
    assert hub.installation.traces() == store
    said = CliRunner().invoke(edge, ["status", "--state", str(tmp_path)])
    assert (said.exit_code, "run wardlink edge enrol TOKEN" in said.output) == (1, True)


async def test_who_sends_the_enrolment_door_what_is_no_request_is_told_and_noted(hub: Hub):
    context = ssl.create_default_context(cadata=hub.authority.pem.decode())
    bodies = (b"", b"\x00\xff", b"[]", b'{"secret": 5}', b'{"secret":"' + b"x" * 300 + b'"}')
    store, refused = hub.installation.traces(), len(hub.installation.denied())
    async with httpx.AsyncClient(base_url=hub.enrolment, verify=context, timeout=30) as client:
        for content in bodies:
            answer = await client.post("/enrolment", content=content, headers={"content-type": "application/json"})
            assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
            assert "csr_pem" in answer.json()["what_to_do"]
    assert hub.installation.denied(refused) == ["request"] * len(bodies)
    assert hub.installation.traces() == store
