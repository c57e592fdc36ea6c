"""What the hub measures of itself: every process writes a row a minute, and page and API tell speeds, delays and availability from them."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.registry import REGISTRY

from hub.core.db import Database
from hub.core.functions import BOUNDS_S
from hub.core.policy import ACTIONS, flat_routes
from hub.core.principal import Role
from hub.operations.availability import Availability
from hub.operations.domain import percentile_s
from hub.operations.recorder import Recorder
from hub.operations.storage import Storage
from hub.store.sealing import seal_waveforms
from hub.web.times import function_of
from protocols.link import Lane
from tests.fixtures.hub import RunningHub
from tests.fixtures.web import RunningWeb, deliver, fibrillation, heart_rate, now_ns, strip

pytestmark = pytest.mark.integration


def test_percentiles_are_those_of_the_buckets():
    buckets = [0] * (len(BOUNDS_S) + 1)
    assert percentile_s(buckets, 0.95) is None
    buckets[3] = 100  # between 25 and 50 ms
    assert percentile_s(buckets, 0.5) == pytest.approx(0.0375)
    buckets[-1] = 900
    assert percentile_s(buckets, 0.95) == BOUNDS_S[-1]


async def a_minute_ago(hub: RunningHub, minutes: int = 1) -> None:
    """What was written belongs to a minute that has ended."""
    for table in ("operation_process", "operation_function"):
        hub.do(f"update {table} set minute = date_trunc('minute', now()) - make_interval(mins => %s)", minutes)


@pytest.mark.req("IOT-7.4a", "IOT-7.4b", "ECG-6.2.2a", surface="page")
async def test_engineers_are_told_speeds_delays_compression_and_the_response_time_of_each_function(
    hub: RunningHub, web: RunningWeb
):
    engineer, nurse = await web.signed_in("engineer", Role.ENGINEER), await web.signed_in()
    assert "Nothing measured yet" in (await engineer.get("/operations")).text
    async with (
        Database(hub.database.url_for("wardlink_ingest"), "test", max_size=1) as ingest,
        Database(hub.database.url_for("wardlink_web"), "test", max_size=1) as pages,
        Database(hub.database.url_for("wardlink_worker"), "test", max_size=1) as worker,
    ):
        recorders = (
            Recorder(ingest, "ingest", "1-7", {"records": "hub_ingest_records_total"}),
            Recorder(pages, "web", "1-8", {"rows": "hub_query_rows_total"}),
            Recorder(worker, "worker", "1-9", figures=Storage(worker, every_s=0).figures),
        )
        for recorder in recorders:
            await recorder.write(time.time() - 60)  # what the process had counted before
        await a_minute_ago(hub, 3)
        hub.do("delete from operation_function")  # delays and times of other tests in this process
        peer = await hub.peer()
        await deliver(hub, peer, Lane.NUMERIC, *(heart_rate(70.0 + n, now_ns()) for n in range(100)))
        await deliver(hub, peer, Lane.WAVEFORM, strip(0, now_ns() - 10**9))
        await deliver(hub, peer, Lane.ALARM, fibrillation(now_ns() - 10**9, evidence=False))
        for address in (
            "/api/v1/latest?device=cyton-1",
            "/api/v1/search?q=cyton",
            "/devices",
            "/ward/7b",
            "/nothing/here",
        ):
            await engineer.get(address)
        for recorder in recorders:
            recorder._began_s = time.time() - 60  # it has run for a minute
            await recorder.write(time.time())
        hub.do(
            "update operation_process set minute = date_trunc('minute', now()) - interval '1 minute' where minute > now() - interval '2 minutes'"
        )
        hub.do(
            "update operation_function set minute = date_trunc('minute', now()) - interval '1 minute' where minute > now() - interval '2 minutes'"
        )

    told = (await engineer.get("/api/v1/operations?span=hour")).json()
    figures = {role["role"]: role["figures"] for role in told["roles"]}
    assert figures["ingest"]["records"] >= 102
    assert figures["web"]["rows"] >= 2
    assert figures["worker"]["samples_ratio"] >= 1
    assert figures["worker"]["observation_bytes"] > 0
    functions = {one["function"]: one for one in told["functions"]}
    for name in (
        "ingest:uplink.store:data",
        "ingest:uplink.store:alarms",
        "ingest:delay:numeric",
        "ingest:delay:alarm",
        "web:reading.read:GET /api/v1/latest",
        "web:search:GET /api/v1/search",
        "web:device.list:GET /devices",
        "web:ward.read:GET /ward/{ward}",
    ):
        one = functions[name]
        assert one["calls"] >= 1, name
        assert 0 < one["p50_ms"] <= one["p95_ms"] < 10_000, name
        assert one["available"] is not None
    assert not [name for name in functions if "nothing" in name]
    page = (await engineer.get("/operations")).text
    assert "Queries for readings" in page
    assert "GET /ward/{ward}" in page
    assert (await nurse.get("/api/v1/operations")).status_code == 403
    assert REGISTRY.get_sample_value("hub_function_seconds_count", {"function": "web:search:GET /api/v1/search"})
    assert REGISTRY.get_sample_value("hub_compression_ratio", {"what": "samples"})


async def test_a_minute_without_its_process_or_with_failing_calls_is_down(hub: RunningHub, web: RunningWeb):
    engineer = await web.signed_in("engineer", Role.ENGINEER)
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    process = "insert into operation_process values (%s, 'web', %s, %s, '{}')"
    function = "insert into operation_function values (%s, 'web', '1', %s, %s, %s, %s)"
    buckets = [10] + [0] * len(BOUNDS_S)
    for ago in range(100, 0, -1):
        at = now - timedelta(minutes=ago)
        if ago in (50, 51):  # it was stopped
            continue
        hub.do(process, at, "1", 20.0 if ago == 49 else 60.0)  # and started late in a minute
        failed = {30: 5, 20: 4}.get(ago, 0)  # half of ten failed, and less than half
        hub.do(function, at, "web:ward.read:GET /ward/{ward}", 10, failed, buckets)
        hub.do(function, at, "web:alarm.read:GET /api/v1/alarms/{alarm_id}", 10, 0, buckets)
    hub.do(process, now - timedelta(minutes=48), "2", 60.0)  # a copy besides changes nothing
    hub.do(function, now - timedelta(minutes=49), "web:ward.read:GET /other", 10, 10, buckets)  # down already
    hub.do(function, now - timedelta(days=3), "web:search:GET /api/v1/search", 10, 0, buckets)
    told = (await engineer.get("/api/v1/operations?span=day")).json()
    functions = {one["function"].split(":")[1]: one for one in told["functions"] if "other" not in one["function"]}
    (other,) = (one for one in told["functions"] if "other" in one["function"])
    assert other["down_minutes"] == 3, "a minute counts once, whether the process or the call failed"
    assert (functions["ward.read"]["minutes"], functions["ward.read"]["down_minutes"]) == (99, 4)
    assert functions["ward.read"]["available"] == pytest.approx(95 / 99)
    assert functions["alarm.read"]["down_minutes"] == 3
    assert functions["search"]["calls"] == 0, "nobody called it today, and it was up"
    assert functions["search"]["p95_ms"] is None
    assert functions["search"]["available"] == pytest.approx(96 / 99)
    (role,) = told["roles"]
    assert (role["minutes"], role["up_minutes"], role["up"]) == (99, 96, True)
    async with Database(hub.database.url_for("wardlink_worker"), "test", max_size=1) as worker:
        await Availability(worker).tell()
    ward = {"function": "web:ward.read:GET /ward/{ward}"}
    assert REGISTRY.get_sample_value("hub_function_available_ratio", ward) == pytest.approx(95 / 99)


async def test_copies_of_a_role_count_together_and_what_they_see_of_one_store_once(hub: RunningHub, web: RunningWeb):
    engineer = await web.signed_in("engineer", Role.ENGINEER)
    minute = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1)
    process = "insert into operation_process values (%s, %s, %s, 60, %s)"
    for copy in ("1", "2"):
        hub.do(process, minute, "ingest", copy, '{"records": 600}')
        hub.do(process, minute, "worker", copy, '{"waveform_bytes": 4096, "waveform_ratio": 2.5}')
    told = {role["role"]: role["figures"] for role in (await engineer.get("/api/v1/operations")).json()["roles"]}
    assert told == {"ingest": {"records": 1200}, "worker": {"waveform_bytes": 4096, "waveform_ratio": 2.5}}


def test_each_function_has_a_name_in_both_languages(web_words: dict[str, dict[str, str]]):
    wanted = {action.replace(".", "_") for action in ACTIONS} | {"public", "uplink_store"}
    wanted |= {
        "secrets_purge",
        "store_roll_up",
        "store_seal",
        "store_destroy",
        "upstream_bound",
    }  # what the worker does by itself
    for lang, words in web_words.items():
        assert set(words) == wanted, lang


async def test_each_route_is_a_function(web: RunningWeb):
    for route in flat_routes(web.app.routes):
        path = getattr(route, "path", "")
        scope = {"type": "http", "method": "GET", "route": route, "endpoint": getattr(route, "endpoint", None)}
        assert path.startswith("/static") or function_of(scope).startswith("web:"), path


@pytest.fixture
def web_words() -> dict[str, dict[str, str]]:
    """The names of functions by language."""
    folder = Path(__file__).parents[2] / "wardlink" / "web" / "locale"
    return {p.stem: json.loads(p.read_text("utf-8"))["operations"]["action"] for p in folder.glob("*.json")}


@pytest.mark.req("IOT-7.4a", surface="api")
async def test_what_is_sealed_counts_in_sizes_and_ratios_as_what_is_hot_does(hub: RunningHub):
    peer = await hub.peer()
    began_ns = now_ns() - 30 * 60 * 10**9
    await deliver(hub, peer, Lane.WAVEFORM, *(strip(250 * n, began_ns + n * 10**9, 250) for n in range(60)))
    async with Database(hub.database.url_for("wardlink_worker"), "test", max_size=1) as worker:
        hub.do("analyze waveform")  # the number of rows is that of the last look
        hot = await Storage(worker, every_s=0).figures()
        assert (await seal_waveforms(worker, datetime.now(UTC) - timedelta(minutes=10))).rows == 60
        hub.do("vacuum analyze waveform")
        sealed = await Storage(worker, every_s=0).figures()
    raw_bytes = 60 * 250 * 2 * 4  # two leads, four bytes a sample
    assert hot["waveform_ratio"] * hot["waveform_bytes"] == pytest.approx(raw_bytes, rel=0.05)
    assert sealed["waveform_ratio"] * sealed["waveform_bytes"] == pytest.approx(raw_bytes, rel=0.05)
    assert sealed["samples_ratio"] > 0


async def test_the_sealed_is_estimated_when_it_is_more_than_is_looked_at(hub: RunningHub):
    peer = await hub.peer()
    await deliver(hub, peer, Lane.WAVEFORM, strip(0, now_ns() - 10**9, 250))
    hub.do(
        "insert into waveform_block select now() - make_interval(mins => 5 * n), stream_id, 0, now(), now(), now(), 1, 7000 + n % 11, 0, '', '', '{}'"
        " from stream, generate_series(1, 6000) as n"
    )
    for table in ("waveform", "waveform_block"):
        hub.do(f"analyze {table}")
    async with Database(hub.database.url_for("wardlink_worker"), "test", max_size=1) as worker:
        told = await Storage(worker, every_s=0).figures()
    raw_bytes = (6000 * 7005 + 250) * 2 * 4  # two leads, four bytes a sample
    assert told["waveform_ratio"] * told["waveform_bytes"] == pytest.approx(raw_bytes, rel=0.05)


async def test_figures_that_take_longer_than_a_minute_cost_no_minute_and_the_last_known_are_told(hub: RunningHub):
    may_end, measured = asyncio.Event(), iter((1.0, 2.0, 3.0))

    async def slow() -> dict[str, float]:
        value = next(measured)
        if value > 1:
            await may_end.wait()
        return {"size_bytes": value}

    async with Database(hub.database.url_for("wardlink_worker"), "test", max_size=1) as worker:
        recorder = Recorder(worker, "worker", "1-9", figures=slow)
        for minute in (5, 4, 3):
            await recorder.write(time.time() - 60 * minute)
        may_end.set()
        await recorder.write(time.time() - 120)
    rows = hub.rows("select figures ->> 'size_bytes' from operation_process where instance = '1-9' order by minute")
    assert [float(str(value)) for (value,) in rows] == [1, 1, 1, 2]
