"""Who gets in: one-time links, sign-in, sessions, roles, wards, forms; with real sockets and the real database."""

import asyncio
import json
import re
from http.cookies import SimpleCookie

import httpx
import psycopg
import pytest

from hub.accounts.domain import Invitation
from hub.core.errors import ForbiddenError
from hub.core.principal import Principal, PrincipalKind, Role
from tests.fixtures.hub import RunningHub
from tests.fixtures.web import PASSWORD, RunningWeb, token_of

pytestmark = pytest.mark.integration


async def sign_in(client: httpx.AsyncClient, name: str, password: str) -> httpx.Response:
    fields = {"csrf": token_of(await client.get("/sign-in")), "name": name, "password": password, "next": ""}
    return await client.post("/sign-in", data=fields)


def audited(hub: RunningHub, action: str) -> list[tuple[str, str]]:
    rows = hub.rows("select outcome, body from audit where action = %s order by seq", action)
    return [(outcome, json.loads(body)["details"].get("reason", "")) for outcome, body in rows]


async def test_an_account_starts_from_a_one_time_link_and_has_no_default_password(hub: RunningHub, web: RunningWeb):
    link = await web.invite("li.na")
    assert hub.rows("select state, password_hash from account") == [("invited", None)]
    client = web.client()
    assert (await sign_in(client, "li.na", "")).status_code in (401, 422)
    page = await client.get(link)
    assert "Li.Na" in page.text
    fields = {"csrf": token_of(page), "password": PASSWORD, "password_again": PASSWORD}
    answer = await client.post(link, data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert (await client.get("/")).headers["location"] == "/ward"
    assert (await client.get("/ward")).headers["location"] == "/ward/7b"
    ((state, stored),) = hub.rows("select state, password_hash from account")
    assert state == "active"
    assert stored.startswith("$argon2id$")


async def test_a_link_works_once(hub: RunningHub, web: RunningWeb):
    link = await web.invite()
    first, second = web.client(), web.client()
    pages = [await client.get(link) for client in (first, second)]
    fields = [{"csrf": token_of(p), "password": PASSWORD, "password_again": PASSWORD} for p in pages]
    assert (await first.post(link, data=fields[0])).status_code == 303
    again = await second.post(link, data=fields[1])
    assert (again.status_code, "wl_session" in again.cookies) == (410, False)
    assert "been used" in again.text
    assert (await second.get(link)).status_code == 410
    assert (await second.get("/welcome/nothing-like-a-token")).status_code == 404
    hub.do("update account_invitation set used_at = null, expires_at = now() - interval '1 second'")
    expired = await second.get(link)
    assert (expired.status_code, "expired" in expired.text) == (410, True)
    assert [reason for _, reason in audited(hub, "account.follow-link")] == [
        "link-used", "link-used", "link-unknown", "link-expired",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ("too short", "too short", "at least 12"),
        (PASSWORD, PASSWORD + "x", "not the same"),
        ("Password1234!", "Password1234!", "attackers"),
        ("Li.na li.na li.na 1", "Li.na li.na li.na 1", "attackers"),
        ("seven quiet nights", "seven quiet nights", "digits"),
    ],
)
async def test_a_password_that_is_short_common_or_mistyped_is_refused_and_the_link_stays_good(
    web: RunningWeb, first: str, second: str, says: str
):
    client, link = web.client(), await web.invite()
    token = token_of(await client.get(link))
    answer = await client.post(link, data={"csrf": token, "password": first, "password_again": second})
    assert answer.status_code == 422
    assert says in answer.text
    assert (await client.get(link)).status_code == 200


async def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(web: RunningWeb):
    await web.signed_in("li.na")
    answers: list[str] = []
    for name, password in (("li.na", "not her password"), ("nobody", PASSWORD), ("li.na@nowhere", PASSWORD)):
        answer = await sign_in(web.client(), name, password)
        assert answer.status_code == 401
        answers.append(re.sub(r'content="[0-9a-f]{64}"|value="[^"]*"', "", answer.text))
    assert len(set(answers)) == 1


async def test_many_attempts_at_once_count_as_many(hub: RunningHub, web: RunningWeb):
    await web.signed_in("li.na")
    clients = [web.client() for _ in range(12)]
    answers = await asyncio.gather(*(sign_in(client, "li.na", "wrong wrong wrong") for client in clients))
    assert sum(answer.status_code == 401 for answer in answers) <= 5
    assert hub.rows("select failures <= 5 from sign_in_failure") == [(True,)]


@pytest.mark.parametrize("name", ["li.na", "nobody"])
async def test_guessing_is_held_back_longer_and_longer_whether_or_not_the_account_exists(
    hub: RunningHub, web: RunningWeb, name: str
):
    await web.signed_in("li.na")
    client = web.client()
    for _ in range(2):
        assert (await sign_in(client, name, "wrong wrong wrong")).status_code == 401
    held = await sign_in(client, name, PASSWORD)
    assert (held.status_code, held.headers["retry-after"], "locked" in held.text) == (429, "1", True)
    hub.do("update sign_in_failure set failures = 4, blocked_until = now()")
    assert (await sign_in(client, name, "wrong wrong wrong")).status_code == 401
    locked = await sign_in(client, name, PASSWORD)
    assert (locked.status_code, int(locked.headers["retry-after"]) > 3500) == (429, True)
    assert audited(hub, "account.sign-in")[-1] == ("denied", "held-back")


async def test_a_new_link_unlocks_and_ends_the_sessions_before(hub: RunningHub, web: RunningWeb):
    client = await web.signed_in("li.na")
    assert (await client.get("/api/v1/ward/7b")).status_code == 200
    for _ in range(4):
        await sign_in(web.client(), "li.na", "wrong wrong wrong")
    other = await web.signed_in("li.na")
    assert (await client.get("/api/v1/ward/7b")).status_code == 401
    assert (await other.get("/api/v1/ward/7b")).status_code == 200
    assert hub.rows("select count(*) from sign_in_failure") == [(0,)]


async def test_sessions_are_random_kept_as_hashes_and_worth_nothing_after_sign_out(hub: RunningHub, web: RunningWeb):
    client = await web.signed_in()
    secret = client.cookies["wl_session"]
    assert len(secret) >= 43  # 256 bits
    ((stored,),) = hub.rows("select session_hash from account_session")
    assert secret.encode() not in bytes(stored)
    assert (await client.post("/sign-out")).status_code == 303
    thief = web.client()
    thief.cookies.set("wl_session", secret)
    assert (await thief.get("/api/v1/ward/7b")).status_code == 401


@pytest.mark.parametrize("change", ["ends_at = now()", "seen_at = now() - interval '61 minutes'"])
async def test_a_session_ends_after_its_time_and_when_idle(hub: RunningHub, web: RunningWeb, change: str):
    client = await web.signed_in()
    hub.do(f"update account_session set {change}")
    assert (await client.get("/api/v1/ward/7b")).status_code == 401
    page = await client.get("/ward/7b", headers={"Accept": "text/html"})
    assert page.headers["location"] == "/sign-in?next=/ward/7b"
    assert "signed out" in (await client.get(page.headers["location"])).text


async def test_a_disabled_account_is_out_at_once(web: RunningWeb):
    client = await web.signed_in("li.na")
    await web.accounts.disable(Principal(PrincipalKind.SYSTEM, "test", 1, frozenset({Role.OPERATOR})), "li.na")
    assert (await client.get("/api/v1/ward/7b")).status_code == 401
    assert (await sign_in(web.client(), "li.na", PASSWORD)).status_code == 401


async def test_the_session_cookie_is_kept_from_scripts_and_other_sites(web: RunningWeb):
    client, link = web.client(), await web.invite()
    fields = {"csrf": token_of(await client.get(link)), "password": PASSWORD, "password_again": PASSWORD}
    answer = await client.post(link, data=fields)
    cookie = SimpleCookie(next(c for c in answer.headers.get_list("set-cookie") if c.startswith("wl_session")))
    morsel = cookie["wl_session"]
    assert (morsel["httponly"], morsel["samesite"], morsel["path"]) == (True, "lax", "/")


async def test_nothing_is_served_to_who_is_not_signed_in(web: RunningWeb):
    client = web.client()
    alarm = "/api/v1/alarms/00000000-0000-0000-0000-000000000000"
    for path in ("/api/v1/ward/7b", alarm, "/sse/ward/7b"):
        answer = await client.get(path)
        assert (path, answer.status_code) == (path, 401)
        assert answer.headers["content-type"] == "application/problem+json"
    for path in ("/", "/ward/7b"):
        assert "/sign-in" in (await client.get(path, headers={"Accept": "text/html"})).headers["location"]


async def test_a_change_without_the_form_token_is_refused(web: RunningWeb):
    client = await web.signed_in()
    alarm = "/api/v1/alarms/00000000-0000-0000-0000-000000000000/acknowledge"
    for headers in ({"X-CSRF-Token": ""}, {"X-CSRF-Token": "0" * 64}, {"Origin": "http://elsewhere.example"}):
        answer = await client.post(alarm, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["type"] == "urn:wardlink:problem:csrf"
    assert (await client.post(alarm)).status_code == 404


async def test_a_nurse_sees_her_wards_only(hub: RunningHub, web: RunningWeb):
    hub.do("insert into tenant (name) values ('other')")
    hub.do("insert into ward (tenant_id, slug, name) values (2, '9c', 'Elsewhere')")
    client = await web.signed_in(wards=("7b",))
    assert (await client.get("/api/v1/ward/7b")).status_code == 200
    for ward in ("8a", "9c", "none"):  # not hers, of another hospital, not there: one answer
        answer = await client.get(f"/api/v1/ward/{ward}")
        assert (answer.status_code, answer.json()["title"]) == (404, "Not found")
    administrator = await web.signed_in("admin", Role.ADMINISTRATOR, ())
    assert (await administrator.get("/api/v1/ward/9c")).status_code == 404


async def test_an_administrator_does_accounts_and_sees_no_patient(web: RunningWeb):
    client = await web.signed_in("admin", Role.ADMINISTRATOR, ())
    state = (await client.get("/api/v1/ward/7b")).json()
    assert state["beds"][0]["who"] is None
    nurse = Principal(PrincipalKind.USER, "1", 1, frozenset({Role.NURSE}))
    with pytest.raises(ForbiddenError):
        await web.accounts.invite(nurse, Invitation("x", "X", frozenset({Role.ADMINISTRATOR})))


@pytest.mark.req("IOT-9.3b", surface="protocol")
async def test_a_database_account_reaches_its_own_rights_and_nobody_else_connects(hub: RunningHub, web: RunningWeb):
    await web.invite()
    url = hub.database.url_for("wardlink_web")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url, password="not it")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, user="stranger", password="not it")
    ingest = psycopg.connect(hub.database.url_for("wardlink_ingest"))
    with ingest, pytest.raises(psycopg.errors.InsufficientPrivilege):
        ingest.execute("select * from account")
    with psycopg.connect(url) as connection:
        assert connection.execute("select count(*) from account").fetchone() == (0,)  # no tenant was named
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("delete from account")
