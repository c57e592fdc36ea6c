"""How the pages answer: security headers, problem documents, languages, and that every route is guarded and documented."""

import re
from pathlib import Path

import pytest

from hub.core.policy import declared, flat_routes, undeclared_routes
from hub.gateways.enrolment import create_app
from tests.fixtures.hub import RunningHub
from tests.fixtures.web import RunningWeb

pytestmark = pytest.mark.integration
API_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "http-api.md"


def name_of(route: object) -> set[str]:
    path = getattr(route, "path", "?")
    methods = getattr(route, "methods", None)
    if methods is None:
        methods = {"WS" if "WebSocket" in type(route).__name__ else "MOUNT"}
    return {f"{method} {path}" for method in methods - {"HEAD"}}


async def test_each_route_declares_its_policy_and_stands_in_the_reference(web: RunningWeb):
    routes = list(flat_routes(web.app.routes))
    assert len(routes) >= 15
    assert undeclared_routes(web.app.routes) == []
    documented = set(re.findall(r"`((?:GET|POST|DELETE|WS|MOUNT) /[^`]*)`", API_PAGE.read_text(encoding="utf-8")))
    assert set().union(*(name_of(route) for route in routes)) == documented


async def test_each_route_of_the_enrolment_door_declares_its_policy(hub: RunningHub):
    door = create_app(hub.gateways, hub.authority, hub.uplink)
    assert len(list(flat_routes(door.routes))) == 2
    assert undeclared_routes(door.routes) == []


async def test_a_route_without_a_policy_would_be_found(web: RunningWeb):
    async def forgotten() -> None: ...

    web.app.add_api_route("/forgotten", forgotten)
    assert undeclared_routes(web.app.routes) == ["/forgotten"]
    assert declared(forgotten) is None


@pytest.mark.parametrize("path", ["/sign-in", "/static/base.css", "/api/v1/ward/7b", "/nothing"])
async def test_every_answer_says_what_the_browser_may_do(web: RunningWeb, path: str):
    headers = (await web.client().get(path)).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == ("no-cache" if path.startswith("/static/") else "no-store")
    assert "server" not in headers


async def test_no_page_has_a_script_or_style_of_its_own(web: RunningWeb):
    client = await web.signed_in()
    for path in ("/sign-in", "/ward/7b", await web.invite("second"), "/nothing"):
        text = (await client.get(path, headers={"Accept": "text/html"})).text
        assert "<html" in text
        for script in re.findall(r"<script([^>]*)>", text):
            assert 'src="/static/' in script or 'type="application/json"' in script
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/api/v1/alarms/not-a-uuid", 404, "not-found"),
        ("GET", "/api/v1/alarms/00000000-0000-0000-0000-000000000000", 404, "not-found"),
        ("DELETE", "/api/v1/ward/7b", 405, "method"),
        ("POST", "/api/v1/alarms/00000000-0000-0000-0000-000000000000/shown", 422, "invalid"),
    ],
)
async def test_errors_are_problem_documents(web: RunningWeb, method: str, path: str, status: int, kind: str):
    client = await web.signed_in()
    answer = await client.request(method, path, json={"painted_ms": "soon"} if method == "POST" else None)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "instance", "what_to_do"}
    assert (problem["type"], problem["status"], problem["instance"]) == (f"urn:wardlink:problem:{kind}", status, path)


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(web: RunningWeb):
    client = await web.signed_in()
    answer = await client.post("/sign-in", data={"name": "x" * 70_000, "password": "y"})
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:wardlink:problem:too-large")


async def test_a_mistake_of_the_hub_tells_a_reference_and_nothing_else(hub: RunningHub, web: RunningWeb):
    client = await web.signed_in()
    hub.do("alter table account_ward rename to away")
    try:
        answer = await client.get("/api/v1/ward/7b")
        page = await client.get("/ward/7b", headers={"Accept": "text/html"})
    finally:
        hub.do("alter table away rename to account_ward")
    assert (answer.status_code, answer.json()["title"]) == (500, "The hub could not do this")
    assert "account_ward" not in answer.text + page.text
    assert page.status_code == 500
    assert (await client.get("/api/v1/ward/7b")).status_code == 200


@pytest.mark.parametrize(
    ("accept", "cookie", "lang"),
    [("", "", "zh-Hans"), ("en-GB,en;q=0.9", "", "en"), ("fr", "", "zh-Hans"), ("en", "zh_Hans", "zh-Hans")],
)
async def test_a_page_speaks_the_readers_language(web: RunningWeb, accept: str, cookie: str, lang: str):
    client = web.client(**{"Accept-Language": accept})
    if cookie:
        answer = await client.get(f"/lang/{cookie}", params={"next": "/sign-in"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert f'<html lang="{lang}"' in (await client.get("/sign-in")).text


@pytest.mark.parametrize("place", ["https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example", "x"])
async def test_no_link_of_ours_leads_elsewhere(web: RunningWeb, place: str):
    answer = await web.client().get("/lang/en", params={"next": place})
    assert answer.headers["location"] == "/"


async def test_health_says_yes_while_the_database_answers(web: RunningWeb):
    answer = await web.client().get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
