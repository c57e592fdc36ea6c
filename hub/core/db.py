"""The pool of database connections of one role, and transactions that see one tenant only.

Leaves the statements to each feature's store. Row security is set for the roles web and reporting: they see rows of the
tenant of the transaction and, outside one, none.
"""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from hub.core.errors import UnavailableError
from hub.core.history import History

Connection: TypeAlias = AsyncConnection[TupleRow]

_OPEN_TIMEOUT_S = 30.0


@dataclass(slots=True)
class _Begun:
    """The number of the history from which a call has its first answer."""

    number: int | None = None


_BEGUN: ContextVar[_Begun | None] = ContextVar("_BEGUN", default=None)


class Database:
    """An asynchronous pool. Open it in the composition root, close it there."""

    def __init__(
        self, url: str, name: str, *, min_size: int = 1, max_size: int = 8, history: History | None = None
    ) -> None:
        """`name` is shown as the application in pg_stat_activity. `history`: that of another pool of the process."""
        self._url = url
        self.history = History() if history is None else history
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=min_size,
            max_size=max_size,
            open=False,
            name=name,
            timeout=10.0,
            kwargs={"autocommit": True, "application_name": name},
            configure=self.history.meet,
            check=self.history.keep,
        )
        self.name = name

    def beside(self, name: str, *, max_size: int) -> "Database":
        """Make another pool of the same database."""
        return Database(self._url, name, max_size=max_size, history=self.history)

    async def open(self) -> None:
        """Connect; `UnavailableError` when the database does not answer within 30 s."""
        try:
            await self._pool.open(wait=True, timeout=_OPEN_TIMEOUT_S)
        except PoolTimeout as error:
            await self._pool.close()
            raise UnavailableError(
                f"The database did not answer within {_OPEN_TIMEOUT_S:.0f} s ({error}).",
                "Check that it runs (wardlink stack status) and that the address and password of this role are right.",
                reason="database",
            ) from error

    @contextmanager
    def in_one_history(self) -> Generator[None]:
        """Whoever asks more than once in here gets an OtherHistoryError when the database has become another in between."""
        token = _BEGUN.set(_Begun())
        try:
            yield
        finally:
            _BEGUN.reset(token)

    async def look(self) -> None:
        """See whether the history is still the same, and how far it has come."""
        async with self.connection() as connection:
            await self.history.meet(connection)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    @asynccontextmanager
    async def connection(self, *, of: int | None = None) -> AsyncGenerator[Connection]:
        """Lend a connection in autocommit, without a tenant.

        `of`: number of the history from which ids are that it will be given; OtherHistoryError when this is another.
        """
        begun = _BEGUN.get()
        async with self._pool.connection() as connection:
            if of is not None:
                self.history.check(of)
            if begun is not None:
                if begun.number is None:
                    begun.number = self.history.number
                self.history.check(begun.number)
            yield connection

    @asynccontextmanager
    async def transaction(self, tenant_id: int | None = None, *, of: int | None = None) -> AsyncGenerator[Connection]:
        """Lend a connection inside a transaction; with `tenant_id`, row security lets that tenant's rows be seen. `of` as above."""
        async with self.connection(of=of) as connection, connection.transaction():
            if tenant_id is not None:
                await connection.execute("select set_config('wardlink.tenant', %s, true)", [str(tenant_id)])
            yield connection

    async def __aenter__(self) -> Self:
        """Open."""
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()
