"""Hears what the database says of changes (LISTEN): that an alarm log has grown, that a placement has changed. Ids only.

A notice that is missed while the connection is down loses nothing: alarms are polled, and placements are read again on each
new connection.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import psycopg
import structlog
from psycopg_pool import PoolTimeout

if TYPE_CHECKING:
    from hub.core.db import Database

_AGAIN_S = 1.0


async def hear(
    database: "Database", alarm_log_grew: Callable[[], None], placement_changed: Callable[[int | None], None]
) -> None:
    """Call back until cancelled; `placement_changed(None)` means: of any tenant. Keeps one connection for itself."""
    while True:
        try:
            async with database.connection() as connection:
                try:
                    await connection.execute(b"listen alarm_event")
                    await connection.execute(b"listen placement")
                    placement_changed(None)
                    alarm_log_grew()
                    async for notice in connection.notifies():
                        if notice.channel == "alarm_event":
                            alarm_log_grew()
                        elif notice.payload.isdecimal():
                            placement_changed(int(notice.payload))
                finally:
                    if not connection.closed:
                        await connection.close()  # it must not go back to the pool listening
        except (psycopg.Error, PoolTimeout, OSError) as error:
            structlog.get_logger().warning("notices-interrupted", error=type(error).__name__)
            await asyncio.sleep(_AGAIN_S)
