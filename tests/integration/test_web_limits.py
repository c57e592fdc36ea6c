"""Alarm limits of a patient: set at the bed, pushed to the gateway, shown where they differ, gone with the stay."""

import asyncio
import re

import psycopg
import pytest

from hub.core.principal import Role
from hub.placement.domain import Patient
from protocols.link import Connection, Lane
from protocols.nomenclature import HEART_RATE, SPO2
from protocols.package import JsonObject
from tests.fixtures.hub import RunningHub
from tests.fixtures.waiting import until
from tests.fixtures.web import OPERATOR, SOURCE, RunningWeb, deliver, heart_rate, now_ns
from tests.integration.test_web_beds import json_of, key_of

pytestmark = pytest.mark.integration


def rows(found: JsonObject, key: str = "limits") -> list[JsonObject]:
    listed = found[key]
    assert isinstance(listed, list)
    return [one for one in listed if isinstance(one, dict)]


def row(found: JsonObject, code: str) -> JsonObject:
    return next(one for one in rows(found) if one["code"] == code)


async def test_a_patients_limit_goes_before_the_beds_and_says_who_set_it(web: RunningWeb, hub: RunningHub):
    nurse = await web.signed_in()
    key = await key_of(nurse)
    before = await json_of(nurse, f"/api/v1/beds/{key}/limits")
    assert row(before, HEART_RATE)["bed"] == {"low": 50, "high": 120}
    assert row(before, HEART_RATE)["own"] is None
    wanted = {"since_ms": before["since_ms"], "limits": [{"code": HEART_RATE, "low": 45, "high": 140}]}
    at_ms = now_ns() // 1_000_000
    answer = await nurse.post(f"/api/v1/beds/{key}/limits", json=wanted)
    assert answer.status_code == 200, answer.text
    own = row(answer.json(), HEART_RATE)["own"]
    assert isinstance(own, dict)
    assert (own["low"], own["high"], own["by"]) == (45, 140, "Li.Na")
    assert abs(int(str(own["at_ms"])) - at_ms) < 10_000
    (bed,) = rows(await json_of(nurse, "/api/v1/ward/7b"), "beds")
    assert bed["limits"] == [
        {"code": HEART_RATE, "unit": "/min", "low": 45, "high": 140, "bed": {"low": 50, "high": 120}}
    ]
    with psycopg.connect(hub.database.admin_url) as connection:
        acts = connection.execute("select body from audit where action = 'limit.change'").fetchall()
    assert any("45" in body and HEART_RATE in body for (body,) in acts)


@pytest.mark.req("IOT-8.3a", surface="api")
async def test_the_gateway_is_told_of_a_patients_limit_and_of_its_end(web: RunningWeb, hub: RunningHub):
    nurse, peer = await web.signed_in(), await hub.peer()
    await deliver(hub, peer, Lane.NUMERIC, heart_rate(70, now_ns()))
    key = await key_of(nurse)
    running = asyncio.create_task(peer.run(hub.uplink, Connection.DATA, lambda: False))

    def told() -> dict[str, tuple[float | None, float | None]]:
        placed = [message.placement for message in peer.messages if message.HasField("placement")]
        beds = [bed for bed in (placed[-1].beds if placed else ()) if SOURCE.device in bed.devices]
        return {
            one.code: (one.low if one.HasField("low") else None, one.high if one.HasField("high") else None)
            for bed in beds
            for one in bed.limits
        }

    since = (await json_of(nurse, f"/api/v1/beds/{key}/limits"))["since_ms"]
    limits = [{"code": HEART_RATE, "low": 45, "high": 140}, {"code": SPO2, "low": 88}]
    assert (await nurse.post(f"/api/v1/beds/{key}/limits", json={"since_ms": since, "limits": limits})).is_success
    await until(lambda: told() == {HEART_RATE: (45, 140), SPO2: (88, None)})
    page = await nurse.get("/ward/7b/bed/1/admit")
    shown = re.search(r'name="patient" value="(\d+)"', page.text)
    assert shown
    assert (await nurse.post("/ward/7b/bed/1/discharge", data={"patient": shown[1]})).status_code == 303
    await until(lambda: told() == {HEART_RATE: (50, 120)})
    # who comes back begins with the limits of the bed
    await web.placement.place_patient(OPERATOR, Patient("A-1", "王小明", "male"), "7b", "1")
    again = await json_of(nurse, f"/api/v1/beds/{key}/limits")
    assert [one["own"] for one in rows(again)] == [None] * len(rows(again))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_limits_are_not_set_for_a_patient_who_has_left_the_bed_meanwhile(web: RunningWeb):
    nurse = await web.signed_in()
    key = await key_of(nurse)
    since = (await json_of(nurse, f"/api/v1/beds/{key}/limits"))["since_ms"]
    await web.placement.place_patient(OPERATOR, Patient("C-3", "张三"), "7b", "1")
    wanted = {"since_ms": since, "limits": [{"code": HEART_RATE, "low": 30, "high": 140}]}
    answer = await nurse.post(f"/api/v1/beds/{key}/limits", json=wanted)
    assert answer.status_code == 409
    assert answer.json()["type"].endswith("patient-gone")


@pytest.mark.parametrize(
    ("code", "low", "high"),
    [
        (HEART_RATE, 140, 45),
        (HEART_RATE, 50, 500),
        (SPO2, -1, None),
        ("MDC_MASS_BODY_ACTUAL", 10, 20),
        ("NO_SUCH", 1, 2),
    ],
)
async def test_a_limit_that_cannot_be_is_refused_and_nothing_is_set(
    web: RunningWeb, code: str, low: float | None, high: float | None
):
    nurse = await web.signed_in()
    key = await key_of(nurse)
    since = (await json_of(nurse, f"/api/v1/beds/{key}/limits"))["since_ms"]
    wanted = [{"code": "MDC_TTHOR_RESP_RATE", "low": 8}, {"code": code, "low": low, "high": high}]
    answer = await nurse.post(f"/api/v1/beds/{key}/limits", json={"since_ms": since, "limits": wanted})
    assert answer.status_code == 422
    assert answer.json()["what_to_do"]
    assert row(await json_of(nurse, f"/api/v1/beds/{key}/limits"), "MDC_TTHOR_RESP_RATE")["own"] is None


async def test_an_engineer_sees_limits_and_sets_none(web: RunningWeb):
    nurse = await web.signed_in()
    key = await key_of(nurse)
    engineer = await web.signed_in("wei", Role.ENGINEER)
    found = await json_of(engineer, f"/api/v1/beds/{key}/limits")
    wanted = {"since_ms": found["since_ms"], "limits": [{"code": HEART_RATE, "low": 30}]}
    assert (await engineer.post(f"/api/v1/beds/{key}/limits", json=wanted)).status_code == 403
