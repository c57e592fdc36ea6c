"""Stores what was released from quarantine: by an engineer, or because its device has been admitted since.

Looks when it is told and every few seconds, so that records which were held just as their device was admitted go on too. A record
that cannot be stored after all goes back, with the reason. Several copies of the role share the work (`skip locked`).
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
import structlog
from google.protobuf.message import DecodeError as ProtobufError
from prometheus_client import Counter
from psycopg.types.json import Jsonb

from hub.core.sql import load_queries
from hub.ingest.acknowledged import Tickets
from hub.ingest.catalog import GatewayCatalog
from hub.ingest.rows import RowMaker
from hub.ingest.writer import Pending, insert
from hub.quarantine.sentences import Said, said
from hub.upstream.intake import NO_NUMBER, Sharing
from protocols.link import Lane
from protocols.uplink_pb2 import Batch, Envelope

if TYPE_CHECKING:
    from psycopg.rows import TupleRow

    from hub.core.db import Connection, Database

_QUERIES = load_queries("hub.ingest")
LOOK_EVERY_S = 5.0
AT_ONCE = 500
_RELEASED = Counter("hub_quarantine_released_total", "Records of the quarantine that somebody released", ["result"])


class Releaser:
    """One task beside the writers."""

    def __init__(self, database: "Database", now_ns: Callable[[], int], sharing: Sharing) -> None:
        """`database` as the role ingest."""
        self._database, self._now_ns, self._sharing = database, now_ns, sharing
        self._news = asyncio.Event()

    async def look(self, _: int | None = None) -> None:
        """Something was released, or a device admitted."""
        self._news.set()

    async def run(self) -> None:
        """Until cancelled; a database that fails is tried again."""
        while True:
            self._news.clear()
            try:
                while await self._some() == AT_ONCE:
                    pass
            except (psycopg.Error, OSError) as error:
                structlog.get_logger().error("release-failed", error=type(error).__name__, detail=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._news.wait()

    async def _some(self) -> int:
        """Store up to AT_ONCE released records; returns how many there were."""
        async with self._database.transaction() as connection:
            history = self._database.history.number
            rows = await (await connection.execute(_QUERIES["to_release"], {"limit": AT_ONCE})).fetchall()
            catalogs: dict[tuple[int, bytes], GatewayCatalog] = {}
            for row in rows:
                _, tenant, gateway, _, epoch, *_ = row
                key = (int(gateway), bytes(epoch))
                catalog = catalogs.setdefault(
                    key, GatewayCatalog(self._database, int(tenant), *key, history, is_read=True)
                )
                await self._one(connection, row, catalog)
        return len(rows)

    async def _one(self, connection: "Connection", row: "TupleRow", catalog: GatewayCatalog) -> None:
        number, tenant, gateway, name, _, lane, n, index, data = row
        refused = await self._store(connection, catalog, str(name), Lane(lane), (int(n), int(index)), bytes(data))
        _RELEASED.labels("refused" if refused else "stored").inc()
        if refused is None:
            await connection.execute(_QUERIES["released"], {"id": number})
        else:
            reason, why = refused
            values = {"id": number, "reason": reason, "note": str(why), "said": Jsonb(why.as_json())}
            await connection.execute(_QUERIES["not_released"], values)
        structlog.get_logger().info(
            "record-released", quarantine_id=number, tenant_id=tenant, gateway_id=gateway, stored=refused is None
        )

    async def _store(
        self,
        connection: "Connection",
        catalog: GatewayCatalog,
        gateway: str,
        lane: Lane,
        place: tuple[int, int],
        data: bytes,
    ) -> tuple[str, Said] | None:
        """Store the record that had this number and index; returns reason and sentence of why it cannot be, or None."""
        n, index = place
        maker = RowMaker(
            catalog, gateway, self._now_ns, lambda: False, Tickets(None, ""), needs_admission=False, forwards=True
        )
        try:
            envelope = Envelope.FromString(data)
        except ProtobufError as error:
            return "undecodable", said("message", text=error)
        batch = Batch(lane=lane.wire, n=n, closed_ns=self._now_ns(), records=[envelope])
        rows = await maker.make_some(batch, [(index, envelope)])
        if rows.held:
            return rows.held[0].reason, rows.held[0].why
        pending = Pending(
            catalog.tenant_id, catalog.gateway_id, gateway, catalog.epoch, lane, NO_NUMBER, NO_NUMBER, rows,
            lambda _, __: None, batch, rules=self._sharing.of(catalog.tenant_id),
        )  # fmt: skip
        try:
            async with connection.transaction():
                await insert(connection, [pending])
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            return "database", said("message", text=(error.diag.message_primary or str(error)).replace("\n", " "))
        return None
