"""The role worker: what it deletes and when, how a tampered audit is found and told, how late its loop is."""

import asyncio
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from hub.core.audit import AuditLog
from hub.core.audit_check import Checked
from hub.core.db import Database
from hub.core.errors import ForbiddenError
from hub.core.principal import Principal, PrincipalKind, Role, operator, system
from hub.worker import PURGES, AuditVerification, build_jobs, purge_secrets, work_off
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_roles import ROLES, Installation
from tests.fixtures.migrated_database import MigratedDatabases
from tests.fixtures.waiting import until
from tests.fixtures.web import PASSWORD, RunningWeb, token_of
from wardlink.local.database import Database as Local

pytestmark = pytest.mark.integration
JOBS = Path(__file__).parents[2] / "docs" / "reference" / "hub-jobs.md"
NIGHT = system("audit.verify")
JOB_NAMES = (
    "audit.verify",
    "names.spell",
    "accounts.end",
    "secrets.purge",
    "store.destroy",
    "store.roll-up",
    "store.seal",
    "upstream.bound",
)


@pytest.fixture
async def worker(hub: RunningHub) -> AsyncIterator[Database]:
    """The database with the rights of the role worker."""
    async with Database(hub.database.url_for("wardlink_worker"), "test worker", max_size=2) as database:
        yield database


@pytest.fixture
def verification(worker: Database) -> AuditVerification:
    return AuditVerification(worker, AuditLog(worker))


async def write(hub: RunningHub, role: str, count: int, instance: str = "1") -> None:
    """Entries of one writer, which is `role:instance`."""
    async with Database(hub.database.url_for(f"wardlink_{role}"), "test writer", max_size=1) as database:
        log = AuditLog(database, instance)
        for number in range(count):
            await log.record(operator("test", 1), "gateway.add", f"gateway:{number}", {"number": number})


def told(checked: Checked) -> list[tuple[str, int]]:
    return [(found.writer, found.seq) for found in checked.breaks]


# --- what is deleted


async def test_secrets_go_when_they_have_been_of_no_use_for_their_time_and_not_before(
    hub: RunningHub, web: RunningWeb, worker: Database
):
    await hub.add("gateway-1")
    await hub.add("gateway-2")
    await web.signed_in("li.na")
    await web.signed_in("wu.jun")
    await web.invite("he.ping")
    still = {"tokens": 2, "invitations": 3, "sessions": 2, "failures": 0}
    assert set((await purge_secrets(worker)).values()) == {0}
    for age, gone in ((timedelta(days=29, hours=23), 0), (timedelta(days=30, minutes=1), 1)):
        hub.do("update enrolment_token set expires_at = now() - %s where gateway_id = 1", age)
        hub.do("update account_invitation set expires_at = now() - %s where account_id = 1", age)
        hub.do("update account_session set ended_at = now() - %s where account_id = 1", age)
        assert await purge_secrets(worker) == {
            "tokens": gone,
            "invitations": gone,
            "sessions": gone,
            "steps": 0,
            "failures": 0,
            "operation_process": 0,
            "operation_function": 0,
            "traces": 0,
        }
    left = {
        "tokens": "enrolment_token where gateway_id = 2",
        "invitations": "account_invitation where account_id in (2, 3)",
        "sessions": "account_session where account_id = 2",
    }
    for what, rows in left.items():
        assert hub.rows(f"select count(*) from {rows}") == [(still[what] - 1,)]


async def test_a_sign_in_that_nobody_finished_goes_when_its_time_is_over(
    hub: RunningHub, web: RunningWeb, worker: Database
):
    await web.signed_in("li.na")
    hub.do("update account set password_set_at = now() - interval '90 days'")
    client = web.client()
    fields = {"csrf": token_of(await client.get("/sign-in")), "name": "li.na", "password": PASSWORD, "next": ""}
    assert (await client.post("/sign-in", data=fields)).headers["location"] == "/sign-in/step"
    assert (await purge_secrets(worker))["steps"] == 0
    hub.do("update sign_in_step set expires_at = now() - interval '1 second'")
    assert (await purge_secrets(worker))["steps"] == 1


async def test_a_session_that_ran_out_goes_too_and_its_owner_signs_in_again(
    hub: RunningHub, web: RunningWeb, worker: Database
):
    client = await web.signed_in("li.na")
    hub.do("update account_session set ends_at = now() - interval '31 days'")
    assert (await purge_secrets(worker))["sessions"] == 1
    assert (await client.get("/api/v1/ward/7b")).status_code == 401


async def test_failures_are_forgotten_after_an_hour_but_a_lock_is_not_lifted(hub: RunningHub, worker: Database):
    for key, failed, blocked in ((b"a", 59, -58), (b"b", 61, -60), (b"c", 61, 5)):
        hub.do(
            "insert into sign_in_failure values (%s, 1, 4, now() - make_interval(mins => %s), now() + make_interval(mins => %s))",
            key.ljust(32),
            failed,
            blocked,
        )
    assert (await purge_secrets(worker))["failures"] == 1
    assert [bytes(key)[:1] for (key,) in hub.rows("select key from sign_in_failure order by key")] == [b"a", b"c"]


# --- the audit's chains


async def test_an_audit_that_nobody_touched_holds_and_the_check_itself_is_in_it(
    hub: RunningHub, verification: AuditVerification
):
    await write(hub, "ingest", 3)
    await write(hub, "web", 2)
    first = await verification.verify(NIGHT)
    assert (told(first), sum(head.seq for head in first.heads)) == ([], 5)
    second = await verification.verify(NIGHT)  # now with what the first one saw
    assert (told(second), sum(head.seq for head in second.heads)) == ([], 6)
    assert first.digest != second.digest
    assert (
        hub.rows("select outcome, principal from audit where action = 'audit.verify'")
        == [("done", "system:audit.verify")] * 2
    )
    assert REGISTRY.get_sample_value("hub_audit_breaks") == 0
    verified_s = REGISTRY.get_sample_value("hub_audit_verified_timestamp_seconds")
    assert verified_s is not None
    assert abs(verified_s - time.time()) < 60


@pytest.mark.parametrize(
    ("tampering", "seq"),
    [
        ("update audit set body = replace(body, 'gateway:2', 'gateway:9') where seq = 3", 3),
        ("update audit set body = 'no json' where seq = 3", 3),
        ("update audit set target = 'gateway:9' where seq = 3", 3),
        ("update audit set outcome = 'denied' where seq = 3", 3),
        ("update audit set tenant_id = null where seq = 3", 3),
        ("update audit set at = at + interval '1 second' where seq = 3", 3),
        ("update audit set hash = sha256(hash) where seq = 3", 3),
        ("delete from audit where seq = 1", 1),
        ("delete from audit where seq = 3", 3),
        ("delete from audit where seq between 2 and 4", 2),
        ("delete from audit where seq = 5", 5),
        ("update audit set body = replace(body, 'gateway:4', 'gateway:9') where seq = 5", 5),
        (  # each number is free when it is taken, in whatever order rows lie
            "delete from audit where seq = 3; update audit set seq = 3 where seq = 4; update audit set seq = 4 where seq = 5",
            3,
        ),
    ],
)
async def test_a_changed_or_removed_entry_is_found_and_told_in_log_metric_and_audit(
    hub: RunningHub, verification: AuditVerification, tampering: str, seq: int
):
    await write(hub, "ingest", 5)
    await write(hub, "web", 2)
    for statement in tampering.split(";"):
        hub.do(f"{statement} and writer = 'wardlink_ingest:1'")
    with capture_logs() as logs:
        checked = await verification.verify(NIGHT)
    assert told(checked) == [("wardlink_ingest:1", seq)]
    assert [(line["event"], line["writer"], line["seq"]) for line in logs] == [
        ("audit-chain-broken", "wardlink_ingest:1", seq)
    ]
    assert REGISTRY.get_sample_value("hub_audit_breaks") == 1
    ((outcome, body),) = hub.rows("select outcome, body from audit where action = 'audit.verify'")
    assert outcome == "broken"
    assert json.loads(body)["details"][f"wardlink_ingest:1#{seq}"] == checked.breaks[0].reason
    assert told(await verification.verify(NIGHT)) == [("wardlink_ingest:1", seq)]  # it does not heal by itself


@pytest.mark.parametrize(
    ("tampering", "seq", "says"),
    [
        (  # the last two go, and the head is set back to the one before them
            """update audit_writer set last_seq = 3, last_hash = (select hash from audit where writer = audit_writer.writer and seq = 3)
                where writer = 'wardlink_ingest:1'; delete from audit where writer = 'wardlink_ingest:1' and seq > 3""",
            4,
            "entries 4 to 5 are missing",
        ),
        (
            "delete from audit where writer = 'wardlink_ingest:1'; delete from audit_writer where writer = 'wardlink_ingest:1'",
            5,
            "the whole writer is gone",
        ),
    ],
)
async def test_a_chain_that_was_cut_together_with_its_head_is_found_by_what_the_check_before_saw(
    hub: RunningHub, verification: AuditVerification, tampering: str, seq: int, says: str
):
    await write(hub, "ingest", 5)
    assert told(await verification.verify(NIGHT)) == []
    for statement in tampering.split(";"):
        hub.do(statement)
    (found,) = (await verification.verify(NIGHT)).breaks
    assert (found.writer, found.seq) == ("wardlink_ingest:1", seq)
    assert says in found.reason


async def test_a_chain_that_was_made_anew_is_found_by_what_the_check_before_saw(
    hub: RunningHub, verification: AuditVerification
):
    await write(hub, "ingest", 5)
    assert told(await verification.verify(NIGHT)) == []
    hub.do("delete from audit where writer = 'wardlink_ingest:1'")
    hub.do("delete from audit_writer where writer = 'wardlink_ingest:1'")
    await write(hub, "ingest", 6)
    (found,) = (await verification.verify(NIGHT)).breaks
    assert (found.seq, "made anew" in found.reason) == (5, True)


async def test_entries_that_are_written_during_a_check_are_no_break(hub: RunningHub, verification: AuditVerification):
    await write(hub, "ingest", 3)
    for checked in await asyncio.gather(
        verification.verify(NIGHT), write(hub, "ingest", 20), verification.verify(NIGHT)
    ):
        assert checked is None or told(checked) == []


async def test_nobody_verifies_the_audit_without_the_right_to_and_the_attempt_is_in_it(
    hub: RunningHub, verification: AuditVerification
):
    with pytest.raises(ForbiddenError):
        await verification.verify(Principal(PrincipalKind.USER, "7", 1, frozenset({Role.NURSE})))
    assert hub.rows("select principal, action, outcome from audit") == [("user:7", "audit.verify", "denied")]


async def test_the_command_says_whether_the_audit_holds_and_ends_with_1_when_it_does_not(hub: RunningHub):
    await write(hub, "ingest", 3)
    command = Installation(hub.database, hub.state)
    good = command.command("audit", "verify")
    assert (good.returncode, "3 entries of 1 writers are as they were written" in good.stdout) == (0, True)
    hub.do("update audit set outcome = 'denied' where seq = 2 and writer = 'wardlink_ingest:1'")
    bad = command.command("audit", "verify")
    assert (bad.returncode, "as they were written" in bad.stdout) == (1, False)
    assert "wardlink_ingest:1 entry 2: the entry was changed" in bad.stderr
    assert "backup" in bad.stderr


# --- the role as a process


async def test_a_database_that_is_lent_again_holds_no_job_of_the_test_before(migrated_databases: MigratedDatabases):
    with migrated_databases.lent() as first:
        url = first.url_for("wardlink_worker")
        async with Database(url, "test worker", max_size=1) as database:
            jobs = build_jobs(url, database, AuditLog(database))
            async with jobs.open_async():
                await jobs.configure_task(JOB_NAMES[0]).defer_async(timestamp=0)
    with migrated_databases.lent() as again, psycopg.connect(again.admin_url) as connection:
        left = connection.execute("select count(*) from jobs.procrastinate_jobs").fetchone()
    assert (again.name, left) == (first.name, (0,))


def test_every_job_stands_in_the_reference_with_its_time(hub_database: Local):
    url = hub_database.url_for("wardlink_worker")
    database = Database(url, "never opened")
    jobs = build_jobs(url, database, AuditLog(database))
    told_of = JOBS.read_text("utf-8")
    periodic = {task.task.name: task.cron for task in jobs.periodic_registry.periodic_tasks.values()}
    assert set(periodic) == set(JOB_NAMES)
    for name, cron in periodic.items():
        assert f"| `{name}` | `{cron}` |" in told_of
    for purge in PURGES:
        hours = purge.kept / timedelta(hours=1)
        assert f"| {purge.what} | {f'{purge.kept.days} days' if purge.kept.days else f'{hours:.0f} h'} |" in told_of


async def test_a_job_that_takes_long_holds_up_nothing_that_is_due_each_minute(hub_database: Local):
    url = hub_database.url_for("wardlink_worker")
    async with Database(url, "test worker", max_size=3) as database:
        jobs = build_jobs(url, database, AuditLog(database))
        async with jobs.open_async():
            long, short = [
                await jobs.configure_task(name).defer_async(timestamp=0) for name in ("audit.verify", "store.roll-up")
            ]
            with psycopg.connect(hub_database.admin_url) as admin:
                admin.execute("lock table audit in access exclusive mode")  # the check waits for it
                working = asyncio.create_task(work_off(jobs, 1))
                await until(lambda: _done(hub_database, [long, short]) == {"store.roll-up"})
                admin.rollback()
            await until(lambda: _done(hub_database, [long]) == {"audit.verify"})
            working.cancel()
            await asyncio.wait((working,))


async def test_a_deferred_job_is_done_by_the_worker_process_which_tells_the_lag_of_its_loop(
    hub_database: Local, short_folder: Callable[[], Path], unused_tcp_port_factory: Callable[[], int]
):
    command = Installation(hub_database, short_folder())
    port = unused_tcp_port_factory()
    environment = {**command.settings(*ROLES), "HUB_METRICS_LISTEN": f"127.0.0.1:{port - 2}"}
    url = hub_database.url_for("wardlink_worker")
    async with Database(url, "test worker", max_size=1) as database:
        jobs = build_jobs(url, database, AuditLog(database))
        async with jobs.open_async():  # before the process has periodic ones of its own: of each job one waits at most
            deferred = [await jobs.configure_task(name).defer_async(timestamp=0) for name in JOB_NAMES]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub", "run", "--role", "worker"), env=environment, stdout=subprocess.PIPE
    )
    try:
        await until(lambda: _done(hub_database, deferred) == set(JOB_NAMES))
        metrics = await asyncio.to_thread(_metrics, port)  # there before the first job is taken
    finally:
        process.send_signal(signal.SIGTERM)
        said, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    events = {line["event"]: line for line in map(json.loads, said.splitlines())}
    assert events["audit-verified"]["breaks"] == 0
    assert len(events["audit-verified"]["digest"]) == 64
    assert events["secrets-purged"]["sessions"] == 0
    assert "hub_audit_breaks 0.0" in metrics
    assert 'hub_loop_lag_seconds_bucket{le="+Inf"}' in metrics


def _done(database: Local, deferred: list[int]) -> set[str]:
    query = "select task_name from jobs.procrastinate_jobs where status = 'succeeded' and id = any(%s)"
    with psycopg.connect(database.admin_url) as connection:
        rows = connection.execute(query, (deferred,)).fetchall()
    return {name for (name,) in rows}


def _metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return answer.read().decode()
