"""What comes of batches: stored once, refused records in quarantine with bytes and reason, alarms with the time of each hop."""

import asyncio
import json
import math
import time
from collections import Counter
from contextlib import aclosing
from uuid import UUID, uuid4

import pytest

from hub.core.live import LiveKind, LiveMessage, subscribe
from hub.ingest.catalog import GatewayCatalog
from protocols import device_package_pb2 as wire
from protocols.link import Connection, Lane
from protocols.uplink_pb2 import Batch, Envelope, GatewayMessage, Lost, Origin, Range
from tests.fixtures.ecg_groups import recording_groups, sent_hash, stored_hash
from tests.fixtures.gateway_peer import Peer
from tests.fixtures.hub import RunningHub, eventually

pytestmark = pytest.mark.integration

HOUR_NS = 3600 * 1_000_000_000
LINK_TOLD_WITHIN_S = 10.0  # docs/explanation/long-run.md; at a bed within 3 s
YEAR_2099_NS = 4_070_908_800 * 1_000_000_000


def reading(value: float = 72.0, **changes: object) -> wire.Record:
    record = wire.Record(
        source="cyton-1/ecg",
        times=wire.Times(gateway_ns=time.time_ns()),
        observation=wire.Observation(code="MDC_ECG_HEART_RATE", number=value, unit="/min", quality=wire.QUALITY_GOOD),
    )
    for name, change in changes.items():
        owner = (
            record
            if name == "source"
            else record.times
            if name in wire.Times.DESCRIPTOR.fields_by_name
            else record.observation
        )
        setattr(owner, name, change)
    return record


def alarm(alarm_id: bytes, presence: wire.Presence, *, at_ns: int = 0) -> wire.Record:
    at_ns = at_ns or time.time_ns()
    return wire.Record(
        source="cyton-1/ecg",
        times=wire.Times(gateway_ns=at_ns),
        alarm=wire.AlarmCondition(
            id=alarm_id,
            code="MDC_EVT_ECG_V_FIB",
            priority=wire.PRIORITY_HIGH,
            kind=wire.ALARM_KIND_PHYSIOLOGICAL,
            presence=presence,
            onset_ns=at_ns,
            detected_ns=at_ns,
            params=[wire.Param(key="rate", number=312.0)],
            evidence=wire.Evidence(rule="vf", rule_version="1", strip=recording_groups(seconds=1)[0]),
        ),
    )


async def test_a_reading_is_stored_with_its_full_series_key_and_both_clocks(hub: RunningHub):
    peer = await hub.peer()
    now_ns = time.time_ns()
    record = reading(
        98.0, site="finger", averaging_ns=8_000_000_000, corrected_ns=now_ns, gateway_ns=now_ns + 3_000_000,
        device_ns=YEAR_2099_NS, clock_segment=2,
    )  # fmt: skip
    record.times.uncertainty_ns = 500_000
    peer.batch(Lane.NUMERIC, [record, reading(comparator=">"), reading(text="irregular")])
    await peer.deliver(hub.uplink, Connection.DATA)
    rows = hub.rows(
        "select s.path, r.code, r.site, r.unit, r.averaging_ns, r.value_kind, o.value, o.comparator, o.text_value, c.number"
        "  from observation o join series r using (series_id) join source s using (source_id)"
        "  left join clock_segment c using (clock_segment_id) order by r.series_id"
    )
    key = ("cyton-1/ecg", "MDC_ECG_HEART_RATE")
    assert rows == [
        (*key, "finger", "/min", 8_000_000_000, "number", 98.0, None, None, 2),
        (*key, "", "/min", 0, "number", 72.0, ">", None, None),
        (*key, "", "/min", 0, "text", None, None, "irregular", None),
    ]
    ((seen_us, device_ms, gateway_ms, uncertainty_ms),) = hub.rows(
        "select (extract(epoch from time) * 1000000)::bigint, device_offset_ms, gateway_offset_ms, uncertainty_ms"
        "  from observation where clock_segment_id is not null"
    )
    assert seen_us == now_ns // 1000
    assert device_ms == pytest.approx((YEAR_2099_NS - now_ns) / 1e6)
    assert (gateway_ms, uncertainty_ms) == (pytest.approx(3.0), pytest.approx(0.5))


async def test_a_recording_is_in_the_store_sample_by_sample(hub: RunningHub):
    peer = await hub.peer()
    groups = recording_groups()
    for at in range(0, len(groups), 4):
        peer.batch(Lane.WAVEFORM, groups[at : at + 4])
    await peer.deliver(hub.uplink, Connection.DATA)
    assert stored_hash(hub.database.admin_url) == sent_hash(groups)
    ((leads, fs_hz, gains),) = hub.rows("select leads, fs_hz, gains from stream")
    assert (leads, fs_hz, gains) == (["MDC_ECG_ELEC_POTL_II", "MDC_ECG_ELEC_POTL_V1"], 360.0, [5.0, 5.0])


async def test_each_lane_of_gateways_that_share_transactions_has_its_own_position(hub: RunningHub):
    peers = {f"gateway-{n}": await hub.peer(f"gateway-{n}") for n in range(1, 6)}
    sent = {name: {Lane.NUMERIC: 3 * n, Lane.WAVEFORM: n} for n, name in enumerate(peers, 1)}
    group = recording_groups(seconds=1)[0]
    for name, peer in peers.items():
        for lane, batches in sent[name].items():
            for _ in range(batches):
                source = f"{name}-cyton/ecg"
                group.source = source
                peer.batch(lane, [reading(source=source) if lane is Lane.NUMERIC else group])
    await asyncio.gather(*(peer.deliver(hub.uplink, Connection.DATA) for peer in peers.values()))
    stored = hub.rows(
        "select g.name, p.lane, p.cumulative, p.stored::text, p.reopened::text, p.epoch"
        "  from lane_position p join gateway g using (gateway_id)"
    )
    assert sorted(stored) == sorted(
        (name, int(lane), batches, "{}", "{}", peers[name].epoch)
        for name, lanes in sent.items()
        for lane, batches in lanes.items()
    )


async def test_a_hello_names_the_newest_batch_of_each_lane_whatever_came_behind_it(hub: RunningHub):
    """By n and not by time, as the spool closed it; the position that is opened again, and a stretch that never comes, leave it."""
    peer = await hub.peer()
    closed_ns = [time.time_ns() + by_ns for by_ns in (0, HOUR_NS, -HOUR_NS)]
    for at_ns in closed_ns:
        peer.batch(Lane.NUMERIC, [reading()], closed_ns=at_ns)
    moved = GatewayMessage.FromString(peer.batches[Lane.NUMERIC, 3])
    moved.batch.made_ns, moved.batch.closed_ns = closed_ns[2], closed_ns[2] + 5 * HOUR_NS
    peer.batches[Lane.NUMERIC, 3] = moved.SerializeToString()
    peer.batch(Lane.WAVEFORM, recording_groups(seconds=1), closed_ns=closed_ns[1])
    lost = GatewayMessage(lost=Lost(lane=Lane.WAVEFORM.wire, range=Range(first=2, last=9)))
    peer.batches[Lane.WAVEFORM, 2] = lost.SerializeToString()

    async def newest() -> dict[Lane, tuple[int, int]]:
        await peer.run(hub.uplink, Connection.DATA, lambda: True)
        return {Lane(one.lane): (one.n, one.closed_ns) for one in peer.messages[-1].hello.newest}

    assert await newest() == {}
    await peer.say(hub.uplink, Lane.NUMERIC, [2])
    await peer.say(hub.uplink, Lane.NUMERIC, [1, 2])
    assert await newest() == {Lane.NUMERIC: (2, closed_ns[1])}
    await peer.say(hub.uplink, Lane.NUMERIC, [3])
    await peer.say(hub.uplink, Lane.WAVEFORM, [1, 2])
    hub.do("update lane_position set cumulative = 0, stored = '{}', reopened = '{[1,4)}' where lane = 3")
    assert await newest() == {Lane.NUMERIC: (3, closed_ns[2]), Lane.WAVEFORM: (1, closed_ns[1])}
    await peer.say(hub.uplink, Lane.NUMERIC, [1])
    assert (await newest())[Lane.NUMERIC] == (3, closed_ns[2])


async def test_a_gateway_that_comes_back_costs_no_question_for_each_series_and_no_id_is_used_up(
    hub: RunningHub, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []
    one = GatewayCatalog._one

    async def counted(catalog: GatewayCatalog, query: str, parameters: dict[str, object]) -> int:
        asked.append(query)
        return await one(catalog, query, parameters)

    monkeypatch.setattr(GatewayCatalog, "_one", counted)
    numbers = (
        "select array(select coalesce(pg_sequence_last_value(c.oid::regclass), 0) from pg_class c"
        " where relname in ('clock_segment_clock_segment_id_seq', 'device_device_id_seq', 'series_series_id_seq', 'source_source_id_seq',"
        " 'stream_stream_id_seq') order by relname)"
    )

    def said(peer: Peer) -> None:
        peer.batch(
            Lane.NUMERIC,
            [
                reading(60.0 + n, source=f"monitor-{n // 4}/{n % 4}", clock_segment=7, corrected_ns=time.time_ns())
                for n in range(40)
            ],
        )
        peer.batch(Lane.WAVEFORM, recording_groups(seconds=1))

    peer = await hub.peer()
    said(peer)
    await peer.deliver(hub.uplink, Connection.DATA)
    await eventually(lambda: len(hub.rows("select * from observation")) == 40)
    assert Counter(asked)["series"] == 40
    before = hub.rows(numbers)
    asked.clear()
    said(peer)
    await peer.deliver(hub.uplink, Connection.DATA)
    await eventually(lambda: len(hub.rows("select * from observation")) == 80)
    assert set(asked) <= {"stream"}
    assert hub.rows(numbers) == before
    assert len(hub.rows("select distinct series_id, clock_segment_id from observation")) == 40

    # Its devices are at another gateway now, which has to ask for each.
    asked.clear()
    other = await hub.peer("gateway-2")
    said(other)
    await other.deliver(hub.uplink, Connection.DATA)
    await eventually(lambda: len(hub.rows("select * from observation")) == 120)
    assert Counter(asked)["series"] == 40
    assert len(hub.rows("select distinct series_id from observation")) == 40
    assert hub.rows(numbers)[0][0][1:] == before[0][0][1:], "all but the first, of clock segments, which are new ones"


async def test_a_replayed_batch_is_acknowledged_and_dropped(hub: RunningHub):
    peer = await hub.peer()
    peer.batch(Lane.NUMERIC, [reading()])
    peer.batch(Lane.NUMERIC, [reading()])
    await peer.deliver(hub.uplink, Connection.DATA)
    for again in (False, True):
        # A second stream that has lost its memory, and says the same numbers twice more.
        await peer.say(hub.uplink, Lane.NUMERIC, (1, 2, 2, 1))
        assert hub.rows("select count(*) from observation") == [(2,)], again


POISON = {
    "value": reading(math.nan),
    "code": reading(code=""),
    "unit": reading(unit="x\x00"),
    "quality": reading(quality=0),
    "comparator": reading(comparator="~"),
    "source": reading(source="a b//c"),
    "averaging": reading(averaging_ns=0),
    "kind": wire.Record(source="cyton-1", times=wire.Times(gateway_ns=time.time_ns())),
    "time": reading(gateway_ns=YEAR_2099_NS),
}
POISON["averaging"].observation.averaging_ns = 2**63
POISON["averaging"].observation.code = "MDC_OTHER"


@pytest.mark.parametrize("reason", sorted(POISON))
async def test_a_poison_record_goes_to_quarantine_and_the_rest_is_stored(hub: RunningHub, reason: str):
    peer = await hub.peer()
    peer.batch(Lane.NUMERIC, [reading(1), POISON[reason], reading(2)])
    peer.batch(Lane.NUMERIC, [reading(3)])
    await peer.deliver(hub.uplink, Connection.DATA)
    assert hub.rows("select value from observation order by value") == [(1,), (2,), (3,)]
    ((found, lane, n, index, state, raw),) = hub.rows(
        "select reason, lane, n, record_index, state, bytes from quarantine"
    )
    assert (found, lane, n, index, state) == (reason, Lane.NUMERIC, 1, 1, "held")
    assert Envelope.FromString(raw).record == POISON[reason]
    assert [(r.n, r.index, r.reason) for r in peer.rejected] == [(1, 1, reason)]


async def test_what_only_the_database_refuses_is_found_and_held(hub: RunningHub):
    hub.do("alter table device_event add constraint refused_by_test check (code <> 'WDL_EVT_BUTTON')")
    peer = await hub.peer()
    now = wire.Times(gateway_ns=time.time_ns())
    events = [
        wire.Record(source="cyton-1", times=now, event=wire.DeviceEvent(code=code))
        for code in ("WDL_EVT_CONNECTED", "WDL_EVT_BUTTON", "WDL_EVT_DISCONNECTED")
    ]
    peer.batch(Lane.EVENT, events)
    peer.batch(Lane.NUMERIC, [reading()])
    await peer.deliver(hub.uplink, Connection.DATA)
    assert hub.rows("select code from device_event order by 1") == [("WDL_EVT_CONNECTED",), ("WDL_EVT_DISCONNECTED",)]
    ((reason, detail, raw),) = hub.rows("select reason, detail, bytes from quarantine")
    assert reason == "database"
    assert "refused_by_test" in detail
    assert Envelope.FromString(raw).record == events[1]
    assert hub.rows("select count(*) from observation") == [(1,)]


async def test_broken_samples_are_held_and_the_next_group_stored(hub: RunningHub):
    peer = await hub.peer()
    good, broken, short, bomb = recording_groups(seconds=1)
    broken.waveform.samples = broken.waveform.samples[:-3]
    short.waveform.n += 1
    bomb.waveform.n = 2**31
    peer.batch(Lane.WAVEFORM, [broken, short, bomb, good])
    await peer.deliver(hub.uplink, Connection.DATA)
    assert stored_hash(hub.database.admin_url) == sent_hash([good])
    assert hub.rows("select reason from quarantine") == [("samples",)] * 3


async def test_a_forwarded_record_is_held_rather_than_stored_as_the_gateways_own(hub: RunningHub):
    peer = await hub.peer()
    envelope = Envelope(record=reading(), origin=Origin(gateway="far", epoch=bytes(16)))
    n = peer.batch(Lane.NUMERIC, [])
    batch = Batch(lane=Lane.NUMERIC.wire, n=n, records=[envelope])
    peer.batches[Lane.NUMERIC, n] = GatewayMessage(batch=batch).SerializeToString()
    await peer.deliver(hub.uplink, Connection.DATA)
    assert hub.rows("select reason from quarantine") == [("origin",)]


async def test_an_alarm_keeps_its_id_and_has_the_time_of_each_hop(hub: RunningHub):
    peer = await hub.peer()
    alarm_id = uuid4()
    before_ns = time.time_ns()
    peer.batch(Lane.ALARM, [alarm(alarm_id.bytes, wire.PRESENCE_PRESENT)])
    peer.batch(Lane.ALARM, [alarm(alarm_id.bytes, wire.PRESENCE_ENDED)])
    await peer.deliver(hub.uplink, Connection.ALARM)
    ((stored_id, presence, params, acknowledged),) = hub.rows(
        "select alarm_id, presence, params, acknowledged_at from alarm"
    )
    assert (stored_id, presence, params, acknowledged) == (alarm_id, "ended", {"rate": 312.0}, None)
    events = hub.rows("select kind, extract(epoch from at)::float8, evidence from alarm_event order by event_id")
    assert [kind for kind, _, _ in events] == ["detected", "sent", "stored", "ended", "sent", "stored"]
    times = [at for _, at, _ in events[:3]]
    assert before_ns / 1e9 - 0.001 <= times[0] <= times[1] <= times[2] <= time.time()
    evidence = wire.Evidence.FromString(events[0][2])
    assert (evidence.rule, evidence.strip.waveform.n) == ("vf", 90)


async def test_an_end_that_overtakes_its_onset_stays_the_end(hub: RunningHub):
    peer = await hub.peer()
    alarm_id, now_ns = uuid4(), time.time_ns()
    peer.batch(Lane.ALARM, [alarm(alarm_id.bytes, wire.PRESENCE_PRESENT, at_ns=now_ns - 1_000_000)])
    peer.batch(Lane.ALARM, [alarm(alarm_id.bytes, wire.PRESENCE_ENDED, at_ns=now_ns)])
    await peer.say(hub.uplink, Lane.ALARM, (2, 1))
    assert hub.rows("select presence from alarm") == [("ended",)]


async def test_an_alarm_of_a_gateway_that_does_not_know_the_time_is_raised_and_marked(hub: RunningHub):
    peer = await hub.peer()
    alarm_id = uuid4()
    peer.batch(Lane.ALARM, [alarm(alarm_id.bytes, wire.PRESENCE_PRESENT, at_ns=YEAR_2099_NS)])
    await peer.deliver(hub.uplink, Connection.ALARM)
    ((stored_id, late, params),) = hub.rows("select alarm_id, now() - onset < interval '1 minute', params from alarm")
    assert (stored_id, late) == (alarm_id, True)
    assert "2099" in params["hub_note"]
    assert hub.rows("select reason from quarantine") == [("time",)]


async def test_an_alarm_with_broken_evidence_is_raised_without_it(hub: RunningHub):
    peer = await hub.peer()
    broken = alarm(uuid4().bytes, wire.PRESENCE_PRESENT)
    broken.alarm.evidence.strip.waveform.n = 7
    peer.batch(Lane.ALARM, [broken])
    await peer.deliver(hub.uplink, Connection.ALARM)
    ((presence, params),) = hub.rows("select presence, params from alarm")
    assert (presence, "samples" in params["hub_note"]) == ("present", True)
    assert hub.rows("select evidence from alarm_event where kind = 'detected'") == [(None,)]
    ((raw,),) = hub.rows("select bytes from quarantine")
    assert Envelope.FromString(raw).record == broken


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (wire.Record(gap=wire.Gap(from_ns=2 * 10**18, to_ns=10**18, reason="link_loss")), "gap.to_ns"),
        (wire.Record(event=wire.DeviceEvent(code="")), "event.code"),
        (wire.Record(event=wire.DeviceEvent(code="X", params=[wire.Param(key="k")])), "event.params"),
        (wire.Record(document=wire.Document(sha256="00", media_type="text/plain", content=b"x")), "document.sha256"),
        (wire.Record(subject=wire.SubjectClaim(key_id="k")), "subject.sealed"),
    ],
)
async def test_a_rare_record_that_is_wrong_is_held_with_the_field_as_reason(
    hub: RunningHub, record: wire.Record, reason: str
):
    peer = await hub.peer()
    record.source = "cyton-1"
    record.times.gateway_ns = time.time_ns()
    peer.batch(Lane.EVENT, [record])
    await peer.deliver(hub.uplink, Connection.DATA)
    ((found,),) = hub.rows("select reason from quarantine")
    assert found.startswith(reason)


async def test_alarms_do_not_wait_behind_data(hub: RunningHub):
    peer = await hub.peer()
    for _ in range(200):
        peer.batch(Lane.NUMERIC, [reading(float(i)) for i in range(300)])
    alarm_id = uuid4()
    peer.batch(Lane.ALARM, [alarm(alarm_id.bytes, wire.PRESENCE_PRESENT)])
    data = asyncio.create_task(peer.deliver(hub.uplink, Connection.DATA))
    await peer.deliver(hub.uplink, Connection.ALARM)
    stored_before_the_data = not data.done()
    await data
    assert stored_before_the_data
    assert hub.rows("select count(*) from observation") == [(60_000,)]


async def test_what_was_stored_is_pushed_live_with_the_alarms_event_id(hub: RunningHub):
    peer = await hub.peer()
    got: list[LiveMessage] = []

    async def hear() -> None:
        async with aclosing(subscribe(hub.live_path)) as messages:
            async for message in messages:
                got.append(message)  # noqa: PERF401  others look at the list meanwhile

    hearing = asyncio.create_task(hear())
    await eventually(lambda: any(m.kind is LiveKind.CONNECTED for m in got))
    alarm_id = uuid4()
    peer.batch(Lane.ALARM, [alarm(alarm_id.bytes, wire.PRESENCE_PRESENT)])
    peer.batch(Lane.WAVEFORM, recording_groups(seconds=1)[:1])
    peer.batch(Lane.NUMERIC, [reading()])
    await peer.deliver(hub.uplink, Connection.ALARM)
    await peer.deliver(hub.uplink, Connection.DATA)
    await eventually(
        lambda: {LiveKind.ALARM, LiveKind.WAVEFORM, LiveKind.NUMERIC, LiveKind.LINK} <= {m.kind for m in got}
    )
    (pushed,) = [m for m in got if m.kind is LiveKind.ALARM]
    assert UUID(bytes=wire.Record.FromString(pushed.payload).alarm.id) == alarm_id
    assert hub.rows("select max(event_id) from alarm_event") == [(pushed.event_id,)]
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)


async def test_a_silent_device_is_seen_within_three_seconds(hub: RunningHub):
    peer = await hub.peer()
    states: list[tuple[str, float]] = []

    async def hear() -> None:
        async with aclosing(subscribe(hub.live_path)) as messages:
            async for message in messages:
                if message.kind is LiveKind.LINK:
                    states.append((json.loads(message.payload)["state"], time.monotonic()))  # noqa: PERF401  as above

    hearing = asyncio.create_task(hear())
    peer.batch(Lane.NUMERIC, [reading()])
    running = asyncio.create_task(peer.run(hub.uplink, Connection.DATA, lambda: False))
    await eventually(lambda: [s for s, _ in states] == ["live", "device_silent"], LINK_TOLD_WITHIN_S)
    assert states[1][1] - states[0][1] <= 3.0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await eventually(lambda: states[-1][0] == "gateway_lost", LINK_TOLD_WITHIN_S)
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)


async def test_a_gateway_is_told_its_beds_and_every_change_of_them(hub: RunningHub):
    hub.do("insert into ward (tenant_id, slug, name) values (1, 'icu', 'ICU')")
    hub.do("insert into point_of_care (tenant_id, ward_id, bed) values (1, 1, '3')")
    hub.do("insert into device (tenant_id, name) values (1, 'cyton-1')")
    put = "insert into device_association (tenant_id, device_id, point_of_care_id, during) values (1, 1, 1, tstzrange(now(), null))"
    hub.do(put)
    peer = await hub.peer()
    running = asyncio.create_task(peer.run(hub.uplink, Connection.DATA, lambda: False))

    def beds() -> list[tuple[str, list[str], bool, int]]:
        placed = [m.placement for m in peer.messages if m.HasField("placement")]
        return [(b.point_of_care, list(b.devices), b.paced, len(b.limits)) for b in placed[-1].beds] if placed else []

    await eventually(lambda: beds() == [("icu/3", ["cyton-1"], False, 0)])
    hub.do("insert into alarm_limit values (1, 'MDC_ECG_HEART_RATE', 1, '/min', 40, 130)")
    await eventually(lambda: beds() == [("icu/3", ["cyton-1"], False, 1)])
    text = str(peer.messages)
    hub.do("insert into patient (tenant_id, hospital_number, name, paced) values (1, 'H-77', 'Secret Name', true)")
    hub.do(
        "insert into patient_association (tenant_id, patient_id, point_of_care_id, during) values (1, 1, 1, tstzrange(now(), null))"
    )
    await eventually(lambda: beds() == [("icu/3", ["cyton-1"], True, 1)])
    assert "Secret" not in text + str(peer.messages)
    assert "H-77" not in str(peer.messages)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_late_data_of_last_month_are_stored_under_their_own_time(hub: RunningHub):
    peer = await hub.peer()
    peer.batch(Lane.NUMERIC, [reading(gateway_ns=time.time_ns() - 30 * 24 * HOUR_NS)])
    await peer.deliver(hub.uplink, Connection.DATA)
    assert hub.rows("select count(*) from observation where time < now() - interval '29 days'") == [(1,)]
