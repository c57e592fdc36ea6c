"""A broken device that posts alarms by the thousand: each is stored once, and an alarm of another bed at its gateway is in time."""

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from edge.identity import Identity, save_identity
from hub.ingest.pacing import LONGEST_WAIT_S
from protocols.nomenclature import FLOOD, V_FIB
from protocols.package import MAX_RECORDS
from protocols.record import AlarmCondition, AlarmKind, Presence, Priority, SourcePath, Times, alarm_id
from protocols.wire import encode_package
from tests.conformance.formats import PROTOBUF
from tests.fixtures.agent import Gateway
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_peer import Authority, write_config
from tests.fixtures.signed_http import Device
from tests.fixtures.waiting import PATIENCE_S, until
from tests.integration.test_doors_to_hub import https_door

pytestmark = pytest.mark.integration
FLOODER, OTHER = "monitor-9", "monitor-1"
FLOOD_OF_ONE = MAX_RECORDS - 24  # alarms of a package; two are more than a gateway may tell at once
PACE = 50.0  # alarms a second: the first package has twice what it may tell at once, and the second waits ten seconds
EVERY_S = 0.25
WITHIN_S = 1.0  # the gate of the whole alarm path: docs/reference/figures/alarm-path.md
# From the moment in which the device saw it, which the alarm says itself, to the moment in which the hub had written it.
WAITS = """
select extract(epoch from max(e.at) filter (where e.kind = 'stored') - max(e.at) filter (where e.kind = 'detected'))::float8
  from alarm a join source using (source_id) join device d using (device_id) join alarm_event e on e.alarm_id = a.alarm_id
 where d.name = %s group by a.alarm_id
"""
STORED = """
select count(distinct a.alarm_id), count(*) filter (where e.kind = 'stored')
  from alarm a join source using (source_id) join device d using (device_id) join alarm_event e on e.alarm_id = a.alarm_id
 where d.name = %s and a.code = %s
"""


def fibrillation(device: str, onset_ns: int) -> AlarmCondition:
    source, at_ns = SourcePath(device, ("ecg",)), time.time_ns()
    times = Times(1, device_ns=at_ns)
    return AlarmCondition(
        alarm_id(source, V_FIB, onset_ns), source, V_FIB, Priority.HIGH, AlarmKind.PHYSIOLOGICAL, Presence.PRESENT, onset_ns, at_ns, times
    )  # fmt: skip


async def post(client: httpx.AsyncClient, url: str, device: Device, body: bytes) -> int:
    """Send until it is taken, as a device does that keeps what it has not got rid of; how often it was told to come again."""
    again = 0
    while (answer := await device.post(client, url, PROTOBUF, body)).status_code == 503:
        await asyncio.sleep(float(answer.headers["retry-after"]))
        again += 1
    assert answer.status_code == 204, answer.text
    return again


def flood(device: str, number: int) -> bytes:
    """A package of alarms that all differ, also from those of another."""
    began_ns = time.time_ns() - (2 - number) * 1800 * 10**9
    return encode_package(device, number, [fibrillation(device, began_ns + n * 10**6) for n in range(FLOOD_OF_ONE)])


@pytest.mark.req("IOT-9.1b", surface="protocol")
async def test_a_device_that_posts_alarms_by_the_thousand_holds_up_no_alarm_of_another_and_loses_none(
    tmp_path: Path, hub: RunningHub
):
    flooder, other, papers = Device(FLOODER), Device(OTHER), await hub.enrol("gateway-1")
    url, settings = https_door(tmp_path, Authority(), [other, flooder])
    identity = (papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem)
    save_identity(tmp_path / "state", Identity(*identity))
    agent = Gateway(write_config(tmp_path, settings + f"alarms_per_s = {PACE}\n"))
    await agent.start()
    try:
        await until(lambda: bool(agent.said("door-open")))
        async with httpx.AsyncClient(verify=False, timeout=30) as client:
            bodies, told = [flood(FLOODER, number) for number in range(2)], 0  # the hub is in this process too

            async def flooding() -> list[int]:
                return [await post(client, url, flooder, body) for body in bodies]

            flooder_is_done = asyncio.create_task(flooding())
            async with asyncio.timeout(PATIENCE_S):
                while await asyncio.to_thread(hub.rows, STORED, FLOODER, V_FIB) != [(2 * FLOOD_OF_ONE,) * 2]:
                    alarm = encode_package(OTHER, told, [fibrillation(OTHER, time.time_ns())])
                    assert not await post(client, url, other, alarm)
                    told += 1
                    await asyncio.sleep(EVERY_S)
            first, second = await flooder_is_done
        await until(lambda: hub.rows(STORED, OTHER, V_FIB) == [(told, told)])
        await until(lambda: hub.rows(STORED, FLOODER, FLOOD) == [(1, 2)])  # it began and ended
    finally:
        await agent.kill()
    assert first == 0, "no first alarm waits at the door"
    assert second > 0, "what it may tell at once, and ten seconds, are used up"
    waits_s = sorted(wait_s for (wait_s,) in hub.rows(WAITS, OTHER))
    assert waits_s[len(waits_s) * 95 // 100] < WITHIN_S, waits_s
    assert waits_s[-1] < LONGEST_WAIT_S, waits_s
    assert not agent.said("uplink-down")
