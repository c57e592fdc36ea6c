"""The device ledger: devices come by themselves, wait until somebody admits them, are found by filters; who may see and do what."""

import csv
import io
import re
from urllib.parse import unquote

import httpx
import psycopg
import pytest

from hub.core.principal import Role
from protocols.link import Lane
from protocols.nomenclature import EVT_CONNECTED
from protocols.record import DeviceEvent, SourcePath, Times
from tests.fixtures.gateway_peer import Peer
from tests.fixtures.hub import RunningHub
from tests.fixtures.web import OPERATOR, RunningWeb, deliver, now_ns

pytestmark = pytest.mark.integration


@pytest.fixture
async def peer(hub: RunningHub) -> Peer:
    """An enrolled gateway of a hospital where devices wait for their admission."""
    hub.admit_by_hand()
    return await hub.peer()


async def heard(hub: RunningHub, peer: Peer, *names: str) -> None:
    """Let devices be heard of."""
    events = [DeviceEvent(SourcePath(name), EVT_CONNECTED, Times(now_ns())) for name in names]
    await deliver(hub, peer, Lane.EVENT, *events)


async def listed(client: httpx.AsyncClient, query: str = "") -> dict[str, str]:
    """Name and state of each device that is listed."""
    answer = await client.get(f"/api/v1/devices{query}")
    assert answer.status_code == 200, answer.text
    return {device["name"]: device["state"] for device in answer.json()["devices"]}


async def id_of(client: httpx.AsyncClient, name: str) -> int:
    found = (await client.get("/api/v1/devices", params={"q": name})).json()["devices"]
    return next(device["id"] for device in found if device["name"] == name)


async def test_a_device_that_a_gateway_hears_is_in_the_ledger_and_waits(hub: RunningHub, web: RunningWeb, peer: Peer):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    await heard(hub, peer, "patch-1")
    states = await listed(engineer)
    assert states["patch-1"] == "waiting"
    page = (await engineer.get("/devices")).text
    assert page.index("patch-1") < page.index("cyton-1"), "what waits for a person stands first"


async def test_a_gateway_is_no_device(hub: RunningHub, web: RunningWeb, peer: Peer):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    await heard(hub, peer, peer.credentials.gateway, "patch-1")
    assert set(await listed(engineer)) == {"cyton-1", "patch-1"}


async def test_filters_stand_in_the_address_and_the_export_has_what_is_seen(
    hub: RunningHub, web: RunningWeb, peer: Peer
):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    await heard(hub, peer, "patch-1", "=cmd")
    assert set(await listed(engineer, "?q=patch")) == {"patch-1"}
    assert set(await listed(engineer, "?ward=7b")) == {"cyton-1"}
    assert set(await listed(engineer, "?state=waiting")) == {"patch-1", "=cmd"}
    assert (await engineer.get("/api/v1/devices?state=odd")).status_code == 422
    answer = await engineer.get("/devices.csv?state=waiting")
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert {row["name"] for row in rows} == {"patch-1", "'=cmd"}, "no cell is a formula"


def seen(page: str) -> tuple[list[str], list[list[str]]]:
    """The heads of the columns of the list, and its cells as a reader has them."""
    table = re.sub(r"\s+", " ", page[page.index("<table data-rows") : page.index("</table>")])
    rows = [re.findall(r"<td.*?</td>", row) for row in table.split("<tr")[2:]]
    return [text_of(one) for one in re.findall(r"<th .*?</th>", table)], [[text_of(one) for one in row] for row in rows]


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


async def exported(client: httpx.AsyncClient, query: str = "") -> tuple[list[str], list[list[str]]]:
    """The first row of the export, and the others."""
    answer = await client.get(f"/devices.csv{query}")
    assert answer.status_code == 200, answer.text
    head, *rows = csv.reader(io.StringIO(answer.text.removeprefix("\ufeff")))
    return head, rows


async def test_the_columns_of_the_address_are_seen_and_exported_and_unknown_ones_are_passed_over(
    hub: RunningHub, web: RunningWeb, peer: Peer
):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    await heard(hub, peer, "patch-1")
    hub.do("update device set serial = 'SN-1' where name = 'patch-1'")
    query = "?q=patch&columns=gateway,of_the_future,serial"
    heads, rows = seen((await engineer.get(f"/devices{query}")).text)
    assert heads == ["Device", "Gateway", "Serial"], "the device always, and in the order of the table"
    assert rows == [["patch-1", "gateway-1", "SN-1"]]
    assert await exported(engineer, query) == (
        ["name", "make", "model", "gateway", "serial"],
        [["patch-1", "", "", "gateway-1", "SN-1"]],
    )
    assert seen((await engineer.get("/devices?columns=,")).text)[0] == seen((await engineer.get("/devices")).text)[0]
    assert (await exported(engineer, "?columns=name"))[0] == ["name", "make", "model"]


async def test_the_tick_boxes_of_the_columns_lead_to_one_address_that_keeps_filters_page_and_device(web: RunningWeb):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    device = await id_of(engineer, "cyton-1")
    for path in ("/devices", f"/devices/{device}"):
        page = (await engineer.get(f"{path}?q=cyton&ward=7b&columns=name,door")).text
        menu = page[page.index('<form class="menu-body"') :]
        menu = menu[: menu.index("</form>")]
        assert f'action="{path}"' in menu
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', menu))
        assert hidden == {"q": "cyton", "ward": "7b", "columns": "name"}
        ticked = re.findall(r'name="columns" value="(\w+)" checked', menu)
        assert ticked == ["door"]
        form = {**hidden, "columns": [hidden["columns"], "door", "serial"]}
        answer = await engineer.get(path, params=form)
        assert answer.headers["location"] == f"{path}?q=cyton&ward=7b&columns=name,door,serial"
        after = (await engineer.get(answer.headers["location"])).text
        assert seen(after)[0] == ["Device", "Door", "Serial"]
        links = re.findall(r'href="/devices(?:/\d+|\.csv)?\?([^"]*)"', after)
        others = [link for link in links if "columns=name,door,serial" not in link]
        assert others == ["q=cyton&amp;ward=7b"], "the one that gives back the usual columns"
        assert len(links) > 5, "export, cards, the open device's close"
        switches = re.findall(r'href="/(?:lang|theme)/\w+\?next=([^"]*)"', after)
        assert {unquote(switch) for switch in switches} == {f"{path}?q=cyton&ward=7b&columns=name,door,serial"}


async def test_the_export_has_every_page_in_the_order_of_the_list(hub: RunningHub, web: RunningWeb):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    hub.do("insert into device (tenant_id, name) select 1, 'unit-' || n from generate_series(1001, 1601) n")
    hub.do("update device set admission = 'waiting' where name = 'unit-1500'")
    pages = [seen((await engineer.get(f"/devices?q=unit&columns=name&page={n}")).text)[1] for n in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [200, 200, 200, 1]
    names = [row[0] for page in pages for row in page]
    assert names[0] == "unit-1500", "what waits stands first"
    assert sorted(names) == [f"unit-{n}" for n in range(1001, 1602)], "each once"
    assert [row[0] for row in (await exported(engineer, "?q=unit&page=3"))[1]] == names
    behind = await engineer.get("/devices?q=unit&page=9")
    assert behind.headers["location"] == "/devices?q=unit&page=4", "a page behind the last is the last"


async def test_a_search_finds_what_has_each_of_its_words_as_it_stands(hub: RunningHub, web: RunningWeb, peer: Peer):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    await heard(hub, peer, "patch_1", "patch-11")
    hub.do("update device set make = 'Acme', serial = 'A%7' where name = 'patch_1'")
    assert set(await listed(engineer, "?q=acme+patch")) == {"patch_1"}
    assert set(await listed(engineer, "?q=h_1")) == {"patch_1"}, "no wildcard"
    assert set(await listed(engineer, "?q=a%257")) == {"patch_1"}
    assert set(await listed(engineer, "?q=acme+patch-11")) == set()
    assert set(await listed(engineer, "?q=cardiology")) == {"cyton-1"}, "by the name of its ward"
    assert set(await listed(engineer, "?q=7b+1+cyton")) == {"cyton-1"}, "by ward and bed"


async def test_a_ward_is_found_by_pinyin_with_its_beds(hub: RunningHub, web: RunningWeb, peer: Peer):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    await web.placement.add_ward(OPERATOR, "9c", "心内科")
    await web.placement.add_ward(OPERATOR, "9d", "心外科")
    for ward, bed, device in (("9c", "1", "patch-1"), ("9c", "21", "patch-2"), ("9d", "1", "patch-3")):
        await web.placement.add_bed(OPERATOR, ward, bed)
        await web.placement.place_device(OPERATOR, device, ward, bed)
    for typed in ("xnk", "xinnei", "XinNK", "心内", "nk"):
        assert set(await listed(engineer, f"?q={typed}")) == {"patch-1", "patch-2"}, typed
    assert set(await listed(engineer, "?q=xwk")) == {"patch-3"}
    assert set(await listed(engineer, "?q=xnk+21")) == {"patch-2"}
    assert set(await listed(engineer, "?q=patch+x")) == {"patch-1", "patch-2", "patch-3"}
    assert [row[0] for row in (await exported(engineer, "?q=xinneike&columns=name"))[1]] == ["patch-1", "patch-2"]


async def test_no_search_of_the_ledger_finds_a_patient(web: RunningWeb):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    for typed in ("王小明", "王", "wxm", "wangxiaoming", "A-1"):
        assert await listed(engineer, f"?q={typed}") == {}, typed


async def test_an_engineer_admits_and_retires_a_device_and_the_audit_has_it(
    hub: RunningHub, web: RunningWeb, peer: Peer
):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    await heard(hub, peer, "patch-1")
    device = await id_of(engineer, "patch-1")
    assert (await engineer.post(f"/api/v1/devices/{device}/admit")).json()["admitted"]["by"].startswith("user:")
    assert (await engineer.post(f"/api/v1/devices/{device}/admit")).status_code == 409
    page = await engineer.post(f"/devices/{device}/admit", headers={"Accept": "text/html", "Accept-Language": "en"})
    assert page.status_code == 409
    assert "Somebody else was faster" in page.text
    assert "larm" not in re.sub(r"<script.*?</script>", "", page.text, flags=re.DOTALL), "it is about a device"
    assert (await engineer.post(f"/api/v1/devices/{device}/retire")).json()["state"] == "retired"
    with psycopg.connect(hub.database.url_for("wardlink_owner")) as owner:
        actions = owner.execute("select action from audit where target = %s order by seq", (f"device:{device}",))
        assert [action for (action,) in actions] == ["device.admit", "device.retire"]


async def test_a_device_that_is_placed_at_a_bed_is_admitted(hub: RunningHub, web: RunningWeb, peer: Peer):
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    await heard(hub, peer, "patch-1")
    await web.placement.place_device(OPERATOR, "patch-1", "7b", "1")
    assert (await listed(engineer))["patch-1"] != "waiting"


@pytest.mark.parametrize(
    ("role", "sees", "admits"),
    [(Role.ENGINEER, 200, 200), (Role.BUREAU, 200, 403), (Role.ADMINISTRATOR, 200, 403), (Role.NURSE, 403, 403)],
)
async def test_who_may_see_the_ledger_and_who_may_admit(
    hub: RunningHub, web: RunningWeb, peer: Peer, role: Role, sees: int, admits: int
):
    await heard(hub, peer, "patch-1")
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    device = await id_of(engineer, "patch-1")
    person = await web.signed_in("somebody", role, ("7b",))
    assert (await person.get("/api/v1/devices")).status_code == sees
    assert (await person.get(f"/devices/{device}", headers={"Accept": "text/html"})).status_code == sees
    assert (await person.post(f"/api/v1/devices/{device}/admit")).status_code == admits


async def test_the_bureau_sees_assets_and_no_patient_and_no_ward(web: RunningWeb):
    bureau = await web.signed_in("bureau", Role.BUREAU, ())
    assert (await bureau.get("/")).headers["location"] == "/devices"
    for path in ("/ward/7b", "/api/v1/ward/7b", "/sse/ward/7b"):
        assert (await bureau.get(path)).status_code == 403, path
    page = (await bureau.get("/devices")).text
    assert "王小明" not in page
    assert "/ward" not in page
