"""Views that people keep of the ledger and the quarantine: under a name, of their own, replaced, deleted and put back."""

import html
import re
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from hub.core.principal import Role
from hub.views.domain import MOST_VIEWS
from tests.fixtures.hub import RunningHub
from tests.fixtures.web import RunningWeb

pytestmark = pytest.mark.integration


def kept(page: str) -> dict[str, str]:
    """Name and address of each view that a page offers."""
    links = re.findall(r'<a class="button view" href="([^"]*)"[^>]*>(.*?)</a>', page)
    return {html.unescape(name): html.unescape(address) for address, name in links}


def forms(page: str, end: str) -> list[str]:
    """Where the forms of the views lead whose path ends so."""
    found = re.findall(r'<form[^>]* method="post" action="(/\w+/views[^"]*)"', page)
    return [html.unescape(action) for action in found if urlsplit(action).path.endswith(end)]


async def keep(client: httpx.AsyncClient, name: str, query: str = "", room: str = "devices") -> httpx.Response:
    """Keep a view and follow where it leads."""
    answer = await client.post(f"/{room}/views?{query}", data={"name": name})
    assert answer.status_code == 303, answer.text
    return await client.get(answer.headers["location"])


async def test_a_view_keeps_filters_and_columns_and_brings_them_back(web: RunningWeb):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    query = "q=cyt%26on&state=live&ward=7b&columns=name,gateway,battery"
    page = (await keep(engineer, "  Night   shift, 夜班 ", f"{query}&page=3&not_ours=1")).text
    assert dict(parse_qsl(urlsplit(kept(page)["Night shift, 夜班"]).query)) == dict(parse_qsl(query)), (
        "without the page"
    )
    assert re.search(r'class="button view"[^>]* aria-current="true">Night shift', page), (
        "the one that is seen is marked"
    )
    plain = (await engineer.get("/devices")).text
    assert kept(plain) == kept(page)
    assert ' aria-current="true">Night shift' not in plain


async def test_views_are_of_one_person_in_one_room(hub: RunningHub, web: RunningWeb):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    await keep(engineer, "mine", "state=live")
    await keep(engineer, "held", "reason=time", "quarantine")
    other = await web.signed_in("zhao", Role.ENGINEER, ())
    assert kept((await other.get("/devices")).text) == {}
    assert list(kept((await engineer.get("/devices")).text)) == ["mine"]
    assert kept((await engineer.get("/quarantine")).text) == {"held": "/quarantine?reason=time"}
    [(mine,)] = hub.rows("select saved_view_id from saved_view where name = 'mine'")
    assert (await other.post(f"/devices/views/{mine}/remove")).status_code == 404
    assert (await engineer.post(f"/quarantine/views/{mine}/remove")).status_code == 404
    assert list(kept((await engineer.get("/devices")).text)) == ["mine"]


async def test_a_deleted_view_is_put_back_by_one_press(hub: RunningHub, web: RunningWeb):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    page = (await keep(engineer, "mine", "state=live")).text
    [remove] = forms(page, "/remove")
    page = (await engineer.get((await engineer.post(remove)).headers["location"])).text
    assert kept(page) == {}
    assert "The view mine is deleted." in page
    [undo] = forms(page, "/put-back")
    answer = await engineer.post(undo)
    assert answer.headers["location"] == "/devices?state=live", "and opened"
    page = (await engineer.get("/devices?state=live")).text
    assert kept(page) == {"mine": "/devices?state=live"}
    assert forms(page, "/put-back") == []
    assert (await engineer.post(undo)).status_code == 404, "it is there already"
    actions = hub.rows(
        "select body::jsonb ->> 'action' from audit where body::jsonb ->> 'action' like 'view.%%' order by seq"
    )
    assert [action for (action,) in actions if action != "view.keep"] == ["view.save", "view.remove", "view.put_back"]


async def test_a_view_saved_under_a_name_that_there_is_replaces_it_until_that_is_taken_back(web: RunningWeb):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    await keep(engineer, "mine", "state=live")
    page = (await keep(engineer, "mine", "state=silent")).text
    assert kept(page) == {"mine": "/devices?state=silent"}
    assert "The view mine is now what is seen here." in page
    [undo] = forms(page, "/put-back")
    await engineer.post(undo)
    assert kept((await engineer.get("/devices")).text) == {"mine": "/devices?state=live"}


async def test_there_are_at_most_fifty_views_in_a_room_and_their_names_are_short(web: RunningWeb):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    for n in range(MOST_VIEWS):
        assert (await engineer.post("/devices/views", data={"name": f"view {n}"})).status_code == 303
    assert (await engineer.post("/devices/views", data={"name": "one more"})).status_code == 409
    assert (await engineer.post("/devices/views?state=live", data={"name": "view 7"})).status_code == 303, "replaced"
    page = (await engineer.get("/devices")).text
    assert len(kept(page)) == MOST_VIEWS
    assert 'id="view-name"' not in page, "the page says so instead"
    assert "You have 50 views here." in page
    assert (await engineer.post("/quarantine/views", data={"name": "x" * 60})).status_code == 303
    for name in ("", "   ", "x" * 61, "a\x00b"):
        assert (await engineer.post("/quarantine/views", data={"name": name})).status_code == 422, repr(name)


@pytest.mark.parametrize(
    ("role", "ledger", "quarantine"),
    [(Role.ENGINEER, 303, 303), (Role.BUREAU, 303, 403), (Role.ADMINISTRATOR, 303, 403), (Role.NURSE, 403, 403)],
)
async def test_who_may_enter_a_room_may_keep_views_of_it(web: RunningWeb, role: Role, ledger: int, quarantine: int):
    person = await web.signed_in("somebody", role, ("7b",))
    assert (await person.post("/devices/views", data={"name": "mine"})).status_code == ledger
    assert (await person.post("/quarantine/views", data={"name": "mine"})).status_code == quarantine


async def test_a_view_is_kept_by_a_form_of_ours_alone(web: RunningWeb):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    del engineer.headers["X-CSRF-Token"]
    assert (await engineer.post("/devices/views", data={"name": "mine"})).status_code == 403
    assert kept((await engineer.get("/devices")).text) == {}
