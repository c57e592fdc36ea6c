"""Accounts that end by themselves: nobody gets in from the moment on; the worker then writes it down and withdraws what is left."""

from hub.core import principal
from hub.core.audit import AuditLog
from hub.core.db import Database
from hub.core.sql import load_queries

_QUERIES = load_queries("hub.accounts")
ACTION = "account.end"


async def end_over(database: Database, audit: AuditLog) -> int:
    """Disable every account whose time is over; how many. `database` as the role worker."""
    async with database.transaction() as connection:
        rows = await (await connection.execute(_QUERIES["over"])).fetchall()
        for account, tenant in rows:
            for query in ("end_sessions", "withdraw_invitations", "end_steps"):
                await connection.execute(_QUERIES[query], {"account": account, "why": "over"})
            await audit.write(connection, principal.system(ACTION, int(tenant)), ACTION, f"account:{account}")
    return len(rows)
