"""What can be done with open ward pages: a page tells of itself, engineers see which cannot sound."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from hub.core.policy import policy
from hub.core.principal import tenant_of
from hub.core.sql import load_queries
from hub.screens.domain import FORGOTTEN, SILENT, Screen, SoundState

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.db import Database
    from hub.core.principal import Principal
    from hub.placement.service import Placement

_QUERIES = load_queries("hub.screens")
_FORGET_EVERY = 1000


class Screens:
    """The open pages of all wards; the rows are the database's, so that copies of the role web see each other's."""

    def __init__(self, database: "Database", audit: "AuditLog", placement: "Placement") -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit
        self._placement = placement
        self._told = 0
        self._began = datetime.now(UTC)

    @policy("screen.tell")
    async def tell(self, principal: "Principal", slug: str, screen: UUID, sound: SoundState) -> None:
        """A page of a ward is open and sounds like this; NotFoundError for the ward. Audited when it falls mute, and when it is heard again."""
        ward = await self._placement.ward(principal, slug)
        tenant = tenant_of(principal)
        values = {
            "tenant": tenant,
            "screen": screen,
            "ward": ward.ward_id,
            "who": str(principal),
            "sound": sound.value,
        }
        async with self._database.transaction(tenant) as connection:
            await connection.execute(_QUERIES["in_turn"], {"screen": screen})
            row = await (await connection.execute(_QUERIES["tell"], values)).fetchone()
            if self._told % _FORGET_EVERY == 0:
                await connection.execute(_QUERIES["forget"], {"tenant": tenant})
            if row is not None and sound.is_mute != (row[0] is not None and SoundState(row[0]).is_mute):
                action = "screen.mute" if sound.is_mute else "screen.heard"
                await self.audit.write(
                    connection, principal, action, f"screen:{screen}", {"ward": ward.slug, "sound": sound.value}
                )
        self._told += 1

    @policy("screen.tell")
    async def close(self, principal: "Principal", slug: str, screen: UUID) -> None:
        """A page is closed by the person at it: nobody misses it. NotFoundError for the ward."""
        await self._placement.ward(principal, slug)
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            values = {"tenant": tenant, "screen": screen, "who": str(principal)}
            await connection.execute(_QUERIES["close"], values)

    @policy("screen.list")
    async def open(self, principal: "Principal") -> list[Screen]:
        """The pages that are open now, those that fell silent first, then those that cannot sound.

        While the hub itself was away no page could tell: silence counts from its start at the earliest.
        """
        tenant = tenant_of(principal)
        values = {"tenant": tenant, "silent": SILENT, "forgotten": FORGOTTEN, "began": self._began}
        async with self._database.transaction(tenant) as connection:
            rows = await (await connection.execute(_QUERIES["open"], values)).fetchall()
        return [Screen(r[0], r[1], r[2], r[3], SoundState(r[4]), r[5], r[6], r[7]) for r in rows]
