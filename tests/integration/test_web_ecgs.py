"""Resting ECGs in the role web, fed as a gateway feeds them: whose they are, what of the file is told, who may read it."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest

from edge.doors.files import read_aecg
from firmware_adapters.simulate.aecg import file_of, recording_of
from hub.core.principal import Role
from hub.placement.domain import Patient
from protocols.ecgfile.wfdb import read_record
from protocols.errors import Fault
from protocols.link import Lane
from protocols.package import JsonObject
from protocols.record import Document, Observation, WaveformGroup
from tests.fixtures.hub import RunningHub
from tests.fixtures.waiting import until_asked
from tests.fixtures.web import OPERATOR, RunningWeb, deliver, now_ns

pytestmark = pytest.mark.integration
CAPTURE = Path(__file__).parents[1] / "captures" / "ludb-101-af"
CART = "cart-6"


async def hand_over(hub: RunningHub, content: bytes) -> None:
    """What the gateway makes of a cart's file, sent as it sends it."""
    peer = await hub.peer(f"gateway-{len(hub.rows('select from gateway'))}")
    records = [one for one in read_aecg(content, CART, now_ns()).records if not isinstance(one, Fault)]
    for lane, kind in ((Lane.EVENT, Document), (Lane.WAVEFORM, WaveformGroup), (Lane.NUMERIC, Observation)):
        await deliver(hub, peer, lane, *(one for one in records if isinstance(one, kind)))


async def place(web: RunningWeb, hub: RunningHub, hours: int = 10) -> None:
    """A patient and a cart at bed 6, for so many hours."""
    await web.placement.add_bed(OPERATOR, "7b", "6")
    await web.placement.place_device(OPERATOR, CART, "7b", "6")
    await web.placement.place_patient(OPERATOR, Patient("A-6", "刘芳", "female"), "7b", "6")
    for table in ("patient_association", "device_association"):
        hub.do(f"update {table} set during = tstzrange(now() - make_interval(hours => {hours}), upper(during))")


async def newest(client: httpx.AsyncClient) -> JsonObject:
    """Bed 6 with its newest ECG, as soon as the ward page is told of it."""
    found: list[JsonObject] = []

    async def there() -> bool:
        beds = (await client.get("/api/v1/ward/7b")).json()["beds"]
        found[:] = [bed for bed in beds if bed["id"] == "6" and bed["ecg"]]
        return bool(found)

    await until_asked(there)
    return found[0]


def written(minutes_ago: float = 60, statements: tuple[str, ...] = ()) -> bytes:
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=minutes_ago)
    return file_of(replace(recording_of(CAPTURE, begin), statements=statements))


async def test_an_ecg_is_told_as_the_cart_wrote_it(web: RunningWeb, hub: RunningHub):
    await place(web, hub)
    client = await web.signed_in()
    await hand_over(hub, written(statements=("Atrial fibrillation",)))
    bed = await newest(client)
    ecg = (await client.get(f"/api/v1/ecgs/{bed['ecg']['id']}")).json()
    assert (ecg["bed"], ecg["who"]["masked_name"], ecg["who"]["sex"]) == ("6", "刘*", "F")
    assert [lead["short"] for lead in ecg["leads"]] == [
        "I",
        "II",
        "III",
        "aVR",
        "aVL",
        "aVF",
        "V1",
        "V2",
        "V3",
        "V4",
        "V5",
        "V6",
    ]
    # the simulator writes steps of 2.5 uV: what comes out lies within half a step of the recording
    truth_uv = read_record(CAPTURE).physical() * 1000
    for lead, row in zip(ecg["leads"], truth_uv, strict=True):
        assert np.abs(np.array(lead["samples"]) * lead["uv_per_lsb"] - row).max() <= 1.25 + 1e-6
    assert ecg["statements"] == [{"kind": "statement", "text": "Atrial fibrillation"}]
    # heart rate, QRS and QT as its marks in the record say (tests/unit/ecgfile); fibrillating atria have no PR
    assert [m["code"].rpartition("_")[2] for m in ecg["measurements"]] == ["RATE", "QRS", "QT"]
    one_lead = (await client.get(f"/api/v1/ecgs/{bed['ecg']['id']}", params={"lead": "MDC_ECG_ELEC_POTL_V5"})).json()
    assert [lead["short"] for lead in one_lead["leads"]] == ["V5"]


async def test_a_carts_file_makes_no_strip_no_number_and_no_lost_link(web: RunningWeb, hub: RunningHub):
    await place(web, hub)
    client = await web.signed_in()
    await hand_over(hub, written())
    bed = await newest(client)
    assert (bed["leads"], bed["numerics"], bed["link"]["state"]) == ([], [], "recordings")
    await asyncio.sleep(3)  # a stream would have fallen silent by now
    bed = await newest(client)
    assert (bed["leads"], bed["numerics"], bed["link"]["state"]) == ([], [], "recordings")
    assert hub.rows("select from alarm") == []


async def test_the_ecgs_of_a_stay_are_listed_and_those_of_the_patient_before_are_not(web: RunningWeb, hub: RunningHub):
    await place(web, hub)
    client = await web.signed_in()
    for minutes in (50, 40, 30):
        await hand_over(hub, written(minutes))
    await hand_over(hub, written(30))  # the same file once more, by another gateway
    key = (await newest(client))["key"]
    listed = (await client.get(f"/api/v1/beds/{key}/ecgs")).json()["ecgs"]
    assert [round((time.time() * 1000 - one["at_ms"]) / 60_000) for one in listed] == [30, 40, 50]
    before = (await client.get(f"/api/v1/ecgs/{listed[0]['id']}")).json()
    assert before["others"] == listed
    await web.placement.place_patient(OPERATOR, Patient("A-7", "孙丽", "female"), "7b", "6")
    assert (await client.get(f"/api/v1/beds/{key}/ecgs")).json()["ecgs"] == []
    of_the_past = (await client.get(f"/api/v1/ecgs/{listed[0]['id']}")).json()
    assert of_the_past["who"]["masked_name"] == "刘*", "an ECG stays with whom it was recorded of"
    assert [one["id"] for one in of_the_past["others"]] == [listed[0]["id"]]


async def test_who_may_not_see_the_ward_finds_no_ecg_and_the_bureau_is_refused(web: RunningWeb, hub: RunningHub):
    await place(web, hub)
    nurse = await web.signed_in()
    await hand_over(hub, written())
    path = f"/api/v1/ecgs/{(await newest(nurse))['ecg']['id']}"
    elsewhere = await web.signed_in("wu.min", wards=("8a",))
    engineer = await web.signed_in("fan.wei", Role.ENGINEER, ())
    bureau = await web.signed_in("gao.yan", Role.BUREAU, ())
    assert [(await c.get(path)).status_code for c in (nurse, elsewhere, engineer, bureau)] == [200, 404, 200, 403]
    assert (await engineer.get(path)).json()["who"] is None
    assert (await nurse.get("/api/v1/ecgs/999999")).status_code == 404
    assert (await web.client().get(path)).status_code == 401


async def test_reading_an_ecg_stands_in_the_audit_once(web: RunningWeb, hub: RunningHub):
    await place(web, hub)
    client = await web.signed_in()
    await hand_over(hub, written())
    number = (await newest(client))["ecg"]["id"]
    for path in (f"/ecg/{number}", f"/api/v1/ecgs/{number}"):
        assert (await client.get(path)).status_code == 200
    assert len(hub.rows("select from audit where action = 'ecg.read' and target = %s", f"document:{number}")) == 1


async def test_a_file_that_is_no_longer_readable_is_said_so(web: RunningWeb, hub: RunningHub):
    await place(web, hub)
    client = await web.signed_in()
    await hand_over(hub, written())
    number = (await newest(client))["ecg"]["id"]
    hub.do("update document set content = '<AnnotatedECG/>'")
    answer = await client.get(f"/api/v1/ecgs/{number}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert "cannot be drawn" in answer.json()["detail"]
