"""The device ledger: devices come by themselves, wait until somebody admits them, are found by filters; who may see and do what."""

import csv
import io
import re

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
