"""The gateway's own page over real sockets: whom it lets in, what it shows, and what it does to whoever is slow, long or many."""

import asyncio
import contextlib
import itertools
import json
import struct
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from edge.local import http as limits
from edge.local.strips import KEPT_S
from edge.local.terms import Terms
from protocols.record import RECORDED, Gap, Presence, Times
from protocols.ticket import TicketError
from tests.fixtures.local_page import GATEWAY, HUB, Served, placement, receive, serving
from tests.fixtures.waiting import PATIENCE_S
from tests.fixtures.web import SOURCE, fibrillation, heart_rate, now_ns, strip

pytestmark = pytest.mark.integration


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


def feed(page: Served, seconds: float, start_ns: int | None = None, first: int = 0) -> int:
    """Half-second groups of two leads; the time of the first sample."""
    start_ns = now_ns() - round(seconds * 1e9) if start_ns is None else start_ns
    for number in range(round(seconds * 2)):
        page.room.take([strip(first + 125 * number, start_ns + number * 500_000_000)])
    return start_ns


def head(frame: bytes) -> tuple[int, int, int, int, int, float, float]:
    """Kind, lead, number, bed, n, t0 in ms, first sample."""
    _, kind, lead, number, bed, _, _, n, t0, first, _ = struct.unpack_from("<BBHIIffIddd", frame)
    return kind, lead, number, bed, n, t0, first


async def test_the_page_itself_says_nothing_of_a_patient_and_asks_nothing_of_another_host(page: Served):
    feed(page, 1)
    page.room.take([fibrillation(now_ns()), heart_rate(72, now_ns())])
    async with page.client("") as visitor:
        for path in ("/", "/static/local.js", "/static/ward.css"):
            answer = await visitor.get(path)
            assert answer.status_code == 200, path
            assert not {"7b", "cyton", "p-1"} & set(answer.text.split('"')), path
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        again = await visitor.get(
            "/static/ward.js", headers={"If-None-Match": (await visitor.get("/static/ward.js")).headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
        for path in ("/static/../terms.py", "/static/%2e%2e/catalogue.py", "/static/", "/lang/xx", "/nothing"):
            assert (await visitor.get(path)).status_code == 404, path
        english = await visitor.get("/", headers={"Cookie": "wl_lang=en"})
        assert '<html lang="en"' in english.text


async def test_a_ward_is_told_to_whoever_has_a_ticket_for_it(page: Served):
    feed(page, 1)
    page.room.take([heart_rate(72, now_ns())])
    async with page.client() as nurse:
        ward = (await nurse.get("/api/v1/ward/7b")).json()
    assert ward["ward"] == {"id": "7b", "name": "Ward 7B"}
    [bed] = ward["beds"]
    assert (bed["id"], bed["link"]["state"], bed["link"]["gateway"]) == ("1", "live", GATEWAY)
    assert [(lead["index"], lead["short"], lead["source"]) for lead in bed["leads"]] == [
        (0, "I", str(SOURCE)),
        (1, "II", str(SOURCE)),
    ]
    assert [(n["code"], n["value"]) for n in bed["numerics"]] == [("MDC_ECG_HEART_RATE", 72)]
    assert bed["limits"] == [{"code": "MDC_ECG_HEART_RATE", "low": 50, "high": 120, "unit": "/min"}]
    assert bed["who"] == {"masked_name": "", "age": None, "sex": None}


async def test_what_a_cart_hands_over_as_a_recording_is_not_shown_as_live(page: Served):
    recorded = replace(SOURCE, path=(RECORDED, "2026-11-21"))
    page.room.take([replace(strip(0, now_ns()), source=recorded), replace(heart_rate(72, now_ns()), source=recorded)])
    async with page.client() as nurse:
        [bed] = (await nurse.get("/api/v1/ward/7b")).json()["beds"]
    assert (bed["leads"], bed["numerics"], bed["link"]["state"]) == ([], [], "never")


@pytest.mark.parametrize(
    ("changed", "status", "reason"),
    [
        ({"ward": "8a"}, 403, "the ticket is for the ward 8a"),
        ({"tenant": "other"}, 401, "another hospital"),
        ({"gateway": "gateway-8a"}, 401, "for the gateway gateway-8a"),
        ({"exp": int(time.time()) - 1}, 401, "expired"),
        ({"nbf": int(time.time()) + 3600}, 401, "does not hold yet"),
    ],
)
async def test_a_ticket_for_something_else_opens_nothing(
    page: Served, changed: dict[str, object], status: int, reason: str
):
    alarm = fibrillation(now_ns())
    page.room.take([alarm])
    ticket = page.ticket(**changed)
    async with page.client(ticket) as visitor:
        answers = [await visitor.get("/api/v1/ward/7b"), await visitor.get("/sse/ward/7b")]
        seen = await visitor.post(f"/api/v1/alarms/{alarm.id}/acknowledge")
    for answer in answers:
        assert answer.status_code == status, answer.text
        assert reason in answer.json()["detail"]
    assert seen.status_code in (status, 404)
    assert not page.acknowledged
    with pytest.raises(InvalidStatus) as refused:
        async with page.socket(ticket):
            pass
    assert refused.value.response.status_code == status


async def test_a_forged_a_garbled_and_no_ticket_open_nothing(page: Served):
    own, page.key = page.key, Ed25519PrivateKey.generate()
    forged = page.ticket()
    page.key = own
    for ticket in (forged, page.ticket() + "A", "wlt1..", "x" * 5000, "", "Bearer"):
        async with page.client(ticket) as visitor:
            answer = await visitor.get("/api/v1/ward/7b")
        assert answer.status_code == 401, ticket[:40]
        assert answer.headers["www-authenticate"] == "Bearer"
    for offered in ((), ("wardlink",), ("wardlink", f"ticket.{forged}")):
        with pytest.raises(InvalidStatus) as refused:
            async with page.socket(offered=offered):
                pass
        assert refused.value.response.status_code == 401


async def test_a_gateway_that_the_hub_never_told_a_key_lets_nobody_in(page: Served, tmp_path: Path):
    with pytest.raises(TicketError, match="never told"):
        Terms(tmp_path / "none.pb", "default", GATEWAY).admit(page.ticket())
    kept = Terms(tmp_path / "settings.pb", "default", GATEWAY)
    assert kept.admit(page.ticket()).name == "Li Na", "what the hub said is known after a restart, without the hub"


async def test_only_pages_of_the_hub_may_ask_across_origins(page: Served):
    preflight = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    async with page.client("") as browser:
        allowed = await browser.options("/api/v1/ward/7b", headers={"Origin": HUB, **preflight})
        other = await browser.options("/api/v1/ward/7b", headers={"Origin": "https://evil.example", **preflight})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, HUB)
    assert "authorization" in allowed.headers["access-control-allow-headers"]
    assert (other.status_code, other.headers.get("access-control-allow-origin")) == (403, None)
    async with page.client(Origin="https://evil.example") as evil:
        assert (await evil.get("/api/v1/ward/7b")).status_code == 403
    with pytest.raises(InvalidStatus):
        async with page.socket(origin="https://evil.example"):
            pass
    async with page.socket(origin=HUB), page.socket(origin=f"http://{page.netloc}"):
        pass


async def test_strips_go_on_from_where_the_screen_says_with_every_frame_numbered(page: Served):
    start_ns = feed(page, 20)
    since_ms = start_ns / 1e6 + 12_000
    async with page.socket(query=f"?since_ms={since_ms}") as socket:
        old = [head(frame) for frame in await receive(socket, 2 * 16)]
        feed(page, 1, start_ns + 20_000_000_000, 125 * 40)
        new = [head(frame) for frame in await receive(socket, 4)]
    assert [frame[2] for frame in old + new] == list(range(36)), "numbered without a hole"
    for lead in (0, 1):
        of_lead = [frame for frame in old + new if frame[1] == lead]
        ends = [(first, first + n) for _, _, _, _, n, _, first in of_lead]
        assert all(a[1] == b[0] for a, b in itertools.pairwise(ends)), "no sample is missing or comes twice"
        assert of_lead[0][5] <= since_ms + 500
        assert ends[-1][1] == 125 * 42


async def test_a_hole_in_the_samples_is_a_gap_on_the_strip_with_its_reason_or_unknown(page: Served):
    start_ns = feed(page, 2)
    told = Gap(
        SOURCE,
        start_ns + 2_000_000_000,
        start_ns + 3_000_000_000,
        "link_lost",
        recoverable=False,
        times=Times(start_ns),
    )
    page.room.take([told])
    feed(page, 1, start_ns + 3_000_000_000, 125 * 6)
    feed(page, 1, start_ns + 5_000_000_000, 125 * 10)
    async with page.socket() as socket:
        frames = await receive(socket, 2 * (4 + 1 + 2 + 1 + 2))
    gaps = [(frame[48:].decode(), head(frame)[5]) for frame in frames if head(frame)[:2] == (2, 0)]
    assert gaps == [("link_lost", start_ns / 1e6 + 2000), ("unknown", start_ns / 1e6 + 4000)]


async def test_no_more_than_a_minute_and_a_half_is_kept_of_a_strip(page: Served):
    feed(page, 200)
    async with page.socket() as socket:
        first = head((await receive(socket, 1))[0])
        frames = [first, *(head(frame) for frame in await receive(socket, int(2 * 2 * KEPT_S) - 1))]
    assert {frame[0] for frame in frames} == {1}
    assert frames[-1][5] - frames[0][5] <= KEPT_S * 1000


async def read_events(answer: httpx.Response, n: int) -> list[tuple[str, dict[str, object], str]]:
    found: list[tuple[str, dict[str, object], str]] = []
    name, number = "", ""
    async with asyncio.timeout(PATIENCE_S):
        async for line in answer.aiter_lines():
            key, _, value = line.partition(": ")
            if key == "event":
                name, number = value, ""
            elif key == "id":
                number = value
            elif key == "data":
                found.append((name, json.loads(value), number))
                if len(found) == n:
                    break
    return found


async def test_alarms_numbers_and_their_order_come_as_the_hub_tells_them(page: Served):
    async with page.client() as nurse, nurse.stream("GET", "/sse/ward/7b") as answer:
        asyncio.get_running_loop().call_later(
            0.2, lambda: page.room.take([heart_rate(71, now_ns()), fibrillation(now_ns())])
        )
        events = await read_events(answer, 3)
    assert [name for name, _, _ in events] == ["hello", "alarm", "numeric"]
    by_name = {name: data for name, data, _ in events}
    assert by_name["numeric"]["value"] == 71
    assert by_name["alarm"]["bed"] == "1"
    assert by_name["alarm"]["presence"] == "present"


async def test_a_page_that_comes_back_gets_every_event_that_it_missed_once(page: Served):
    first, second = fibrillation(now_ns()), fibrillation(now_ns() + 1_000_000)
    page.room.take([first])
    last = page.room.last_event
    page.room.take([second])
    async with page.client(**{"Last-Event-ID": str(last)}) as nurse, nurse.stream("GET", "/sse/ward/7b") as answer:
        events = await read_events(answer, 2)
    assert [(name, data.get("id")) for name, data, _ in events] == [("hello", None), ("alarm", str(second.id))]
    async with page.client(**{"Last-Event-ID": "7"}) as nurse, nurse.stream("GET", "/sse/ward/7b") as answer:
        assert [name for name, _, _ in await read_events(answer, 2)] == ["hello", "reset"]


async def test_an_acknowledgement_has_who_and_when_and_the_first_one_stays(page: Served):
    alarm = fibrillation(now_ns())
    page.room.take([alarm])
    other = page.ticket(name="Wang Wei", account=13)
    async with page.client() as nurse, page.client(other) as colleague:
        first = (await nurse.post(f"/api/v1/alarms/{alarm.id}/acknowledge")).json()
        second = (await colleague.post(f"/api/v1/alarms/{alarm.id}/acknowledge")).json()
        assert first["acknowledged"]["by"] == second["acknowledged"]["by"] == "Li Na"
        page.room.take([fibrillation(alarm.onset_ns, Presence.LATCHED, 9_000_000_000, evidence=False)])
        ended = await colleague.post(f"/api/v1/alarms/{alarm.id}/acknowledge")
        assert ended.status_code == 409, "it is latched, so with an acknowledgement it is over"
        told = (await nurse.get(f"/api/v1/alarms/{alarm.id}")).json()
        assert (await nurse.post(f"/api/v1/alarms/{uuid4()}/acknowledge")).status_code == 404
        assert (await nurse.post(f"/api/v1/alarms/{alarm.id}/shown", json={"painted_ms": 1})).status_code == 204
    assert [kind["kind"] for kind in told["events"]] == ["detected", "acknowledged", "latched"]
    assert told["evidence"]["strip"]["leads"][0]["short"] == "I"
    assert told["presence"] == "ended"
    assert len(page.acknowledged) == 1


async def test_an_engineer_sees_the_ward_and_acknowledges_nothing(page: Served):
    alarm = fibrillation(now_ns())
    page.room.take([alarm])
    async with page.client(page.ticket(roles=["engineer"])) as engineer:
        assert (await engineer.get("/api/v1/ward/7b")).status_code == 200
        assert (await engineer.post(f"/api/v1/alarms/{alarm.id}/acknowledge")).status_code == 403
    assert not page.acknowledged


async def test_an_alarm_of_another_ward_is_not_there(page: Served):
    alarm = fibrillation(now_ns())
    page.room.take([alarm])
    async with page.client(page.ticket(ward="8a")) as nurse:
        assert (await nurse.get(f"/api/v1/alarms/{alarm.id}")).status_code == 404
        assert (await nurse.get("/api/v1/ward/8a")).json()["alarms"] == []


async def test_streams_end_when_the_ticket_does(page: Served):
    ticket = page.ticket(exp=int(time.time()) + 2)
    async with page.socket(ticket) as socket:
        async with page.client(ticket) as nurse, nurse.stream("GET", "/sse/ward/7b") as answer:
            async with asyncio.timeout(8):
                async for _ in answer.aiter_lines():
                    pass
        with pytest.raises(ConnectionClosed) as ended:
            await to_the_end(socket)
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 4401


async def test_a_device_that_moves_to_another_bed_moves_on_the_page(page: Served):
    feed(page, 1)
    async with page.socket() as socket:
        await receive(socket, 4)
        page.room.place(placement("cyton-9"))
        with pytest.raises(ConnectionClosed) as ended:
            await receive(socket, 1)
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1012
    async with page.client() as nurse:
        [bed] = (await nurse.get("/api/v1/ward/7b")).json()["beds"]
    assert bed["leads"] == []


async def to_the_end(socket: ClientConnection) -> None:
    async with asyncio.timeout(8):
        while True:
            await socket.recv()


async def raw(page: Served, data: bytes, within_s: float = 20) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", page.server.port)
    try:
        writer.write(data)
        await writer.drain()
        async with asyncio.timeout(within_s):
            return await reader.read()
    finally:
        writer.close()


async def test_headers_bodies_and_garbage_beyond_the_bounds_are_refused(page: Served):
    long = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * (limits.HEADER_BYTES + 1000) + b"\r\n\r\n"
    assert (await raw(page, long)).startswith(b"HTTP/1.1 431")
    body = b"POST /api/v1/alarms/x/shown HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n" + b"b" * 9000
    assert (await raw(page, body)).startswith(b"HTTP/1.1 413")
    assert (await raw(page, b"\x16\x03\x01 this is no HTTP\r\n\r\n")).startswith(b"HTTP/1.1 400")
    async with page.client("") as visitor:
        assert (await visitor.get("/")).status_code == 200, "and everything else goes on"


async def test_a_peer_that_sends_a_byte_now_and_then_is_let_go(page: Served):
    reader, writer = await asyncio.open_connection("127.0.0.1", page.server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
    async with asyncio.timeout(limits.REQUEST_WITHIN_S + 5):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408")
    writer.close()


async def test_more_connections_of_one_peer_than_a_screen_needs_are_closed_and_others_go_on(page: Served):
    opened = [await asyncio.open_connection("127.0.0.1", page.server.port) for _ in range(limits.MAX_OF_ONE_PEER + 4)]
    try:
        await asyncio.sleep(0.3)
        closed = [reader.at_eof() for reader, _ in opened]
        assert sum(closed) == 4
    finally:
        for _, writer in opened:
            writer.close()
    await asyncio.sleep(0.3)
    async with page.client() as nurse:
        assert (await nurse.get("/api/v1/ward/7b")).status_code == 200


async def test_a_screen_that_takes_nothing_is_let_go_and_holds_up_nobody(page: Served):
    handshake = (
        "GET /ws/ward/7b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: wardlink, ticket.{page.ticket()}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", page.server.port, limit=1024)
    writer.write(handshake.encode())
    async with asyncio.timeout(5):
        assert b"101" in await reader.readline()
    began = time.monotonic()
    start_ns, first = now_ns(), 0
    async with page.socket() as lively:
        while page.server.connections > 1:
            page.room.take([strip(first, start_ns + first * 4_000_000, 2500)])
            first += 2500
            frames = await receive(lively, 2)
            assert len(frames) == 2
            await asyncio.sleep(0.002)
            assert time.monotonic() - began < 60
    writer.close()


async def test_a_screen_that_floods_or_sends_what_is_too_long_is_let_go(page: Served):
    for messages, code in ((["x" * 5000], 1009), (["x"] * 200, 1008)):
        async with page.socket() as socket:
            for message in messages:
                with contextlib.suppress(ConnectionClosed):
                    await socket.send(message)
            with pytest.raises(ConnectionClosed) as ended:
                await to_the_end(socket)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == code
