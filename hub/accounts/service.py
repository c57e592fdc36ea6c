"""What can be done with accounts: invite, list, disable; what others are called, and which wards somebody sees.

The way in is `sign_in`, who is in `sessions`, and what somebody does with the own account `own`.
"""

import secrets
from collections.abc import Iterable, Mapping

from psycopg.errors import UniqueViolation

from hub.accounts import domain
from hub.accounts.domain import Account, Invitation, SignInName
from hub.accounts.sessions import Inside, Sessions
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

    def __init__(self, database: Database, audit: AuditLog, inside: Iterable[str] = ()) -> None:
        """`database` as the role web; `inside`: the networks of the hospital."""
        self._database = database
        self.audit = audit
        self.sessions = Sessions(database, audit, Inside(inside))

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
            "valid_until": invitation.valid_until,
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
                    "until": invitation.valid_until and invitation.valid_until.isoformat(),
                },
            )
        return token

    @policy("account.list")
    async def every(self, principal: Principal) -> list[Account]:
        """Every account of the tenant, by name."""
        tenant = tenant_of(principal)
        hospital = await tenant_name(self._database, tenant)
        values = {"tenant": tenant, "idle": domain.SESSION_IDLE}
        async with self._database.transaction(tenant) as connection:
            rows = await (await connection.execute(_QUERIES["accounts"], values)).fetchall()
            locks = await (await connection.execute(_QUERIES["locked"], values)).fetchall()
            await self.audit.write(connection, principal, "account.list", f"tenant:{tenant}")
        locked = {bytes(key): until for key, until in locks}
        return [
            Account(
                account_id, name, display_name, staff_number, tuple(roles), state, tuple(wards), has_second, valid_until, reviewed_at,
                seen_at, is_signed_in, locked.get(SignInName(name, hospital).key),
            )
            for account_id, name, display_name, staff_number, roles, state, wards, has_second, valid_until, reviewed_at,
                seen_at, is_signed_in in rows
        ]  # fmt: skip

    @policy("account.list")
    async def wards_there(self, principal: Principal) -> list[tuple[str, str]]:
        """The wards of the tenant to which somebody can be assigned: slug and name."""
        async with self._database.transaction(tenant_of(principal)) as connection:
            rows = await (await connection.execute(_QUERIES["wards_there"], {"tenant": principal.tenant_id})).fetchall()
        return [(str(row[0]), str(row[1])) for row in rows]

    @policy("account.disable")
    async def disable(self, principal: Principal, name: str) -> None:
        """Let nobody in under this name any more, and end its sessions at once; NotFoundError when there is none."""
        await self._end(principal, name, "disabled")

    @policy("account.disable")
    async def close(self, principal: Principal, name: str) -> None:
        """As `disable`, and for good: somebody has left. What the person did stays, and the name is not given again."""
        await self._end(principal, name, "closed")

    @policy("account.disable")
    async def end_sessions(self, principal: Principal, name: str) -> None:
        """End the sessions of an account and the sign-ins under way; it may sign in again. NotFoundError."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            account = await self._account(connection, tenant, name)
            for query in ("end_sessions", "end_steps"):
                await connection.execute(_QUERIES[query], {"account": account, "why": "ended"})
            await self.audit.write(connection, principal, "account.end-sessions", f"account:{account}")

    @policy("account.invite")
    async def review(self, principal: Principal, name: str) -> None:
        """Say that the account and its rights were looked at and are right; due again in half a year. NotFoundError."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            account = await self._account(connection, tenant, name)
            await connection.execute(_QUERIES["review"], {"account": account})
            await self.audit.write(connection, principal, "account.review", f"account:{account}")

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
            changed = await connection.execute(_QUERIES["change"], values)
        except UniqueViolation as error:
            raise ConflictError(
                f"The staff number {values['staff_number']!r} is another account's.",
                "See whose with: wardlink hub account list",
                reason="staff-number-taken",
            ) from error
        if changed.rowcount != 1:
            raise ConflictError(
                f"The account {values['name']!r} is closed.",
                "A closed account stays closed, so that its name means one person; choose another name.",
                reason="account-closed",
            )

    async def _account(self, connection: Connection, tenant: int, name: str) -> int:
        found = await (
            await connection.execute(_QUERIES["account_of_name"], {"tenant": tenant, "name": name})
        ).fetchone()
        if found is None:
            raise NotFoundError(f"There is no account {name!r}.", "See the names with: wardlink hub account list")
        return int(found[0])

    async def _end(self, principal: Principal, name: str, state: str) -> None:
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            account = await self._account(connection, tenant, name)
            if principal.kind is PrincipalKind.USER and principal.id == str(account):
                raise ConflictError(
                    "This is your own account.", "Let another administrator do it.", reason="own-account"
                )
            for query in ("disable", "end_sessions", "withdraw_invitations", "end_steps"):
                await connection.execute(_QUERIES[query], {"account": account, "why": "disabled", "state": state})
            await self.audit.write(connection, principal, "account.disable", f"account:{account}", {"state": state})
