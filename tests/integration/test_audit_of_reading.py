"""Whoever reads leaves an entry in the audit, whatever the way: every page and every list of the role web, by each of its routes."""

import asyncio
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import connect

from hub.core.policy import ACTIONS, PUBLIC, declared, flat_routes
from hub.core.principal import Role
from protocols.link import Lane
from protocols.nomenclature import HEART_RATE
from tests.fixtures.hub import RunningHub
from tests.fixtures.stored_ecg import hand_over, newest, place, written
from tests.fixtures.web import RunningWeb, deliver, fibrillation, heart_rate, now_ns

pytestmark = pytest.mark.integration
# Open pages ask these again and again.
POLLED = {
    "/api/v1/ward/{ward}",
    "/api/v1/screens",
    "/api/v1/ward/{ward}/gateways",
    "/sse/ward/{ward}",
    "/ws/ward/{ward}",
}
# These say where a person starts, from the wards of the account, and read nothing of it.
NOWHERE = {"/", "/ward"}


def is_read(route: object) -> bool:
    """Whether it is there for reading, by people who are signed in."""
    action = declared(getattr(route, "endpoint", None)) or PUBLIC
    reads = "GET" in (getattr(route, "methods", None) or {"GET"})
    return reads and not action.startswith(PUBLIC) and getattr(route, "path", "") not in NOWHERE


@pytest.fixture
async def filled(web: RunningWeb, hub: RunningHub) -> dict[str, str]:
    """What the parameters of routes stand for, in a ward where there is something of each."""
    await place(web, hub)
    peer = await hub.peer("gateway-filled")
    alarm = fibrillation(now_ns() - 10_000_000_000)
    await deliver(hub, peer, Lane.ALARM, alarm)
    await deliver(hub, peer, Lane.NUMERIC, heart_rate(70, now_ns() + 48 * 3_600_000_000_000))
    await hand_over(hub, written())
    bed = await newest(await web.signed_in())
    [(device,)] = hub.rows("select device_id from device where name = 'cart-6'")
    [(held,)] = hub.rows("select quarantine_id from quarantine")
    command = uuid4()
    hub.do(
        "insert into device_command (device_command_id, tenant_id, gateway_id, device_id, code, parameters, asked_by, deadline)"
        f" select '{command}', tenant_id, gateway_id, {device}, 'reset', '{{}}', 'user:1', clock_timestamp()"
        " from gateway where name = 'gateway-filled'"
    )
    return {"ward": "7b", "bed": "6", "key": str(bed["key"]), "document": str(bed["ecg"]["id"]), "alarm_id": str(alarm.id),
            "device_id": str(device), "quarantine_id": str(held), "command_id": str(command), "version": "0"}  # fmt: skip


async def look(web: RunningWeb, client: httpx.AsyncClient, path: str, bed: str) -> None:
    """Ask for it as a page does, and go. `bed`: the key of one."""
    if path.startswith("/ws/"):
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        async with connect(f"ws://{web.address}{path}", additional_headers={"Cookie": cookie}):
            return
    now_ms = now_ns() // 1_000_000
    hour = {"from_ms": str(now_ms - 3_600_000), "to_ms": str(now_ms)}
    asked = {
        "trends": {"code": HEART_RATE},
        "latest": {"bed": bed},
        "range": {"bed": bed, **hour},
        "search": {"q": "7b"},
    }
    parameters = asked.get(path.rsplit("/", 1)[-1])
    async with client.stream("GET", path, params=parameters) as answer:
        assert answer.status_code == 200, (path, await answer.aread())


async def test_every_route_that_reads_leaves_an_entry_and_those_that_are_polled_one_a_session(
    web: RunningWeb, hub: RunningHub, filled: dict[str, str]
):
    read = {str(getattr(one, "path", "")): str(declared(getattr(one, "endpoint", None)))
            for one in flat_routes(web.app.routes) if is_read(one)}  # fmt: skip
    assert len(read) >= 20
    assert set(read) >= POLLED
    wrong: list[tuple[str, list[int]]] = []
    for number, (route, action) in enumerate(read.items()):
        role = next(one for one in (Role.NURSE, Role.ENGINEER, Role.ADMINISTRATOR) if one in ACTIONS[action])
        client = await web.signed_in(f"reader.{number}", role)
        entries = (
            "select from audit join account on principal = 'user:' || account_id"
            " where name = %s and action not in ('account.set-password', 'account.sign-in')"
        )
        found: list[int] = []
        for _ in range(2):
            await look(web, client, route.format(**filled), filled["key"])
            found.append(len(hub.rows(entries, f"reader.{number}")))
            while route.startswith("/ws/"):  # who has gone hears no answer: the hub may still be writing
                await asyncio.sleep(0.3)
                before, found[-1] = found[-1], len(hub.rows(entries, f"reader.{number}"))
                if before == found[-1]:
                    break
        if found[0] == 0 or (route in POLLED and found[1] != found[0]):
            wrong.append((route, found))
    assert wrong == []
