"""The outbox as the way up reads it: batches in the order in which they were put there, alarms by themselves, until they are done."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError as ProtobufError

from hub.core.sql import load_queries
from protocols.link import Lane
from protocols.uplink_pb2 import Batch, Envelope

if TYPE_CHECKING:
    from hub.core.db import Database

_QUERIES = load_queries("hub.upstream")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row: numbers `first` to `last` of a lane of the gateway and epoch that took them in. `first` 0: released, without a number.

    `id` is its own in one `history` of the database.
    """

    id: int
    gateway: str
    epoch: bytes
    lane: Lane
    first: int
    last: int
    records: bytes
    history: int

    def envelopes(self) -> list[Envelope]:
        """What goes up; ValueError when the row is damaged."""
        try:
            return list(Batch.FromString(self.records).records)
        except ProtobufError as error:
            msg = f"row {self.id} of the outbox: {len(self.records)} bytes that are no Batch"
            raise ValueError(msg) from error


class Outbox:
    """`database` as the role worker."""

    def __init__(self, database: "Database") -> None:
        self._database = database

    async def look(self, *, alarms: bool, most: int) -> list[Waiting]:
        """The oldest rows of lane alarm, or of the others."""
        values = {"most": most}
        async with self._database.connection() as connection:
            history = self._database.history.number
            found = await connection.execute(_QUERIES["alarms" if alarms else "others"], values)
            return [
                Waiting(int(i), gateway, bytes(epoch), Lane(lane), int(first), int(last), bytes(records), history)
                async for i, gateway, epoch, lane, first, last, records in found
            ]

    async def done(self, rows: Sequence[Waiting]) -> None:
        """Take rows of one `look` away: the way up has them on disk. OtherHistoryError when the database has become another since."""
        async with self._database.connection(of=rows[0].history) as connection:
            await connection.execute(_QUERIES["done"], {"done": [row.id for row in rows]})
