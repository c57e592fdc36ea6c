"""Critical-value items from the hub to the alarm: made, put in force, pushed, gone by or refused, rolled back; who did it and why."""

import json
from pathlib import Path

import psycopg
import pytest
from httpx import AsyncClient

from edge.placement import PlacementStore
from hub.core.principal import Role
from models.screening import chain
from models.screening.critical_check import values_of
from models.screening.critical_table import SHIPPED
from protocols.link import Connection, Lane
from protocols.nomenclature import GLUCOSE, HEART_RATE, SPO2, V_FIB
from protocols.package import JsonObject
from protocols.record import AlarmCondition, Observation, Priority, Times
from protocols.uplink_pb2 import GatewayMessage, Hello, HubMessage, Placement, PlacementApplied
from tests.fixtures.gateway_peer import open_channel, open_stream
from tests.fixtures.hub import RunningHub
from tests.fixtures.waiting import until_asked
from tests.fixtures.web import SOURCE, RunningWeb, deliver, heart_rate, now_ns
from tests.integration.test_web_beds import json_of, key_of
from tests.integration.test_web_limits import row, rows

pytestmark = pytest.mark.integration

VALUES, VERSIONS, IN_FORCE = (
    "/api/v1/critical-values",
    "/api/v1/critical-values/versions",
    "/api/v1/critical-values/in-force",
)
Rows = list[dict[str, str | float | None]]


def shipped(of: str = "", /, **columns: str | float | None) -> Rows:
    """The rows that ship, those of one code at an adult's bed changed."""
    found: Rows = []
    for item in SHIPPED.items:
        values: dict[str, str | float | None] = {**values_of(item)}
        if (item.code, item.age_group, item.examination) == (of, "adult", "monitoring"):
            values |= columns
        found.append(values)
    return found


async def make(person: AsyncClient, items: Rows, based_on: int = 0, reason: str = "as the ward asked") -> JsonObject:
    answer = await person.post(VERSIONS, json={"based_on": based_on, "reason": reason, "items": items})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def put(person: AsyncClient, version: int, instead_of: int, reason: str = "agreed") -> int:
    body = {"version": version, "instead_of": instead_of, "reason": reason}
    return (await person.post(IN_FORCE, json=body)).status_code


def alarms_of(placement: Placement, path: Path, value: float) -> list[AlarmCondition]:
    """What the agent's own store and screening make of a placement and a reading."""
    (path / "placement.pb").write_bytes(placement.SerializeToString())
    state = chain.begin(PlacementStore(path / "placement.pb").of(SOURCE.device))
    reading = Observation(SOURCE, GLUCOSE, value, "mg/dL", Times(now_ns()))
    return [one for one in chain.step(state, reading)[1] if isinstance(one, AlarmCondition)]


@pytest.mark.req("ECG-6.1.1f", surface="api")
@pytest.mark.req("ECG-6.1.1o", surface="api")
async def test_a_changed_item_is_made_put_in_force_pushed_alarms_and_is_rolled_back(
    web: RunningWeb, hub: RunningHub, tmp_path: Path
):
    engineer = await web.signed_in("wei", Role.ENGINEER)
    peer = await hub.peer()
    await deliver(hub, peer, Lane.NUMERIC, heart_rate(70, now_ns()))
    own = peer.credentials
    hello = Hello(version=1, tenant=own.tenant, gateway=own.gateway, epoch=peer.epoch, connection=Connection.DATA.wire)
    before = await json_of(engineer, VALUES)
    assert (before["version"], before["activation"]) == (0, None)
    assert before["items"] == shipped()
    async with open_channel(hub.uplink, own) as channel:
        stream = open_stream(channel)
        await stream.write(GatewayMessage(hello=hello).SerializeToString())
        pushed: list[Placement] = []

        async def placed() -> Placement:
            while True:
                frame = await stream.read()
                assert isinstance(frame, bytes)
                message = HubMessage.FromString(frame)
                if message.HasField("placement"):
                    pushed.append(message.placement)
                    return message.placement

        assert not (await placed()).HasField("table")
        # 60 mg/dL is yellow as it ships; the hospital wants it red, and no alarm of the oximeter by 88 %.
        items = [one for one in shipped(GLUCOSE, red_low=65.0) if one["code"] != SPO2]
        assert (await make(engineer, items))["version"] == 1
        assert (await json_of(engineer, VALUES))["version"] == 0  # made, and not in force
        assert await put(engineer, 1, 0) == 200
        table = await placed()
        assert table.table.version == 1
        assert SPO2 not in {one.code for one in table.table.items}
        (alarm,) = alarms_of(table, tmp_path, 60)
        told = dict(alarm.params)
        assert (alarm.priority, told["level"], told["table"]) == (Priority.HIGH, "red", 1)
        assert told["item"] == f"monitoring/{GLUCOSE}/adult"
        # Back to what ships, by the same way.
        assert await put(engineer, 0, 1, "the old values were right") == 200
        (alarm,) = alarms_of(await placed(), tmp_path, 60)
        assert (alarm.priority, dict(alarm.params)["table"]) == (Priority.MEDIUM, 0)
        stream.cancel()
    listed = await json_of(engineer, VERSIONS)
    assert [(one["version"], one["reason"], one["by"]) for one in rows(listed, "activations")] == [
        (0, "the old values were right", "Wei"),
        (1, "agreed", "Wei"),
    ]
    assert [(one["version"], one["based_on"], one["by"]) for one in rows(listed, "versions")] == [(1, 0, "Wei")]
    with psycopg.connect(hub.database.admin_url) as connection:
        acts = connection.execute(
            "select action, body from audit where action like 'critical.%' and action <> 'critical.read' order by seq"
        ).fetchall()
    assert [action for action, _ in acts] == ["critical.change", "critical.activate", "critical.activate"]
    assert f"monitoring/{GLUCOSE}/adult red_low: 54.0 -> 65.0" in json.loads(acts[0][1])["details"]["changes"]


async def test_the_hub_hears_which_version_each_gateway_goes_by_and_which_row_one_refuses(
    web: RunningWeb, hub: RunningHub
):
    nurse, peer = await web.signed_in(), await hub.peer()
    own = peer.credentials
    hello = Hello(version=1, tenant=own.tenant, gateway=own.gateway, epoch=peer.epoch, connection=Connection.DATA.wire)
    async with open_channel(hub.uplink, own) as channel:
        stream = open_stream(channel)
        await stream.write(GatewayMessage(hello=hello).SerializeToString())

        async def becomes(answer: PlacementApplied, version: int | None, refused: JsonObject | None) -> None:
            await stream.write(GatewayMessage(placement_applied=answer).SerializeToString())

            async def is_told() -> bool:
                (one,) = rows(await json_of(nurse, VERSIONS), "gateways")
                return (one["name"], one["version"], one["refused"]) == (own.gateway, version, refused)

            await until_asked(is_told)

        await becomes(PlacementApplied(version=1, table_version=4), 4, None)
        item = f"monitoring/{SPO2}/adult red_low"
        worse = PlacementApplied(version=2, table_version=4, table_refused="later-word", table_refused_item=item)
        await becomes(worse, 4, {"why": "later-word", "item": item})
        odd = PlacementApplied(version=2, table_version=4, table_refused="<b>", table_refused_item="\0x\n" * 500)
        await becomes(odd, 4, {"why": "unnamed", "item": "x" * 85})
        await becomes(PlacementApplied(version=3), None, None)  # an agent of an earlier version was put back
        stream.cancel()


REFUSED: list[tuple[Rows, str]] = [
    (shipped(HEART_RATE, yellow_low=35.0), "red-inside-yellow"),
    (shipped(HEART_RATE, yellow_low=140.0), "order"),
    (shipped(SPO2, yellow_high=101.0), "range"),
    (shipped(SPO2, unit="mm[Hg]"), "unit"),
    (shipped(SPO2, code="MDC_NO_SUCH"), "unknown-code"),
    (shipped(SPO2, examination="holter"), "field"),
    (shipped(SPO2, hysteresis="many"), "field"),
    (shipped(SPO2, colour="blue"), "field"),
    (shipped(V_FIB, level="yellow"), "lethal"),
    ([one for one in shipped() if one["code"] != V_FIB], "lethal"),
    ([*shipped(), shipped()[0]], "twice"),
    (shipped(), "empty"),
    ([], "lethal"),
]


async def test_a_table_that_cannot_be_is_refused_with_the_reason_and_nothing_is_kept(web: RunningWeb):
    engineer = await web.signed_in("wei", Role.ENGINEER)
    for items, why in REFUSED:
        answer = await engineer.post(VERSIONS, json={"based_on": 0, "reason": "a try", "items": items})
        assert answer.status_code == 422, answer.text
        found = answer.json()
        assert found["type"].endswith(f"critical-{why}"), why
        assert found["what_to_do"]
    assert (await json_of(engineer, VERSIONS))["versions"] == []


async def test_two_people_do_not_undo_each_others_change_and_everybody_needs_a_reason_and_the_right(web: RunningWeb):
    engineer, nurse = await web.signed_in("wei", Role.ENGINEER), await web.signed_in()
    await make(engineer, shipped(SPO2, red_low=86.0))
    await make(nurse, shipped(SPO2, red_low=84.0))  # of what is in force, on purpose
    assert await put(engineer, 1, 0) == 200
    behind = {"based_on": 0, "reason": "a third", "items": shipped(SPO2, red_low=83.0)}
    answer = await nurse.post(VERSIONS, json=behind)
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (409, "critical-raced")
    assert await put(engineer, 2, 0) == 409  # the page showed another as the one in force
    assert await put(engineer, 1, 1) == 409  # it is already
    assert await put(engineer, 9, 1) == 404
    for reason in ("", "   ", "x" * 501):
        body = {**behind, "based_on": 2, "reason": reason}
        assert (await engineer.post(VERSIONS, json=body)).status_code == 422
        assert await put(engineer, 2, 1, reason) == 422
    assert await put(nurse, 2, 1) == 403
    bureau = await web.signed_in("ju", Role.BUREAU)
    assert (await bureau.get(VALUES)).status_code == 403
    assert (await json_of(engineer, VALUES))["version"] == 1


async def test_limits_of_a_bed_show_what_the_table_says_for_its_patient(web: RunningWeb):
    engineer = await web.signed_in("wei", Role.ENGINEER)
    key = await key_of(engineer)
    found = await json_of(engineer, f"/api/v1/beds/{key}/limits")
    assert row(found, SPO2)["bed"] == {"low": 90, "high": None}
    assert row(found, HEART_RATE)["bed"] == {"low": 50, "high": 120}  # the bed's own go before the table's
    await make(engineer, shipped(SPO2, yellow_low=93.0))
    assert await put(engineer, 1, 0) == 200
    assert row(await json_of(engineer, f"/api/v1/beds/{key}/limits"), SPO2)["bed"] == {"low": 93, "high": None}
