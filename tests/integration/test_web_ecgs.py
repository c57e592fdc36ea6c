"""Resting ECGs in the role web, fed as a gateway feeds them: whose they are, what of the file is told, who may read it."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from firmware_adapters.simulate.aecg import file_of, recording_of
from hub.core.principal import Role
from hub.placement.domain import Patient
from protocols.ecgfile.wfdb import read_record
from protocols.package import JsonObject
from tests.fixtures.hub import RunningHub
from tests.fixtures.stored_ecg import CAPTURE, hand_over, newest, place, written
from tests.fixtures.web import OPERATOR, RunningWeb
from tests.integration.test_web_beds import key_of

pytestmark = pytest.mark.integration


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


async def test_intervals_are_measured_beside_the_carts_and_swapped_arms_are_warned_of(web: RunningWeb, hub: RunningHub):
    """ecg12 A0005 as it was recorded, and with the cable of the right arm on the left one."""
    await place(web, hub)
    client = await web.signed_in()

    async def read(minutes_ago: float, *, is_swapped: bool) -> tuple[JsonObject, str]:
        begin = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=minutes_ago)
        recording = recording_of(CAPTURE.with_name("ecg12-A0005-pvc"), begin)
        rows = dict(zip(recording.leads, recording.microvolt, strict=True))
        if is_swapped:
            rows |= {"I": -rows["I"], "II": rows["III"], "III": rows["II"], "aVR": rows["aVL"], "aVL": rows["aVR"]}
        microvolt = np.stack([rows[name] for name in recording.leads])
        await hand_over(hub, file_of(replace(recording, microvolt=microvolt, measured={})))
        key = (await newest(client))["key"]
        listed = (await client.get(f"/api/v1/beds/{key}/ecgs")).json()["ecgs"]
        number = listed[0]["id"]
        ecg = (await client.get(f"/api/v1/ecgs/{number}")).json()
        return ecg["reading"], (await client.get(f"/ecg/{number}")).text

    right, page = await read(20, is_swapped=False)
    assert (right["swap"]["which"], right["swap"]["sure"], "ecg-swapped" in page) == ("none", True, False)
    assert 60 < right["qrs_ms"] < 120
    assert (
        right["pr_ms"] < right["qt_ms"] < right["qtc_fridericia_ms"] < right["qtc_bazett_ms"]
    )  # faster than 60 a minute
    assert set(right["st_mv"]) == {"I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"}
    wrong, page = await read(10, is_swapped=True)
    assert (wrong["swap"]["which"], wrong["swap"]["sure"], "ecg-swapped" in page) == ("ra-la", True, True)
    assert wrong["qrs_ms"] == pytest.approx(right["qrs_ms"], abs=8)  # the heart is the same


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
    files = [written(minutes) for minutes in (50, 40, 30)]
    for content in (*files, files[-1]):  # the last one once more, by another gateway
        await hand_over(hub, content)
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


@pytest.mark.req("ECG-6.1.5b", surface="api")
async def test_a_critical_ecg_is_found_by_the_table_and_by_the_age_of_its_patient_and_warned_of(
    web: RunningWeb, hub: RunningHub
):
    await place(web, hub)
    client = await web.signed_in()

    async def found_in(minutes_ago: float, **measured: float) -> list[tuple[str, float, str, float]]:
        begin = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=minutes_ago)
        values = {
            f"MDC_ECG_{name}": (value, "/min" if name == "HEART_RATE" else "ms") for name, value in measured.items()
        }
        await hand_over(hub, file_of(replace(recording_of(CAPTURE, begin), measured=values)))
        listed = (await client.get(f"/api/v1/beds/{key}/ecgs")).json()["ecgs"]
        ecg = (await client.get(f"/api/v1/ecgs/{listed[0]['id']}")).json()
        page = (await client.get(f"/ecg/{listed[0]['id']}")).text
        assert ('class="told ecg-critical' in page) == bool(ecg["critical"])
        return [(one["code"].rpartition("_")[2], one["value"], one["level"], one["bound"]) for one in ecg["critical"]]

    key = await key_of(client, bed="6")
    # The consensus of 2017: 35 beats a minute and less, a QTc of 550 ms and more.
    assert await found_in(50, HEART_RATE=72, TIME_PD_QTc=430) == []
    assert await found_in(40, HEART_RATE=35, TIME_PD_QTc=549) == [("RATE", 35, "red", 36), ("QTc", 549, "yellow", 500)]
    assert await found_in(30, HEART_RATE=36, TIME_PD_QTc=550) == [("QTc", 550, "red", 549), ("RATE", 36, "yellow", 41)]
    assert await found_in(20, HEART_RATE=170) == [("RATE", 170, "yellow", 130)]
    # The same rate of a newborn is as it should be.
    hub.do("update patient set birth_date = current_date - 5 where hospital_number = 'A-6'")
    assert await found_in(10, HEART_RATE=170) == []
    assert hub.rows("select from alarm") == []
