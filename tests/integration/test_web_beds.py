"""The bed page's data: trends, past strips, alarms and the time-line of the patient who is there, fed through the real uplink."""

import asyncio
import struct

import httpx
import numpy as np
import psycopg
import pytest

from hub.core.principal import Role
from hub.placement.domain import Patient
from protocols.link import Connection, Lane
from protocols.nomenclature import (
    ASYSTOLE,
    EVT_ALARM_DOUBTED,
    EVT_ALARM_HELD,
    EVT_ATRIAL_FIB,
    EVT_FAULT,
    EVT_V_RUN,
    HEART_RATE,
    LINK_LOSS,
    PLETH,
    V_FIB,
    lead,
)
from protocols.package import JsonObject
from protocols.record import (
    NS_PER_S,
    DeviceEvent,
    Gap,
    Observation,
    Presence,
    Quality,
    Scale,
    SourcePath,
    Times,
    WaveformGroup,
)
from tests.fixtures.hub import RunningHub
from tests.fixtures.waiting import until, until_asked
from tests.fixtures.web import (
    FS_HZ,
    OPERATOR,
    SOURCE,
    RunningWeb,
    deliver,
    fibrillation,
    heart_rate,
    now_ns,
    strip,
)

pytestmark = pytest.mark.integration
HEADER = struct.Struct("<BBHIIffIddd")
MINUTE_NS = 60_000_000_000
HOUR_NS = 60 * MINUTE_NS


async def been_there(hub: RunningHub, hours: float = 100.0) -> None:
    """Patient and devices have been at their beds for so long."""
    async with await psycopg.AsyncConnection.connect(hub.database.admin_url) as connection:
        for table in ("patient_association", "device_association"):
            await connection.execute(
                f"update {table} set during = tstzrange(now() - make_interval(secs => %s), upper(during))",
                (hours * 3600,),
            )


async def key_of(client: httpx.AsyncClient, ward: str = "7b", bed: str = "1") -> int:
    """The bed's key, as soon as the ward has it: the database tells of a bed that was just made."""
    keys: dict[str, int] = {}

    async def there() -> bool:
        beds = (await client.get(f"/api/v1/ward/{ward}")).json()["beds"]
        keys.update({one["id"]: one["key"] for one in beds})
        return bed in keys

    await until_asked(there)
    return keys[bed]


async def json_of(client: httpx.AsyncClient, path: str, **params: str | int) -> JsonObject:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_trend_has_least_most_and_mean_of_each_bucket(web: RunningWeb, hub: RunningHub):
    await been_there(hub)
    client, peer = await web.signed_in(), await hub.peer()
    start_ns = (now_ns() - 2 * HOUR_NS) // MINUTE_NS * MINUTE_NS
    readings = [heart_rate(60 + minute + second / 10, start_ns + minute * MINUTE_NS + second * 1_000_000_000)
                for minute in (0, 1, 3) for second in (0, 10, 20)]  # fmt: skip
    await deliver(hub, peer, Lane.NUMERIC, *readings)
    key = await key_of(client)
    window = {"from_ms": start_ns // 1_000_000, "to_ms": start_ns // 1_000_000 + 600_000}
    found = await json_of(client, f"/api/v1/beds/{key}/trends", code=HEART_RATE, points=10, **window)
    assert found["bucket_ms"] == 60_000
    (trend,) = found["series"]
    assert (trend["code"], trend["unit"], trend["source"]) == (HEART_RATE, "/min", "cyton-1/ecg")
    # minute 2 has no reading: it has no bucket, and nothing is drawn over it
    assert trend["at_ms"] == [window["from_ms"] + 60_000 * minute for minute in (0, 1, 3)]
    assert (trend["min"], trend["mean"], trend["max"]) == ([60, 61, 63], [61, 62, 64], [62, 63, 65])
    assert trend["n"] == [3, 3, 3]


async def test_readings_that_their_device_called_unusable_are_counted_and_not_averaged(
    web: RunningWeb, hub: RunningHub
):
    await been_there(hub)
    client, peer = await web.signed_in(), await hub.peer()
    at_ns = (now_ns() - HOUR_NS) // MINUTE_NS * MINUTE_NS
    bad = Observation(SOURCE, HEART_RATE, 212.0, "/min", Times(at_ns + 1_000_000_000), quality=Quality.NOISE)
    await deliver(hub, peer, Lane.NUMERIC, heart_rate(70, at_ns), bad)
    key = await key_of(client)
    window = {"from_ms": at_ns // 1_000_000, "to_ms": at_ns // 1_000_000 + 600_000}
    (trend,) = (await json_of(client, f"/api/v1/beds/{key}/trends", code=HEART_RATE, points=10, **window))["series"]
    assert (trend["max"], trend["n"], trend["unusable"]) == ([70], [1], [1])


async def test_gaps_and_alarm_spans_come_with_the_trends(web: RunningWeb, hub: RunningHub):
    await been_there(hub)
    client, peer = await web.signed_in(), await hub.peer()
    onset_ns = now_ns() - HOUR_NS
    await deliver(hub, peer, Lane.ALARM, fibrillation(onset_ns))
    await deliver(hub, peer, Lane.ALARM, fibrillation(onset_ns, Presence.ENDED, 30_000_000_000, evidence=False))
    gap = Gap(
        SOURCE,
        onset_ns + MINUTE_NS,
        onset_ns + 2 * MINUTE_NS,
        LINK_LOSS,
        recoverable=False,
        times=Times(now_ns()),
    )
    await deliver(hub, peer, Lane.EVENT, gap)
    key = await key_of(client)
    found = await json_of(client, f"/api/v1/beds/{key}/trends", code=HEART_RATE)
    (alarm,) = found["alarms"]
    assert (alarm["code"], alarm["bed"], alarm["onset_ms"]) == (V_FIB, "1", onset_ns // 1_000_000)
    assert alarm["condition_ended_ms"] == onset_ns // 1_000_000 + 30_000
    # an hour late at the hub, and both times are told
    assert alarm["stored_ms"] - alarm["onset_ms"] >= 3_600_000
    told = [(one["from_ms"], one["to_ms"], one["reason"]) for one in found["gaps"]]
    assert told == [(onset_ns // 1_000_000 + 60_000, onset_ns // 1_000_000 + 120_000, LINK_LOSS)]
    assert (await json_of(client, f"/api/v1/beds/{key}/alarms"))["alarms"] == found["alarms"]


async def test_any_stretch_of_the_last_72_hours_is_read_as_frames(web: RunningWeb, hub: RunningHub):
    await been_there(hub)
    client, peer = await web.signed_in(), await hub.peer()
    start_ns = now_ns() - 71 * HOUR_NS
    groups = [strip(125 * i, start_ns + i * 500_000_000) for i in range(4)]
    gap = Gap(
        SOURCE,
        start_ns + 2_000_000_000,
        start_ns + 3_000_000_000,
        LINK_LOSS,
        recoverable=False,
        times=Times(now_ns()),
    )
    await deliver(hub, peer, Lane.WAVEFORM, *groups)
    await deliver(hub, peer, Lane.EVENT, gap)
    key = await key_of(client)
    window = {"from_ms": start_ns // 1_000_000 + 600, "to_ms": start_ns // 1_000_000 + 10_000}
    answer = await client.get(f"/api/v1/beds/{key}/waveforms", params=window)
    assert answer.status_code == 200, answer.text
    frames = split(answer.content)
    assert [number for _, _, number, *_ in frames] == list(range(len(frames)))
    leads = {one["index"]: one["code"] for one in (await json_of(client, f"/api/v1/beds/{key}"))["leads"]}
    assert list(leads.values()) == [lead("I"), lead("II")]
    first = [frame for frame in frames if frame[0] == 1 and leads[frame[1]] == lead("I")]
    # the group in which the stretch begins, and all behind it
    assert [frame[4] for frame in first] == [125.0, 250.0, 375.0]
    assert [frame[3] for frame in first] == [start_ns // 1_000_000 + 500 * i for i in (1, 2, 3)]
    expected = np.rint(groups[1].physical()[0])
    assert np.abs(np.frombuffer(first[0][5], "<i2") - np.clip(expected, -32767, 32767)).max() <= 1
    gaps = [(frame[5].decode(), frame[3], frame[6]) for frame in frames if frame[0] == 2]
    assert gaps == [(LINK_LOSS, start_ns // 1_000_000 + 2000, start_ns // 1_000_000 + 3000)] * 2


async def test_a_bed_does_not_tell_of_the_patient_who_was_there_before(web: RunningWeb, hub: RunningHub):
    await been_there(hub)
    client, peer = await web.signed_in(), await hub.peer()
    before_ns = now_ns() - HOUR_NS
    await deliver(hub, peer, Lane.NUMERIC, heart_rate(70, before_ns))
    await deliver(hub, peer, Lane.WAVEFORM, strip(0, before_ns))
    await deliver(hub, peer, Lane.ALARM, fibrillation(before_ns))
    key = await key_of(client)
    await client.post(f"/api/v1/beds/{key}/notes", json={"text": "of the first patient"})
    around = {"from_ms": before_ns // 1_000_000 - 5000, "to_ms": before_ns // 1_000_000 + 5000}
    assert (await json_of(client, f"/api/v1/beds/{key}/trends", code=HEART_RATE))["series"]
    assert (await client.get(f"/api/v1/beds/{key}/waveforms", params=around)).content
    await web.placement.place_patient(OPERATOR, Patient("A-2", "Next"), "7b", "1")
    assert (await json_of(client, f"/api/v1/beds/{key}/trends", code=HEART_RATE))["series"] == []
    assert (await json_of(client, f"/api/v1/beds/{key}/alarms"))["alarms"] == []
    assert (await json_of(client, f"/api/v1/beds/{key}/timeline"))["entries"] == []
    assert (await client.get(f"/api/v1/beds/{key}/waveforms", params=around)).content == b""


async def test_a_patients_past_follows_to_another_bed(web: RunningWeb, hub: RunningHub):
    await been_there(hub)
    client, peer = await web.signed_in(), await hub.peer()
    await deliver(hub, peer, Lane.NUMERIC, heart_rate(70, now_ns() - HOUR_NS))
    await web.placement.add_bed(OPERATOR, "7b", "2")
    await web.placement.place_patient(OPERATOR, Patient("A-1", "王小明", "male"), "7b", "2")
    found = await json_of(client, f"/api/v1/beds/{await key_of(client, bed='2')}/trends", code=HEART_RATE)
    assert [trend["mean"] for trend in found["series"]] == [[70]]


async def test_a_bed_that_comes_while_the_ward_is_read_for_the_first_time_is_on_the_page(
    web: RunningWeb, hub: RunningHub
):
    client = await web.signed_in()
    async with (
        await psycopg.AsyncConnection.connect(hub.database.admin_url) as lock,
        await psycopg.AsyncConnection.connect(hub.database.admin_url, autocommit=True) as asking,
    ):

        async def is_held_up() -> bool:
            waits = "select 1 from pg_locks where relation = 'device_association'::regclass and not granted"
            return await (await asking.execute(waits)).fetchone() is not None

        await lock.execute("lock table device_association in access exclusive mode")
        first = asyncio.create_task(client.get("/api/v1/ward/7b"))
        await until_asked(is_held_up)
        await web.placement.add_bed(OPERATOR, "7b", "2")
        await web.placement.place_patient(OPERATOR, Patient("A-2", "Next"), "7b", "2")
        await asyncio.sleep(0.2)  # the notice arrives before the reading ends
    assert (await first).status_code == 200
    await key_of(client, bed="2")


@pytest.mark.req("IOT-6.1d")
async def test_the_time_line_brings_vital_signs_alarms_posture_and_notes_together(web: RunningWeb, hub: RunningHub):
    await been_there(hub)
    client, peer = await web.signed_in(), await hub.peer()
    start_ns = (now_ns() - 3 * HOUR_NS) // HOUR_NS * HOUR_NS
    await deliver(hub, peer, Lane.NUMERIC, heart_rate(70, start_ns), heart_rate(80, start_ns + MINUTE_NS))
    onset_ns = start_ns + 10 * MINUTE_NS
    await deliver(hub, peer, Lane.ALARM, fibrillation(onset_ns))
    # lies on the back for a while, then on the side
    felt = [lying(start_ns + i * 5 * MINUTE_NS, (0, 0, 1) if i < 4 else (1, 0, 0)) for i in range(8)]
    await deliver(hub, peer, Lane.WAVEFORM, *felt)
    key = await key_of(client)
    note = await client.post(
        f"/api/v1/beds/{key}/notes", json={"text": " turned to the side \n", "at_ms": start_ns // 1_000_000 + 2_000_000}
    )
    assert note.status_code == 201, note.text
    entries = (await json_of(client, f"/api/v1/beds/{key}/timeline", from_ms=start_ns // 1_000_000))["entries"]
    kinds = [entry["kind"] for entry in entries]
    assert kinds == ["note", "posture", "alarm", "vital_signs"]
    written, turned, alarm, vital = entries
    assert (written["note"]["text"], written["note"]["by"]) == ("turned to the side", "Li.Na")
    assert turned["degrees"] == 90
    assert (turned["posture"], turned["before"]) == (None, None)  # nobody said where this sensor's axes point
    assert turned["at_ms"] == (start_ns + 20 * MINUTE_NS) // 1_000_000
    assert alarm["alarm"]["code"] == V_FIB
    (value,) = vital["values"]
    assert (value["code"], value["min"], value["mean"], value["max"]) == (HEART_RATE, 70, 75, 80)


@pytest.mark.req("IOT-6.3f")
async def test_an_alarm_that_a_pulse_spoke_against_is_on_the_time_line_with_what_the_pulse_said(
    web: RunningWeb, hub: RunningHub
):
    """As the gateway tells it (models/screening/held.py): held back, and twelve seconds later raised all the same."""
    await been_there(hub)
    client, peer = await web.signed_in(), await hub.peer()
    held_ns = now_ns() - HOUR_NS

    def told(code: str, at_ns: int, **more: str) -> DeviceEvent:
        said = {"alarm": ASYSTOLE, "pulse": "pulse-goes-on", "pulse_rate": 73, "pulses": 4, "pulse_of": PLETH, **more}
        return DeviceEvent(SOURCE, code, Times(at_ns), tuple(said.items()))

    raised = told(EVT_ALARM_DOUBTED, held_ns + 12_000_000_000, pulse_device="oximeter-1")
    other = DeviceEvent(SOURCE, EVT_FAULT, Times(held_ns + 1_000_000_000), (("alarm", ASYSTOLE),))
    await deliver(hub, peer, Lane.EVENT, told(EVT_ALARM_HELD, held_ns), raised, other)
    entries = (await json_of(client, f"/api/v1/beds/{await key_of(client)}/timeline"))["entries"]
    same = {"kind": "doubted", "source": str(SOURCE), "alarm": ASYSTOLE, "why": "pulse-goes-on", "pulse_per_min": 73}
    assert entries == [
        {**same, "at_ms": held_ns // 1_000_000 + 12_000, "held": False, "device": "oximeter-1"},
        {**same, "at_ms": held_ns // 1_000_000, "held": True, "device": None},
    ]
    await web.placement.place_patient(OPERATOR, Patient("A-2", "Next"), "7b", "1")
    assert (await json_of(client, f"/api/v1/beds/{await key_of(client)}/timeline"))["entries"] == []


async def test_episodes_of_rhythm_are_on_the_time_line_once_each_with_their_sum(web: RunningWeb, hub: RunningHub):
    """As the gateway tells them (models/screening/episodes.py): the beginning, and the sum behind the end."""
    await been_there(hub)
    client, peer = await web.signed_in(), await hub.peer()
    start_ns = (now_ns() - HOUR_NS) // 1_000_000 * 1_000_000

    def told(code: str, state: str, since_s: int, at_s: int, **more: str | float) -> DeviceEvent:
        said = {"episode": state, "since_ns": start_ns + since_s * NS_PER_S, **more}
        return DeviceEvent(SOURCE, code, Times(start_ns + at_s * NS_PER_S), tuple(said.items()))

    await deliver(
        hub, peer, Lane.EVENT,
        told(EVT_V_RUN, "began", 60, 60, beats=3, beats_per_min=130),
        told(EVT_ATRIAL_FIB, "began", 100, 100, experimental=True),  # behind it the gateway was started again
        told(EVT_V_RUN, "ended", 60, 180, times=4, beats=6, beats_per_min=171),
        told(EVT_ATRIAL_FIB, "began", 400, 400, experimental=True),
    )  # fmt: skip
    entries = (await json_of(client, f"/api/v1/beds/{await key_of(client)}/timeline"))["entries"]
    none = {"until_ms": None, "times": None, "beats": None, "beats_per_min": None, "pause_s": None}
    same = {"kind": "rhythm", "source": str(SOURCE), "experimental": False, "goes_on": False, **none}
    atrial = {**same, "code": EVT_ATRIAL_FIB, "experimental": True}
    start_ms = start_ns // 1_000_000
    assert entries == [
        {**atrial, "at_ms": start_ms + 400_000, "goes_on": True},
        {**atrial, "at_ms": start_ms + 100_000},
        {
            **same, "at_ms": start_ms + 60_000, "until_ms": start_ms + 180_000,
            "code": EVT_V_RUN, "times": 4, "beats": 6, "beats_per_min": 171,
        },
    ]  # fmt: skip


async def test_a_note_is_written_by_those_who_care_for_the_patient_and_stays(web: RunningWeb, hub: RunningHub):
    nurse = await web.signed_in()
    engineer = await web.signed_in("wei", Role.ENGINEER)
    key = await key_of(nurse)
    path = f"/api/v1/beds/{key}/notes"
    assert (await engineer.post(path, json={"text": "x"})).status_code == 403
    assert (await engineer.get(f"/api/v1/beds/{key}/timeline")).status_code == 403
    for wrong in ({"text": "   "}, {"text": "x" * 2001}, {"text": "later", "at_ms": now_ns() // 1_000_000 + 3_600_000}):
        assert (await nurse.post(path, json=wrong)).status_code == 422
    assert (await nurse.post(path, json={"text": "slept well"})).status_code == 201
    # the curves have it too, for whoever may read it
    seen = [
        (await one.get(f"/api/v1/beds/{key}/trends", params={"code": HEART_RATE})).json() for one in (nurse, engineer)
    ]
    assert [[(note["text"], note["by"]) for note in trends["notes"]] for trends in seen] == [
        [("slept well", "Li.Na")],
        [],
    ]
    with psycopg.connect(hub.database.url_for("wardlink_web")) as connection:
        connection.execute("select set_config('wardlink.tenant', '1', false)")
        for change in ("update note set text = 'y'", "delete from note"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(change)
        # a tenant sees its own
        connection.execute("select set_config('wardlink.tenant', '2', false)")
        assert connection.execute("select count(*) from note").fetchone() == (0,)


@pytest.mark.parametrize("part", ["", "/trends?code=MDC_ECG_HEART_RATE", "/waveforms", "/alarms", "/timeline"])
async def test_a_bed_of_a_ward_that_was_not_assigned_is_not_there(web: RunningWeb, part: str):
    mine, other = await web.signed_in(), await web.signed_in("other", wards=("8a",))
    key = await key_of(mine)
    assert (await mine.get(f"/api/v1/beds/{key}{part}")).status_code == 200
    assert (await other.get(f"/api/v1/beds/{key}{part}")).status_code == 404
    assert (await mine.get(f"/api/v1/beds/{key + 1000}{part}")).status_code == 404
    assert (await other.get("/ward/7b/bed/1")).status_code == 404
    assert (await mine.get("/ward/7b/bed/99")).status_code == 404
    assert (await other.post(f"/api/v1/beds/{key}/notes", json={"text": "x"})).status_code == 404


@pytest.mark.parametrize(
    "asked",
    [
        "trends",
        "trends?code=NO_SUCH",
        "trends?code=MDC_ECG_HEART_RATE&points=1",
        "trends?code=MDC_ECG_HEART_RATE&from_ms=2000&to_ms=1000",
        "waveforms?from_ms=0&to_ms=1000",
        "waveforms?from_ms=0&to_ms=90000000000000",
        "timeline?from_ms=x",
    ],
)
async def test_a_stretch_that_cannot_be_is_refused_with_what_to_do(web: RunningWeb, asked: str):
    client = await web.signed_in()
    answer = await client.get(f"/api/v1/beds/{await key_of(client)}/{asked}")
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["what_to_do"]


async def test_who_looked_at_a_bed_stands_in_the_audit(web: RunningWeb, hub: RunningHub):
    client = await web.signed_in()
    key = await key_of(client)
    for _ in range(2):
        for part in ("", "/trends?code=MDC_ECG_HEART_RATE", "/waveforms", "/timeline"):
            await json_or_bytes(client, f"/api/v1/beds/{key}{part}")
    with psycopg.connect(hub.database.admin_url) as connection:
        rows = connection.execute("select action from audit where target = %s", (f"bed:{key}",)).fetchall()
    assert sorted(action for (action,) in rows) == ["bed.read", "timeline.read", "trend.read", "waveform.read"]


async def json_or_bytes(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200


def lying(at_ns: int, down: tuple[int, int, int]) -> WaveformGroup:
    """A second of acceleration at rest: gravity points along `down`, in g, 1 mg a step."""
    samples = np.repeat(np.array(down, "<i2")[:, None] * 1000, 25, axis=1).astype("<i2")
    leads = ("WDL_ACCELERATION_X", "WDL_ACCELERATION_Y", "WDL_ACCELERATION_Z")
    source = SourcePath(SOURCE.device, ("motion",))
    scales = (Scale(0.001, 0.0, "[g]"),) * 3
    return WaveformGroup(source, leads, 25.0, at_ns // 40_000_000, samples.tobytes(), "<i2", scales, Times(at_ns))


def split(body: bytes) -> list[tuple[int, int, int, float, float, bytes, float]]:
    """Frames as (kind, lead, number, t0_ms, first_sample, payload, end_ms)."""
    found: list[tuple[int, int, int, float, float, bytes, float]] = []
    at = 0
    while at < len(body):
        version, kind, lead, number, _, fs_hz, step, n, t0, first, end = HEADER.unpack_from(body, at)
        assert version == 1
        assert kind == 2 or (fs_hz, step) == (FS_HZ, 1.0)
        size = n * 2 if kind == 1 else n
        found.append((kind, lead, number, t0, first, body[at + 48 : at + 48 + size], end))
        at += 48 + size
    return found


async def test_the_gateway_of_a_bed_whose_past_somebody_looks_at_is_told_so(web: RunningWeb, hub: RunningHub):
    """It then sends what it still owes newest first, and goes back to the oldest a while after the last look."""
    await been_there(hub)
    client, peer, other = await web.signed_in(), await hub.peer(), await hub.peer("gateway-2")
    await deliver(hub, peer, Lane.NUMERIC, heart_rate(60, now_ns() - HOUR_NS))
    tasks = [asyncio.create_task(one.run(hub.uplink, Connection.DATA, lambda: False)) for one in (peer, other)]
    try:
        key = await key_of(client)
        await until(lambda: all(message for message in (peer.messages, other.messages)))
        assert not [m for m in peer.messages if m.HasField("looked_at")]
        await json_of(client, f"/api/v1/beds/{key}/trends", code=HEART_RATE, points=10)
        await until(lambda: [m.looked_at.looked_at for m in peer.messages if m.HasField("looked_at")] == [True], 5)
        assert not [m for m in other.messages if m.HasField("looked_at")]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
