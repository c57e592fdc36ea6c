"""What the hub does for the gateways' own pages: certificates, tickets, and acknowledgements that were given there."""

import ssl
import time
from dataclasses import replace

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID

from hub.core.errors import InvalidError
from hub.core.principal import Role
from hub.local_pages.domain import origin_of
from hub.local_pages.keys import load_or_make_key
from protocols.link import PAGE_ORIGIN, TICKET_KEY, Connection, Lane
from protocols.nomenclature import EVT_GATEWAY_STATUS
from protocols.record import Acknowledgement, DeviceEvent, SourcePath, Times
from protocols.ticket import read
from protocols.uplink_pb2 import HubMessage
from tests.fixtures.gateway_peer import Peer, Stream, make_key, make_request, open_channel, open_stream
from tests.fixtures.hub import PAGE_ORIGIN as ORIGIN
from tests.fixtures.hub import RunningHub, secret_of
from tests.fixtures.tickets import signed_ticket
from tests.fixtures.web import RunningWeb, deliver, fibrillation, heart_rate, now_ns

pytestmark = pytest.mark.integration
PAGE = "https://gateway-1.ward.example:8443"


async def told(hub: RunningHub, peer: Peer, page: str = PAGE) -> None:
    """The gateway has a device at the bed, and tells where its page is."""
    await deliver(hub, peer, Lane.NUMERIC, heart_rate(70, now_ns()))
    status = DeviceEvent(SourcePath("gateway-1"), EVT_GATEWAY_STATUS, Times(now_ns()), (("local_page", page),))
    await deliver(hub, peer, Lane.EVENT, status)
    hub.do("update gateway set addresses = '{gateway-1.ward.example}'")


def ticket_of(hub: RunningHub, account: int, **changed: object) -> str:
    return signed_ticket(load_or_make_key(hub.state), **{"gateway": "gateway-1", "account": account, **changed})


async def next_message(stream: Stream) -> HubMessage:
    raw = await stream.read()
    assert isinstance(raw, bytes)
    return HubMessage.FromString(raw)


async def account_of(hub: RunningHub, web: RunningWeb) -> tuple[int, httpx.AsyncClient]:
    nurse = await web.signed_in()
    return int(hub.rows("select account_id from account where name = 'li.na'")[0][0]), nurse


async def test_a_gateway_with_addresses_gets_a_server_certificate_for_them_and_for_nothing_else(hub: RunningHub):
    token = await hub.add("gateway-1", addresses=("gateway-1.ward.example", "10.0.7.2"))
    enrolled = await hub.gateways.enrol(secret_of(token), make_request(make_key(), "hub.example"), "test")
    page = x509.load_pem_x509_certificate(enrolled.server_certificate_pem.encode())
    page.verify_directly_issued_by(hub.authority.certificate)
    names = page.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["gateway-1.ward.example", "10.0.7.2"]
    usages = page.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.SERVER_AUTH], "it opens no uplink"
    client = x509.load_pem_x509_certificate(enrolled.certificate_pem.encode())
    assert client.public_key() == page.public_key()
    again = await hub.gateways.enrol(secret_of(await hub.add("gateway-1")), make_request(make_key()), "test")
    assert again.server_certificate_pem, "enrolling again keeps the addresses"
    none = await hub.gateways.enrol(secret_of(await hub.add("gateway-2")), make_request(make_key()), "test")
    assert none.server_certificate_pem == ""


@pytest.mark.parametrize("address", ["", "https://x", "a b", "x:8443", "-x", "10.0.7.256", "*.example", "a/b"])
async def test_what_is_no_address_is_refused_before_anything_is_made(hub: RunningHub, address: str):
    with pytest.raises(InvalidError):
        await hub.add("gateway-1", addresses=(address,))
    assert hub.rows("select 1 from gateway") == []


def test_a_gateway_cannot_send_tickets_elsewhere() -> None:
    allowed = ("gateway-1.ward.example", "127.0.0.1")
    assert origin_of(PAGE, allowed) == PAGE
    assert origin_of("http://127.0.0.1:7410", allowed) == "http://127.0.0.1:7410"
    for said in (
        "",
        "https://evil.example:8443",
        "http://gateway-1.ward.example",
        "ftp://127.0.0.1",
        "https://[",
        "https://x:99999",
        "https://gateway-1.ward.example@evil.example",
    ):
        assert origin_of(said, allowed) is None, said


async def test_a_gateway_is_told_which_pages_may_ask_it_and_the_key_of_the_tickets(hub: RunningHub):
    peer = await hub.peer()
    async with open_channel(hub.uplink, peer.credentials) as channel:
        stream = open_stream(channel)
        await stream.write(peer.sender.connected(Connection.DATA, 0).SerializeToString())
        messages = [await next_message(stream) for _ in range(3)]
        stream.cancel()
    settings = next(m.settings for m in messages if m.WhichOneof("message") == "settings")
    said = {one.key: one.value for one in settings.settings}
    assert said[PAGE_ORIGIN] == ORIGIN
    assert len(said[TICKET_KEY]) == 44


async def test_a_page_that_was_opened_before_its_gateway_told_anything_may_go_over_to_it_all_the_same(
    hub: RunningHub, web: RunningWeb
):
    peer, nurse = await hub.peer(), await web.signed_in()
    hub.do("update gateway set addresses = '{gateway-1.ward.example}'")

    async def may_connect_to() -> str:
        return (await nurse.get("/ward/7b")).headers["content-security-policy"].partition("connect-src 'self'")[2]

    assert await may_connect_to() == " https://gateway-1.ward.example:* wss://gateway-1.ward.example:*"
    await told(hub, peer)
    assert await may_connect_to() == f" {PAGE} wss://gateway-1.ward.example:8443"
    hub.do("update gateway set revoked_at = now()")
    assert not await may_connect_to()


async def test_a_ward_page_is_given_tickets_to_its_gateways_and_may_connect_to_them_alone(
    hub: RunningHub, web: RunningWeb
):
    await told(hub, await hub.peer())
    account, nurse = await account_of(hub, web)
    [page] = (await nurse.get("/api/v1/ward/7b/gateways")).json()["gateways"]
    assert (page["name"], page["origin"], page["beds"]) == ("gateway-1", PAGE, ["1"])
    key = load_or_make_key(hub.state).public_key().public_bytes_raw()
    ticket = read(page["ticket"], key, tenant="default", gateway="gateway-1", now_s=time.time())
    assert (ticket.account, ticket.ward, ticket.roles) == (account, "7b", ("nurse",))
    assert ticket.not_after_s - time.time() <= 8 * 3600
    for path in ("/ward/7b", "/ward/7b/bed/1"):
        policy = (await nurse.get(path)).headers["content-security-policy"]
        assert policy.endswith(f"connect-src 'self' {PAGE} wss://gateway-1.ward.example:8443"), path
    assert (await nurse.get("/sign-in")).headers["content-security-policy"].endswith("connect-src 'self'")
    assert hub.rows("select count(*) from audit where body like '%%ward.ticket%%'") == [(1,)]
    assert (await nurse.get("/api/v1/ward/8a/gateways")).status_code == 404
    assert (await web.client().get("/api/v1/ward/7b/gateways")).status_code == 401
    surgeon = await web.signed_in("wang.wei", Role.NURSE, ("8a",))
    assert (await surgeon.get("/api/v1/ward/8a/gateways")).json() == {"gateways": []}


async def test_an_acknowledgement_of_the_gateway_is_the_persons_with_both_times_and_in_the_audit(
    hub: RunningHub, web: RunningWeb
):
    peer = await hub.peer()
    account, nurse = await account_of(hub, web)
    alarm = fibrillation(now_ns() - 600_000_000_000)
    given_ns = now_ns() - 300_000_000_000
    await deliver(hub, peer, Lane.ALARM, alarm)
    seen = replace(
        alarm, evidence=None, times=Times(given_ns), acknowledged=Acknowledgement(given_ns, ticket_of(hub, account))
    )
    await deliver(hub, peer, Lane.ALARM, seen)
    detail = (await nurse.get(f"/api/v1/alarms/{alarm.id}")).json()
    assert detail["acknowledged"] == {"by": "Li.Na", "at_ms": given_ns // 1_000_000}
    assert [e["kind"] for e in detail["events"]] == ["detected", "sent", "stored", "acknowledged"], (
        "it is no change of the alarm"
    )
    [(who, where, apart)] = hub.rows(
        "select who, params ->> 'gateway', extract(epoch from stored_at - at) from alarm_event where kind = 'acknowledged'"
    )
    assert (who, where) == (f"user:{account}", "gateway:gateway-1")
    assert 299 < apart < 330
    [(principal, gateway)] = hub.rows(
        "select body::jsonb ->> 'principal', body::jsonb -> 'details' ->> 'gateway' from audit where body like '%%alarm.acknowledge%%'"
    )
    assert (principal, gateway) == (f"user:{account}", "gateway-1")
    assert hub.rows("select acknowledged_by from alarm") == [(f"user:{account}",)]


async def test_an_acknowledgement_that_overtakes_its_alarm_is_kept_with_it(hub: RunningHub, web: RunningWeb):
    peer = await hub.peer()
    account, nurse = await account_of(hub, web)
    alarm = fibrillation(now_ns() - 60_000_000_000)
    given_ns = now_ns() - 30_000_000_000
    await deliver(
        hub,
        peer,
        Lane.ALARM,
        replace(alarm, evidence=None, acknowledged=Acknowledgement(given_ns, ticket_of(hub, account))),
    )
    await deliver(hub, peer, Lane.ALARM, alarm)
    detail = (await nurse.get(f"/api/v1/alarms/{alarm.id}")).json()
    assert detail["acknowledged"]["at_ms"] == given_ns // 1_000_000
    assert detail["evidence"]["strip"] is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"tenant": "other"},
        {"gateway": "gateway-2"},
        {"roles": ["engineer"]},
        {"exp": 1_000_000_000},
        {"forged": True},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_an_acknowledgement_without_a_ticket_that_held_is_put_aside_and_the_alarm_goes_on(
    hub: RunningHub, web: RunningWeb, wrong: dict[str, object]
):
    peer = await hub.peer()
    account, nurse = await account_of(hub, web)
    alarm = fibrillation(now_ns() - 60_000_000_000)
    ticket = ticket_of(hub, account, **{k: v for k, v in wrong.items() if k != "forged"})
    if "forged" in wrong:
        ticket = signed_ticket(Ed25519PrivateKey.generate(), gateway="gateway-1", account=account)
    await deliver(
        hub, peer, Lane.ALARM, alarm, replace(alarm, evidence=None, acknowledged=Acknowledgement(now_ns(), ticket))
    )
    detail = (await nurse.get(f"/api/v1/alarms/{alarm.id}")).json()
    assert (detail["presence"], detail["acknowledged"]) == ("present", None)
    assert hub.rows("select reason from quarantine") == [("acknowledgement",)]
    assert not hub.rows("select 1 from audit where body like '%%alarm.acknowledge%%'")


async def test_the_enrolment_door_hands_the_server_certificate_over(hub: RunningHub):
    token = await hub.add("gateway-1", addresses=("127.0.0.1",))
    async with hub.client() as client:
        answer = await client.post("/enrolment", json={"secret": secret_of(token), "csr_pem": make_request(make_key())})
    assert answer.status_code == 201
    assert "BEGIN CERTIFICATE" in answer.json()["server_certificate_pem"]
    assert ssl.PEM_cert_to_DER_cert(answer.json()["server_certificate_pem"])
