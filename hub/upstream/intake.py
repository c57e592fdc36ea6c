"""What ingest puts into the outbox, in the transaction of the data: each batch without the records that do not go up.

The caller owns the transaction. The rules are read at the start and whenever one has changed. Where a tenant shares anything, each
number of a lane stands in the outbox, if need be with nothing, so that what has gone up stays one range.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hub.core.sql import load_queries
from hub.upstream.domain import RecordClass, Rule, Rules
from protocols.uplink_pb2 import Batch, Envelope, Origin

if TYPE_CHECKING:
    from hub.core.db import Connection, Database

_QUERIES = load_queries("hub.upstream")
NO_NUMBER = 0  # of a record that was released from quarantine: its batch has gone up long since


class Sharing:
    """The rules of every tenant, as one ingest process knows them."""

    def __init__(self, database: "Database") -> None:
        """`database` as the role ingest."""
        self._database = database
        self._rules: Mapping[int, Rules] = {}
        self._history = 0  # of the database that they are of

    async def read(self, _: int | None = None) -> None:
        """Read the rules anew: at the start, and when one has changed."""
        found: dict[int, list[Rule]] = {}
        async with self._database.connection() as connection:
            history = self._database.history.number
            async for tenant, name, code, share in await connection.execute(_QUERIES["rules"]):
                found.setdefault(int(tenant), []).append(Rule(RecordClass(name), code, share))
        self._rules = {tenant: rules for tenant, listed in found.items() if (rules := Rules(listed))}
        self._history = history

    def is_of(self, history: int) -> bool:
        """Whether they were read in this history of the database."""
        return history == self._history

    def of(self, tenant_id: int) -> Rules | None:
        """The rules of a tenant that shares anything."""
        return self._rules.get(tenant_id)


def shared(rules: Rules, batch: Batch, without: Sequence[int], gateway: str, epoch: bytes) -> bytes:
    """The part of a batch that goes up, as a Batch whose envelopes name their origin; empty when nothing does.

    `without`: which records were refused; an alarm is raised all the same, there as here (decision 0047). Its ticket is for this hub
    only and stays.
    """
    refused = frozenset(without)
    part = Batch(lane=batch.lane, n=batch.n, closed_ns=batch.closed_ns)
    for index, envelope in enumerate(batch.records):
        if (index not in refused or envelope.record.HasField("alarm")) and rules.let(envelope.record):
            here = Origin(gateway=gateway, epoch=epoch, n=batch.n, index=index)
            one = Envelope(record=envelope.record, origin=envelope.origin if envelope.HasField("origin") else here)
            if one.record.HasField("alarm"):
                one.record.alarm.ClearField("acknowledged")
            part.records.append(one)
    return part.SerializeToString() if part.records else b""


async def put(connection: "Connection", rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows of the outbox: tenant, gateway, epoch, lane, first, last, records."""
    if rows:
        async with connection.cursor() as cursor:
            await cursor.executemany(_QUERIES["put"], rows)
