"""The hub's jobs: periodic work in the queue of procrastinate, whose tables stand in the schema `jobs`.

Each job is short, may run twice, and takes its database from the composition root.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import procrastinate
import structlog
from prometheus_client import Counter, Gauge

from hub.accounts.domain import FAILURES_FORGOTTEN
from hub.accounts.ending import end_over
from hub.core import audit_check, principal
from hub.core.functions import timed
from hub.core.policy import policy
from hub.core.sql import load_queries
from hub.operations.domain import KEPT as MEASURED_KEPT
from hub.queries.spelling import spell_all
from hub.store import sealing
from hub.store.retention import Retention
from hub.store.rollups import roll_up
from hub.upstream.bound import hold_bound

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.audit_check import Checked
    from hub.core.db import Database
    from hub.core.principal import Principal

_QUERIES = load_queries("hub", "worker.sql")

# Who asks why a link or a token did not work is told "used" or "expired" for this long, and "unknown" after it.
SECRET_KEPT = timedelta(days=30)

DONE_JOBS_KEPT_H = 24  # one that runs each minute leaves 1440 rows a day

_BREAKS = Gauge("hub_audit_breaks", "Writers whose audit chain does not hold")
_VERIFIED = Gauge("hub_audit_verified_timestamp_seconds", "When the audit was last verified")
_PURGED = Counter("hub_purged_total", "Rows of secrets that were of no use any more", ["what"])


@dataclass(frozen=True, slots=True)
class Purge:
    """Rows that go `kept` after they were of use for the last time."""

    what: str
    kept: timedelta


PURGES = (
    Purge("tokens", SECRET_KEPT),
    Purge("invitations", SECRET_KEPT),
    Purge("sessions", SECRET_KEPT),
    Purge("steps", timedelta(0)),
    Purge("failures", FAILURES_FORGOTTEN),
    Purge("operation_process", MEASURED_KEPT),
    Purge("operation_function", MEASURED_KEPT),
    Purge("traces", timedelta(days=1)),
)


class Turn(StrEnum):
    """In each queue one job is done after the other, beside those of the others: what takes long holds up nothing that is due each minute."""

    MINUTE = "minute"
    LONG = "default"  # where whoever asks for a job without naming a queue puts it


def build_jobs(worker_url: str, database: "Database", audit: "AuditLog") -> procrastinate.App:
    """Build the application with its periodic jobs; open it before use."""
    connector = procrastinate.PsycopgConnector(
        conninfo=worker_url, kwargs={"options": "-c search_path=jobs,public", "application_name": "wardlink jobs"}
    )
    app = procrastinate.App(connector=connector)
    log = structlog.get_logger()
    verification = AuditVerification(database, audit)
    retention = Retention(database, audit)

    @app.periodic(cron="7 * * * *")
    @app.task(name="secrets.purge", queue=Turn.LONG, queueing_lock="secrets.purge", pass_context=False)
    async def purge(timestamp: int) -> None:
        with timed("worker:secrets.purge:job"):
            log.info("secrets-purged", scheduled=timestamp, **await purge_secrets(database))
            await app.job_manager.delete_old_jobs(nb_hours=DONE_JOBS_KEPT_H)

    @app.periodic(cron="*/10 * * * *")
    @app.task(name="accounts.end", queue=Turn.LONG, queueing_lock="accounts.end", pass_context=False)
    async def end_accounts(timestamp: int) -> None:
        with timed("worker:accounts.end:job"):
            log.info("accounts-ended", accounts=await end_over(database, audit), scheduled=timestamp)

    @app.periodic(cron="23 3 * * *")
    @app.task(name="audit.verify", queue=Turn.LONG, queueing_lock="audit.verify", pass_context=False)
    async def verify_audit(timestamp: int) -> None:
        with timed("worker:audit.verify:job"):
            checked = await verification.verify(principal.system(audit_check.ACTION))
        log.info("audit-verified", breaks=len(checked.breaks), digest=checked.digest, scheduled=timestamp)

    @app.periodic(cron="* * * * *")
    @app.task(name="store.roll-up", queue=Turn.MINUTE, queueing_lock="store.roll-up", pass_context=False)
    async def make_rollups(timestamp: int) -> None:
        with timed("worker:store.roll-up:job"), database.in_one_history():
            marks = await roll_up(database)
        log.debug("rolled-up", marks=marks, scheduled=timestamp)

    @app.periodic(cron="* * * * *")
    @app.task(name="names.spell", queue=Turn.LONG, queueing_lock="names.spell", pass_context=False)
    async def spell_names(timestamp: int) -> None:
        with timed("worker:names.spell:job"):
            names = await spell_all(database)
        log.debug("names-spelt", names=names, scheduled=timestamp)

    @app.periodic(cron="*/5 * * * *")
    @app.task(name="store.seal", queue=Turn.LONG, queueing_lock="store.seal", pass_context=False)
    async def seal(timestamp: int) -> None:
        with timed("worker:store.seal:job"), database.in_one_history():
            log.info("store-sealed", scheduled=timestamp, **await seal_store(database, datetime.now(UTC)))

    @app.periodic(cron="* * * * *")
    @app.task(name="upstream.bound", queue=Turn.LONG, queueing_lock="upstream.bound", pass_context=False)
    async def bound_outbox(timestamp: int) -> None:
        with timed("worker:upstream.bound:job"), database.in_one_history():
            waits = await hold_bound(database)
        log.debug("outbox-looked-at", size_bytes=waits.size_bytes, scheduled=timestamp)

    @app.periodic(cron="47 2 * * *")
    @app.task(name="store.destroy", queue=Turn.LONG, queueing_lock="store.destroy", pass_context=False)
    async def destroy(timestamp: int) -> None:
        with timed("worker:store.destroy:job"), database.in_one_history():
            gone = await retention.destroy(principal.system("retention.destroy"))
        log.info("retention-done", scheduled=timestamp, pieces=len(gone), rows=sum(one.rows for one in gone))

    return app


async def work_off(jobs: procrastinate.App, stop_within_s: float) -> None:
    """Work on every queue until cancelled; a job that runs then has `stop_within_s` to end."""
    await asyncio.gather(
        *(
            jobs.run_worker_async(queues=[turn], install_signal_handlers=False, shutdown_graceful_timeout=stop_within_s)
            for turn in Turn
        )
    )


async def seal_store(database: "Database", now: datetime) -> dict[str, int]:
    """Seal what is old enough at `now`, and drop what that leaves empty; returns what was done."""
    waveforms_before, readings_before = now - sealing.HOT_WAVEFORMS, now - sealing.HOT_READINGS
    waveforms = await sealing.seal_waveforms(database, waveforms_before)
    readings = await sealing.seal_readings(database, readings_before)
    chunks = await sealing.drop_empty_chunks(database, waveforms_before, readings_before)
    return {
        "slots": waveforms.slots,
        "groups": waveforms.rows,
        "hours": readings.slots,
        "readings": readings.rows,
        "chunks": chunks,
    }


async def purge_secrets(database: "Database") -> dict[str, int]:
    """Delete what has been of no use for its time, see PURGES; returns how many rows of each."""
    counts: dict[str, int] = {}
    for purge in PURGES:
        async with database.transaction() as connection:
            done = await connection.execute(_QUERIES[f"purge_{purge.what}"], {"kept": purge.kept})
        counts[purge.what] = done.rowcount
        _PURGED.labels(purge.what).inc(done.rowcount)
    return counts


class AuditVerification:
    """The check of the audit as something that a job or a person does, and that is itself in the audit."""

    def __init__(self, database: "Database", audit: "AuditLog") -> None:
        """`database` as the role worker."""
        self._database = database
        self.audit = audit

    @policy("audit.verify")
    async def verify(self, principal: "Principal") -> "Checked":
        """Walk every chain; what is broken goes into the log, the metric and the audit."""
        async with self._database.connection() as connection:
            checked = await audit_check.check(connection)
        _BREAKS.set(len(checked.breaks))
        _VERIFIED.set_to_current_time()
        for found in checked.breaks:
            structlog.get_logger().error("audit-chain-broken", writer=found.writer, seq=found.seq, reason=found.reason)
        outcome = "broken" if checked.breaks else "done"
        await self.audit.record(principal, audit_check.ACTION, "audit", checked.details(), outcome=outcome)
        return checked
