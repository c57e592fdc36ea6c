"""What a gateway is told about its beds: which devices belong together, limits, age group, paced; a pseudonym, no identity.

And what it answers: which of the limits it does not watch.
"""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from hub.core.sql import load_queries
from hub.placement.domain import age_group
from protocols.link import MAX_REFUSED_LIMITS
from protocols.uplink_pb2 import CriticalItem, CriticalTable, Limit, PlacedBed, Placement, PlacementApplied

if TYPE_CHECKING:
    from hub.core.db import Connection, Database
    from hub.ingest.identity import GatewayIdentity

_QUERIES = load_queries("hub.ingest")
_WORD = re.compile(r"[a-z][a-z-]{0,31}")
_UNNAMED = "unnamed"
_ITEM = 256  # characters of the row that is refused
_MOST_VERSION = 2**31 - 1


async def placement_of(database: "Database", tenant_id: int, gateway_id: int) -> Placement:
    """Build the placement of one gateway as it is now. `point_of_care` is `ward/bed`."""
    today = datetime.now(UTC).date()
    values = {"tenant": tenant_id, "gateway": gateway_id}
    async with database.transaction() as connection:
        # The version first: a change in between then sends the same beds twice rather than never.
        version = await (await connection.execute(_QUERIES["placement_version"], values)).fetchone()
        rows = await (await connection.execute(_QUERIES["placed_beds"], values)).fetchall()
        table = await (await connection.execute(_QUERIES["critical_in_force"], values)).fetchone()
    beds = [
        PlacedBed(
            point_of_care=point_of_care,
            devices=devices,
            subject=subject or "",
            age_group=age_group(birth_date, today),
            paced=paced,
            limits=[Limit(code=code, unit=unit, low=low, high=high) for code, unit, low, high in limits],
        )
        for point_of_care, devices, subject, birth_date, paced, limits in rows
    ]
    placement = Placement(version=0 if version is None else int(version[0]), beds=beds)
    if table is not None:
        items = [CriticalItem(**item) for item in table[1]]
        placement.table.CopyFrom(CriticalTable(version=table[0], items=items))
    return placement


async def placement_applied(database: "Database", identity: "GatewayIdentity", answer: PlacementApplied) -> None:
    """Keep which limits a gateway does not watch, in place of what it said before; beds and limits that are not there any more count for nothing."""
    refused = [one for one in answer.refused[:MAX_REFUSED_LIMITS] if "\0" not in one.point_of_care + one.code]
    values: dict[str, object] = {
        "tenant": identity.tenant_id,
        "gateway": identity.gateway_id,
        "points": [one.point_of_care for one in refused],
        "codes": [one.code for one in refused],
        "reasons": [one.reason if _WORD.fullmatch(one.reason) else _UNNAMED for one in refused],
    }
    async with database.transaction(of=identity.history) as connection:
        await connection.execute(_QUERIES["limits_all_watched"], values)
        if refused:
            await connection.execute(_QUERIES["limits_refused"], values)
        await _table_applied(connection, values, answer)
    structlog.get_logger().info(
        "placement-applied", gateway_id=identity.gateway_id, version=answer.version, limits_refused=len(refused)
    )


async def _table_applied(connection: "Connection", values: dict[str, object], answer: PlacementApplied) -> None:
    if not answer.HasField("table_version") or answer.table_version > _MOST_VERSION:
        await connection.execute(_QUERIES["critical_unknown"], values)
        return
    word = answer.table_refused
    applied = {
        "version": answer.table_version,
        "refused": word if not word or _WORD.fullmatch(word) else _UNNAMED,
        "item": "".join(char for char in answer.table_refused_item[:_ITEM] if char.isprintable()),
    }
    await connection.execute(_QUERIES["critical_applied"], values | applied)
