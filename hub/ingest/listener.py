"""Hears what other processes changed, by LISTEN on a connection of its own: ids only, read anew after each reconnection."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import psycopg
import structlog
from psycopg import sql

from hub.core.history import History

Handler = Callable[[int | None], Awaitable[None]]

_AGAIN_S = 1.0


async def listen(url: str, handlers: Mapping[str, Handler], history: History) -> None:
    """Call `handlers[channel](id)` for each notification, for ever; with None after connecting: anything may have changed.

    `history`: told at once when the database is there again, so that nobody waits for a batch to find out which it is.
    """
    log = structlog.get_logger()
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                url, autocommit=True, application_name="wardlink listen"
            ) as connection:
                await history.meet(connection)
                for channel in handlers:
                    await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
                for handler in handlers.values():
                    await handler(None)
                async for note in connection.notifies():
                    await handlers[note.channel](int(note.payload))
        except (psycopg.Error, OSError) as error:
            log.warning("listen-broken", error=type(error).__name__)
        await asyncio.sleep(_AGAIN_S)
