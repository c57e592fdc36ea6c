"""Acknowledgements both ways: which alarms the edge may end (decision 0058), and what was acknowledged at a gateway's own page.

The edge owns presence, the hub owns the acknowledgement: an id is told until the end of its alarm is stored, so that a gateway
that was away hears of it, and telling it twice does no harm.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub.alarms.intake import Seen
from hub.core.policy import ACTIONS
from hub.core.sql import load_queries
from hub.ingest.quarantined import RejectedError
from protocols import ticket
from protocols.link import MAX_ALARMS_TOLD
from protocols.record import NS_PER_S
from protocols.uplink_pb2 import AlarmsAcknowledged, HubMessage

if TYPE_CHECKING:
    from hub.core.db import Database
    from protocols.device_package_pb2 import Acknowledgement

_QUERIES = load_queries("hub.ingest")
_MAY = frozenset(role.value for role in ACTIONS["alarm.acknowledge"])
_AHEAD_NS = 60 * NS_PER_S  # a gateway's clock, which the hub's hello has told


@dataclass(frozen=True, slots=True)
class Tickets:
    """Checks the tickets of one tenant's people again: a gateway can acknowledge for nobody who did not give it one."""

    key: bytes | None  # None: this hub gives out no tickets
    tenant: str

    def seen(self, said: "Acknowledgement", gateway: str, now_ns: int) -> Seen:
        """Who acknowledged, when; RejectedError when the ticket did not hold at that time, there, or for that."""
        if self.key is None:
            raise RejectedError("acknowledgement", "no_tickets")
        if said.at_ns > now_ns + _AHEAD_NS:
            raise RejectedError("acknowledgement", "acknowledged_early")
        try:
            found = ticket.read(said.ticket, self.key, tenant=self.tenant, gateway=gateway, now_s=said.at_ns / NS_PER_S)
        except ticket.TicketError as error:
            raise RejectedError("acknowledgement", "ticket", error=error) from error
        if _MAY.isdisjoint(found.roles):
            raise RejectedError("acknowledgement", "may_not", who=found.who)
        return Seen(found.account, found.roles, said.at_ns)


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
