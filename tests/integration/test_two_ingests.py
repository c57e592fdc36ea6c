"""Two copies of the role ingest on one database: gateways at either, one web that hears both, a gateway that goes over."""

import asyncio
import json
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import psycopg
import pytest

from hub.core.audit import AuditLog
from hub.core.db import Database
from hub.core.principal import operator
from hub.gateways.ca import load_or_make
from hub.gateways.service import GatewayService
from protocols.link import Connection, Lane
from protocols.nomenclature import HEART_RATE, V_FIB
from protocols.record import Observation, Record, SourcePath, Times, WaveformGroup, alarm_id
from protocols.wire import encode_record
from tests.fixtures.gateway_peer import Credentials, Peer, key_pem, make_key, make_request
from tests.fixtures.hub import secret_of
from tests.fixtures.hub_roles import ROLES, Installation
from tests.fixtures.waiting import until_asked
from tests.fixtures.web import (
    OPERATOR,
    SOURCE,
    RunningWeb,
    fibrillation,
    furnish,
    heart_rate,
    now_ns,
    running_web,
    strip,
)
from tests.integration.test_web_live import events, frames, socket, wanted
from wardlink.local.database import Database as Local

pytestmark = pytest.mark.integration
OTHER = SourcePath("cyton-2", ("ecg",))


@dataclass
class Copy:
    """A running process of the role ingest."""

    process: subprocess.Popen[str]
    uplink: str

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(20)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


@dataclass
class Site:
    """One machine: a database, a state folder, the role web, and as many copies of ingest as are started."""

    hub: Installation
    web: RunningWeb
    gateways: GatewayService
    enrolment: GatewayService
    copies: list[Copy] = field(default_factory=list[Copy])

    def start(self) -> Copy:
        process = subprocess.Popen(
            [sys.executable, "-m", "hub", "run", "--role", "ingest"],
            env=self.hub.settings(*ROLES),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            if said["event"] == "ready":
                self.copies.append(Copy(process, f"127.0.0.1:{said['uplink_port']}"))
                return self.copies[-1]
        raise AssertionError(f"ingest ended with {process.wait()}")

    async def peer(self, name: str) -> Peer:
        key = make_key()
        token = await self.gateways.add(operator("test", 1), "default", name)
        enrolled = await self.enrolment.enrol(secret_of(token), make_request(key), "test")
        credentials = Credentials(
            key_pem(key), enrolled.certificate_pem.encode(), enrolled.ca_pem.encode(), enrolled.tenant, enrolled.gateway
        )
        return Peer(credentials, secrets.token_bytes(16))

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.hub.database.admin_url) as connection:
            return connection.execute(query.encode()).fetchall()


async def links(nurse: httpx.AsyncClient) -> dict[str, str]:
    """Bed -> state of its link, as a nurse's page is told."""
    state = (await nurse.get("/api/v1/ward/7b")).json()
    return {bed["id"]: bed["link"]["state"] for bed in state["beds"]}


@pytest.fixture
async def site(hub_database: Local, short_folder: Callable[[], Path]) -> AsyncIterator[Site]:
    state = short_folder()
    authority = load_or_make(state)
    async with AsyncExitStack() as opened:
        web = await opened.enter_async_context(running_web(hub_database, state / "live.sock"))
        pools = [
            await opened.enter_async_context(Database(hub_database.url_for(role), "test", max_size=2))
            for role in ("wardlink_web", "wardlink_ingest")
        ]
        adding, enrolling = (GatewayService(pool, AuditLog(pool), authority, "https://127.0.0.1") for pool in pools)
        await furnish(web)
        await web.placement.add_bed(OPERATOR, "7b", "2")
        await web.placement.place_device(OPERATOR, OTHER.device, "7b", "2")
        found = Site(Installation(hub_database, state), web, adding, enrolling)
        try:
            yield found
        finally:
            for copy in found.copies:
                if copy.process.poll() is None:
                    copy.end()


async def start_two(site: Site) -> tuple[Copy, Copy]:
    """Both at once, as a machine does at boot."""
    first, second = await asyncio.gather(asyncio.to_thread(site.start), asyncio.to_thread(site.start))
    return first, second


async def send(copy: Copy, peer: Peer, lane: Lane, *records: Record) -> None:
    peer.batch(lane, [encode_record(record) for record in records])
    await peer.deliver(copy.uplink, Connection.ALARM if lane is Lane.ALARM else Connection.DATA)


def of_the_other_bed(group: WaveformGroup) -> WaveformGroup:
    return replace(group, source=OTHER)


async def test_gateways_at_either_copy_reach_the_nurse_live_with_strips_numbers_and_alarms(site: Site):
    first, second = await start_two(site)
    assert first.uplink != second.uplink
    here, there = await site.peer("gateway-1"), await site.peer("gateway-2")
    nurse, start = await site.web.signed_in(), now_ns()
    async with events(nurse) as stream, socket(site.web, nurse) as strips:
        await wanted(stream, "hello")
        await send(first, here, Lane.WAVEFORM, strip(0, start))
        await send(second, there, Lane.WAVEFORM, of_the_other_bed(strip(0, start)))
        found = await frames(strips, 4)
        assert {frame.lead for frame in found} == {0, 1}
        assert len({frame.bed for frame in found}) == 2
        assert await links(nurse) == {"1": "live", "2": "live"}
        numbers: dict[str, float] = {}
        await send(first, here, Lane.NUMERIC, heart_rate(61, start))
        await send(second, there, Lane.NUMERIC, Observation(OTHER, HEART_RATE, 72.0, "/min", Times(start)))
        while len(numbers) < 2:
            told = (await wanted(stream, "numeric")).data
            numbers[told["bed"]] = told["value"]
        assert numbers == {"1": 61, "2": 72}
        alarms = fibrillation(start), replace(fibrillation(start), source=OTHER, id=alarm_id(OTHER, V_FIB, start))
        await send(second, there, Lane.ALARM, alarms[1])
        assert (await wanted(stream, "alarm")).data["bed"] == "2"
        await send(first, here, Lane.ALARM, alarms[0])
        assert (await wanted(stream, "alarm")).data["bed"] == "1"


async def test_one_gateway_has_its_alarms_at_one_copy_and_its_data_at_the_other(site: Site):
    first, second = await start_two(site)
    peer, start = await site.peer("gateway-1"), now_ns()
    for i in range(4):
        peer.batch(Lane.WAVEFORM, [encode_record(strip(i * 125, start + i * 500_000_000))])
        peer.batch(Lane.ALARM, [encode_record(fibrillation(start + i * 1_000_000_000))])
    await asyncio.gather(peer.deliver(first.uplink, Connection.ALARM), peer.deliver(second.uplink, Connection.DATA))
    assert site.rows("select first_sample from waveform order by start") == [(i * 125,) for i in range(4)]
    assert site.rows("select count(*) from alarm") == [(4,)]


async def test_a_copy_that_is_killed_loses_its_own_beds_only_and_its_gateway_goes_over_with_nothing_twice_or_missing(
    site: Site,
):
    first, second = await start_two(site)
    here, there = await site.peer("gateway-1"), await site.peer("gateway-2")
    nurse, start, count = await site.web.signed_in(), now_ns(), 12

    async def keep_the_other_live() -> None:
        for i in range(200):
            await send(second, there, Lane.WAVEFORM, of_the_other_bed(strip(i * 125, start + i * 500_000_000)))
            await asyncio.sleep(0.2)

    async with events(nurse) as stream:
        await wanted(stream, "hello")
        playing = asyncio.create_task(keep_the_other_live())
        for i in range(count):
            here.batch(Lane.WAVEFORM, [encode_record(strip(i * 125, start + i * 500_000_000))])
            if i < count // 2:
                await here.deliver(first.uplink, Connection.DATA)
        await until_asked(lambda: _is(nurse, {"1": "live", "2": "live"}))
        first.end(signal.SIGKILL)
        await until_asked(lambda: _is(nurse, {"1": "gateway_lost", "2": "live"}), 3)  # what pages promise is 3 s
        # Not acknowledged, as far as the gateway knows: the last one that the killed copy had stored comes again.
        here.acked[Lane.WAVEFORM] = count // 2 - 1
        await here.deliver(second.uplink, Connection.DATA)
        await until_asked(lambda: _is(nurse, {"1": "live", "2": "live"}))
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
    stored = site.rows(
        "select first_sample from waveform join stream using (stream_id) join source using (source_id)"
        f" where path = '{SOURCE}' order by start"
    )
    assert stored == [(i * 125,) for i in range(count)]


async def _is(nurse: httpx.AsyncClient, expected: dict[str, str]) -> bool:
    return await links(nurse) == expected


async def test_the_same_batch_at_both_copies_at_once_is_stored_once(site: Site):
    first, second = await start_two(site)
    peer, start = await site.peer("gateway-1"), now_ns()
    twin = Peer(peer.credentials, peer.epoch)
    for one in (peer, twin):
        for i in range(20):
            one.batch(Lane.WAVEFORM, [encode_record(strip(i * 125, start + i * 500_000_000))])
    await asyncio.gather(peer.deliver(first.uplink, Connection.DATA), twin.deliver(second.uplink, Connection.DATA))
    assert site.rows("select first_sample from waveform order by start") == [(i * 125,) for i in range(20)]
    assert site.rows("select cumulative from lane_position where lane = 4") == [(20,)]


async def test_both_end_in_order_and_the_next_start_finds_their_places_free(site: Site):
    for _ in range(2):
        copies = await start_two(site)
        sockets = {path.name for path in site.hub.state.glob("*.sock")}
        assert sockets == {"live.sock", "live-1.sock"}
        assert [await asyncio.to_thread(copy.end) for copy in copies] == [0, 0]


async def test_an_acknowledgement_reaches_the_gateway_wherever_it_is(site: Site):
    _, second = await start_two(site)
    peer = await site.peer("gateway-1")
    nurse, alarm = await site.web.signed_in(), fibrillation(now_ns() - 5_000_000_000)
    await send(second, peer, Lane.ALARM, alarm)

    def told() -> bool:
        return any(message.WhichOneof("message") == "alarms_acknowledged" for message in peer.messages)

    staying = asyncio.create_task(peer.run(second.uplink, Connection.ALARM, told))
    assert (await nurse.post(f"/api/v1/alarms/{alarm.id}/acknowledge")).status_code == 200
    await staying
    assert told()
