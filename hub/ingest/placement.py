"""What a gateway is told about its beds: which devices belong together, limits, age group, paced; a pseudonym, no identity.

And what it answers: which of the limits it does not watch.
"""

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import structlog

from hub.core.sql import load_queries
from protocols.link import MAX_REFUSED_LIMITS
from protocols.uplink_pb2 import Limit, PlacedBed, Placement, PlacementApplied

if TYPE_CHECKING:
    from hub.core.db import Database
    from hub.ingest.identity import GatewayIdentity

_QUERIES = load_queries("hub.ingest")
_WORD = re.compile(r"[a-z][a-z-]{0,31}")
_UNNAMED = "unnamed"
_NEONATE_DAYS = 28
_ADULT_YEARS = 18


async def placement_of(database: "Database", tenant_id: int, gateway_id: int) -> Placement:
    """Build the placement of one gateway as it is now. `point_of_care` is `ward/bed`."""
    today = datetime.now(UTC).date()
    values = {"tenant": tenant_id, "gateway": gateway_id}
    async with database.transaction() as connection:
        # The version first: a change in between then sends the same beds twice rather than never.
        version = await (await connection.execute(_QUERIES["placement_version"], values)).fetchone()
        rows = await (await connection.execute(_QUERIES["placed_beds"], values)).fetchall()
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
    return Placement(version=0 if version is None else int(version[0]), beds=beds)


async def placement_applied(database: "Database", identity: "GatewayIdentity", answer: PlacementApplied) -> None:
    """Keep which limits a gateway does not watch, in place of what it said before; beds and limits that are not there any more count for nothing."""
    refused = [one for one in answer.refused[:MAX_REFUSED_LIMITS] if "\0" not in one.point_of_care + one.code]
    values = {
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
    structlog.get_logger().info(
        "placement-applied", gateway_id=identity.gateway_id, version=answer.version, limits_refused=len(refused)
    )


def age_group(birth_date: date | None, today: date) -> str:
    """Say neonate (to 28 days), child (under 18 years) or adult, which is also said where the birth date is unknown."""
    if birth_date is None:
        return "adult"
    if (today - birth_date).days <= _NEONATE_DAYS:
        return "neonate"
    years = today.year - birth_date.year - ((today.month, today.day) < (birth_date.month, birth_date.day))
    return "child" if years < _ADULT_YEARS else "adult"
