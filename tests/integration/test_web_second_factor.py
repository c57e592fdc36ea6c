"""Signing in with two factors, the own account, and passwords that grow old; with real sockets and the real database."""

import asyncio
import re
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from pyotp.totp import TOTP

from hub.accounts.domain import Invitation, SecondFactor
from hub.core.principal import Role
from tests.fixtures.hub import RunningHub
from tests.fixtures.web import OPERATOR, PASSWORD, RunningWeb, furnish, running_web, token_of

pytestmark = pytest.mark.integration
OTHER = "Quiet nights, 7 of them"


@pytest.fixture
async def strict(hub: RunningHub) -> AsyncIterator[RunningWeb]:
    """Web as it comes: everybody sets up a second factor."""
    async with running_web(hub.database, hub.live_path, second_factor=SecondFactor.REQUIRED) as web:
        await furnish(web)
        yield web


async def post(client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """What a form of that page sends."""
    page = await client.get("/sign-in")
    return await client.post(path, data={"csrf": token_of(page), **fields})


async def invited(web: RunningWeb, name: str = "li.na") -> httpx.AsyncClient:
    """A browser in which somebody has followed the link and chosen a password."""
    client = web.client()
    answer = await post(client, await web.invite(name), password=PASSWORD, password_again=PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in/step")
    return client


def secret_on(page: httpx.Response) -> str:
    found = re.search(r"<code>([A-Z2-7]{32})</code>", page.text)
    assert found, page.text
    return found[1]


async def enrolled(web: RunningWeb, name: str = "li.na") -> tuple[httpx.AsyncClient, str, list[str]]:
    """A browser of somebody who is in, the secret in the telephone, and the recovery codes."""
    client = await invited(web, name)
    secret = secret_on(await client.get("/sign-in/step"))
    page = await post(client, "/sign-in/step", code=TOTP(secret).now())
    assert page.status_code == 200
    return client, secret, re.findall(r"<code>([A-Z2-9]{5}-[A-Z2-9]{5})</code>", page.text)


async def with_password(web: RunningWeb, name: str = "li.na", password: str = PASSWORD) -> httpx.AsyncClient:
    client = web.client()
    answer = await post(client, "/sign-in", name=name, password=password, next="/ward/7b?x=1")
    assert (answer.status_code, answer.headers.get("location")) == (303, "/sign-in/step"), answer.text
    return client


def forget_steps(hub: RunningHub) -> None:
    """As if the time of the last code were over: the next one is of another step."""
    hub.do("update account_factor set last_step = last_step - 2")


@pytest.mark.req("TCE-8.1a", surface="page")
@pytest.mark.req("ECG-6.3.4d", surface="page")
async def test_nobody_is_in_before_a_second_factor_is_set_up_and_shown(hub: RunningHub, strict: RunningWeb):
    client = await invited(strict)
    assert "wl_session" not in client.cookies
    assert (await client.get("/api/v1/ward/7b")).status_code == 401
    page = await client.get("/sign-in/step")
    secret = secret_on(page)
    assert "data:image/svg+xml" in page.text
    assert secret_on(await client.get("/sign-in/step")) == secret, "the same when the page is loaded again"
    wrong = await post(client, "/sign-in/step", code="000000")
    assert (wrong.status_code, "not of this picture" in wrong.text) == (401, True)
    told = await post(client, "/sign-in/step", code=TOTP(secret).now())
    assert (told.status_code, len(re.findall(r"<li><code>", told.text))) == (200, 10)
    assert (await client.get("/api/v1/ward/7b")).status_code == 200
    ((sealed,),) = hub.rows("select sealed from account_factor")
    assert secret.encode() not in bytes(sealed)
    ((kept,),) = hub.rows("select string_agg(encode(code_hash, 'hex'), '') from account_recovery")
    assert not any(code in kept for code in re.findall(r"<code>([A-Z2-9]{5})", told.text))
    again = await with_password(strict)
    assert (await again.get("/api/v1/ward/7b")).status_code == 401, "a password alone"
    assert (await again.get("/ward/7b", headers={"Accept": "text/html"})).status_code == 303
    forget_steps(hub)
    done = await post(again, "/sign-in/step", code=TOTP(secret).now())
    assert (done.status_code, done.headers["location"]) == (303, "/ward/7b?x=1")
    assert (await again.get("/api/v1/ward/7b")).status_code == 200


async def test_a_code_is_taken_once_and_so_is_a_recovery_code(hub: RunningHub, strict: RunningWeb):
    _, secret, recovery = await enrolled(strict)
    now = TOTP(secret).now()
    client = await with_password(strict)
    assert (await post(client, "/sign-in/step", code=now)).status_code == 401, "it was shown when it was set up"
    hub.do("delete from sign_in_failure")
    assert (await post(client, "/sign-in/step", code=recovery[3].lower())).status_code == 303
    client = await with_password(strict)
    assert (await post(client, "/sign-in/step", code=recovery[3])).status_code == 401
    hub.do("delete from sign_in_failure")
    assert (await post(client, "/sign-in/step", code=recovery[4])).status_code == 303
    assert "8 recovery codes left" in (await client.get("/account")).text


@pytest.mark.req("TCE-8.1a", surface="page")
async def test_who_has_the_password_cannot_try_codes_without_end(hub: RunningHub, strict: RunningWeb):
    _, secret, recovery = await enrolled(strict)
    forget_steps(hub)
    failures, client = 0, strict.client()
    for _ in range(5):  # the password is right each time, and does not wash away what was wrong
        hub.do("update sign_in_failure set blocked_until = now()")
        client = await with_password(strict)
        hub.do("update sign_in_failure set blocked_until = now()")
        answer = await post(client, "/sign-in/step", code="000000")
        failures += answer.status_code == 401
    assert failures == 5
    for code in (TOTP(secret).now(), recovery[0]):
        locked = await post(client, "/sign-in/step", code=code)
        assert (locked.status_code, int(locked.headers["retry-after"]) > 3500) == (429, True)
    assert (await post(strict.client(), "/sign-in", name="li.na", password=PASSWORD, next="")).status_code == 429


async def test_a_step_is_of_its_browser_and_of_ten_minutes(hub: RunningHub, strict: RunningWeb):
    client = await invited(strict)
    answer = await strict.client().get("/sign-in/step")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?why=over")
    hub.do("update sign_in_step set expires_at = now()")
    assert (await client.get("/sign-in/step")).headers["location"] == "/sign-in?why=over"
    assert (await post(client, "/sign-in/step", code="123456")).headers["location"] == "/sign-in?why=over"
    assert "took too long" in (await client.get("/sign-in?why=over")).text


@pytest.mark.req("AIQ-D.2.2a", surface="page")
async def test_a_password_of_ninety_days_is_changed_before_anything_else_and_none_of_the_last_five_comes_again(
    hub: RunningHub, web: RunningWeb
):
    await web.signed_in()
    hub.do("update account set password_set_at = now() - interval '90 days'")
    client = await with_password(web)
    assert "older than 90 days" in (await client.get("/sign-in/step")).text
    for password, again, says in (
        (PASSWORD, PASSWORD, "used that password"),
        ("short", "short", "at least 12"),
        (OTHER, PASSWORD, "not the same"),
    ):
        refused = await post(client, "/sign-in/step", password=password, password_again=again)
        assert (refused.status_code, says in refused.text) == (422, True)
    assert (await client.get("/api/v1/ward/7b")).status_code == 401
    done = await post(client, "/sign-in/step", password=OTHER, password_again=OTHER)
    assert (done.status_code, done.headers["location"]) == (303, "/ward/7b?x=1")
    assert (await client.get("/api/v1/ward/7b")).status_code == 200


@pytest.mark.req("IOT-7.2d", surface="page")
async def test_who_signs_in_elsewhere_is_out_here_and_is_told_why(web: RunningWeb):
    here = await web.signed_in()
    there = web.client()
    assert (await post(there, "/sign-in", name="li.na", password=PASSWORD, next="")).status_code == 303
    assert (await here.get("/api/v1/ward/7b")).status_code == 401
    assert "at another place" in (await here.get("/sign-in?next=/ward/7b")).text
    assert (await there.get("/api/v1/ward/7b")).status_code == 200
    assert "another place" not in (await web.client().get("/sign-in")).text


@pytest.mark.req("ECG-6.3.4a", surface="page")
async def test_a_password_is_changed_by_who_knows_the_one_before(hub: RunningHub, web: RunningWeb):
    client = await web.signed_in()
    fields = {"current": "Not the one at all 1", "password": OTHER, "password_again": OTHER}
    refused = await post(client, "/account/password", **fields)
    assert (refused.status_code, "Nothing was changed" in refused.text) == (401, True)
    hub.do("delete from sign_in_failure")
    done = await post(client, "/account/password", **fields | {"current": PASSWORD})
    assert (done.status_code, done.headers["location"]) == (303, "/account?done=password")
    assert (await client.get("/api/v1/ward/7b")).status_code == 200, "whoever changes it stays"
    assert (await post(web.client(), "/sign-in", name="li.na", password=PASSWORD, next="")).status_code == 401
    hub.do("delete from sign_in_failure")
    assert (await post(web.client(), "/sign-in", name="li.na", password=OTHER, next="")).status_code == 303


async def test_who_looks_for_a_password_that_is_taken_is_not_locked_out(web: RunningWeb):
    client = await web.signed_in()
    for _ in range(7):
        fields = {"current": PASSWORD, "password": "Password1234!", "password_again": "Password1234!"}
        assert (await post(client, "/account/password", **fields)).status_code == 422
    done = await post(client, "/account/password", current=PASSWORD, password=OTHER, password_again=OTHER)
    assert done.status_code == 303


async def test_the_second_factor_is_replaced_by_who_has_password_and_code(hub: RunningHub, strict: RunningWeb):
    client, old, recovery = await enrolled(strict)
    page = await client.get("/account?act=second")
    new = secret_on(page)
    fields = {"secret": new, "new_code": TOTP(new).now(), "current": PASSWORD, "code": "000000"}
    refused = await post(client, "/account/second", **fields)
    assert (refused.status_code, secret_on(refused)) == (401, new)
    hub.do("delete from sign_in_failure")
    forget_steps(hub)
    done = await post(client, "/account/second", **fields | {"code": TOTP(old).now()})
    assert (done.status_code, len(re.findall(r"<li><code>", done.text))) == (200, 10)
    forget_steps(hub)
    again = await with_password(strict)
    assert (await post(again, "/sign-in/step", code=recovery[0])).status_code == 401, "of the telephone before"
    hub.do("delete from sign_in_failure")
    assert (await post(again, "/sign-in/step", code=TOTP(new).now())).status_code == 303


async def test_a_link_does_not_stand_for_the_second_factor_unless_an_administrator_says_so(strict: RunningWeb):
    await enrolled(strict)
    client = strict.client()
    await post(client, await strict.invite(), password=OTHER, password_again=OTHER)
    assert "authenticator application shows now" in (await client.get("/sign-in/step")).text
    lost = Invitation("li.na", "Li Na", frozenset({Role.NURSE}), ("7b",), is_second_factor_reset=True)
    token = await strict.accounts.invite(OPERATOR, lost)
    third = f"{OTHER}, and one"
    await post(client, f"/welcome/{token}", password=third, password_again=third)
    assert secret_on(await client.get("/sign-in/step"))


async def test_an_account_that_is_over_is_out_at_once_and_gets_the_answer_of_one_that_is_not_there(
    hub: RunningHub, web: RunningWeb
):
    client = await web.signed_in()
    hub.do("update account set valid_until = now()")
    assert (await client.get("/api/v1/ward/7b")).status_code == 401
    answer = await post(web.client(), "/sign-in", name="li.na", password=PASSWORD, next="")
    assert (answer.status_code, "not right" in answer.text) == (401, True)


async def test_codes_tried_at_once_count_as_many(hub: RunningHub, strict: RunningWeb):
    await enrolled(strict)
    client = await with_password(strict)
    token = token_of(await client.get("/sign-in"))
    answers = await asyncio.gather(
        *(client.post("/sign-in/step", data={"csrf": token, "code": f"{n:06}"}) for n in range(12))
    )
    assert sum(answer.status_code == 401 for answer in answers) <= 5
    assert {answer.status_code for answer in answers} == {401, 429}


async def test_two_people_have_staff_numbers_of_their_own(web: RunningWeb):
    first = Invitation("li.na", "Li Na", frozenset({Role.NURSE}), ("7b",), "20417")
    await web.accounts.invite(OPERATOR, first)
    await web.accounts.invite(OPERATOR, first)
    with pytest.raises(Exception, match="another account's") as refused:
        await web.accounts.invite(OPERATOR, Invitation("wang.wu", "Wang Wu", frozenset({Role.NURSE}), (), "20417"))
    assert getattr(refused.value, "reason", "") == "staff-number-taken"


async def test_the_audit_tells_each_step_and_no_secret(hub: RunningHub, strict: RunningWeb):
    began_s = time.time()
    _, secret, recovery = await enrolled(strict)
    client = await with_password(strict)
    assert (await post(client, "/sign-in/step", code=recovery[0])).status_code == 303
    bodies = [str(body) for (body,) in hub.rows("select body from audit where action like 'account.%%' order by seq")]
    told = [re.sub(r".*\"action\":\"account\.([a-z-]+)\".*", r"\1", body) for body in bodies]
    assert told == ["invite", "set-password", "set-second-factor", "sign-in", "sign-in"]
    assert not any(one in "".join(bodies) for one in (secret, PASSWORD, recovery[0], recovery[0].replace("-", "")))
    assert time.time() - began_s < 30


@pytest.mark.req("TCE-8.1a", surface="page")
async def test_a_session_from_outside_the_hospital_ends_when_it_comes_from_elsewhere(hub: RunningHub, web: RunningWeb):
    await web.signed_in()
    assert hub.rows("select address from account_session") == [("127.0.0.1",)]
    away = web.client(**{"X-Forwarded-For": "203.0.113.7", "User-Agent": "Chrome"})
    assert (await post(away, "/sign-in", name="li.na", password=PASSWORD, next="")).status_code == 303
    assert (await away.get("/api/v1/ward/7b")).status_code == 200
    secret = away.cookies["wl_session"]
    thief = web.client(**{"X-Forwarded-For": "203.0.113.8", "User-Agent": "Chrome"})
    thief.cookies.set("wl_session", secret)
    assert (await thief.get("/api/v1/ward/7b")).status_code == 401
    assert (await away.get("/api/v1/ward/7b")).status_code == 401, "the session has ended for both"
    assert "another address" in (await away.get("/sign-in?next=/ward/7b")).text
    told = hub.rows("select outcome, body::jsonb->'details'->>'reason' from audit where action = 'account.end-session'")
    assert told == [("denied", "moved")]


@pytest.mark.req("AIQ-D.2.2c", surface="page")
@pytest.mark.req("TCE-8.4", surface="page")
async def test_each_entry_of_the_audit_says_who_by_staff_number_and_from_where(hub: RunningHub, web: RunningWeb):
    nurse = Invitation("li.na", "Li Na", frozenset({Role.NURSE}), ("7b",), "20417")
    client = web.client(**{"X-Forwarded-For": "10.1.2.3", "User-Agent": "Chrome/140 " + "x" * 300})
    token = await web.accounts.invite(OPERATOR, nurse)
    await post(client, f"/welcome/{token}", password=PASSWORD, password_again=PASSWORD)
    assert (await client.get("/api/v1/ward/7b")).status_code == 200
    rows = hub.rows(
        "select action, body::jsonb->>'staff', body::jsonb->>'address', left(body::jsonb->>'device', 12),"
        " length(body::jsonb->>'device') from audit where principal like 'user:%%' order by seq"
    )
    assert {row[0] for row in rows} == {"account.set-password", "ward.read"}
    assert {row[1:] for row in rows} == {("20417", "10.1.2.3", "Chrome/140 x", 200)}
    told = hub.rows("select body::jsonb->>'address', body::jsonb->>'staff' from audit where action = 'account.invite'")
    assert told == [("", "")], "a command has no address"
