"""Data of a device that nobody has admitted wait in quarantine, and are stored once somebody does; nothing else waits with them."""

import asyncio

import httpx
import psycopg
import pytest

from hub.core.principal import Role
from protocols.link import Connection, Lane
from protocols.nomenclature import BATTERY_CHARGE, EVT_DEVICE_SEEN, EVT_FAULT, HEART_RATE, V_FIB, lead
from protocols.package import JsonObject
from protocols.record import (
    AlarmCondition,
    AlarmKind,
    DeviceEvent,
    Observation,
    Presence,
    Priority,
    Scale,
    SourcePath,
    Times,
    WaveformGroup,
    alarm_id,
)
from protocols.wire import encode_record
from tests.fixtures.gateway_peer import Peer
from tests.fixtures.hub import RunningHub
from tests.fixtures.waiting import until_asked
from tests.fixtures.web import RunningWeb, deliver, heart_rate, now_ns

pytestmark = pytest.mark.integration
STRANGER = SourcePath("patch-1", ("ecg",))


@pytest.fixture
async def peer(hub: RunningHub) -> Peer:
    hub.admit_by_hand()
    return await hub.peer()


@pytest.fixture
async def engineer(web: RunningWeb) -> httpx.AsyncClient:
    return await web.signed_in("chen", Role.ENGINEER, ())


def reading(value: float) -> Observation:
    return Observation(STRANGER, HEART_RATE, value, "/min", Times(now_ns()))


def samples(first: int) -> WaveformGroup:
    raw = bytes(range(200))
    return WaveformGroup(STRANGER, (lead("II"),), 250.0, first, raw, "<i2", (Scale(1.0, 0.0, "uV"),), Times(now_ns()))


def stored(hub: RunningHub, table: str) -> int:
    """Rows of the stranger in a table of time series."""
    by = {"observation": "series using (series_id)", "waveform": "stream using (stream_id)"}[table]
    with psycopg.connect(hub.database.url_for("wardlink_owner")) as owner:
        query = f"select count(*) from {table} join {by} join source using (source_id) where path = %s"
        row = owner.execute(query.encode(), (str(STRANGER),)).fetchone()
        assert row is not None
        return int(row[0])


async def until_stored(hub: RunningHub, table: str, rows: int) -> None:
    async def there() -> bool:
        return await asyncio.to_thread(stored, hub, table) >= rows

    await until_asked(there)


async def the_stranger(engineer: httpx.AsyncClient) -> JsonObject:
    found = (await engineer.get("/api/v1/devices", params={"q": STRANGER.device})).json()["devices"]
    assert len(found) == 1
    return dict(found[0])


@pytest.mark.req("IOT-5.4a")
async def test_what_a_device_measures_waits_until_an_engineer_admits_it_and_is_stored_then(
    hub: RunningHub, peer: Peer, engineer: httpx.AsyncClient
):
    await deliver(hub, peer, Lane.NUMERIC, reading(61), heart_rate(70, now_ns()), reading(62))
    await deliver(hub, peer, Lane.WAVEFORM, samples(0), samples(100))
    assert stored(hub, "observation") == stored(hub, "waveform") == 0
    groups = (await engineer.get("/api/v1/quarantine")).json()["groups"]
    [group] = [g for g in groups if g["device"] == STRANGER.device]
    assert (group["reason"], group["count"], group["waits_for_admission"]) == ("device_not_admitted", 4, True)
    device = await the_stranger(engineer)
    assert device["state"] == "waiting"

    assert (await engineer.post(f"/api/v1/devices/{device['id']}/admit")).status_code == 200
    await until_stored(hub, "observation", 2)
    await until_stored(hub, "waveform", 2)
    assert (await engineer.get("/api/v1/quarantine")).json()["items"] == []
    await deliver(hub, peer, Lane.NUMERIC, reading(63))
    assert stored(hub, "observation") == 3, "what comes now goes straight in"
    assert (await the_stranger(engineer))["state"] == "live"


async def test_a_retired_device_waits_again(hub: RunningHub, peer: Peer, engineer: httpx.AsyncClient):
    await deliver(hub, peer, Lane.NUMERIC, reading(61))
    device = (await the_stranger(engineer))["id"]
    await engineer.post(f"/api/v1/devices/{device}/admit")
    await until_stored(hub, "observation", 1)
    await engineer.post(f"/api/v1/devices/{device}/retire")

    async def held_again() -> bool:
        await deliver(hub, peer, Lane.NUMERIC, reading(62))
        return (await engineer.get("/api/v1/quarantine")).json()["found"] > 0

    await until_asked(held_again)


async def test_a_device_that_the_gateway_s_settings_name_is_admitted_by_them(
    hub: RunningHub, peer: Peer, engineer: httpx.AsyncClient
):
    known = (("make", "Polar"), ("model", "H10"), ("serial", "12345"), ("door", "bluetooth"), ("listed", True))
    await deliver(hub, peer, Lane.NUMERIC, reading(61))
    await deliver(hub, peer, Lane.EVENT, DeviceEvent(SourcePath("patch-1"), EVT_DEVICE_SEEN, Times(now_ns()), known))
    await until_stored(hub, "observation", 1)
    device = await the_stranger(engineer)
    told = [device[name] for name in ("make", "model", "serial", "door", "state")]
    assert told == ["Polar", "H10", "12345", "bluetooth", "live"]
    assert device["admitted"]["by"] == "gateway settings"


async def test_what_a_stranger_says_of_itself_and_its_alarms_do_not_wait(
    hub: RunningHub, peer: Peer, engineer: httpx.AsyncClient
):
    seen = (("make", "Acme"), ("model", "Patch"), ("listed", False))
    await deliver(hub, peer, Lane.EVENT, DeviceEvent(SourcePath("patch-1"), EVT_DEVICE_SEEN, Times(now_ns()), seen))
    onset = now_ns()
    number = alarm_id(STRANGER, V_FIB, onset)
    alarm = AlarmCondition(
        number, STRANGER, V_FIB, Priority.HIGH, AlarmKind.PHYSIOLOGICAL, Presence.PRESENT, onset, onset, Times(onset)
    )
    await deliver(hub, peer, Lane.ALARM, alarm)
    device = await the_stranger(engineer)
    assert (device["make"], device["state"]) == ("Acme", "waiting")
    with psycopg.connect(hub.database.url_for("wardlink_owner")) as owner:
        assert owner.execute("select presence from alarm where alarm_id = %s", (number,)).fetchall() == [("present",)]


async def test_the_ledger_knows_the_battery(hub: RunningHub, peer: Peer, engineer: httpx.AsyncClient):
    listed = (("listed", True),)
    await deliver(hub, peer, Lane.EVENT, DeviceEvent(SourcePath("patch-1"), EVT_DEVICE_SEEN, Times(now_ns()), listed))
    charge = Observation(SourcePath("patch-1"), BATTERY_CHARGE, 12.0, "%", Times(now_ns()))
    await deliver(hub, peer, Lane.NUMERIC, charge)
    assert (await the_stranger(engineer))["battery"]["percent"] == 12
    low = (await engineer.get("/api/v1/devices", params={"battery": "low"})).json()
    assert (low["found"], low["counts"]["low_battery"]) == (1, 1)


async def test_bytes_that_nobody_could_read_are_there_to_be_looked_at_and_cannot_be_released(
    hub: RunningHub, peer: Peer, engineer: httpx.AsyncClient
):
    raw = bytes.fromhex("a0 01 ff")
    params = (("where", "byte 32"), ("expected", "0xC0 to 0xC6"), ("found", "0xFF"), ("bytes", 33))
    await deliver(
        hub, peer, Lane.EVENT, DeviceEvent(SourcePath("cyton-1"), EVT_FAULT, Times(now_ns()), params, raw.hex(" "))
    )
    [item] = (await engineer.get("/api/v1/quarantine", params={"reason": "undecodable"})).json()["items"]
    assert (item["device"], item["field"]) == ("cyton-1", "byte 32")
    assert "0xC0 to 0xC6" in item["detail"]
    assert (await engineer.get(f"/api/v1/quarantine/{item['id']}")).json()["bytes"] == raw.hex()
    assert (await engineer.post(f"/api/v1/quarantine/{item['id']}/release")).status_code == 409


async def test_a_record_that_is_released_and_still_cannot_be_stored_comes_back_with_the_reason(
    hub: RunningHub, peer: Peer, engineer: httpx.AsyncClient
):
    wrong = Observation(SourcePath("cyton-1"), HEART_RATE, 61, "/min", Times(4_070_908_800_000_000_000))
    peer.batch(Lane.NUMERIC, [encode_record(wrong)])
    await peer.deliver(hub.uplink, Connection.DATA)
    [item] = (await engineer.get("/api/v1/quarantine")).json()["items"]
    assert (await engineer.post(f"/api/v1/quarantine/{item['id']}/release")).status_code == 202

    async def came_back() -> bool:
        return bool((await engineer.get(f"/api/v1/quarantine/{item['id']}")).json()["note"])

    await until_asked(came_back)
    again = (await engineer.get(f"/api/v1/quarantine/{item['id']}")).json()
    assert again["state"] == "held"
    assert "2099" in again["note"]
