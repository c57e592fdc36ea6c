"""How a patient lies, from the radio to the bed's time-line: bleak, the agent as its own process, the hub with its database, its API."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from edge.identity import Identity, save_identity
from firmware_adapters.simulate import polar
from firmware_adapters.simulate.bluez import Bluez
from firmware_adapters.simulate.polar import Strap
from hub.placement.domain import Patient
from protocols.package import JsonObject
from tests.fixtures.agent import Gateway
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_peer import write_config
from tests.fixtures.waiting import until, until_asked
from tests.fixtures.web import OPERATOR, RunningWeb

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

ADDRESS = "A0:9E:1A:00:00:01"
BETWEEN_S = 15.0  # time enough to be found and connected before the first turn, on a busy machine too
TURNS = ((0.0, "supine"), (BETWEEN_S, "left"), (2 * BETWEEN_S, "upright"))
LOOKED_AT_EVERY_S, GROUP_S, TURN_S = 5.0, 1.44, 2.5
WITHIN_S = 90.0
_ASK_AGAIN_S = 0.5
SETTINGS = f"""
[[devices]]
id = "strap-2"
family = "polar"
url = "ble:{ADDRESS}"
options.acceleration_hz = 25
options.axes = {{ x = "left", y = "head", z = "front" }}
"""


@asynccontextmanager
async def bed_2(web: RunningWeb, hub: RunningHub, bluez: Bluez, captures: Path, folder: Path) -> AsyncGenerator[Strap]:
    """A strap on a patient, the gateway that hears it, and the bed that it belongs to."""
    await web.placement.add_bed(OPERATOR, "7b", "2")
    await web.placement.place_device(OPERATOR, "strap-2", "7b", "2")
    await web.placement.place_patient(OPERATOR, Patient("A-2", "Wang"), "7b", "2")
    papers = await hub.enrol("gateway-1")
    save_identity(
        folder / "state",
        Identity(papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem),
    )
    chest = polar.from_record(captures / "mitdb-100-normal")
    strap = Strap(polar.Chest(chest.microvolt, chest.beats, turns=TURNS), ADDRESS)
    agent = Gateway(write_config(folder, SETTINGS))
    await agent.start()
    await until(lambda: bool(agent.said("agent-started")), WITHIN_S)
    playing = asyncio.create_task(polar.play(bluez, strap))
    try:
        yield strap
        assert not playing.done(), playing.exception()
    except BaseException:
        print(*agent.log, sep="\n")
        raise
    finally:
        playing.cancel()
        await agent.kill()


async def bed_of(client: httpx.AsyncClient, *, with_leads: bool = False) -> JsonObject:
    """Bed 2 of the ward, as soon as it is there; `with_leads`: as soon as it has strips."""
    found: list[JsonObject] = []

    async def there() -> bool:
        await asyncio.sleep(_ASK_AGAIN_S)
        beds = (await client.get("/api/v1/ward/7b")).json()["beds"]
        found[:] = [bed for bed in beds if bed["id"] == "2" and (bed["leads"] or not with_leads)]
        return bool(found)

    await until_asked(there, WITHIN_S)
    return found[0]


async def postures(client: httpx.AsyncClient, key: object, n: int) -> list[JsonObject]:
    """The entries of the time-line that tell how the patient lies, oldest first, as soon as there are `n`."""
    found: list[JsonObject] = []

    async def told() -> bool:
        await asyncio.sleep(_ASK_AGAIN_S)
        answer = await client.get(f"/api/v1/beds/{key}/timeline")
        assert answer.status_code == 200, answer.text
        found[:] = [entry for entry in reversed(answer.json()["entries"]) if entry["kind"] == "posture"]
        return len(found) >= n

    await until_asked(told, WITHIN_S)
    return found


@pytest.mark.req("IOT-6.1d")
async def test_each_turn_of_a_patient_with_a_strap_is_on_the_beds_time_line_with_the_posture(
    web: RunningWeb, hub: RunningHub, bluez: Bluez, captures: Path, tmp_path: Path
):
    client = await web.signed_in()
    async with bed_2(web, hub, bluez, captures, tmp_path):
        found = await postures(client, (await bed_of(client))["key"], len(TURNS) - 1)
        assert [(one["before"], one["posture"]) for one in found] == [("supine", "left_side"), ("left_side", "upright")]
        assert {one["source"] for one in found} == {"strap-2/accelerometer"}
        first, second = (int(one["at_ms"]) for one in found)
        late_s = LOOKED_AT_EVERY_S + GROUP_S + TURN_S
        assert (second - first) / 1000 == pytest.approx(BETWEEN_S, abs=late_s)
        # its bed has the ECG for a strip; nobody wants to watch an accelerometer
        bed = await bed_of(client, with_leads=True)
        assert [one["code"] for one in bed["leads"]] == ["MDC_ECG_ELEC_POTL_I"]
