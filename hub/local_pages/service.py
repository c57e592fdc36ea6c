"""Which local pages a ward has, and a ticket to each for the person who asks; every issue is in the audit."""

import secrets
import time
from typing import TYPE_CHECKING

from hub.core.policy import policy
from hub.core.principal import PrincipalKind, tenant_of
from hub.core.sql import load_queries
from hub.local_pages.domain import LIFE_S, LocalPage, any_port, origin_of, socket_origin
from hub.web.guard import content_policy
from protocols.ticket import Ticket, issue

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from hub.core.audit import AuditLog
    from hub.core.db import Database
    from hub.core.principal import Principal
    from hub.placement.domain import Ward

_QUERIES = load_queries("hub.local_pages")
_LONGEST_NAME = 60  # characters of a ward's name: a ticket has a bounded length


class LocalPages:
    """The service."""

    def __init__(self, database: "Database", audit: "AuditLog", key: "Ed25519PrivateKey | None") -> None:
        """`database` as the role web; without a key no page is offered."""
        self._database = database
        self.audit = audit
        self._key = key

    @policy("ward.read")
    async def content_policy(self, principal: "Principal", ward: "Ward") -> str:
        """The Content-Security-Policy of a page of this ward: when the hub is away it goes on from these gateways, and nowhere else.

        Gateways that are just being set up may be named by port alone later, while the page is open. `ward` is one that the principal
        was let into.
        """
        tenant = tenant_of(principal)
        origins = [origin for _, origin, _, _ in await self._pages(tenant, ward)]
        async with self._database.transaction(tenant) as connection:
            rows = await (await connection.execute(_QUERIES["untold"], {"tenant": tenant})).fetchall()
        origins += [origin for (addresses,) in rows for address in addresses for origin in any_port(address)]
        return content_policy(part for origin in origins for part in (origin, socket_origin(origin)))

    @policy("ward.read")
    async def tickets(self, principal: "Principal", ward: "Ward", name: str) -> list[LocalPage]:
        """The pages with a ticket each, for a person that pages call `name`. `ward` is one that they were let into."""
        found = await self._pages(tenant_of(principal), ward)
        if self._key is None or principal.kind is not PrincipalKind.USER or not found:
            return []
        now_s = int(time.time())
        pages: list[LocalPage] = []
        for gateway, origin, beds, tenant in found:
            ticket = Ticket(
                tenant=tenant,
                ward=ward.slug,
                ward_name=ward.name[:_LONGEST_NAME],
                gateway=gateway,
                account=int(principal.id),
                name=name,
                roles=tuple(sorted(role.value for role in principal.roles)),
                not_before_s=now_s,
                not_after_s=now_s + LIFE_S,
                nonce=secrets.token_urlsafe(9),
            )
            pages.append(LocalPage(gateway, origin, beds, issue(ticket, self._key), ticket.not_after_s))
        details = {"gateways": ",".join(page.gateway for page in pages)}
        await self.audit.record(principal, "ward.ticket", f"ward:{ward.ward_id}", details)
        return pages

    async def _pages(self, tenant: int, ward: "Ward") -> list[tuple[str, str, tuple[str, ...], str]]:
        """Gateway, origin, beds, and the tenant's name."""
        async with self._database.transaction(tenant) as connection:
            values = {"tenant": tenant, "ward": ward.ward_id}
            rows = await (await connection.execute(_QUERIES["pages"], values)).fetchall()
        told = [(row[0], origin_of(row[2], row[1]), tuple(row[3]), row[4]) for row in rows]
        return [(name, origin, beds, named) for name, origin, beds, named in told if origin is not None]
