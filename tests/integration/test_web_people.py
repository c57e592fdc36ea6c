"""The room of people: an administrator invites, changes, reviews and ends accounts; with real sockets and the real database."""

import re
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from hub.accounts.domain import Account
from hub.accounts.ending import end_over
from hub.core.audit import AuditLog
from hub.core.db import Database
from hub.core.errors import ConflictError
from hub.core.principal import Principal, PrincipalKind, Role
from tests.fixtures.hub import RunningHub
from tests.fixtures.web import OPERATOR, PASSWORD, RunningWeb, token_of

pytestmark = pytest.mark.integration
SOMEBODY = {
    "name": "He.Jun",
    "display_name": "贺军",
    "staff_number": "20417",
    "roles": ["nurse", "doctor"],
    "wards": ["7b", "8a"],
}


async def post(client: httpx.AsyncClient, path: str, **fields: object) -> httpx.Response:
    token = token_of(await client.get("/people"))
    return await client.post(path, data={"csrf": token, **fields})


async def administrator(web: RunningWeb) -> httpx.AsyncClient:
    return await web.signed_in("admin", Role.ADMINISTRATOR, ())


async def accounts(web: RunningWeb) -> dict[str, Account]:
    return {one.name: one for one in await web.accounts.every(OPERATOR)}


def link_on(page: httpx.Response) -> str:
    found = re.search(r"<code>http://[^/<]+(/welcome/[\w-]+)</code>", page.text)
    assert found, page.text
    return found[1]


@pytest.mark.req("ECG-6.3.4a", surface="page")
async def test_an_administrator_invites_somebody_who_then_gets_in_with_these_rights(hub: RunningHub, web: RunningWeb):
    client = await administrator(web)
    page = await post(client, "/people", **SOMEBODY)
    assert page.status_code == 200
    made = (await accounts(web))["he.jun"]
    assert (made.display_name, made.staff_number, made.roles, made.wards) == (
        "贺军",
        "20417",
        ("doctor", "nurse"),
        ("7b", "8a"),
    )
    link, newcomer = link_on(page), web.client()
    assert link not in (await client.get("/people?open=he.jun")).text, "it is shown once"
    fields = {"csrf": token_of(await newcomer.get(link)), "password": PASSWORD, "password_again": PASSWORD}
    assert (await newcomer.post(link, data=fields)).status_code == 303
    assert (await newcomer.get("/api/v1/ward/8a")).status_code == 200
    assert (await newcomer.get("/people")).status_code == 403
    assert "Signed in" in (await client.get("/people")).text
    await post(client, "/people", **SOMEBODY | {"wards": ["7b"]})
    assert (await newcomer.get("/api/v1/ward/8a")).status_code == 404, "rights that are taken go at once"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "he jun"}, "needs 1 to 63"),
        ({"roles": ["system"]}, "at least one role"),
        ({"staff_number": "a b"}, "letters, digits"),
        ({"wards": ["none"]}, "not there any more"),
        ({"staff_number": "1"}, "another account"),
        ({"until": "2027-02-30"}, "no day of the calendar"),
        ({"until": "9999-12-31"}, "no day of the calendar"),
    ],
)
async def test_what_cannot_be_is_refused_with_the_form_as_it_was_typed(
    hub: RunningHub, web: RunningWeb, change: dict[str, object], says: str
):
    client = await administrator(web)
    hub.do("update account set staff_number = '1'")
    page = await post(client, "/people", **SOMEBODY | change)
    assert (page.status_code >= 400, says in page.text, "贺军" in page.text) == (True, True, True)
    assert set(await accounts(web)) == {"admin"}


@pytest.mark.req("AIQ-D.2.2d", surface="page")
async def test_an_account_that_is_closed_is_out_at_once_and_its_name_is_not_given_again(web: RunningWeb):
    client, nurse = await administrator(web), await web.signed_in("li.na")
    assert (await post(client, "/people/li.na/close")).status_code == 303
    assert (await nurse.get("/api/v1/ward/7b")).status_code == 401
    assert (await accounts(web))["li.na"].state(datetime.now(UTC)) == "closed"
    again = await post(client, "/people", **SOMEBODY | {"name": "li.na", "open": "li.na"})
    assert (again.status_code, "stays closed" in again.text) == (409, True)
    await post(client, "/people/li.na/disable")
    assert (await accounts(web))["li.na"].stored_state == "closed"


async def test_a_disabled_account_is_let_in_again_by_a_link(web: RunningWeb):
    client, nurse = await administrator(web), await web.signed_in("li.na")
    await post(client, "/people/li.na/disable")
    assert (await nurse.get("/api/v1/ward/7b")).status_code == 401
    assert (await web.signed_in("li.na")) is not None
    assert (await accounts(web))["li.na"].stored_state == "active"


@pytest.mark.req("IOT-7.2d", surface="page")
async def test_sessions_are_seen_and_ended(web: RunningWeb):
    client, nurse = await administrator(web), await web.signed_in("li.na")
    assert (await accounts(web))["li.na"].is_signed_in
    assert (await post(client, "/people/li.na/end-sessions")).status_code == 303
    assert (await nurse.get("/api/v1/ward/7b")).status_code == 401
    assert not (await accounts(web))["li.na"].is_signed_in
    assert (await post(client, "/people/nobody/end-sessions")).headers["location"] == "/people"


@pytest.mark.req("AIQ-D.2.2d", surface="protocol")
async def test_a_temporary_account_ends_by_itself(hub: RunningHub, web: RunningWeb):
    client, today = await administrator(web), datetime.now().astimezone().date()
    page = await post(client, "/people", **SOMEBODY | {"until": today.isoformat()})
    until = (await accounts(web))["he.jun"].valid_until
    assert until is not None
    assert until.astimezone().date() == today + timedelta(days=1), "it holds through its last day"
    assert f'value="{today.isoformat()}"' in page.text
    await web.invite("li.na")
    async with Database(hub.database.url_for("wardlink_worker"), "test worker", max_size=2) as worker:
        assert await end_over(worker, AuditLog(worker)) == 0
        hub.do("update account set valid_until = now() where name = 'he.jun'")
        assert (await accounts(web))["he.jun"].state(datetime.now(UTC)) == "over"
        assert await end_over(worker, AuditLog(worker)) == 1
        assert await end_over(worker, AuditLog(worker)) == 0
    found = await accounts(web)
    assert (found["he.jun"].stored_state, found["li.na"].stored_state) == ("disabled", "invited")
    assert (await web.client().get(link_on(page))).status_code == 410
    assert hub.rows("select count(*) from audit where action = 'account.end'") == [(1,)]


@pytest.mark.req("ECG-6.3.4a", surface="page")
async def test_rights_are_due_for_review_after_half_a_year_and_a_review_is_written(hub: RunningHub, web: RunningWeb):
    client = await administrator(web)
    await web.signed_in("li.na")
    hub.do("update account set reviewed_at = now() - interval '182 days' where name = 'li.na'")
    assert "Review due" in (await client.get("/people?state=review")).text
    assert (await post(client, "/people/li.na/review")).status_code == 303
    assert (await accounts(web))["li.na"].state(datetime.now(UTC)) == "active"
    assert hub.rows("select target from audit where action = 'account.review'") == [("account:2",)]


async def test_a_locked_name_is_shown_and_a_new_link_lifts_the_lock(hub: RunningHub, web: RunningWeb):
    client = await administrator(web)
    await web.signed_in("li.na")
    for _ in range(5):
        hub.do("update sign_in_failure set blocked_until = now()")
        other = web.client()
        fields = {"csrf": token_of(await other.get("/sign-in")), "name": "li.na", "password": "wrong wrong", "next": ""}
        await other.post("/sign-in", data=fields)
    assert (await accounts(web))["li.na"].state(datetime.now(UTC)) == "locked"
    assert "Locked" in (await client.get("/people?state=locked")).text
    await post(client, "/people", name="li.na", display_name="Li Na", roles=["nurse"], wards=["7b"], open="li.na")
    assert (await accounts(web))["li.na"].state(datetime.now(UTC)) == "active"


async def test_nobody_ends_the_own_account_and_nobody_else_enters_the_room(web: RunningWeb):
    client = await administrator(web)
    answer = await post(client, "/people/admin/disable")
    assert (answer.status_code, "own account" in answer.text) == (409, True)
    who = Principal(PrincipalKind.USER, "1", 1, frozenset({Role.ADMINISTRATOR}), proved_ns=time.time_ns())
    with pytest.raises(ConflictError):
        await web.accounts.close(who, "admin")
    for role in (Role.NURSE, Role.DOCTOR, Role.ENGINEER, Role.BUREAU):
        other = await web.signed_in(f"x-{role}", role, ())
        assert (await other.get("/people")).status_code == 403
        token = token_of(await other.get("/sign-in"))
        assert (await other.post("/people/admin/disable", data={"csrf": token})).status_code == 403


@pytest.mark.req("ECG-6.3.4d", surface="page")
async def test_a_dangerous_act_needs_a_proof_of_the_last_ten_minutes(hub: RunningHub, web: RunningWeb):
    client = await administrator(web)
    hub.do("update account_session set proved_at = now() - interval '601 seconds'")
    page = {"Accept": "text/html", "Referer": f"http://{web.address}/people?open=%2B"}
    token = token_of(await client.get("/people"))
    told = await client.post("/people", data={"csrf": token, **SOMEBODY}, headers=page)
    assert (told.status_code, told.headers["location"]) == (303, "/account/prove?next=/people%3Fopen%3D%252B")
    assert set(await accounts(web)) == {"admin"}, "nothing was done"
    plain = await client.post("/people", data={"csrf": token, **SOMEBODY})
    assert (plain.status_code, plain.json()["type"]) == (403, "urn:wardlink:problem:step-up")
    reasons = hub.rows("select body::jsonb->'details'->>'reason' from audit where outcome = 'denied'")
    assert reasons == [("step-up",), ("step-up",)]
    elsewhere = {"Accept": "text/html", "Referer": "http://elsewhere.example/people"}
    told = await client.post("/people", data={"csrf": token, **SOMEBODY}, headers=elsewhere)
    assert told.headers["location"] == "/account/prove?next=/"
    wrong = await post(client, "/account/prove", current="Not the one at all 1", next="/people")
    assert (wrong.status_code, "not right" in wrong.text) == (401, True)
    hub.do("delete from sign_in_failure")
    done = await post(client, "/account/prove", current=PASSWORD, next="/people?open=%2B")
    assert (done.status_code, done.headers["location"]) == (303, "/people?open=%2B")
    assert (await client.post("/people", data={"csrf": token, **SOMEBODY})).status_code == 200
    assert set(await accounts(web)) == {"admin", "he.jun"}
    assert (await post(client, "/account/prove", current=PASSWORD, next="//elsewhere.example")).headers[
        "location"
    ] == "/"
