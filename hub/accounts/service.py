"""What can be done with accounts: invite, list, disable, sign in and out, follow a one-time link, tell who a session belongs to.

Answers to a wrong name, a wrong password and an account that is not active are one and the same, in text and in time
(OWASP ASVS 2.2). Cookies and forms are left to `hub.web`.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hub.accounts import domain
from hub.accounts.domain import Account, Invitation, Person, Session, SignInName
from hub.accounts.passwords import Passwords
from hub.core.audit import AuditLog
from hub.core.db import Connection, Database
from hub.core.errors import GoneError, InvalidError, NotFoundError, UnauthenticatedError
from hub.core.policy import policy
from hub.core.principal import ANONYMOUS, Principal, PrincipalKind, Role, tenant_of
from hub.core.sql import load_queries

_QUERIES = load_queries("hub.accounts")
_EVERY_WARD = frozenset({Role.ADMINISTRATOR, Role.ENGINEER})  # of the tenant, without patients


@dataclass(frozen=True, slots=True)
class Invited:
    """Whom a one-time link is for."""

    tenant_id: int
    account_id: int
    name: str
    display_name: str


class HeldBackError(UnauthenticatedError):
    """Too many failures; `wait_s` until the next attempt is looked at."""

    status = 429
    title = "Too many failed attempts"

    def __init__(self, wait_s: float) -> None:
        """Say how long to wait."""
        super().__init__(
            "There were too many failed attempts under this name.",
            f"Wait {max(1, round(wait_s))} s and try again, or ask an administrator for a new one-time link.",
            reason="held-back",
        )
        self.wait_s = wait_s


class Accounts:
    """The accounts of all tenants; each call touches one."""

    def __init__(self, database: Database, audit: AuditLog, passwords: Passwords) -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit
        self._passwords = passwords

    @policy("account.invite")
    async def invite(self, principal: Principal, invitation: Invitation) -> str:
        """Make the account, or take an existing one, and return a new one-time token; earlier ones stop working.

        An existing account keeps its password until the link is followed. NotFoundError names a ward that is not there.
        """
        tenant = tenant_of(principal)
        token = secrets.token_urlsafe(32)
        key = SignInName(invitation.name, await self._tenant_name(tenant)).key
        values = {
            "tenant": tenant,
            "name": invitation.name,
            "display_name": invitation.display_name,
            "roles": sorted(invitation.roles),
        }
        async with self._database.transaction(tenant) as connection:
            found = await (await connection.execute(_QUERIES["account_of_name"], values)).fetchone()
            if found is None:
                found = await (await connection.execute(_QUERIES["add"], values)).fetchone()
                assert found is not None
            account = int(found[0])
            await connection.execute(_QUERIES["change"], values | {"account": account})
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
                {"roles": ",".join(sorted(invitation.roles)), "wards": ",".join(invitation.wards)},
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
            for query in ("disable", "end_sessions", "withdraw_invitations"):
                await connection.execute(_QUERIES[query], {"account": found[0]})
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

    async def sign_in(self, typed_name: str, password: str) -> Session:
        """Open a session; UnauthenticatedError for any reason, HeldBackError after several failures."""
        name = SignInName.parse(typed_name)
        async with self._database.connection() as connection:
            row = await (await connection.execute(_QUERIES["tenant_of_name"], {"name": name.tenant})).fetchone()
        # An unknown hospital is handled as an unknown name at the default one: failures are counted and time is spent alike.
        tenant = int(row[0]) if row else await self._default_tenant()
        await self._refuse_when_held_back(tenant, name)
        found = None
        if row is not None:
            async with self._database.transaction(tenant) as connection:
                found = await (
                    await connection.execute(_QUERIES["account_of_name"], {"tenant": tenant, "name": name.name})
                ).fetchone()
        active = found is not None and found[1] == "active"
        right = await self._passwords.check(
            password[: domain.PASSWORD_MAX + 1], str(found[4]) if active and found else None
        )
        if found is None or not right:
            await self._count_failure(tenant, name, int(found[0]) if found else None)
            raise UnauthenticatedError(
                "Name or password is not right.", "Check both and try again.", reason="wrong-credentials"
            )
        async with self._database.transaction(tenant) as connection:
            await connection.execute(_QUERIES["forgive"], {"key": name.key})
            session = await self._open(connection, tenant, int(found[0]), str(found[2]), found[3])
            await self.audit.write(
                connection, session.person.principal, "account.sign-in", f"account:{found[0]}", tenant_id=tenant
            )
        return session

    async def who(self, secret: str) -> Person | None:
        """Tell whose session this is; None when there is no such session, it has ended, or its account is disabled."""
        values = {
            "hash": domain.secret_hash(secret),
            "idle": domain.SESSION_IDLE,
            "touch": domain.SESSION_TOUCH,
        }
        async with self._database.connection() as connection:
            row = await (await connection.execute(_QUERIES["find_session"], values)).fetchone()
        if row is None:
            return None
        session_id, tenant, account, display_name, roles, stale = row
        if stale:
            async with self._database.transaction(tenant) as connection:
                await connection.execute(_QUERIES["touch_session"], {"session": session_id})
        return domain.person(tenant, account, display_name, roles, session_id)

    @policy("session.end")
    async def sign_out(self, principal: Principal) -> None:
        """End the principal's session; its cookie is worth nothing from now on."""
        async with self._database.transaction(tenant_of(principal)) as connection:
            await connection.execute(_QUERIES["end_session"], {"session": principal.session})
            await self.audit.write(connection, principal, "account.sign-out", f"account:{principal.id}")

    async def invited(self, token: str) -> Invited:
        """Tell whom a one-time link is for; NotFoundError (unknown) or GoneError (`used`, `expired`). Uses nothing up."""
        async with self._database.connection() as connection:
            row = await (
                await connection.execute(_QUERIES["find_invitation"], {"hash": domain.secret_hash(token)})
            ).fetchone()
        if row is None:
            await self._refused_link(None, "unknown")
            raise NotFoundError(
                "This link is not known.",
                "Copy it whole, or ask an administrator for a new one.",
                reason="link-unknown",
            )
        tenant, account, name, display_name, state, expired, used = row
        if used or expired or state == "disabled":
            why = "expired" if expired and not used else "used"
            await self._refused_link(int(tenant), why, int(account))
            raise GoneError(
                f"This link has been {why}." if why == "used" else "This link has expired.",
                "Ask an administrator for a new one.",
                reason=f"link-{why}",
            )
        return Invited(int(tenant), int(account), str(name), str(display_name))

    async def accept(self, token: str, password: str) -> Session:
        """Set the password of the invited account and sign in; every session before ends. InvalidError `password-...`."""
        invited = await self.invited(token)
        fault = domain.password_fault(password, invited.name)
        if fault is not None:
            raise InvalidError(
                f"This password is too {fault}.",
                f"Choose one of {domain.PASSWORD_MIN} to {domain.PASSWORD_MAX} characters that is not on attackers' lists.",
                reason=f"password-{fault}",
            )
        password_hash = await self._passwords.make(password)
        values = {"account": invited.account_id, "password_hash": password_hash}
        async with self._database.transaction(invited.tenant_id) as connection:
            used = await connection.execute(_QUERIES["use_invitation"], {"hash": domain.secret_hash(token)})
            row = await (await connection.execute(_QUERIES["set_password"], values)).fetchone()
            if used.rowcount != 1 or row is None:
                raise GoneError("This link has been used.", "Ask an administrator for a new one.", reason="link-used")
            await connection.execute(_QUERIES["end_sessions"], {"account": invited.account_id})
            session = await self._open(connection, invited.tenant_id, invited.account_id, str(row[0]), row[1])
            await self.audit.write(
                connection, session.person.principal, "account.set-password", f"account:{invited.account_id}"
            )
        return session

    async def _open(
        self, connection: Connection, tenant: int, account: int, display_name: str, roles: Sequence[str]
    ) -> Session:
        secret = secrets.token_urlsafe(32)
        values = {
            "hash": domain.secret_hash(secret),
            "tenant": tenant,
            "account": account,
            "life": domain.SESSION_LIFE,
        }
        row = await (await connection.execute(_QUERIES["open_session"], values)).fetchone()
        assert row is not None
        return Session(secret, domain.person(tenant, account, display_name, roles, str(row[0])))

    async def _assign(self, connection: Connection, tenant: int, account: int, ward: str) -> None:
        done = await connection.execute(_QUERIES["assign_ward"], {"tenant": tenant, "account": account, "ward": ward})
        if done.rowcount != 1:
            raise NotFoundError(
                f"There is no ward {ward!r}.",
                "Write it into a file as [[ward]] and run: wardlink hub seed --file FILE",
                reason="ward-unknown",
            )

    async def _refuse_when_held_back(self, tenant: int, name: SignInName) -> None:
        async with self._database.transaction(tenant) as connection:
            row = await (await connection.execute(_QUERIES["blocked"], {"key": name.key})).fetchone()
            if row is not None and row[1] > 0:
                await self.audit.write(
                    connection,
                    ANONYMOUS,
                    "account.sign-in",
                    f"name:{name.key.hex()[:16]}",
                    {"reason": "held-back", "failures": int(row[0])},
                    outcome="denied",
                    tenant_id=tenant,
                )
        if row is not None and row[1] > 0:
            raise HeldBackError(float(row[1]))

    async def _count_failure(self, tenant: int, name: SignInName, account: int | None) -> None:
        async with self._database.transaction(tenant) as connection:
            values = {"key": name.key, "tenant": tenant, "forgotten": domain.FAILURES_FORGOTTEN}
            row = await (await connection.execute(_QUERIES["failed"], values)).fetchone()
            assert row is not None
            wait = domain.held_back(int(row[0]))
            await connection.execute(_QUERIES["hold_back"], {"key": name.key, "wait": wait})
            await self.audit.write(
                connection,
                ANONYMOUS,
                "account.sign-in",
                f"account:{account}" if account else f"name:{name.key.hex()[:16]}",
                {"reason": "wrong-credentials", "failures": int(row[0]), "wait_s": wait.total_seconds()},
                outcome="denied",
                tenant_id=tenant,
            )

    async def _refused_link(self, tenant: int | None, why: str, account: int | None = None) -> None:
        target = f"account:{account}" if account else "-"
        details = {"reason": f"link-{why}"}
        await self.audit.record(ANONYMOUS, "account.follow-link", target, details, outcome="denied", tenant_id=tenant)

    async def _tenant_name(self, tenant: int) -> str:
        async with self._database.connection() as connection:
            row = await (await connection.execute(b"select name from tenant where tenant_id = %s", [tenant])).fetchone()
        assert row is not None
        return str(row[0])

    async def _default_tenant(self) -> int:
        async with self._database.connection() as connection:
            row = await (
                await connection.execute(_QUERIES["tenant_of_name"], {"name": domain.DEFAULT_TENANT})
            ).fetchone()
        assert row is not None
        return int(row[0])
