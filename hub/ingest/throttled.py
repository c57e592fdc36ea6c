"""Writes down which gateways are held back: in the list of gateways, as an event of the gateway, and in the log."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING

import psycopg
import structlog
from psycopg.types.json import Jsonb

from hub.core.sql import load_queries
from protocols.nomenclature import EVT_THROTTLE_ENDED, EVT_THROTTLED

if TYPE_CHECKING:
    from hub.core.db import Database
    from hub.ingest.pacing import PaceNews

_QUERIES = load_queries("hub.ingest")


class Throttled:
    """Takes the news of the paces."""

    def __init__(self, database: "Database") -> None:
        """`database` as the role ingest."""
        self._database = database
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger()

    def tell(self, news: "PaceNews") -> None:
        """Write it beside what is going on; a database that fails must not hold the stream."""
        self._log.warning(
            "gateway-held-back" if news.holds else "gateway-keeps-its-pace",
            gateway_id=news.identity.gateway_id,
            waited_s=round(news.waited_s, 1),
        )
        self._spawn(self._write(news))

    def begin_anew(self) -> None:
        """The database is another: what it says of who is held back is of another time."""
        self._spawn(self._clear_again())

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _clear_again(self) -> None:
        try:
            await self.clear()
        except (psycopg.Error, OSError) as error:
            self._log.error("throttles-not-ended", error=type(error).__name__)

    async def clear(self) -> None:
        """Whoever was held back when this role ended is not held back any more."""
        async with self._database.transaction() as connection:
            await connection.execute(_QUERIES["throttles_end"])

    async def _write(self, news: "PaceNews") -> None:
        identity = news.identity
        values = {
            "tenant": identity.tenant_id,
            "gateway": identity.gateway_id,
            "name": identity.gateway,
            "holds": news.holds,
            "code": EVT_THROTTLED if news.holds else EVT_THROTTLE_ENDED,
            "params": Jsonb({"waited_s": round(news.waited_s, 1)}),
        }
        try:
            async with self._database.transaction(of=identity.history) as connection:
                await connection.execute(_QUERIES["throttle"], values)
                device = await (await connection.execute(_QUERIES["device"], values)).fetchone()
                assert device is not None
                source = {**values, "device": device[0], "path": identity.gateway}
                row = await (await connection.execute(_QUERIES["source"], source)).fetchone()
                assert row is not None
                await connection.execute(_QUERIES["throttle_event"], {**values, "source": row[0]})
        except (psycopg.Error, OSError) as error:
            self._log.error("throttle-not-written", gateway_id=identity.gateway_id, error=type(error).__name__)
