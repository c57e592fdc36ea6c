"""The quarantine as an engineer sees it: what is held and why, its bytes, release and discard; who may."""

import httpx
import pytest

from hub.core.principal import Role
from protocols.link import Lane
from protocols.nomenclature import HEART_RATE
from protocols.record import NS_PER_S, Observation, Times
from protocols.wire import encode_record
from tests.fixtures.hub import RunningHub
from tests.fixtures.web import SOURCE, RunningWeb, deliver, heart_rate, now_ns

pytestmark = pytest.mark.integration
IN_2099_NS = 4_070_908_800 * NS_PER_S


@pytest.fixture
async def engineer(hub: RunningHub, web: RunningWeb) -> httpx.AsyncClient:
    """An engineer's browser, after a gateway that does not know the time has sent two numbers among good ones."""
    peer = await hub.peer()
    wrong = [Observation(SOURCE, HEART_RATE, value, "/min", Times(IN_2099_NS)) for value in (61.0, 62.0)]
    await deliver(hub, peer, Lane.NUMERIC, heart_rate(60, now_ns()), *wrong)
    return await web.signed_in("chen", Role.ENGINEER, ())


async def test_what_could_not_be_stored_is_shown_with_its_reason_and_its_bytes(engineer: httpx.AsyncClient):
    told = (await engineer.get("/api/v1/quarantine")).json()
    assert told["found"] == 2
    assert [(g["device"], g["reason"], g["count"]) for g in told["groups"]] == [(SOURCE.device, "time", 2)]
    newest = told["items"][0]
    assert newest["source"] == str(SOURCE)
    assert "2099" in newest["detail"]
    item = (await engineer.get(f"/api/v1/quarantine/{newest['id']}")).json()
    wanted = encode_record(Observation(SOURCE, HEART_RATE, 62.0, "/min", Times(IN_2099_NS)))
    assert wanted.SerializeToString() in bytes.fromhex(item["bytes"])
    page = (await engineer.get(f"/quarantine/{newest['id']}")).text
    assert "cyton-1" in page
    assert "63 79 74 6f 6e 2d 31" in page, "the raw bytes can be read"


async def test_what_is_discarded_is_gone_from_the_list_and_stays_in_the_books(engineer: httpx.AsyncClient):
    first, second = (await engineer.get("/api/v1/quarantine")).json()["items"]
    assert (await engineer.post(f"/api/v1/quarantine/{first['id']}/discard")).json() == {"state": "discarded"}
    assert (await engineer.post(f"/api/v1/quarantine/{first['id']}/discard")).status_code == 409
    left = (await engineer.get("/api/v1/quarantine")).json()["items"]
    assert [item["id"] for item in left] == [second["id"]]
    gone = (await engineer.get("/api/v1/quarantine", params={"state": "discarded"})).json()["items"]
    assert gone[0]["decided"]["by"].startswith("user:")
    # ... and can be put back
    back = f"/api/v1/quarantine/{first['id']}/put-back"
    assert (await engineer.post(back)).json() == {"state": "held", "records": 1}
    assert (await engineer.post(back)).status_code == 409
    assert (await engineer.get("/api/v1/quarantine")).json()["items"] == [first, second]


async def test_all_of_a_device_for_one_reason_are_decided_together_and_put_back_together(engineer: httpx.AsyncClient):
    held = (await engineer.get("/api/v1/quarantine")).json()["items"]
    fields = {"device": SOURCE.device, "reason": "time"}
    answer = await engineer.post("/quarantine/discard", data=fields)
    assert answer.status_code == 303
    assert (await engineer.get("/api/v1/quarantine")).json()["items"] == []
    page = (await engineer.get(answer.headers["location"])).text
    assert "2 records are discarded." in page
    assert f"/quarantine/{held[0]['id']}/put-back" in page
    assert (await engineer.post(f"/quarantine/{held[0]['id']}/put-back")).status_code == 303
    assert (await engineer.get("/api/v1/quarantine")).json()["items"] == held


async def test_why_a_record_is_held_is_said_in_the_readers_language(engineer: httpx.AsyncClient):
    newest = (await engineer.get("/api/v1/quarantine")).json()["items"][0]
    assert newest["said"]["code"] == "time"
    assert newest["said"]["params"]["gateway"] == "2099-01-01T00:00:00+00:00"
    english = (await engineer.get(f"/quarantine/{newest['id']}")).text
    assert "gateway time 2099-01-01T00:00:00" in english
    engineer.cookies.set("wl_lang", "zh_Hans")
    chinese = (await engineer.get(f"/quarantine/{newest['id']}")).text
    assert "网关时间 2099-01-01T00:00:00" in chinese
    assert "gateway time" not in chinese


@pytest.mark.parametrize("role", [Role.NURSE, Role.BUREAU, Role.ADMINISTRATOR])
async def test_nobody_but_an_engineer_sees_the_bytes(engineer: httpx.AsyncClient, web: RunningWeb, role: Role):
    item = (await engineer.get("/api/v1/quarantine")).json()["items"][0]["id"]
    person = await web.signed_in("somebody", role, ("7b",))
    for path in ("/api/v1/quarantine", f"/api/v1/quarantine/{item}", "/quarantine"):
        assert (await person.get(path)).status_code == 403
    assert (await person.post(f"/api/v1/quarantine/{item}/discard")).status_code == 403
