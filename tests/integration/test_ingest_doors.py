"""Who may speak on the uplink, and what becomes of input that is none: over real TLS and gRPC."""

import asyncio
import json
import secrets

import grpc
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from hub.core import principal
from protocols.link import Connection, Lane
from protocols.nomenclature import EVT_CONNECTED
from protocols.record import DeviceEvent, SourcePath, Times
from protocols.uplink_pb2 import Batch, Envelope, GatewayMessage, Hello
from protocols.wire import MAX_MESSAGE_BYTES, MAX_RECORDS, encode_record
from tests.fixtures.gateway_peer import Credentials, Peer, key_pem, make_key, make_request, open_channel, open_stream
from tests.fixtures.hub import RunningHub, eventually
from tests.fixtures.waiting import PATIENCE_S

pytestmark = pytest.mark.integration
EVENT = DeviceEvent(SourcePath("cyton-1"), EVT_CONNECTED, Times(1_750_000_000 * 10**9))


def reasons(hub: RunningHub) -> list[str]:
    rows = hub.rows("select body from audit where action = 'uplink.connect' and outcome = 'denied' order by seq")
    return [json.loads(body)["details"]["reason"] for (body,) in rows]


async def refusal(hub: RunningHub, credentials: Credentials, *messages: bytes) -> tuple[grpc.StatusCode, str]:
    """Send messages and return how the hub ends the stream."""
    async with asyncio.timeout(PATIENCE_S), open_channel(hub.uplink, credentials) as channel:
        stream = open_stream(channel)
        try:
            for message in messages:
                await stream.write(message)
            while await stream.read() is not grpc.aio.EOF:
                pass
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass
        return await stream.code(), await stream.details() or ""


def hello(credentials: Credentials, **changes: object) -> bytes:
    fields = {
        "version": 1,
        "tenant": credentials.tenant,
        "gateway": credentials.gateway,
        "epoch": secrets.token_bytes(16),
        "connection": 2,
        **changes,
    }
    return GatewayMessage(hello=Hello(**fields)).SerializeToString()  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 2}, "hello-version"),
        ({"tenant": "other"}, "hello-tenant"),
        ({"gateway": "gateway-2"}, "hello-gateway"),
        ({"epoch": b"short"}, "hello-epoch"),
        ({"connection": 3}, "hello-connection"),
    ],
)
@pytest.mark.req("IOT-5.4a", surface="protocol")
async def test_a_hello_that_is_not_the_certificates_is_refused(
    hub: RunningHub, changes: dict[str, object], reason: str
):
    credentials = await hub.enrol("gateway-1")
    code, details = await refusal(hub, credentials, hello(credentials, **changes))
    assert (code, details.partition(":")[0]) == (grpc.StatusCode.PERMISSION_DENIED, reason)
    await eventually(lambda: reasons(hub) == [reason])


@pytest.mark.req("IOT-5.4a", surface="protocol")
async def test_a_certificate_that_the_hub_has_not_issued_is_refused(hub: RunningHub):
    key = make_key()
    forged = hub.authority.issue_gateway(x509.load_pem_x509_csr(make_request(key).encode()), "default", "gateway-1")
    credentials = Credentials(
        key_pem(key), forged.public_bytes(Encoding.PEM), hub.authority.pem, "default", "gateway-1"
    )
    code, details = await refusal(hub, credentials, hello(credentials))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert details.startswith("certificate-unknown")
    await eventually(lambda: reasons(hub) == ["certificate-unknown"])


async def test_a_gateway_that_comes_as_the_database_goes_away_is_told_to_come_again(hub: RunningHub):
    peer = await hub.peer()
    waiting = (
        "from pg_stat_activity where application_name like 'test %%' and wait_event_type = 'Lock' and query like %s"
    )
    asking = "%gateway_certificate%"
    with psycopg.connect(hub.database.url_for("wardlink_owner")) as owner:
        owner.execute("lock table gateway_certificate in access exclusive mode")
        coming = asyncio.create_task(refusal(hub, peer.credentials, hello(peer.credentials)))
        await eventually(lambda: hub.rows(f"select count(*) {waiting}", asking) == [(1,)], within_s=10.0)
        hub.do(f"select pg_terminate_backend(pid) {waiting}", asking)
        code, details = await asyncio.wait_for(coming, 10.0)
    assert (code, details.partition(":")[0]) == (grpc.StatusCode.UNAVAILABLE, "database")
    peer.batch(Lane.NUMERIC, [])
    await peer.deliver(hub.uplink, Connection.DATA)


async def test_a_connection_is_audited_once_however_much_comes_on_it(hub: RunningHub):
    peer = await hub.peer()
    for connection in (Connection.DATA, Connection.ALARM, Connection.DATA):
        for _ in range(3):
            peer.batch(connection.lanes[0], [])
        await peer.deliver(hub.uplink, connection)
    rows = hub.rows("select principal, target, outcome, body from audit where action = 'uplink.connect' order by seq")
    assert {row[:3] for row in rows} == {("gateway:gateway-1", "gateway:gateway-1", "done")}
    details = [json.loads(row[3])["details"] for row in rows]
    assert [one["connection"] for one in details] == ["data", "alarm", "data"]
    certificate = x509.load_pem_x509_certificate(peer.credentials.certificate_pem)
    assert {one["certificate"] for one in details} == {certificate.fingerprint(SHA256()).hex()}
    assert all(one["peer"].startswith("ipv4:127.0.0.1:") for one in details)


async def test_a_revoked_gateway_is_cut_off_and_refused(hub: RunningHub):
    peer = await hub.peer()
    running = asyncio.create_task(peer.run(hub.uplink, Connection.DATA, lambda: False))
    await eventually(lambda: len(peer.messages) >= 2)
    await hub.gateways.revoke(principal.operator("test", 1), "gateway-1", "lost")
    with pytest.raises(grpc.aio.AioRpcError) as cut:
        await running
    assert cut.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "gateway-revoked" in (cut.value.details() or "")
    code, details = await refusal(hub, peer.credentials, hello(peer.credentials))
    assert (code, details.partition(":")[0]) == (grpc.StatusCode.PERMISSION_DENIED, "gateway-revoked")


async def test_garbage_and_wrong_orders_are_refused_with_a_status_that_says_so(hub: RunningHub):
    credentials = await hub.enrol("gateway-1")
    greeting = hello(credentials)
    batch = GatewayMessage(batch=Batch(lane=Lane.NUMERIC.wire, n=1)).SerializeToString()
    alarm_lane = GatewayMessage(batch=Batch(lane=Lane.ALARM.wire, n=1)).SerializeToString()
    for messages, reason in (
        ((b"\xff\xff\xff",), "garbage"),
        ((greeting[:10],), "garbage"),
        ((batch,), "hello-missing"),
        ((greeting, greeting), "hello-twice"),
        ((greeting, b"\x00\x01garbage"), "garbage"),
        ((greeting, alarm_lane), "protocol"),
        ((greeting, GatewayMessage(batch=Batch(lane=Lane.NUMERIC.wire, n=0)).SerializeToString()), "protocol"),
    ):
        code, details = await refusal(hub, credentials, *messages)
        assert (code, details.partition(":")[0]) == (grpc.StatusCode.INVALID_ARGUMENT, reason), messages


def of_size(size: int) -> bytes:
    """A batch of lane event with one event, as large as is wanted, in its wrapper; its bytes without the wrapper are `size`."""
    made = Batch(lane=Lane.EVENT.wire, n=1, records=[Envelope(record=encode_record(EVENT))])
    made.records[0].record.event.text = "x" * (size - 16 - made.ByteSize())
    made.records[0].record.event.text += "x" * (size - made.ByteSize())
    assert made.ByteSize() == size
    return GatewayMessage(batch=made).SerializeToString()


def of_many(records: int) -> bytes:
    one = Envelope(record=encode_record(EVENT))
    return GatewayMessage(batch=Batch(lane=Lane.EVENT.wire, n=1, records=[one] * records)).SerializeToString()


@pytest.mark.parametrize(
    ("largest", "rejected", "beyond", "reason"),
    [
        (of_size(MAX_MESSAGE_BYTES), 1, of_size(MAX_MESSAGE_BYTES + 1), "message-too-large"),
        (of_many(MAX_RECORDS), 0, of_many(MAX_RECORDS + 1), "batch-too-long"),
    ],
    ids=["bytes", "records"],
)
async def test_the_largest_batch_is_taken_and_one_more_is_refused_with_its_reason(
    hub: RunningHub, largest: bytes, rejected: int, beyond: bytes, reason: str
):
    credentials = await hub.enrol("gateway-1")
    code, details = await refusal(hub, credentials, hello(credentials), beyond)
    assert (code, details.partition(":")[0]) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    await eventually(lambda: reasons(hub) == [reason])
    assert hub.rows("select count(*) from device_event where code = %s", EVENT.code) == [(0,)]
    peer = Peer(credentials, secrets.token_bytes(16))
    peer.batch(Lane.EVENT, [])
    peer.batches[Lane.EVENT, 1] = largest
    await peer.deliver(hub.uplink, Connection.DATA)
    # A text of a mebibyte is none that the database should have: the record waits for a person, the batch was taken.
    assert len(peer.rejected) == rejected
    assert reasons(hub) == [reason]


async def test_an_oversized_message_is_refused_and_the_next_stream_served(hub: RunningHub):
    peer = await hub.peer()
    code, _ = await refusal(hub, peer.credentials, hello(peer.credentials), b"\x12" + bytes(9 << 20))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    await peer.run(hub.uplink, Connection.DATA, lambda: len(peer.messages) >= 2)


async def test_two_gateways_do_not_see_each_others_positions(hub: RunningHub):
    epoch = secrets.token_bytes(16)
    first, second = Peer(await hub.enrol("gateway-1"), epoch), Peer(await hub.enrol("gateway-2"), epoch)
    first.batch(Lane.NUMERIC, [])
    await first.deliver(hub.uplink, Connection.DATA)
    await second.run(hub.uplink, Connection.DATA, lambda: len(second.messages) >= 2)
    assert [p.cumulative for p in second.messages[0].hello.positions] == [0, 0, 0]
