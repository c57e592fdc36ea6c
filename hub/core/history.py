"""Whether the database that answers is the one from which this process has learnt ids, or one whose past may be another.

A database that is put back to an older state gives ids again that it had given out: what a process remembers of them then names
another device's rows. A put-back needs a server that was started since, whatever way it was done, so every start counts as another
history: what one learns of it anew costs two questions a gateway. A machine that was put back with the server running in it shows by
its transactions, which count from farther back. Dumps that are read into a database in use show by nothing (docs/how-to/install.md).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import psycopg
import structlog

from hub.core.sql import load_queries

if TYPE_CHECKING:
    from hub.core.db import Connection

_QUERIES = load_queries("hub.core")


class OtherHistoryError(psycopg.OperationalError):
    """Ids that were learnt before are to be used with a database that may not know them, or not as the same."""


@dataclass(frozen=True, slots=True)
class Server:
    """What a connection told of its server. `transactions`: the number of the next one."""

    began: datetime
    database: int
    transactions: int

    def is_run_of(self, other: "Server") -> bool:
        """Whether it is the same database in the same run of the server."""
        return (self.began, self.database) == (other.began, other.database)


class History:
    """The histories that a process has met, counted; its pools share one of these."""

    def __init__(self) -> None:
        """None was met yet."""
        self.number = 0
        self._server: Server | None = None
        self._of: WeakKeyDictionary[Connection, int] = WeakKeyDictionary()
        self._tell: list[Callable[[], None]] = []

    @property
    def name(self) -> str:
        """What tells this history from every other, for who remembers ids outside of the process; empty before one was met."""
        return "" if self._server is None else f"{self._server.began.timestamp():.6f}.{self.number}"

    def on_another(self, tell: Callable[[], None]) -> None:
        """Have `tell` called when another history is met, before any connection to it is lent."""
        self._tell.append(tell)

    async def meet(self, connection: "Connection") -> None:
        """Ask a connection which server it has; of each new one before it is used."""
        # Another connection may tell more while this one is asked.
        before, number = self._server, self.number
        row = await (await connection.execute(_QUERIES["server"])).fetchone()
        assert row is not None
        server, known = Server(*row), self._server
        if known is None or (server.is_run_of(known) and (self.number != number or not _went_back(before, server))):
            self._server = server if known is None or server.transactions > known.transactions else known
        elif before is None or self.number == number or not server.is_run_of(before):
            self._begin(server, known)
        else:
            self._of[connection] = number  # a late answer of the one before
            return
        self._of[connection] = self.number

    def _begin(self, server: Server, known: Server) -> None:
        self.number += 1
        self._server = server
        was = "put back" if server.is_run_of(known) else "started"
        structlog.get_logger().warning("database-history-another", database=was, since=server.began.isoformat())
        for tell in self._tell:
            tell()

    async def keep(self, connection: "Connection") -> None:
        """Let go of a connection that is of an earlier history: a server that was left may still answer."""
        if self._of.get(connection) != self.number:
            await connection.close()
            raise OtherHistoryError("the connection is of an earlier history of the database")

    def check(self, number: int) -> None:
        """OtherHistoryError unless this is the history that had that number."""
        if number != self.number:
            raise OtherHistoryError("the database was started again or put back since")


def _went_back(before: Server | None, server: Server) -> bool:
    return before is not None and server.transactions < before.transactions
