"""What a ward page gets: the state, events that resume without loss, strips in numbered frames; fed through the real uplink."""

import asyncio
import json
import struct
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from hub.core.principal import Role
from protocols.link import Connection, Lane
from protocols.nomenclature import HEART_RATE, LINK_LOSS, V_FIB, lead
from protocols.record import Gap, Presence, Times
from protocols.wire import encode_record
from tests.fixtures.gateway_peer import open_channel, open_stream
from tests.fixtures.hub import RunningHub
from tests.fixtures.waiting import PATIENCE_S
from tests.fixtures.web import (
    FS_HZ,
    OPERATOR,
    SOURCE,
    UV,
    RunningWeb,
    deliver,
    fibrillation,
    furnish,
    heart_rate,
    now_ns,
    running_web,
    strip,
)

pytestmark = pytest.mark.integration
HEADER = struct.Struct("<BBHIIffIddd")


@dataclass
class Event:
    name: str
    data: dict[str, Any]
    event_id: str | None


@asynccontextmanager
async def events(client: httpx.AsyncClient, after: int | None = None) -> AsyncGenerator[AsyncIterator[Event]]:
    """Open the ward's stream as an EventSource does."""
    headers = {"Accept": "text/event-stream"} | ({} if after is None else {"Last-Event-ID": str(after)})
    async with client.stream("GET", "/sse/ward/7b", headers=headers, timeout=20) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _parsed(answer)


async def _parsed(answer: httpx.Response) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line.startswith(":"):
            yield Event("beat", {}, None)
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield Event(fields["event"], json.loads(fields["data"]), fields.get("id"))
            fields = {}


async def wanted(stream: AsyncIterator[Event], name: str, within_s: float = 10) -> Event:
    """The next event of a name."""
    async with asyncio.timeout(within_s):
        async for event in stream:
            if event.name == name:
                return event
    raise AssertionError(f"the stream ended before {name}")


async def test_the_ward_tells_beds_numbers_limits_and_masked_names(hub: RunningHub, web: RunningWeb):
    peer, start = await hub.peer(), now_ns()
    await deliver(hub, peer, Lane.WAVEFORM, strip(0, start))
    await deliver(hub, peer, Lane.NUMERIC, heart_rate(61, start - 1_000_000_000), heart_rate(62, start))
    client = await web.signed_in()
    state = (await client.get("/api/v1/ward/7b")).json()
    assert state["ward"] == {"id": "7b", "name": "Cardiology 7B"}
    (bed,) = state["beds"]
    assert (bed["id"], bed["label"]) == ("1", "1")
    assert bed["who"] == {"masked_name": "王**", "age": None, "sex": "M"}
    assert [(x["index"], x["code"], x["short"]) for x in bed["leads"]] == [(0, lead("I"), "I"), (1, lead("II"), "II")]
    at_ms = start // 1_000_000
    assert bed["numerics"] == [{"code": HEART_RATE, "value": 62, "unit": "/min", "at_ms": at_ms, "quality": "good"}]
    assert bed["limits"] == [{"code": HEART_RATE, "unit": "/min", "low": 50, "high": 120}]
    assert (bed["link"]["state"], bed["link"]["gateway"], bed["link"]["device"]) == ("live", "gateway-1", "cyton-1")
    assert (state["alarms"], state["last_event_id"]) == ([], 0)
    assert abs(state["now_ms"] - time.time() * 1000) < 2000
    assert "王小明" not in (await client.get("/ward/7b")).text


async def test_a_name_is_spelt_for_the_search_as_far_as_the_mask_shows_it(hub: RunningHub, web: RunningWeb):
    nurse = await web.signed_in()
    state = (await nurse.get("/api/v1/ward/7b")).json()
    assert state["beds"][0]["who"]["masked_name"] == "王**"
    assert state["spelt"] == {"王": ["wang", "yu"]}, "of 王小明 nothing else; the characters of a name each by itself"
    await deliver(hub, await hub.peer(), Lane.ALARM, fibrillation(now_ns() - 10_000_000_000))
    spelt = (await nurse.get("/api/v1/ward/7b")).json()["spelt"]
    assert [spelt[char][0] for char in "心室颤动"] == ["xin", "shi", "chan", "dong"], "the alarm's name too"
    assert not {"小", "明"} & set(spelt)
    administrator = await web.signed_in("admin", Role.ADMINISTRATOR, ())
    assert "王" not in (await administrator.get("/api/v1/ward/7b")).json()["spelt"], "whoever may not know the patient"


@pytest.mark.req("IOT-6.3f", surface="api")
async def test_an_alarm_from_the_edge_reaches_the_nurse_by_itself_with_the_strip_that_decided_it(
    hub: RunningHub, web: RunningWeb
):
    peer, client = await hub.peer(), await web.signed_in()
    alarm = fibrillation(now_ns() - 5_000_000_000)
    async with events(client) as stream:
        await wanted(stream, "hello")
        await deliver(hub, peer, Lane.ALARM, alarm)
        told = await wanted(stream, "alarm")
    assert (told.data["id"], told.data["code"], told.data["bed"]) == (str(alarm.id), V_FIB, "1")
    assert (told.data["priority"], told.data["presence"], told.data["acknowledged"]) == ("high", "present", None)
    assert told.data["onset_ms"] * 1_000_000 == alarm.onset_ns
    assert told.data["params"] == {"window_s": 4.0}
    detail = (await client.get(f"/api/v1/alarms/{alarm.id}")).json()
    evidence = detail["evidence"]
    assert (evidence["rule"], evidence["rule_version"], evidence["confidence"]) == ("lethal", "1", 0.97)
    assert (evidence["beats"], evidence["deciding_sample"]) == ([1010, 1100], 1200)
    assert alarm.evidence is not None
    assert alarm.evidence.strip is not None
    group = alarm.evidence.strip
    expected = np.clip(np.rint(group.array() * UV), -32767, 32767).astype(int)
    assert [line["samples"] for line in evidence["strip"]["leads"]] == expected.tolist()
    assert [line["uv_per_lsb"] for line in evidence["strip"]["leads"]] == [1.0, 1.0]
    assert (evidence["strip"]["fs_hz"], evidence["strip"]["first_sample"]) == (FS_HZ, 1000)
    assert us(evidence["strip"]["t0_ms"]) == group.times.best_ns // 1000
    assert [event["kind"] for event in detail["events"]] == ["detected", "sent", "stored"]
    page = await client.get(f"/alarm/{alarm.id}", headers={"Accept": "text/html"})
    assert (page.status_code, str(alarm.id) in page.text) == (200, True)


async def test_the_first_acknowledgement_stays_and_every_screen_hears_of_it(hub: RunningHub, web: RunningWeb):
    peer, first, second = await hub.peer(), await web.signed_in("li.na"), await web.signed_in("wu.jun")
    alarm = fibrillation(now_ns() - 5_000_000_000)
    await deliver(hub, peer, Lane.ALARM, alarm)
    path = f"/api/v1/alarms/{alarm.id}/acknowledge"
    async with events(second) as stream:
        await wanted(stream, "hello")
        answer = (await first.post(path)).json()
        assert answer["acknowledged"]["by"] == "Li.Na"
        heard = await wanted(stream, "alarm")
    assert heard.data["acknowledged"] == answer["acknowledged"]
    again = [await browser.post(path) for browser in (first, second)]
    assert [(a.status_code, a.json()["acknowledged"]) for a in again] == [(200, answer["acknowledged"])] * 2
    assert hub.rows("select count(*) from alarm_event where kind = 'acknowledged'") == [(1,)]
    ((target,),) = hub.rows("select target from audit where action = 'alarm.acknowledge' and outcome = 'done'")
    assert target == f"alarm:{alarm.id}"
    await deliver(hub, peer, Lane.ALARM, fibrillation(alarm.onset_ns, Presence.ENDED, 6_000_000_000))
    over = await second.post(path)
    assert (over.status_code, over.json()["type"]) == (409, "urn:wardlink:problem:alarm-over")
    assert (await first.post(path)).status_code == 200  # her own press again, after an answer that was lost
    assert (await first.get("/api/v1/ward/7b")).json()["alarms"] == []


async def test_a_latched_alarm_stays_until_somebody_has_seen_it(hub: RunningHub, web: RunningWeb):
    peer, client = await hub.peer(), await web.signed_in()
    onset = now_ns() - 20_000_000_000
    for presence, after_s in ((Presence.PRESENT, 5), (Presence.LATCHED, 15)):
        await deliver(hub, peer, Lane.ALARM, fibrillation(onset, presence, after_s * 1_000_000_000))
    (alarm,) = (await client.get("/api/v1/ward/7b")).json()["alarms"]
    assert (alarm["presence"], alarm["acknowledged"]) == ("latched", None)
    seen = (await client.post(f"/api/v1/alarms/{alarm['id']}/acknowledge")).json()
    assert seen["presence"] == "ended"
    assert (await client.get("/api/v1/ward/7b")).json()["alarms"] == []


async def test_an_administrator_sees_alarms_and_may_not_acknowledge(hub: RunningHub, web: RunningWeb):
    alarm = fibrillation(now_ns() - 5_000_000_000)
    await deliver(hub, await hub.peer(), Lane.ALARM, alarm)
    client = await web.signed_in("admin", Role.ADMINISTRATOR, ())
    assert (await client.get(f"/api/v1/alarms/{alarm.id}")).status_code == 200
    answer = await client.post(f"/api/v1/alarms/{alarm.id}/acknowledge")
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:wardlink:problem:forbidden")
    assert hub.rows("select outcome from audit where action = 'alarm.acknowledge'") == [("denied",)]


async def test_an_alarm_of_another_ward_is_as_if_it_were_not_there(hub: RunningHub, web: RunningWeb):
    alarm = fibrillation(now_ns() - 5_000_000_000)
    await deliver(hub, await hub.peer(), Lane.ALARM, alarm)
    client = await web.signed_in("wu.jun", wards=("8a",))
    for method, tail in (("GET", ""), ("POST", "/acknowledge")):
        assert (await client.request(method, f"/api/v1/alarms/{alarm.id}{tail}")).status_code == 404
    async with events(await web.signed_in("li.na")) as stream:
        await wanted(stream, "hello")
    assert (await client.get("/sse/ward/7b")).status_code == 404


async def test_each_screen_confirms_the_paint_once_and_with_a_time_that_can_be(hub: RunningHub, web: RunningWeb):
    alarm = fibrillation(now_ns() - 5_000_000_000)
    await deliver(hub, await hub.peer(), Lane.ALARM, alarm)
    clients = [await web.signed_in("li.na"), await web.signed_in("wu.jun")]
    path, painted = f"/api/v1/alarms/{alarm.id}/shown", now_ns() // 1_000_000
    for client in (*clients, clients[0]):
        assert (await client.post(path, json={"painted_ms": painted})).status_code == 204
    rows = hub.rows("select who, extract(epoch from at) * 1000 from alarm_event where kind = 'shown' order by event_id")
    assert [int(at) for _, at in rows] == [painted] * 2
    assert len({who for who, _ in rows}) == 2
    for absurd in (alarm.onset_ns // 1_000_000 - 1, painted + 60_000):
        assert (await clients[0].post(path, json={"painted_ms": absurd})).status_code == 422


async def test_events_resume_without_loss_or_repetition_across_a_restart_of_the_server(hub: RunningHub):
    peer, onset = await hub.peer(), now_ns() - 60_000_000_000
    alarms = [fibrillation(onset + i * 1_000_000_000, evidence=False) for i in range(30)]
    told: list[tuple[str, str]] = []
    async with running_web(hub.database, hub.live_path) as before:
        await furnish(before)
        client = await before.signed_in()
        async with events(client) as stream:
            await wanted(stream, "hello")
            await deliver(hub, peer, Lane.ALARM, *alarms[:10])
            for _ in range(7):  # the server goes before the page has read the rest
                event = await wanted(stream, "alarm")
                told.append((event.event_id or "", event.data["id"]))
    await deliver(hub, peer, Lane.ALARM, *alarms[10:20])
    async with running_web(hub.database, hub.live_path) as after:
        back = after.client()
        back.cookies.update(client.cookies)
        async with events(back, int(told[-1][0])) as stream:
            await wanted(stream, "hello")
            await deliver(hub, peer, Lane.ALARM, *alarms[20:])
            while len(told) < 30:
                event = await wanted(stream, "alarm")
                told.append((event.event_id or "", event.data["id"]))
    assert [alarm for _, alarm in told] == [str(alarm.id) for alarm in alarms]
    numbers = [int(event) for event, _ in told]
    assert numbers == sorted(set(numbers))


async def test_an_alarm_is_told_within_two_seconds_without_live_push_and_notices(hub: RunningHub, web: RunningWeb):
    client = await web.signed_in()
    peer = await hub.peer()
    async with running_web(hub.database, hub.state / "nobody-listens.sock") as deaf:
        hub.do("alter table alarm_event disable trigger user")
        browser = deaf.client()
        browser.cookies.update(client.cookies)
        async with events(browser) as stream:
            await wanted(stream, "hello")
            await deliver(hub, peer, Lane.ALARM, fibrillation(now_ns() - 5_000_000_000))
            await wanted(stream, "alarm", within_s=2)


@pytest.mark.parametrize("last", ["999999", "not-a-number"])
async def test_a_page_that_names_an_event_nobody_knows_fetches_everything(web: RunningWeb, last: str):
    client = await web.signed_in()
    headers = {"Last-Event-ID": last}
    async with client.stream("GET", "/sse/ward/7b", headers=headers, timeout=10) as answer:
        stream = _parsed(answer)
        assert [(await anext(stream)).name for _ in range(2)] == ["hello", "reset"]


async def test_numbers_come_as_they_are_measured_and_the_stream_beats(hub: RunningHub, web: RunningWeb):
    peer, client, start = await hub.peer(), await web.signed_in(), now_ns()
    async with events(client) as stream:
        await wanted(stream, "hello")
        await deliver(hub, peer, Lane.NUMERIC, heart_rate(75, start))
        number = await wanted(stream, "numeric")
        assert (number.data["bed"], number.data["code"], number.data["value"]) == ("1", HEART_RATE, 75)
        await deliver(hub, peer, Lane.NUMERIC, heart_rate(60, start - 60_000_000_000))  # of a backlog
        began = time.monotonic()
        assert (await anext(stream)).name in ("beat", "link")
        assert time.monotonic() - began < 2.5


async def test_a_device_that_falls_silent_is_shown_within_three_seconds_of_its_last_sample(
    hub: RunningHub, web: RunningWeb
):
    peer, client = await hub.peer(), await web.signed_in()
    done = False

    async def send() -> None:
        for i in range(4):
            peer.batch(Lane.WAVEFORM, [encode_record(strip(i * 125, now_ns()))])
            await asyncio.sleep(0.25)

    async with events(client) as stream:
        await wanted(stream, "hello")
        running = asyncio.create_task(peer.run(hub.uplink, Connection.DATA, lambda: done))
        await send()
        await peer.deliver(hub.uplink, Connection.DATA) if running.done() else None
        last = time.monotonic()
        while (link := (await wanted(stream, "link")).data)["link"]["state"] == "live":
            pass
        assert time.monotonic() - last < 3
        assert (link["bed"], link["link"]["device"]) == ("1", "cyton-1")
        assert link["link"]["state"] in ("device_silent", "gateway_lost")
        done = True
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_links_are_lost_on_every_page_when_ingest_stops(hub: RunningHub, web: RunningWeb):
    client = await web.signed_in()
    await deliver(hub, await hub.peer(), Lane.WAVEFORM, strip(0, now_ns()))
    async with events(client) as stream:
        await wanted(stream, "hello")
        began = time.monotonic()
        await hub.server.stop()
        while (await wanted(stream, "link")).data["link"]["state"] != "gateway_lost":
            pass
        assert time.monotonic() - began < 3


async def test_a_stream_ends_with_its_session(hub: RunningHub, web: RunningWeb):
    client = await web.signed_in()
    async with events(client) as stream, asyncio.timeout(15):
        await wanted(stream, "hello")
        hub.do("update account_session set ended_at = now()")
        async for _ in stream:
            pass


async def test_pages_start_over_when_a_bed_gets_another_device(hub: RunningHub, web: RunningWeb):
    client = await web.signed_in()
    async with events(client) as stream:
        await wanted(stream, "hello")
        await web.placement.add_bed(OPERATOR, "7b", "2")
        await web.placement.place_device(OPERATOR, "cyton-2", "7b", "2")
        await wanted(stream, "reset")
    assert [bed["id"] for bed in (await client.get("/api/v1/ward/7b")).json()["beds"]] == ["1", "2"]


@dataclass
class Frame:
    kind: int
    lead: int
    number: int
    bed: int
    fs_hz: float
    step: float
    n: int
    t0_ms: float
    first_sample: float
    end_ms: float
    body: bytes


def read_frame(message: bytes | str) -> Frame:
    assert isinstance(message, bytes)
    version, kind, lead_index, number, bed, fs_hz, step, n, t0_ms, first, end_ms = HEADER.unpack_from(message)
    assert (version, HEADER.size) == (1, 48)
    assert len(message) == 48 + (2 * n if kind == 1 else n)
    return Frame(kind, lead_index, number, bed, fs_hz, step, n, t0_ms, first, end_ms, message[48:])


def socket(web: RunningWeb, client: httpx.AsyncClient, **headers: str) -> connect:
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    return connect(
        f"ws://{web.address}/ws/ward/7b", additional_headers={"Cookie": cookie, **headers}, close_timeout=0.5
    )


async def frames(connection: ClientConnection, count: int) -> list[Frame]:
    async with asyncio.timeout(PATIENCE_S):
        return [read_frame(await connection.recv()) for _ in range(count)]


def us(ms: float) -> int:
    """Whole microseconds, which is what a row keeps; a double holds the milliseconds of today to a quarter of one."""
    return round(ms * 1000)


async def test_strips_are_numbered_and_equal_what_is_stored_before_and_after_the_page_came(
    hub: RunningHub, web: RunningWeb
):
    peer, client, start = await hub.peer(), await web.signed_in(), now_ns() - 3_000_000_000
    groups = [strip(i * 125, start + i * 500_000_000) for i in range(8)]
    await deliver(hub, peer, Lane.WAVEFORM, *groups[:4])
    async with socket(web, client) as connection:
        found = await frames(connection, 8)
        await deliver(hub, peer, Lane.WAVEFORM, *groups[4:])
        found += await frames(connection, 8)
        await connection.send(json.dumps({"painted": {"frame": 15, "at_ms": time.time() * 1000}}))
        await connection.send("no json")  # is logged, and nothing else happens
        await deliver(hub, peer, Lane.WAVEFORM, strip(1000, start + 4_000_000_000))
        found += await frames(connection, 2)
    assert [frame.number for frame in found] == list(range(18))
    ((bed,),) = hub.rows("select point_of_care_id from point_of_care where bed = '1'")
    assert {(f.kind, f.bed, f.fs_hz, f.step, f.n) for f in found} == {(1, bed, FS_HZ, 1.0, 125)}
    for index in (0, 1):
        mine = [frame for frame in found if frame.lead == index][:8]
        assert [frame.first_sample for frame in mine] == [group.first_sample for group in groups]
        assert [us(frame.t0_ms) for frame in mine] == [group.times.best_ns // 1000 for group in groups]
        shown = np.frombuffer(b"".join(frame.body for frame in mine), "<i2")
        raw = np.concatenate([group.array()[index] for group in groups])
        assert shown.tolist() == np.clip(np.rint(raw * UV), -32767, 32767).astype(int).tolist()
    assert int(np.frombuffer(found[0].body, "<i2")[0]) == 32767  # saturated: clipped, not wrapped


async def test_a_page_that_comes_late_gets_the_last_ten_seconds_that_there_are(hub: RunningHub, web: RunningWeb):
    start, client = now_ns() - 3600_000_000_000, await web.signed_in()
    groups = [strip(i * 125, start + i * 500_000_000) for i in range(60)]
    async with socket(web, client) as early:  # what it has been given, the room has heard: until then nobody is late
        await deliver(hub, await hub.peer(), Lane.WAVEFORM, *groups)
        await frames(early, 2 * len(groups))
    async with socket(web, client) as connection:
        found = await frames(connection, 40)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await connection.recv()
    newest = start // 1000 + 29_500_000
    times = {us(f.t0_ms) for f in found}
    assert {t for t in times if t >= newest - 9_000_000} == {newest - 500_000 * i for i in range(19)}
    assert min(times) >= newest - 10_500_000


async def test_samples_that_were_overtaken_are_no_gap_and_missing_ones_are_told_with_the_reason_behind(
    hub: RunningHub, web: RunningWeb
):
    peer, client, start = await hub.peer(), await web.signed_in(), now_ns()
    pieces = {first: strip(first, start + first * 4_000_000) for first in (0, 125, 250, 500, 625)}
    async with socket(web, client) as connection:
        for first in (0, 250, 125):  # the uplink sends what is newest first
            await deliver(hub, peer, Lane.WAVEFORM, pieces[first])
        await deliver(hub, peer, Lane.WAVEFORM, pieces[500], pieces[625])
        jumped_s = time.monotonic()
        samples = await frames(connection, 10)
        unknown = await frames(connection, 2)
        assert time.monotonic() - jumped_s < 3.0
        gap = Gap(
            SOURCE, start + 1_500_000_000, start + 2_000_000_000, LINK_LOSS, recoverable=False, times=Times(start)
        )
        await deliver(hub, peer, Lane.EVENT, gap)
        reasoned = await frames(connection, 2)
    assert [(f.kind, f.first_sample) for f in samples if f.lead == 0] == [(1, n) for n in (0, 250, 125, 500, 625)]
    assert [(f.kind, f.lead, f.body) for f in unknown] == [(2, 0, b"unknown"), (2, 1, b"unknown")]
    assert [(f.kind, f.lead, f.body) for f in reasoned] == [(2, 0, b"link_loss"), (2, 1, b"link_loss")]
    for frame in (*unknown, *reasoned):
        assert (us(frame.t0_ms), us(frame.end_ms)) == (start // 1000 + 1_500_000, start // 1000 + 2_000_000)


async def test_what_comes_behind_a_step_back_of_the_gateways_clock_is_live_and_what_is_from_before_it_is_not(
    hub: RunningHub, web: RunningWeb
):
    peer, client, start = await hub.peer(), await web.signed_in(), now_ns()
    hour_ns = 3600_000_000_000

    def measured(i: int, ahead_ns: int, rate: float) -> None:
        at_ns = start + i * 500_000_000 + ahead_ns
        peer.batch(Lane.NUMERIC, [encode_record(heart_rate(rate, at_ns))], at_ns)
        peer.batch(Lane.WAVEFORM, [encode_record(strip(i * 125, at_ns))], at_ns)

    async def shown() -> tuple[float, str]:
        [bed] = (await client.get("/api/v1/ward/7b")).json()["beds"]
        [rate] = [one["value"] for one in bed["numerics"] if one["code"] == HEART_RATE]
        return rate, bed["link"]["state"]

    async with socket(web, client) as connection, events(client) as stream:
        await wanted(stream, "hello")
        measured(0, hour_ns, 97.0)
        measured(1, hour_ns, 97.0)
        measured(2, 0, 80.0)
        # A page is told the newest number of those that come at once, so the first comes alone.
        await peer.say(hub.uplink, Lane.NUMERIC, (1,))
        assert (await wanted(stream, "numeric")).data["value"] == 97.0
        # The piece from just before the step is overtaken by what came behind it.
        await peer.say(hub.uplink, Lane.NUMERIC, (3, 2))
        assert (await wanted(stream, "numeric")).data["value"] == 80.0
        await peer.say(hub.uplink, Lane.WAVEFORM, (1, 3, 2))
        found = await frames(connection, 4)
        assert [(f.first_sample, us(f.t0_ms)) for f in found if f.lead == 0] == [
            (0, (start + hour_ns) // 1000),
            (250, start // 1000 + 1_000_000),
        ]
        before, behind = ([f.end_ms for f in found if f.first_sample == first] for first in (0, 250))
        assert (before, behind[0] > 0, len({*behind})) == ([0, 0], True, 1), "the frames tell of the step"
        assert await shown() == (80.0, "live"), "also a page that comes now"
        await asyncio.sleep(2.5)
        assert (await shown())[1] in ("device_silent", "gateway_lost")
        measured(3, 0, 81.0)
        await peer.say(hub.uplink, Lane.NUMERIC, (4,))
        assert (await wanted(stream, "numeric")).data["value"] == 81.0
        assert await shown() == (81.0, "live")
        await peer.say(hub.uplink, Lane.WAVEFORM, (4,))
        assert [f.first_sample for f in await frames(connection, 2)] == [375, 375]


async def test_the_numbers_of_a_device_whose_clock_was_set_back_go_with_it_to_another_bed(
    hub: RunningHub, web: RunningWeb
):
    peer, client, start = await hub.peer(), await web.signed_in(), now_ns()
    await web.placement.add_bed(OPERATOR, "7b", "2")

    async def shown() -> dict[str, list[float]]:
        beds = (await client.get("/api/v1/ward/7b")).json()["beds"]
        return {bed["id"]: [one["value"] for one in bed["numerics"] if one["code"] == HEART_RATE] for bed in beds}

    async with events(client) as stream:
        await wanted(stream, "hello")
        for i, (rate, ahead_ns) in enumerate(((97.0, 3600_000_000_000), (80.0, 0))):
            at_ns = start + i * 500_000_000 + ahead_ns
            peer.batch(Lane.NUMERIC, [encode_record(heart_rate(rate, at_ns))], at_ns)
            await peer.say(hub.uplink, Lane.NUMERIC, (i + 1,))
            assert (await wanted(stream, "numeric")).data["value"] == rate
        assert await shown() == {"1": [80.0], "2": []}
        await web.placement.place_device(OPERATOR, "cyton-1", "7b", "2")
        await wanted(stream, "reset")
        assert (await shown())["1"] == [], "nothing at this bed measures any more"
        at_ns = start + 2_000_000_000
        peer.batch(Lane.NUMERIC, [encode_record(heart_rate(81.0, at_ns))], at_ns)
        await peer.say(hub.uplink, Lane.NUMERIC, (3,))
        assert (await wanted(stream, "numeric")).data["value"] == 81.0
        assert await shown() == {"1": [], "2": [81.0]}


async def test_while_a_gateway_has_older_waveforms_to_send_nothing_is_called_missing(hub: RunningHub, web: RunningWeb):
    peer, client, start = await hub.peer(), await web.signed_in(), now_ns()
    await deliver(hub, peer, Lane.WAVEFORM, strip(0, start))
    late, *live = (
        peer.batch(Lane.WAVEFORM, [encode_record(strip(first, start + first * 4_000_000))]) for first in (125, 375, 500)
    )
    async with socket(web, client) as connection, open_channel(hub.uplink, peer.credentials) as channel:
        stream = open_stream(channel)
        await stream.write(peer.sender.connected(Connection.DATA, time.monotonic_ns()).SerializeToString())
        for n in live:
            await stream.write(peer.batches[Lane.WAVEFORM, n])
        before = await frames(connection, 6)
        with pytest.raises(TimeoutError):  # longer than any hole waits when its gateway has nothing more to send
            async with asyncio.timeout(4):
                await connection.recv()
        await stream.write(peer.batches[Lane.WAVEFORM, late])
        whole_s = time.monotonic()
        filled = await frames(connection, 2)
        missing = await frames(connection, 2)
        assert time.monotonic() - whole_s < 3.0
        stream.cancel()
    assert [(f.kind, f.first_sample) for f in (*before, *filled) if f.lead == 0] == [(1, n) for n in (0, 375, 500, 125)]
    assert [(f.kind, f.lead, f.body) for f in missing] == [(2, 0, b"unknown"), (2, 1, b"unknown")]
    assert {(us(f.t0_ms), us(f.end_ms)) for f in missing} == {(start // 1000 + 1_000_000, start // 1000 + 1_500_000)}


async def test_strips_are_refused_without_a_session_from_other_sites_and_of_other_wards(web: RunningWeb):
    nobody, nurse = web.client(), await web.signed_in()
    other = await web.signed_in("wu.jun", wards=("8a",))
    for client, headers, status in (
        (nobody, {}, 401),
        (nurse, {"Origin": "http://elsewhere.example"}, 403),
        (other, {}, 404),
    ):
        with pytest.raises(InvalidStatus) as refused:
            async with socket(web, client, **headers):
                pass
        assert refused.value.response.status_code == status
        assert json.loads(refused.value.response.body or b"{}")["status"] == status


async def test_a_slow_screen_holds_up_nobody_else(hub: RunningHub, web: RunningWeb):
    peer, slow, quick = await hub.peer(), await web.signed_in("li.na"), await web.signed_in("wu.jun")
    start = now_ns()
    async with socket(web, slow), socket(web, quick) as connection:  # the first never reads
        for i in range(20):
            at = start + i * 500_000_000
            peer.batch(Lane.WAVEFORM, [encode_record(strip(i * 125, at, 125, seed=i))])
        began = time.monotonic()
        await peer.deliver(hub.uplink, Connection.DATA)
        found = await frames(connection, 40)
        assert time.monotonic() - began < 10
    assert [frame.number for frame in found] == list(range(40))


async def test_an_alarm_that_ended_unseen_waits_for_its_acknowledgement(hub: RunningHub, web: RunningWeb):
    peer, nurse = await hub.peer(), await web.signed_in()
    onset = now_ns() - 60_000_000_000
    for presence, after_s in ((Presence.PRESENT, 5), (Presence.ENDED, 15)):
        await deliver(hub, peer, Lane.ALARM, fibrillation(onset, presence, after_s * 1_000_000_000))
    (alarm,) = (await nurse.get("/api/v1/ward/7b")).json()["alarms"]
    assert (alarm["presence"], alarm["acknowledged"]) == ("ended", None)
    answer = await nurse.post(f"/api/v1/alarms/{alarm['id']}/acknowledge")
    assert (answer.status_code, answer.json()["acknowledged"]["by"]) == (200, "Li.Na")
    assert (await nurse.get("/api/v1/ward/7b")).json()["alarms"] == []
    assert hub.rows("select acknowledged_by is not null from alarm") == [(True,)]


@pytest.mark.parametrize(
    ("lang", "title", "what_to_do"),
    [("en", "No ward is assigned to you", "Ask an administrator"), ("zh", "尚未为您分配病区", "请联系管理员")],
)
async def test_who_has_no_ward_is_told_so_and_what_to_do(
    hub: RunningHub, web: RunningWeb, lang: str, title: str, what_to_do: str
):
    nurse = await web.signed_in("wu.jun", wards=())
    page = await nurse.get("/ward", headers={"Accept-Language": lang})
    assert page.status_code == 200
    assert title in page.text
    assert what_to_do in page.text
    assert "Wu.Jun" in page.text
    assert 'action="/sign-out"' in page.text
