"""The pool of database connections of one role, and transactions that see one tenant only.

Leaves the statements to each feature's store. Row security is set for the roles web and reporting: they see rows of the
tenant of the transaction and, outside one, none.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Self, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from hub.core.errors import UnavailableError

Connection: TypeAlias = AsyncConnection[TupleRow]

_OPEN_TIMEOUT_S = 30.0


class Database:
    """An asynchronous pool. Open it in the composition root, close it there."""

    def __init__(self, url: str, name: str, *, min_size: int = 1, max_size: int = 8) -> None:
        """`name` is shown as the application in pg_stat_activity."""
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=min_size,
            max_size=max_size,
            open=False,
            name=name,
            timeout=10.0,
            kwargs={"autocommit": True, "application_name": name},
        )
        self.name = name

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

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Lend a connection in autocommit, without a tenant."""
        async with self._pool.connection() as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self, tenant_id: int | None = None) -> AsyncGenerator[Connection]:
        """Lend a connection inside a transaction; with `tenant_id`, row security lets that tenant's rows be seen."""
        async with self._pool.connection() as connection, connection.transaction():
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
