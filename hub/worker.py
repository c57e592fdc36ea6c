"""The hub's jobs: periodic work in the queue of procrastinate, whose tables stand in the schema `jobs`.

Each job is short, may run twice, and takes its database from the composition root.
"""

from typing import TYPE_CHECKING

import procrastinate
import structlog
from prometheus_client import Gauge

from hub.core import principal
from hub.core.audit import verify
from hub.core.sql import load_queries

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.db import Database

_QUERIES = load_queries("hub", "worker.sql")
TOKEN_KEPT_DAYS = 30

_BREAKS = Gauge("hub_audit_breaks", "Writers whose audit chain does not hold")


def build_jobs(worker_url: str, database: "Database", audit: "AuditLog") -> procrastinate.App:
    """Build the application with its periodic jobs; open it before use."""
    connector = procrastinate.PsycopgConnector(
        conninfo=worker_url, kwargs={"options": "-c search_path=jobs,public", "application_name": "wardlink jobs"}
    )
    app = procrastinate.App(connector=connector)
    log = structlog.get_logger()

    @app.periodic(cron="7 * * * *")
    @app.task(name="tokens.purge", queueing_lock="tokens.purge", pass_context=False)
    async def purge_tokens(timestamp: int) -> None:
        log.info("tokens-purged", count=await purge_old_tokens(database), scheduled=timestamp)

    @app.periodic(cron="23 3 * * *")
    @app.task(name="audit.verify", queueing_lock="audit.verify", pass_context=False)
    async def verify_audit(timestamp: int) -> None:
        log.info("audit-verified", breaks=await verify_audit_chains(database, audit), scheduled=timestamp)

    return app


async def purge_old_tokens(database: "Database") -> int:
    """Delete enrolment tokens that expired 30 days ago or earlier; returns how many."""
    async with database.transaction() as connection:
        return (await connection.execute(_QUERIES["purge_tokens"], {"days": TOKEN_KEPT_DAYS})).rowcount


async def verify_audit_chains(database: "Database", audit: "AuditLog") -> int:
    """Walk every chain and write the result into the audit; returns how many writers' chains are broken."""
    async with database.connection() as connection:
        breaks = await verify(connection)
    _BREAKS.set(len(breaks))
    for found in breaks:
        structlog.get_logger().error("audit-chain-broken", writer=found.writer, seq=found.seq, reason=found.reason)
    details = {f"{b.writer}#{b.seq}": b.reason for b in breaks}
    outcome = "broken" if breaks else "done"
    await audit.record(principal.system("audit.verify"), "audit.verify", "audit", details, outcome=outcome)
    return len(breaks)
