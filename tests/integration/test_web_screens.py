"""Open ward pages as the hub knows them: who may tell, who may see, and when a page is forgotten."""

import asyncio
import json
import time
from uuid import uuid4

import pytest

from hub.core.principal import Role
from tests.fixtures.hub import RunningHub
from tests.fixtures.web import RunningWeb

pytestmark = pytest.mark.integration


async def test_engineers_see_which_open_page_cannot_sound_and_since_when(web: RunningWeb, hub: RunningHub):
    nurse, engineer = await web.signed_in(), await web.signed_in("fan.wei", Role.ENGINEER, ())
    loud, mute = f"/api/v1/ward/7b/screens/{uuid4()}", f"/api/v1/ward/7b/screens/{uuid4()}"
    for path, sound in ((loud, "on"), (mute, "off"), (mute, "off")):
        assert (await nurse.post(path, json={"sound": sound})).status_code == 204
    first, second = (await engineer.get("/api/v1/screens")).json()["screens"]
    assert (first["sound"], first["ward"], first["who"]) == ("off", {"id": "7b", "name": "Cardiology 7B"}, "Li.Na")
    assert second["sound"] == "on"
    assert first["since_ms"] < first["seen_ms"], "since when it has been so, not when it was told last"
    await nurse.post(mute, json={"sound": "on"})
    assert [one["sound"] for one in (await engineer.get("/api/v1/screens")).json()["screens"]] == ["on", "on"]
    for path in (loud, mute):
        assert (await nurse.delete(path)).status_code == 204
    assert (await engineer.get("/api/v1/screens")).json()["screens"] == [], "a page that was closed is no alarm"


async def test_a_page_that_was_not_closed_is_silent_within_seconds_until_it_tells_again_or_its_person_opens_another(
    web: RunningWeb, hub: RunningHub
):
    nurse, engineer, other = (
        await web.signed_in(),
        await web.signed_in("fan.wei", Role.ENGINEER, ()),
        await web.signed_in("wu.min"),
    )
    page = f"/api/v1/ward/7b/screens/{uuid4()}"

    async def listed() -> list[dict[str, object]]:
        return (await engineer.get("/api/v1/screens")).json()["screens"]

    assert (await nurse.post(page, json={"sound": "on"})).status_code == 204
    told_s = time.monotonic()
    assert [one["silent"] for one in await listed()] == [False]
    while not (await listed())[0]["silent"]:
        await asyncio.sleep(0.2)
        assert time.monotonic() - told_s < 7, "with the 3 s of an engineers' page within 10 s"
    [silent] = await listed()
    assert (silent["who"], silent["ward"]) == ("Li.Na", {"id": "7b", "name": "Cardiology 7B"})
    assert (await other.delete(page)).status_code == 204
    assert len(await listed()) == 1, "nobody closes the page of somebody else"
    await nurse.post(page, json={"sound": "on"})
    assert [one["silent"] for one in await listed()] == [False]
    hub.do("update screen set seen_at = seen_at - interval '1 hour', opened_at = opened_at - interval '1 hour'")
    await other.post(f"/api/v1/ward/7b/screens/{uuid4()}", json={"sound": "on"})
    assert len(await listed()) == 2, "what somebody else opens says nothing of it"
    await nurse.post(f"/api/v1/ward/7b/screens/{uuid4()}", json={"sound": "on"})
    assert not any(one["silent"] for one in await listed())


async def test_the_audit_has_who_and_which_page_fell_mute_and_was_heard_again_and_no_line_for_each_report(
    web: RunningWeb, hub: RunningHub
):
    nurse = await web.signed_in()
    other = await web.signed_in("wu.min")
    mine, theirs = uuid4(), uuid4()
    for client, screen, sound in (
        (nurse, mine, "on"), (nurse, mine, "on"), (nurse, mine, "off"), (nurse, mine, "off"), (nurse, mine, "none"),
        (other, theirs, "off"), (other, mine, "on"), (nurse, mine, "on"), (nurse, mine, "on"),
    ):  # fmt: skip
        assert (await client.post(f"/api/v1/ward/7b/screens/{screen}", json={"sound": sound})).status_code == 204
    rows = hub.rows("select action, target, principal, body from audit where target like 'screen:%%' order by seq")
    [(nurses,)] = hub.rows("select 'user:' || account_id from account where name = 'li.na'")
    [(others,)] = hub.rows("select 'user:' || account_id from account where name = 'wu.min'")
    assert [(*row, json.loads(body)["details"]) for *row, body in rows] == [
        ("screen.mute", f"screen:{mine}", nurses, {"ward": "7b", "sound": "off"}),
        ("screen.mute", f"screen:{theirs}", others, {"ward": "7b", "sound": "off"}),
        ("screen.heard", f"screen:{mine}", nurses, {"ward": "7b", "sound": "on"}),
    ]


async def test_reports_of_one_page_at_the_same_moment_are_one_change(web: RunningWeb, hub: RunningHub):
    nurse = await web.signed_in()
    page = f"/api/v1/ward/7b/screens/{uuid4()}"
    for sound in ("off", "on") * 3:
        answers = await asyncio.gather(*(nurse.post(page, json={"sound": sound}) for _ in range(6)))
        assert {answer.status_code for answer in answers} == {204}
    actions = hub.rows("select action from audit where target like 'screen:%%' order by seq")
    assert actions == [("screen.mute",), ("screen.heard",)] * 3


async def test_who_may_not_is_refused_and_nobody_speaks_for_anothers_page(web: RunningWeb, hub: RunningHub):
    nurse, other = await web.signed_in(), await web.signed_in("wu.min")
    elsewhere, bureau = await web.signed_in("zhou.jie", wards=("8a",)), await web.signed_in("gao.yan", Role.BUREAU, ())
    path = f"/api/v1/ward/7b/screens/{uuid4()}"
    assert (await nurse.post(path, json={"sound": "off"})).status_code == 204
    await other.post(path, json={"sound": "on"})
    assert hub.rows("select sound from screen") == [("off",)]
    assert (await elsewhere.post(path, json={"sound": "on"})).status_code == 404
    assert (await bureau.post(path, json={"sound": "on"})).status_code == 403
    assert (await nurse.get("/api/v1/screens")).status_code == 403
    assert (await nurse.post(path, json={"sound": "loud"})).status_code == 422
