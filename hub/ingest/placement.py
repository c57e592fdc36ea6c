"""What a gateway is told about its beds: which devices belong together, limits, age group, paced; a pseudonym, no identity."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from hub.core.sql import load_queries
from protocols.uplink_pb2 import Limit, PlacedBed, Placement

if TYPE_CHECKING:
    from hub.core.db import Database

_QUERIES = load_queries("hub.ingest")
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


def age_group(birth_date: date | None, today: date) -> str:
    """Say neonate (to 28 days), child (under 18 years) or adult, which is also said where the birth date is unknown."""
    if birth_date is None:
        return "adult"
    if (today - birth_date).days <= _NEONATE_DAYS:
        return "neonate"
    years = today.year - birth_date.year - ((today.month, today.day) < (birth_date.month, birth_date.day))
    return "child" if years < _ADULT_YEARS else "adult"
