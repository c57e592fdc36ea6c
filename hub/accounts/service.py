"""What can be done with accounts: invite, list, disable; what others are called, and which wards somebody sees.

The way in is `sign_in`, who is in `sessions`, and what somebody does with the own account `own`.
"""

import secrets
from collections.abc import Iterable, Mapping

from psycopg.errors import UniqueViolation

from hub.accounts import domain
from hub.accounts.domain import Account, Invitation, SignInName
from hub.accounts.sessions import Sessions
from hub.accounts.sign_in import tenant_name
from hub.core.audit import AuditLog
from hub.core.db import Connection, Database
from hub.core.errors import ConflictError, NotFoundError
from hub.core.policy import policy
from hub.core.principal import Principal, PrincipalKind, Role, tenant_of
from hub.core.sql import load_queries

_QUERIES = load_queries("hub.accounts")
_EVERY_WARD = frozenset({Role.ADMINISTRATOR, Role.ENGINEER})  # of the tenant, without patients


class Accounts:
    """The accounts of all tenants; each call touches one."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit
        self.sessions = Sessions(database, audit)

    @policy("account.invite")
    async def invite(self, principal: Principal, invitation: Invitation) -> str:
        """Make the account, or take an existing one, and return a new one-time token; earlier ones stop working.

        An existing account keeps its password until the link is followed. NotFoundError names a ward that is not there.
        """
        tenant = tenant_of(principal)
        token = secrets.token_urlsafe(32)
        key = SignInName(invitation.name, await tenant_name(self._database, tenant)).key
        values = {
            "tenant": tenant,
            "name": invitation.name,
            "display_name": invitation.display_name,
            "roles": sorted(invitation.roles),
            "staff_number": invitation.staff_number,
        }
        async with self._database.transaction(tenant) as connection:
            found = await (await connection.execute(_QUERIES["account_of_name"], values)).fetchone()
            if found is None:
                found = await (await connection.execute(_QUERIES["add"], values)).fetchone()
                assert found is not None
            account = int(found[0])
            await self._change(connection, values | {"account": account})
            if invitation.is_second_factor_reset:
                for query in ("forget_factors", "forget_recovery"):
                    await connection.execute(_QUERIES[query], {"account": account})
            await connection.execute(_QUERIES["forget_wards"], {"account": account})
            for ward in invitation.wards:
                await self._assign(connection, tenant, account, ward)
            await connection.execute(_QUERIES["withdraw_invitations"], {"account": account})
            await connection.execute(
                _QUERIES["invite"],
                {
                    "hash": domain.secret_hash(token),
                    "tenant": tenant,
                    "account": account,
                    "life": domain.INVITATION_LIFE,
                },
            )
            await connection.execute(_QUERIES["forgive"], {"key": key})
            await self.audit.write(
                connection,
                principal,
                "account.invite",
                f"account:{account}",
                {
                    "roles": ",".join(sorted(invitation.roles)),
                    "wards": ",".join(invitation.wards),
                    "second_factor_reset": invitation.is_second_factor_reset,
                },
            )
        return token

    @policy("account.list")
    async def every(self, principal: Principal) -> list[Account]:
        """Every account of the tenant, by name."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            rows = await (await connection.execute(_QUERIES["accounts"], {"tenant": tenant})).fetchall()
            await self.audit.write(connection, principal, "account.list", f"tenant:{tenant}")
        return [Account(r[0], r[1], r[2], tuple(r[3]), r[4], tuple(r[5])) for r in rows]

    @policy("account.disable")
    async def disable(self, principal: Principal, name: str) -> None:
        """Let nobody in under this name any more, and end its sessions at once; NotFoundError when there is none."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            found = await (
                await connection.execute(_QUERIES["account_of_name"], {"tenant": tenant, "name": name})
            ).fetchone()
            if found is None:
                raise NotFoundError(f"There is no account {name!r}.", "See the names with: wardlink hub account list")
            for query in ("disable", "end_sessions", "withdraw_invitations", "end_steps"):
                await connection.execute(_QUERIES[query], {"account": found[0], "why": "disabled"})
            await self.audit.write(connection, principal, "account.disable", f"account:{found[0]}")

    @policy("ward.read")
    async def names(self, principal: Principal, accounts: Iterable[int]) -> dict[int, str]:
        """Display names by account id; ids of other tenants are left out. For those who see what these people did."""
        wanted = sorted(set(accounts))
        if not wanted:
            return {}
        async with self._database.transaction(tenant_of(principal)) as connection:
            rows = await (await connection.execute(_QUERIES["names"], {"ids": wanted})).fetchall()
        return {int(row[0]): str(row[1]) for row in rows}

    @policy("ward.read")
    async def wards(self, principal: Principal) -> frozenset[int] | None:
        """Ids of the wards that the principal may see; None: every ward of the tenant."""
        if principal.kind is not PrincipalKind.USER or not principal.roles.isdisjoint(_EVERY_WARD):
            return None
        async with self._database.transaction(tenant_of(principal)) as connection:
            rows = await (await connection.execute(_QUERIES["wards"], {"account": int(principal.id)})).fetchall()
        return frozenset(int(row[0]) for row in rows)

    async def _assign(self, connection: Connection, tenant: int, account: int, ward: str) -> None:
        done = await connection.execute(_QUERIES["assign_ward"], {"tenant": tenant, "account": account, "ward": ward})
        if done.rowcount != 1:
            raise NotFoundError(
                f"There is no ward {ward!r}.",
                "Write it into a file as [[ward]] and run: wardlink hub seed --file FILE",
                reason="ward-unknown",
            )

    async def _change(self, connection: Connection, values: Mapping[str, object]) -> None:
        try:
            await connection.execute(_QUERIES["change"], values)
        except UniqueViolation as error:
            raise ConflictError(
                f"The staff number {values['staff_number']!r} is another account's.",
                "See whose with: wardlink hub account list",
                reason="staff-number-taken",
            ) from error
