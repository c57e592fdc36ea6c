"""Admission, discharge and devices by hand at a bed: what is done, what is asked first, who may, what the gateway hears."""

import re

import httpx
import psycopg
import pytest

from hub.core.principal import Role
from hub.placement.domain import Patient
from tests.fixtures.hub import RunningHub
from tests.fixtures.web import OPERATOR, SOURCE, RunningWeb
from tests.integration.test_web_beds import key_of

pytestmark = pytest.mark.integration
NEW = {"number": "B-2", "name": "李小红", "sex": "female", "birth": "1951-04-02"}


async def post(client: httpx.AsyncClient, bed: str, what: str, **fields: str | list[str]) -> httpx.Response:
    return await client.post(f"/ward/7b/bed/{bed}/{what}", data=fields)


def asked(page: httpx.Response) -> list[str]:
    """What a page asks to be agreed to."""
    return re.findall(r'name="agreed" value="([^"]+)"', page.text)


async def who_at(client: httpx.AsyncClient, bed: str) -> str | None:
    beds = (await client.get("/api/v1/ward/7b")).json()["beds"]
    return next(one["who"] and one["who"]["masked_name"] for one in beds if one["id"] == bed)


def devices_at(hub: RunningHub) -> dict[str, str]:
    with psycopg.connect(hub.database.admin_url) as connection:
        rows = connection.execute(
            "select d.name, p.bed from device_association a join device d using (device_id)"
            " join point_of_care p using (point_of_care_id) where a.during @> now()"
        ).fetchall()
    return dict(rows)


async def test_a_patient_is_admitted_to_an_empty_bed_with_a_free_device(web: RunningWeb, hub: RunningHub):
    nurse = await web.signed_in()
    await web.placement.add_bed(OPERATOR, "7b", "2")
    with psycopg.connect(hub.database.admin_url) as connection:
        connection.execute("insert into device (tenant_id, name, admission) values (1, 'patch-9', 'admitted')")
    page = await nurse.get("/ward/7b/bed/2/admit")
    assert page.status_code == 200
    assert 'value="patch-9"' in page.text
    assert f'value="{SOURCE.device}"' not in page.text, "a device at another bed is not offered"
    done = await post(nurse, "2", "admit", **NEW, devices=["patch-9"])
    assert (done.status_code, done.headers["location"]) == (303, "/ward/7b/bed/2")
    await key_of(nurse, bed="2")
    assert await who_at(nurse, "2") == "李**"
    assert devices_at(hub) == {SOURCE.device: "1", "patch-9": "2"}
    with psycopg.connect(hub.database.admin_url) as connection:
        acts = connection.execute("select action from audit where principal like 'user:%'").fetchall()
    assert {"patient.admit", "device.place"} <= {action for (action,) in acts}


@pytest.mark.parametrize(("said", "kept"), [({}, True), ({"paced": "unknown"}, True), ({"paced": "no"}, False)])
async def test_what_is_not_said_at_the_next_admission_is_not_forgotten(
    web: RunningWeb, hub: RunningHub, said: dict[str, str], kept: bool
):
    nurse = await web.signed_in()
    await web.placement.add_bed(OPERATOR, "7b", "2")
    await web.placement.add_bed(OPERATOR, "7b", "3")
    assert (await post(nurse, "2", "admit", **NEW, paced="yes")).status_code == 303
    brief = {"number": NEW["number"], "name": NEW["name"], **said}
    moved = await post(nurse, "3", "admit", **brief)
    assert (await post(nurse, "3", "admit", **brief, agreed=asked(moved))).status_code == 303
    [(paced, sex, birth)] = hub.rows("select paced, sex, birth_date::text from patient where hospital_number = 'B-2'")
    assert (paced, sex, birth) == (kept, "female", NEW["birth"])


async def test_a_device_still_at_another_bed_is_asked_for_and_not_taken(web: RunningWeb, hub: RunningHub):
    nurse = await web.signed_in()
    await web.placement.add_bed(OPERATOR, "7b", "2")
    first = await post(nurse, "2", "admit", **NEW, scan=SOURCE.device)
    assert first.status_code == 409
    assert asked(first) == [f"device_elsewhere:{SOURCE.device}@7b/1"]
    assert "Cardiology 7B · 1" in first.text
    assert devices_at(hub) == {SOURCE.device: "1"}
    assert (await post(nurse, "2", "admit", **NEW, scan=SOURCE.device, agreed=asked(first))).status_code == 303
    assert devices_at(hub) == {SOURCE.device: "2"}


async def test_a_bed_that_is_taken_and_a_patient_who_is_elsewhere_are_asked(web: RunningWeb):
    nurse = await web.signed_in()
    await web.placement.add_bed(OPERATOR, "7b", "2")
    await web.placement.place_patient(OPERATOR, Patient("B-2", "李小红", "female"), "7b", "2")
    first = await post(nurse, "1", "admit", **NEW, devices=[SOURCE.device])
    assert [token.split(":")[0] for token in asked(first)] == ["bed_taken", "patient_elsewhere"]
    assert "王**" in first.text
    # agreeing to one is not agreeing to the other
    again = await post(nurse, "1", "admit", **NEW, devices=[SOURCE.device], agreed=asked(first)[:1])
    assert asked(again) == asked(first)[1:]
    assert await who_at(nurse, "1") == "王**"
    assert (await post(nurse, "1", "admit", **NEW, devices=[SOURCE.device], agreed=asked(first))).status_code == 303
    assert await who_at(nurse, "1") == "李**"


async def test_a_number_known_under_another_name_is_asked(web: RunningWeb):
    nurse = await web.signed_in()
    await web.placement.add_bed(OPERATOR, "7b", "2")
    answer = await post(nurse, "2", "admit", **{**NEW, "number": "A-1"})
    assert [token.split(":")[0] for token in asked(answer)] == ["patient_differs", "patient_elsewhere"]
    assert "王小明" in answer.text


@pytest.mark.parametrize(
    ("field", "text", "says"),
    [
        ("number", " ", "A patient number is needed."),
        ("name", "", "A name is needed."),
        ("birth", "2951-04-02", "Look at the year."),
        ("birth", "yesterday", "Look at the year."),
        ("scan", "no-such", "No admitted device has this name"),
    ],
)
async def test_what_cannot_be_is_refused_and_what_was_typed_stays(web: RunningWeb, field: str, text: str, says: str):
    nurse = await web.signed_in()
    await web.placement.add_bed(OPERATOR, "7b", "2")
    answer = await post(nurse, "2", "admit", **{**NEW, field: text})
    assert answer.status_code == 422
    assert says in answer.text
    assert 'value="B-2"' in answer.text or field == "number"
    assert asked(answer) == []


async def test_a_discharge_ends_the_stay_of_the_patient_whom_the_page_showed(web: RunningWeb, hub: RunningHub):
    nurse = await web.signed_in()
    page = await nurse.get("/ward/7b/bed/1/admit")
    shown = re.search(r'name="patient" value="(\d+)"', page.text)
    assert shown
    await web.placement.place_patient(OPERATOR, Patient("C-3", "张三"), "7b", "1")
    late = await post(nurse, "1", "discharge", patient=shown[1])
    assert late.status_code == 409
    assert "no longer in this bed" in late.text
    assert await who_at(nurse, "1") == "张*"
    now = re.search(r'name="patient" value="(\d+)"', late.text)
    assert now
    assert (await post(nurse, "1", "discharge", patient=now[1], free=[SOURCE.device])).status_code == 303
    assert await who_at(nurse, "1") is None
    assert devices_at(hub) == {}


async def test_those_who_do_not_care_for_patients_and_those_of_other_wards_cannot(web: RunningWeb):
    for role, wards, status in ((Role.ENGINEER, (), 403), (Role.ADMINISTRATOR, (), 403), (Role.NURSE, ("8a",), 404)):
        other = await web.signed_in(f"{role}-{len(wards)}", role, wards)
        assert (await other.get("/ward/7b/bed/1/admit")).status_code == status
        for what in ("admit", "devices", "discharge"):
            assert (await post(other, "1", what, **NEW, patient="1")).status_code == status
