"""The page of gateways: what a gateway says of itself, how long its certificate lasts, who may see it."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.health.status import Status
from hub.core.principal import Role
from protocols.link import Lane
from tests.fixtures.hub import RunningHub
from tests.fixtures.kernel_files import write
from tests.fixtures.web import RunningWeb, deliver, heart_rate, now_ns

if TYPE_CHECKING:
    from hub.core.machine import Machine

pytestmark = pytest.mark.integration


async def test_a_gateway_tells_its_queues_clock_and_certificate(hub: RunningHub, web: RunningWeb):
    peer = await hub.peer("ward3")
    await hub.add("never-enrolled")
    await deliver(hub, peer, Lane.NUMERIC, heart_rate(61, now_ns()))
    status = Status("ward3", "1.2.3", now_ns() - 60_000_000_000, time.time_ns() + 40 * 86_400_000_000_000)
    status.spool_bytes, status.spool_max_bytes = 500, 2000
    status.spool_key = "file"
    status.waiting, status.hub_ahead_ns = {"alarm": 0, "numeric": 2, "waveform": 5}, -700_000_000
    await deliver(hub, peer, Lane.EVENT, status.event(now_ns()))
    hub.do(
        "insert into gateway_configuration (tenant_id, gateway_id, version, toml, made_by)"
        " select tenant_id, gateway_id, v, '', 'system:test' from gateway, generate_series(1, 2) v where name = 'ward3'"
    )
    hub.do(
        "insert into gateway_configuration_event (tenant_id, gateway_configuration_id, state, reason)"
        " select tenant_id, gateway_configuration_id, 'rolled_back', 'device <amp> is not up'"
        " from gateway_configuration where version = 2"
    )
    bureau = await web.signed_in("bureau", Role.BUREAU, ())
    told = {g["name"]: g for g in (await bureau.get("/api/v1/gateways")).json()["gateways"]}
    assert told["never-enrolled"]["state"] == "not_enrolled"
    ward3 = told["ward3"]
    assert (ward3["state"], ward3["waiting"], ward3["clock_off_ms"]) == ("online", 7, -700)
    assert ward3["devices"] == 1
    assert ward3["status"]["agent_version"] == "1.2.3"
    assert ward3["certificate_days"] > 0, "as the hub issued it, not as the gateway says"
    tried = {"version": 2, "state": "rolled_back", "reason": "device <amp> is not up"}
    assert (ward3["configuration"], told["never-enrolled"]["configuration"]) == (tried, None)
    page = (await bureau.get("/gateways")).text
    assert 'title="device &lt;amp&gt; is not up">rolled back</span>' in page
    assert "25 %" in page
    assert "-700 ms" in page
    assert (ward3["warnings"], told["never-enrolled"]["warnings"]) == (["spool_key_in_file"], [])
    assert page.count("key on disk") == 1
    assert (await (await web.signed_in()).get("/api/v1/gateways")).status_code == 403


@pytest.mark.parametrize(
    "machine",
    [
        {"warnings": "cpu,disk,memory"},
        {"warnings": "disk", "disk_percent": "much", "memory_percent": "nan", "cpu_percent": "inf"},
    ],
)
async def test_a_gateway_that_says_less_or_other_than_it_should_hides_no_gateway(
    hub: RunningHub, web: RunningWeb, machine: dict[str, float | int | str]
):
    peer = await hub.peer("ward3")
    await hub.add("another")
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    await deliver(hub, peer, Lane.EVENT, Status("ward3", "1.2.3", 0, 0, machine=machine).event(now_ns()))
    page = await engineer.get("/gateways")
    assert (page.status_code, "<b>ward3</b>" in page.text, "<b>another</b>" in page.text) == (200, True, True)
    assert "disk \u2013 %" in page.text
    assert (await engineer.get("/api/v1/gateways")).status_code == 200


async def test_the_state_of_a_gateway_is_no_event_of_a_device(hub: RunningHub, web: RunningWeb):
    peer = await hub.peer("ward3")
    await deliver(hub, peer, Lane.EVENT, Status("ward3", "1", 0, 0).event(now_ns()))
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    assert "ward3" not in {d["name"] for d in (await engineer.get("/api/v1/devices")).json()["devices"]}


@pytest.mark.req("AIQ-D.3.1b", surface="api")
async def test_a_gateway_that_falls_silent_is_away_within_seconds_and_its_warnings_are_of_then(
    hub: RunningHub, web: RunningWeb
):
    peer = await hub.peer("ward3")
    status = Status("ward3", "1.2.3", now_ns(), time.time_ns(), machine={"cpu_percent": 91.4, "warnings": "cpu"})
    status.local_page = "https://ward3"
    engineer = await web.signed_in("chen", Role.ENGINEER, ())

    async def told() -> dict[str, object]:
        [one] = [g for g in (await engineer.get("/api/v1/gateways")).json()["gateways"] if g["name"] == "ward3"]
        return one

    await deliver(hub, peer, Lane.EVENT, status.event(now_ns() + 3600 * 1_000_000_000))  # its clock does not count
    heard = await told()
    assert (heard["state"], heard["warnings"]) == ("online", ["cpu"])
    assert "91 %" in (await engineer.get("/gateways")).text
    while (now := await told())["state"] == "online":
        await asyncio.sleep(0.2)
        assert time.time() * 1000 - float(str(now["last_stored_ms"])) < 7000, (
            "with the 3 s of an engineers' page within 10 s"
        )
    assert (now["state"], now["warnings"]) == ("away", [])
    assert now["last_stored_ms"] == heard["last_stored_ms"]


async def test_the_hub_tells_how_its_own_machine_is_and_what_is_short(web: RunningWeb, tmp_path: Path):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    own = (await engineer.get("/api/v1/gateways")).json()["hub"]
    assert 0 < own["memory_percent"] < 100
    machine: Machine = web.app.state.machine
    machine.proc = tmp_path
    for _ in range(2):
        write(tmp_path, busy=0, free=200_000)
        machine.look()
    own = (await engineer.get("/api/v1/gateways")).json()["hub"]
    assert (own["memory_percent"], own["warnings"]) == (90, ["memory"])
