"""Which alarms of a gateway somebody has acknowledged, so that the edge ends what it keeps latched (decision 0058).

The edge owns presence, the hub owns the acknowledgement: an id is told until the end of its alarm is stored, so that a gateway
that was away hears of it, and telling it twice does no harm.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from hub.core.sql import load_queries
from protocols.link import MAX_ALARMS_TOLD
from protocols.uplink_pb2 import AlarmsAcknowledged, HubMessage

if TYPE_CHECKING:
    from hub.core.db import Database

_QUERIES = load_queries("hub.ingest")


async def acknowledged_alarms(database: "Database", tenant_id: int | None) -> Mapping[int, list[bytes]]:
    """Ids (16 bytes) of the acknowledged alarms that have not ended, by gateway; of all tenants when `tenant_id` is None."""
    async with database.connection() as connection:
        rows = await (await connection.execute(_QUERIES["acknowledged_alarms"], {"tenant": tenant_id})).fetchall()
    found: dict[int, list[bytes]] = {}
    for gateway_id, alarm_id in rows:
        found.setdefault(gateway_id, []).append(alarm_id.bytes)
    return found


def messages(ids: Iterable[bytes]) -> list[HubMessage]:
    """The messages that tell them, as many as it takes."""
    every = list(ids)
    parts = [every[at : at + MAX_ALARMS_TOLD] for at in range(0, len(every), MAX_ALARMS_TOLD)]
    return [HubMessage(alarms_acknowledged=AlarmsAcknowledged(ids=part)) for part in parts]
