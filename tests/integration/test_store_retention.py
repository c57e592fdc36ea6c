"""Retention: what a rule lets go goes, is recorded and nothing else is touched; what no rule names, what is held and all alarms stay."""

import asyncio
import json
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from hub.core.audit import AuditLog
from hub.core.db import Database
from hub.core.principal import operator, system
from hub.store.retention import DataClass, Retention
from hub.store.rollups import roll_up
from hub.store.sealing import seal_readings
from tests.fixtures.hub_roles import Installation
from wardlink.local.database import Database as Local

pytestmark = pytest.mark.integration

OPERATOR = operator("test", 1)
NIGHT = system("retention.destroy")
# Two tenants with a device each, and of each device: readings once in 10 min for 20 days, groups, a document, an event, a gap, an alarm.
WORLD = """
insert into tenant (name) values ('other');
insert into gateway (tenant_id, name) select tenant_id, 'g' from tenant;
insert into device (tenant_id, name, gateway_id, admission) select tenant_id, 'monitor-' || tenant_id, gateway_id, 'admitted' from gateway;
insert into source (tenant_id, device_id, path) select tenant_id, device_id, name || '/x' from device;
insert into series (tenant_id, source_id, code, site, unit, averaging_ns, value_kind)
select tenant_id, source_id, 'MDC_ECG_HEART_RATE', '', '/min', 0, 'number' from source;
insert into stream (tenant_id, source_id, leads, fs_hz, dtype, gains, offsets, units)
select tenant_id, source_id, '{MDC_ECG_LEAD_II}', 10, '<i2', '{1}', '{0}', '{uV}' from source;
insert into observation (time, series_id, quality, value, gateway_offset_ms, uncertainty_ms)
select now() - (g - 0.5) * interval '10 minutes', series_id, 1, g, 0, 0 from series, generate_series(1, 2880) g;
insert into waveform (start, stream_id, n, first_sample, codec, quality, samples, gateway_offset_ms, uncertainty_ms)
select now() - (g - 0.5) * interval '1 hour', stream_id, 1, g, 0, '', '\\x0100', 0, 0 from stream, generate_series(1, 480) g;
insert into document (tenant_id, source_id, gateway_id, time, sha256, media_type, content)
select s.tenant_id, source_id, gateway_id, now() - g * interval '5 days' - interval '1 hour', sha256('x'), 'text/plain', 'x' from source s join gateway using (tenant_id), generate_series(1, 3) g;
insert into alarm select tenant_id, gen_random_uuid(), source_id, gateway_id, 'MDC_EVT_ECG_V_FIB', 'physiological', now() - interval '19 days', 'high',
       'ended', '{}', now(), now(), now() from source join gateway using (tenant_id);
insert into alarm_event (tenant_id, alarm_id, kind, at, evidence) select tenant_id, alarm_id, 'detected', onset, '\\x01' from alarm;
insert into quarantine (tenant_id, gateway_id, epoch, lane, n, record_index, reason, detail, bytes, device, state, received_at)
select tenant_id, gateway_id, '\\x00', 3, 1, 0, 'value', '', 'x', name, state, now() - interval '19 days' from device, (values ('held'), ('released')) as s (state);
"""
COUNTS = """
select (select count(*) from observation join series using (series_id) where tenant_id = %(t)s) + (select coalesce(sum(n), 0) from observation_block join series using (series_id) where tenant_id = %(t)s),
       (select count(*) from waveform join stream using (stream_id) where tenant_id = %(t)s), (select count(*) from document where tenant_id = %(t)s),
       (select count(*) from quarantine where tenant_id = %(t)s), (select count(*) from alarm_event where tenant_id = %(t)s and evidence is not null)
"""
ALL = (2880, 480, 3, 2, 1)


@pytest.fixture
async def retention(hub_database: Local) -> AsyncIterator[Retention]:
    with closing(hub_database.connect_admin()) as admin:
        admin.execute(WORLD.encode())
    async with Database(hub_database.url_for("wardlink_worker"), "test worker", max_size=2) as database:
        yield Retention(database, AuditLog(database))


def rows(database: Local, query: str, tenant: int = 1) -> list[tuple[object, ...]]:
    with closing(database.connect_admin()) as admin:
        return admin.execute(query.encode(), {"t": tenant}).fetchall()


async def test_without_a_rule_nothing_goes(hub_database: Local, retention: Retention):
    assert await retention.expired(OPERATOR) == []
    assert await retention.destroy(NIGHT) == []
    assert rows(hub_database, COUNTS) == [ALL]


async def test_what_is_past_its_rule_goes_and_is_recorded_and_nothing_else(hub_database: Local, retention: Retention):
    for data, days in (
        (DataClass.WAVEFORM, 5),
        (DataClass.NUMERIC, 10),
        (DataClass.DOCUMENT, 10),
        (DataClass.QUARANTINE, 1),
    ):
        await retention.set_rule(OPERATOR, data, days)
    told = await retention.expired(OPERATOR)
    assert rows(hub_database, COUNTS) == [ALL]  # told, not done
    gone = await retention.destroy(NIGHT)
    assert [(one.kind, one.rows) for one in gone] == [(one.kind, one.rows) for one in told]
    # Kept: 10 days of 144 readings, 5 days of 24 groups, the ECG of five days ago, what waits in quarantine, the alarm's evidence.
    assert rows(hub_database, COUNTS) == [(1440, 120, 1, 1, 1)]
    assert rows(hub_database, COUNTS, 2) == [ALL]
    assert rows(hub_database, "select state from quarantine where tenant_id = 1") == [("held",)]
    recorded = rows(
        hub_database,
        "select kind, rows, keep_days, to_time <= now() - keep_days * interval '1 day' from destruction order by 1",
    )
    assert recorded == [
        ("document", 2, 10, True),
        ("observation", 1440, 10, True),
        ("quarantine", 1, 1, True),
        ("waveform", 360, 5, True),
    ]
    audited = rows(hub_database, "select count(*) from audit where action = 'retention.destroy' and tenant_id = 1")
    assert audited == [(4,)]
    assert await retention.destroy(NIGHT) == []


async def test_chunks_that_every_tenant_lets_go_are_dropped_whole_and_counted_for_each(
    hub_database: Local, retention: Retention
):
    for tenant, days in ((1, 5), (2, 10)):
        await retention.set_rule(operator("test", tenant), DataClass.NUMERIC, days)
    gone = await retention.destroy(NIGHT)
    whole = {one.tenant_id: sum(o.rows for o in gone if o.whole_chunk and o.tenant_id == one.tenant_id) for one in gone}
    assert set(whole) == {1, 2}
    assert 1200 < whole[1] == whole[2] <= 1440
    assert [rows(hub_database, COUNTS, tenant)[0][0] for tenant in (1, 2)] == [720, 1440]
    chunks = "select min(range_start) > now() - interval '12 days' from timescaledb_information.chunks where hypertable_name = 'observation'"
    assert rows(hub_database, chunks) == [(True,)]
    assert rows(hub_database, "select sum(rows) from destruction where tenant_id = 1") == [(2160,)]


async def test_what_is_held_stays_until_the_hold_is_lifted(hub_database: Local, retention: Retention):
    for tenant in (1, 2):
        await retention.set_rule(operator("test", tenant), DataClass.WAVEFORM, 5)
    with psycopg.connect(hub_database.admin_url) as admin:
        row = admin.execute("select now() - interval '9 days', now() - interval '8 days'").fetchone()
    assert row is not None
    number = await retention.hold(OPERATOR, "monitor-1", row[0], row[1], "case 7")
    await retention.destroy(NIGHT)
    left = [rows(hub_database, COUNTS, tenant)[0][1] for tenant in (1, 2)]
    assert left == [120 + 24, 120]
    assert [hold.reason for hold in await retention.holds(OPERATOR)] == ["case 7"]
    await retention.lift(OPERATOR, number)
    await retention.destroy(NIGHT)
    assert rows(hub_database, COUNTS)[0][1] == 120


async def test_trends_outlive_their_readings_and_late_data_do_not_undo_them(hub_database: Local, retention: Retention):
    now = datetime.now(UTC)
    hours = "select * from rollup_1h where series_id = 1 and bucket < now() - interval '1 day' order by bucket"
    async with Database(hub_database.url_for("wardlink_worker"), "test worker", max_size=2) as worker:
        await roll_up(worker, now)
        await retention.set_rule(OPERATOR, DataClass.NUMERIC, 10)
        before = rows(hub_database, hours)
        await seal_readings(worker, now - timedelta(days=2))
        await retention.destroy(NIGHT)
        with closing(hub_database.connect_admin()) as admin:
            late = now - timedelta(days=15)
            admin.execute(
                "insert into observation (time, series_id, quality, value, gateway_offset_ms, uncertainty_ms) values (%s, 1, 1, 5, 0, 0)",
                (late,),
            )
            admin.execute("select mark_dirty(array[1], %s, %s)", (late, late + timedelta(seconds=1)))
        await roll_up(worker, now)
        assert rows(hub_database, hours) == before
        await retention.destroy(NIGHT)
    eldest = "select min(hour) > now() - interval '10 days 1 hour' from observation_block where series_id = 1"
    assert rows(hub_database, eldest) == [(True,)]


@pytest.mark.parametrize(
    "statement", ["update destruction set rows = 0", "delete from destruction", "truncate destruction"]
)
async def test_nobody_changes_what_is_written_of_destruction(hub_database: Local, retention: Retention, statement: str):
    await retention.set_rule(OPERATOR, DataClass.DOCUMENT, 1)
    await retention.destroy(NIGHT)
    with closing(hub_database.connect_admin()) as admin, pytest.raises(psycopg.errors.InsufficientPrivilege):
        admin.execute(statement.encode())


ONE_BY_ONE = (
    "import json, sys; from hub.commands import app; [app(a, standalone_mode=False) for a in json.loads(sys.argv[1])]"
)


def commands(installation: Installation, *each: str) -> str:
    """What commands say that are given one behind the other, in one process: starting one takes longer than what it does."""
    arguments = json.dumps([["retention", *shlex.split(one)] for one in each])
    return subprocess.run(
        [sys.executable, "-c", ONE_BY_ONE, arguments],
        env=installation.settings("worker"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


@pytest.mark.req("IOT-9.3h", surface="command")
async def test_rules_holds_and_what_was_destroyed_are_told_by_command(
    hub_database: Local, retention: Retention, installation: Installation
):
    hold = "hold --from 2026-01-01 --to 2026-02-01 --reason 'case 7' --device monitor-1"
    told = await asyncio.to_thread(commands, installation, "set waveform 5", hold, "", "lift 1")
    assert "waveform: kept for 5 days.\nHold 1.\nwaveform     kept for 5 days\n" in told
    assert "numeric      kept for ever" in told
    assert "hold 1: monitor-1 2026-01-01 00:00 to 2026-02-01 00:00: case 7" in told
    assert "would go: waveform (waveform)" in told
    assert ", 360 rows\nHold 1 is lifted.\n" in told
    assert rows(hub_database, COUNTS) == [ALL]
    await retention.destroy(NIGHT)
    logged = await asyncio.to_thread(commands, installation, "log", "set waveform forever")
    assert "waveform (waveform)" in logged
    assert logged.endswith(", 360 rows, rule: 5 days\nwaveform: kept for ever.\n")
