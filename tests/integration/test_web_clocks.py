"""Putting a device's times right afterwards, against the real database: what moves, what stays, who may, and the way back."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from hub.core.db import Database
from hub.core.principal import Role
from hub.store.sealing import seal_readings, seal_waveforms
from protocols.link import Lane
from protocols.nomenclature import HEART_RATE, LINK_LOSS
from protocols.record import Gap, Observation, Record, SourcePath, Times
from tests.fixtures.gateway_peer import Peer
from tests.fixtures.hub import RunningHub
from tests.fixtures.web import SOURCE, RunningWeb, deliver, fibrillation, heart_rate, now_ns, strip

pytestmark = pytest.mark.integration

S = 1_000_000_000
OFF_S = 3600
PPM = 40
OTHER = SourcePath("cyton-2", ("ecg",))
_ROWS = """
    select 'o' as kind, o.time, s.code as name, o.value::numeric, round(o.device_offset_ms::numeric, 3),
           round(o.gateway_offset_ms::numeric, 3), round(o.uncertainty_ms::numeric, 3), o.clock_segment_id
      from observation o join series s using (series_id)
    union all
    select 'w', w.start, t.path, w.first_sample, round(w.device_offset_ms::numeric, 3), round(w.gateway_offset_ms::numeric, 3),
           round(w.uncertainty_ms::numeric, 3), w.clock_segment_id
      from waveform w join stream using (stream_id) join source t using (source_id)
    union all
    select 'g', g.from_time, t.path, g.from_sample, null, null, null, null from gap g join source t using (source_id)
     order by 1, 2, 3, 4"""


def off(reading: Observation, corrected_ns: int, segment: int, source: SourcePath = SOURCE) -> Observation:
    gateway_ns = reading.times.gateway_ns
    times = Times(gateway_ns, gateway_ns - 7 * S, corrected_ns, 60_000_000, segment)
    return Observation(source, HEART_RATE, reading.value, "/min", times)


async def filled(hub: RunningHub, peer: Peer) -> int:
    """Two segments of one device, of which the second stands an hour ahead, and another device; the begin of all."""
    begin_ns = now_ns() - 7200 * S
    numeric: list[Record] = []
    for i in range(40):
        at_ns = begin_ns + i * 2 * S
        numeric.append(off(heart_rate(60 + i, at_ns), at_ns + OFF_S * S, 2))
        numeric.append(off(heart_rate(90, at_ns - 600 * S), at_ns - 600 * S, 1))
        numeric.append(off(heart_rate(50, at_ns), at_ns, 2, OTHER))
    await deliver(hub, peer, Lane.NUMERIC, *numeric)
    ahead_ns = begin_ns + OFF_S * S
    groups: list[Record] = []
    for i in (0, 1, 4, 5):
        group = strip(125 * i, ahead_ns + i * S // 2)
        times = Times(begin_ns + i * S // 2, None, ahead_ns + i * S // 2, 2_000_000, 2)
        groups.append(replace(group, times=times))
    hole = Gap(
        SOURCE,
        ahead_ns + S,
        ahead_ns + 2 * S,
        LINK_LOSS,
        recoverable=False,
        from_sample=250,
        to_sample=500,
        times=Times(begin_ns),
    )
    await deliver(hub, peer, Lane.WAVEFORM, *groups, hole)
    await deliver(hub, peer, Lane.ALARM, fibrillation(ahead_ns + 10 * S))
    return begin_ns


async def test_a_segment_that_was_an_hour_ahead_is_put_right_and_taken_back(hub: RunningHub, web: RunningWeb):
    peer = await hub.peer("ward3")
    begin_ns = await filled(hub, peer)
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    [(device,)] = hub.rows("select device_id from device where name = 'cyton-1'")
    before = hub.rows(_ROWS)
    told = (await engineer.get(f"/api/v1/devices/{device}/clock")).json()
    [wrong] = [s for s in told["segments"] if s["number"] == 2]
    assert (wrong["observations"], wrong["waveforms"], told["retimings"]) == (40, 4, [])

    asked = {"segment": wrong["id"], "shift_s": -OFF_S}
    seen = (await engineer.post(f"/api/v1/devices/{device}/clock/preview", json=asked)).json()
    assert seen["alarms"] == 1
    assert seen["new_from_ms"] == begin_ns // 1_000_000
    assert hub.rows(_ROWS) == before

    done = await engineer.post(f"/api/v1/devices/{device}/clock/retime", json={**asked, "reason": "an hour off"})
    assert done.status_code == 200, done.text
    assert (done.json()["observations"], done.json()["waveforms"]) == (40, 4)
    begin = datetime.fromtimestamp(begin_ns / 1e9, UTC)
    moved = [r for r in hub.rows(_ROWS) if r not in before]
    assert len(moved) == 40 + 4 + 1
    readings = [r for r in moved if r[0] == "o"]
    assert [r[1] for r in readings] == [begin + timedelta(seconds=2 * i) for i in range(40)]
    assert [int(r[3]) for r in readings] == [60 + i for i in range(40)]
    assert {(float(r[4]), float(r[5])) for r in readings} == {(-7000.0, 0.0)}, "what both clocks showed is what it was"
    [hole] = [r for r in moved if r[0] == "g"]
    assert hole[1] == begin + timedelta(seconds=1)
    stayed = [r for r in before if r[-1] != wrong["id"] and r[0] != "g"]
    assert [r for r in hub.rows(_ROWS) if r in before] == stayed
    marked = "select count(*) from alarm a join alarm_event using (alarm_id) where alarm_event.kind = 'retimed' and a.onset = %s"
    onset = begin + timedelta(seconds=OFF_S + 10)
    assert hub.rows(marked, onset) == [(1,)], (
        "an alarm's times stay as they were seen, and it says that the others were moved"
    )

    late = off(heart_rate(177, begin_ns + 90 * S), begin_ns + 90 * S + OFF_S * S, 2)
    await deliver(hub, peer, Lane.NUMERIC, late)
    now = (await engineer.get(f"/api/v1/devices/{device}/clock")).json()
    assert {(s["number"], s["observations"]) for s in now["segments"]} >= {(2, 1), (-done.json()["id"], 40)}
    hub.do("delete from observation where value = 177")

    back = f"/api/v1/retimings/{done.json()['id']}/undo"
    assert (await engineer.post(back, json={"reason": "it was right"})).json()["undone"]["reason"] == "it was right"
    assert hub.rows(_ROWS) == before
    assert (await engineer.post(back, json={"reason": "again"})).status_code == 409
    acts = [
        a for (a,) in hub.rows("select action from audit where action like 'clock.%%' and outcome = 'done' order by at")
    ]
    assert [a for a in acts if a != "clock.read"] == ["clock.retime", "clock.undo"]


async def test_what_is_sealed_is_moved_too_by_the_command_and_the_page_says_so(hub: RunningHub, web: RunningWeb):
    peer = await hub.peer("ward3")
    await filled(hub, peer)
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    [(device,)] = hub.rows("select device_id from device where name = 'cyton-1'")
    before = hub.rows(_ROWS)
    later = datetime.now(UTC) + timedelta(days=1)
    worker_url, web_url = (hub.database.url_for(f"wardlink_{role}") for role in ("worker", "web"))
    async with Database(worker_url, "test worker", max_size=2) as worker:
        await seal_waveforms(worker, later)
        await seal_readings(worker, later)
    assert [r for r in hub.rows(_ROWS) if r[0] != "g"] == []
    told = (await engineer.get(f"/api/v1/devices/{device}/clock")).json()
    [wrong] = [s for s in told["segments"] if s["number"] == 2]
    assert (wrong["observations"], wrong["waveforms"]) == (40, 4)
    asked = {"segment": wrong["id"], "shift_s": -OFF_S, "reason": "an hour off"}
    refused = await engineer.post(f"/api/v1/devices/{device}/clock/retime", json=asked)
    assert (refused.status_code, "wardlink hub clock" in refused.json()["what_to_do"]) == (409, True)
    command = [sys.executable, "-m", "wardlink", "hub", "clock"]
    environment = {**os.environ, "HUB_STATE_DIR": str(hub.state), "HUB_WEB_URL": web_url, "HUB_WORKER_URL": worker_url}

    async def does(*words: str) -> str:
        done = await asyncio.to_thread(
            subprocess.run, [*command, *words], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    segment = ("--segment", str(wrong["id"]), "--shift-s", str(-OFF_S), "--reason", "an hour off", "--apply")
    assert "40 readings, 4 groups" in await does("retime", "cyton-1", *segment)
    assert (wrong["id"] not in {r[-1] for r in hub.rows(_ROWS)}, len(hub.rows(_ROWS))) == (True, 40 + 4 + 1)
    [(move,)] = hub.rows("select retiming_id from retiming")
    async with Database(worker_url, "test worker", max_size=2) as worker:
        await seal_waveforms(worker, later)
    await does("undo", str(move), "--reason", "it was right")
    assert [r for r in before if r[-1] == wrong["id"]] == [r for r in hub.rows(_ROWS) if r[-1] == wrong["id"]]


async def test_a_segments_readings_tell_their_own_correction(hub: RunningHub, web: RunningWeb):
    """A crystal that is fast by 40 ppm, and times that followed neither its offset nor its drift: the way is 5 to 25 ms."""
    peer, rng = await hub.peer("ward3"), np.random.default_rng(6)
    begin_ns, truth = now_ns() - 7200 * S, list[int]()
    sent: list[Record] = []
    for i in range(600):
        measured_ns = begin_ns + i * S
        shown_ns = measured_ns + round(i * S * PPM * 1e-6) - 30 * S
        arrival_ns = measured_ns + round(rng.uniform(0.005, 0.025) * S)
        truth.append(measured_ns)
        sent.append(
            Observation(
                SOURCE, HEART_RATE, float(i), "/min", Times(arrival_ns, shown_ns, shown_ns + 30 * S + S // 5, 1, 3)
            )
        )
    for part in range(0, 600, 100):
        await deliver(hub, peer, Lane.NUMERIC, *sent[part : part + 100])
    engineer = await web.signed_in("chen", Role.ENGINEER, ())
    [(device, segment)] = hub.rows("select device_id, clock_segment_id from clock_segment")
    done = await engineer.post(f"/api/v1/devices/{device}/clock/retime", json={"segment": segment, "reason": "learned"})
    assert done.status_code == 200, done.text
    assert done.json()["correction"]["model"] == "learned"
    assert done.json()["correction"]["drift_ppm"] == pytest.approx(-PPM, abs=8)
    rows = hub.rows("select extract(epoch from time)::float8 from observation order by value")
    errors_s = np.array([t - n / 1e9 for (t,), n in zip(rows, truth, strict=True)])
    assert np.abs(errors_s).max() < 0.015


async def test_who_may_and_what_is_refused(hub: RunningHub, web: RunningWeb):
    peer = await hub.peer("ward3")
    await filled(hub, peer)
    [(device, segment)] = hub.rows(
        "select device_id, clock_segment_id from clock_segment join device using (device_id) where name = 'cyton-1' and number = 1"
    )
    [(other,)] = hub.rows("select device_id from device where name = 'cyton-2'")
    nurse, engineer = await web.signed_in(), await web.signed_in("chen", Role.ENGINEER, ())
    body = {"segment": segment, "shift_s": 5, "reason": "x"}
    at = "/api/v1/devices/{}/clock/retime"
    before = hub.rows(_ROWS)
    assert (await nurse.post(at.format(device), json=body)).status_code == 403
    assert (await engineer.post(at.format(other), json=body)).status_code == 404
    assert (await engineer.post(at.format(device), json={**body, "reason": ""})).status_code == 422
    assert (await engineer.post(at.format(device), json={**body, "shift_s": -100 * 366 * 86400})).status_code in (
        400,
        422,
    )
    assert (await engineer.post("/api/v1/retimings/99/undo", json={"reason": "x"})).status_code == 404
    assert hub.rows(_ROWS) == before
