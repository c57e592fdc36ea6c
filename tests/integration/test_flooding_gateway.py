"""A gateway that floods the hub: it is read more slowly and loses nothing, five others and every alarm are in time, and it is told."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from hub.core.principal import Role
from hub.ingest.pacing import GatewayPace
from protocols.link import Connection, Lane
from protocols.nomenclature import EVT_THROTTLE_ENDED, EVT_THROTTLED, HEART_RATE
from protocols.record import DeviceEvent, Observation, SourcePath, Times
from protocols.wire import encode_record
from tests.fixtures.gateway_peer import Peer
from tests.fixtures.hub import RunningHub, eventually, running_hub
from tests.fixtures.web import deliver, fibrillation, now_ns, running_web
from wardlink.local.database import Database as Local

pytestmark = pytest.mark.integration
PACE = GatewayPace(records_per_s=50.0)
BATCHES, RECORDS = 14, 50  # 700 records: 500 at once, the rest in four seconds
IN_TIME_S = 1.0


def readings(device: str, first: int, count: int) -> list[Observation]:
    source = SourcePath(device, ("n",))
    return [Observation(source, HEART_RATE, 60.0 + (first + n) / 1000, "/min", Times(now_ns())) for n in range(count)]


def fill(peer: Peer) -> None:
    for n in range(BATCHES):
        peer.batch(Lane.NUMERIC, [encode_record(r) for r in readings("flooder", n * RECORDS, RECORDS)])


@pytest.mark.req("IOT-8.3a", "IOT-9.1b", surface="protocol")
async def test_a_gateway_that_floods_the_hub_is_slowed_down_loses_nothing_and_nobody_else_notices(
    hub_database: Local, short_folder: Callable[[], Path]
):
    async with running_hub(hub_database, short_folder(), pace=PACE) as hub:
        flooder, others = await hub.peer("flooder"), [await hub.peer(f"gateway-{n}") for n in range(5)]
        fill(flooder)
        began = time.monotonic()
        flooding = asyncio.create_task(flooder.deliver(hub.uplink, Connection.DATA, 30))
        slowest_s = 0.0
        for second in range(3):
            for n, peer in enumerate(others):
                at = time.monotonic()
                await deliver(hub, peer, Lane.NUMERIC, *readings(f"monitor-{n}", second * 5, 5))
                slowest_s = max(slowest_s, time.monotonic() - at)
            at = time.monotonic()
            await deliver(hub, flooder, Lane.ALARM, fibrillation(now_ns() - second * 10**9, evidence=False))
            slowest_s = max(slowest_s, time.monotonic() - at)
        assert slowest_s < IN_TIME_S
        assert not flooding.done()
        await told(hub)
        await flooding
        assert time.monotonic() - began > 3  # 200 records beyond its burst, at 50 a second
        counted = dict(
            hub.rows(
                "select d.name, count(*) from observation o join series using (series_id) join source using (source_id) join device d using (device_id) group by 1"
            )
        )
        assert counted == {"flooder": BATCHES * RECORDS, **{f"monitor-{n}": 15 for n in range(5)}}
        assert flooder.rejected == []


async def told(hub: RunningHub) -> None:
    """The list of gateways names it, and it is an event of the gateway."""
    query = "select g.name from device_event e join gateway g using (gateway_id) where e.code = %s"
    await eventually(lambda: hub.rows(query, EVT_THROTTLED) == [("flooder",)])
    async with running_web(hub.database, hub.live_path) as web:
        engineer = await web.signed_in("engineer", Role.ENGINEER, ())
        rows = (await engineer.get("/api/v1/gateways")).json()["gateways"]
        assert [row["name"] for row in rows if row["throttled_since_ms"]] == ["flooder"]
        await ledger_shows_a_flooding_device(hub, engineer)
        assert "Held back" in (await engineer.get("/gateways", headers={"accept-language": "en"})).text


async def ledger_shows_a_flooding_device(hub: RunningHub, engineer: httpx.AsyncClient) -> None:
    """As its gateway told: from the event that it is held back to the one that it is not."""
    peer = await hub.peer("gateway-9")
    for code, flooding in ((EVT_THROTTLED, ["monitor-9"]), (EVT_THROTTLE_ENDED, [])):
        await deliver(hub, peer, Lane.EVENT, DeviceEvent(SourcePath("monitor-9"), code, Times(now_ns())))
        answer = (await engineer.get("/api/v1/devices?state=flooding")).json()
        assert [device["name"] for device in answer["devices"]] == flooding
        assert answer["counts"]["flooding"] == len(flooding)
