"""Signing in, step by step: a password or a one-time link, the second factor, and what has to be renewed before the session begins.

Answers to a wrong name, a wrong password and an account that is not active are one and the same, in text and in time
(OWASP ASVS 2.2). What was shown so far is kept by the hub under a secret of ten minutes, which the browser has as a cookie; cookies
and forms are left to `hub.web`.
"""

import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hub.accounts import domain
from hub.accounts.domain import Need, Proof, SecondFactor, Session, SignInName
from hub.accounts.proofs import Attempt, Attempts, Proofs
from hub.accounts.sessions import Sessions
from hub.core.audit import AuditLog
from hub.core.caller import Caller
from hub.core.db import Connection, Database
from hub.core.errors import ConflictError, GoneError, NotFoundError, UnauthenticatedError
from hub.core.principal import ANONYMOUS
from hub.core.sql import load_queries

_QUERIES = load_queries("hub.accounts")


@dataclass(frozen=True, slots=True)
class Invited:
    """Whom a one-time link is for."""

    tenant_id: int
    account_id: int
    name: str
    display_name: str


@dataclass(frozen=True, slots=True)
class Step:
    """A sign-in that is under way, and what it needs next; `secret` goes into a cookie of ten minutes and is kept nowhere."""

    secret: str
    need: Need
    tenant_id: int
    account_id: int
    name: str
    passed: frozenset[Proof]
    sealed: bytes | None = field(default=None, repr=False)
    challenge: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SettingUp:
    """A secret of codes that becomes the second factor when a code of it is typed."""

    secret: str
    address: str


class SignIn:
    """The way in, of all tenants."""

    def __init__(
        self, database: Database, audit: AuditLog, proofs: Proofs, sessions: Sessions, second_factor: SecondFactor
    ) -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit
        self._proofs = proofs
        self._sessions = sessions
        self._attempts = Attempts(database, audit)
        self._second_factor = second_factor

    async def with_password(self, typed_name: str, password: str, caller: Caller) -> Session | Step:
        """The first step; UnauthenticatedError for any reason, HeldBackError after several failures."""
        name = SignInName.parse(typed_name)
        async with self._database.connection() as connection:
            row = await (await connection.execute(_QUERIES["tenant_of_name"], {"name": name.tenant})).fetchone()
        # An unknown hospital is handled as an unknown name at the default one: failures are counted and time is spent alike.
        tenant = int(row[0]) if row else await self._default_tenant()
        found = None
        if row is not None:
            async with self._database.transaction(tenant) as connection:
                found = await (
                    await connection.execute(_QUERIES["account_of_name"], {"tenant": tenant, "name": name.name})
                ).fetchone()
        target = f"account:{found[0]}" if found else f"name:{name.key.hex()[:16]}"
        async with self._attempts.one(ANONYMOUS, tenant, name.key, target) as attempt:
            stored = str(found[2]) if found is not None and found[1] else None
            right = await self._proofs.passwords.check(password[: domain.TYPED_MAX], stored)
            if found is None or not right:
                raise UnauthenticatedError(
                    "Name or password is not right.", "Check both and try again.", reason="wrong-credentials"
                )
            async with self._database.transaction(tenant) as connection:
                reached = await self._go_on(connection, tenant, int(found[0]), frozenset({Proof.TYPED}), caller)
                if isinstance(reached, Session):
                    await attempt.forgiven(connection)
                else:
                    await attempt.passed(connection)
                await self._tell(connection, reached, "account.sign-in")
        return reached

    async def invited(self, token: str) -> Invited:
        """Tell whom a one-time link is for; NotFoundError (unknown) or GoneError (`used`, `expired`). Uses nothing up."""
        async with self._database.connection() as connection:
            row = await (
                await connection.execute(_QUERIES["find_invitation"], {"hash": domain.secret_hash(token)})
            ).fetchone()
        if row is None:
            await self._refused_link("unknown")
            raise NotFoundError(
                "This link is not known.",
                "Copy it whole, or ask an administrator for a new one.",
                reason="link-unknown",
            )
        tenant, account, name, display_name, state, expired, used = row
        if used or expired or state not in ("invited", "active"):
            why = "expired" if expired and not used else "used"
            await self._refused_link(why, int(tenant), int(account))
            raise GoneError(
                f"This link has been {why}." if why == "used" else "This link has expired.",
                "Ask an administrator for a new one.",
                reason=f"link-{why}",
            )
        return Invited(int(tenant), int(account), str(name), str(display_name))

    async def accept(self, token: str, password: str, caller: Caller) -> Session | Step:
        """Set the password of the invited account and go on; every session before ends. InvalidError `password-...`."""
        invited = await self.invited(token)
        tenant, account = invited.tenant_id, invited.account_id
        async with self._database.transaction(tenant) as connection:
            await self._proofs.set_password(connection, tenant, account, password)
            used = await connection.execute(_QUERIES["use_invitation"], {"hash": domain.secret_hash(token)})
            if used.rowcount != 1:
                raise GoneError("This link has been used.", "Ask an administrator for a new one.", reason="link-used")
            await connection.execute(_QUERIES["end_sessions"], {"account": account, "why": "link"})
            reached = await self._go_on(connection, tenant, account, frozenset({Proof.LINK}), caller)
            await self._tell(connection, reached, "account.set-password")
        return reached

    async def step(self, secret: str) -> Step:
        """The sign-in that this secret is of; UnauthenticatedError `step-over` when it took too long or has ended."""
        async with self._database.connection() as connection:
            row = await (
                await connection.execute(_QUERIES["find_step"], {"hash": domain.secret_hash(secret)})
            ).fetchone()
        if row is not None:
            tenant, account, passed = int(row[0]), int(row[1]), frozenset(Proof(one) for one in row[2])
            async with self._database.transaction(tenant) as connection:
                need, name = await self._need(connection, account, passed)
            if need is not None:
                sealed, challenge = (None if one is None else bytes(one) for one in row[3:5])
                return Step(secret, need, tenant, account, name, passed, sealed, challenge)
        raise UnauthenticatedError("This sign-in took too long, or it has ended.", "Begin again.", reason="step-over")

    async def with_code(self, secret: str, typed: str, caller: Caller) -> Session | Step:
        """Show the second factor; UnauthenticatedError `wrong-code`, HeldBackError after several."""
        step = await self._at(secret, Need.SECOND)
        async with self._attempt(step) as (attempt, connection):
            proof = await self._proofs.check_code(connection, step.account_id, typed)
            reached = await self._passed(connection, step, Proof.SECOND, caller)
            await attempt.forgiven(connection)
            await self._tell(connection, reached, "account.sign-in", {"by": proof})
        return reached

    async def passkey_asked(self, step: Step) -> str:
        """What the browser's authenticator is asked at this step, as JSON, new each time; "" for somebody without passkeys."""
        async with self._database.transaction(step.tenant_id) as connection:
            asked = await self._proofs.ask_for_passkey(connection, step.account_id)
            if asked is None:
                return ""
            values = {"hash": domain.secret_hash(step.secret), "challenge": asked.challenge}
            await connection.execute(_QUERIES["ask_step"], values)
        return asked.options

    async def with_passkey(self, secret: str, answer: str, caller: Caller) -> Session | Step:
        """Show the second factor by a passkey; UnauthenticatedError `wrong-passkey`, HeldBackError after several."""
        step = await self._at(secret, Need.SECOND)
        async with self._attempt(step) as (attempt, connection):
            values = {"hash": domain.secret_hash(secret), "challenge": None}
            await connection.execute(_QUERIES["ask_step"], values)
            proof = await self._proofs.check_passkey(connection, step.account_id, answer, step.challenge)
            reached = await self._passed(connection, step, Proof.SECOND, caller)
            await attempt.forgiven(connection)
            await self._tell(connection, reached, "account.sign-in", {"by": proof})
        return reached

    async def set_up(self, secret: str) -> SettingUp:
        """The secret that this sign-in sets up; the same however often it is asked for."""
        step = await self._at(secret, Need.ENROL)
        codes = self._proofs.codes
        if step.sealed is not None:
            chosen = codes.open(step.sealed, step.account_id)
        else:
            chosen = codes.new_secret()
            values = {"hash": domain.secret_hash(secret), "sealed": codes.seal(chosen, step.account_id)}
            async with self._database.transaction(step.tenant_id) as connection:
                await connection.execute(_QUERIES["keep_sealed"], values)
        return SettingUp(chosen, codes.address(chosen, step.name))

    async def confirm(self, secret: str, typed: str, caller: Caller) -> tuple[Session | Step, Sequence[str]]:
        """Make it the second factor by its first code, and go on; the recovery codes are told this once."""
        step = await self._at(secret, Need.ENROL)
        if step.sealed is None:
            raise ConflictError("There is nothing to confirm.", "Load the page again.", reason="nothing-set-up")
        chosen = self._proofs.codes.open(step.sealed, step.account_id)
        async with self._attempt(step) as (attempt, connection):
            await self._proofs.keep_totp(connection, step.tenant_id, step.account_id, chosen, typed)
            recovery = await self._proofs.new_recovery_codes(connection, step.tenant_id, step.account_id)
            reached = await self._passed(connection, step, Proof.SECOND, caller)
            await attempt.forgiven(connection)
            await self._tell(connection, reached, "account.set-second-factor", {"kind": "totp"})
        return reached, recovery

    async def renew(self, secret: str, password: str, caller: Caller) -> Session | Step:
        """Choose another password in place of one that is too old; InvalidError `password-...`."""
        step = await self._at(secret, Need.RENEW)
        async with self._database.transaction(step.tenant_id) as connection:
            await self._proofs.set_password(connection, step.tenant_id, step.account_id, password)
            reached = await self._passed(connection, step, Proof.TYPED, caller)
            await self._tell(connection, reached, "account.set-password")
        return reached

    @asynccontextmanager
    async def _attempt(self, step: Step) -> AsyncGenerator[tuple[Attempt, Connection]]:
        """An attempt at a code, and a transaction of the tenant."""
        key = SignInName(step.name, await tenant_name(self._database, step.tenant_id)).key
        async with (
            self._attempts.one(ANONYMOUS, step.tenant_id, key, f"account:{step.account_id}") as attempt,
            self._database.transaction(step.tenant_id) as connection,
        ):
            yield attempt, connection

    async def _at(self, secret: str, need: Need) -> Step:
        step = await self.step(secret)
        if step.need is not need:
            raise ConflictError("This sign-in is at another step.", "Load the page again.", reason="other-step")
        return step

    async def _passed(self, connection: Connection, step: Step, proof: Proof, caller: Caller) -> Session | Step:
        passed = step.passed | {proof}
        need, name = await self._need(connection, step.account_id, passed)
        if need is None:
            return await self._begin(connection, step.tenant_id, step.account_id, caller)
        values = {"hash": domain.secret_hash(step.secret), "passed": sorted(passed)}
        await connection.execute(_QUERIES["pass_step"], values)
        return Step(step.secret, need, step.tenant_id, step.account_id, name, passed)

    async def _go_on(
        self, connection: Connection, tenant: int, account: int, passed: frozenset[Proof], caller: Caller
    ) -> Session | Step:
        need, name = await self._need(connection, account, passed)
        if need is None:
            return await self._begin(connection, tenant, account, caller)
        secret = secrets.token_urlsafe(32)
        values = {
            "hash": domain.secret_hash(secret),
            "tenant": tenant,
            "account": account,
            "passed": sorted(passed),
            "life": domain.STEP_LIFE,
        }
        await connection.execute(_QUERIES["begin_step"], values)
        return Step(secret, need, tenant, account, name, passed)

    async def _begin(self, connection: Connection, tenant: int, account: int, caller: Caller) -> Session:
        await connection.execute(_QUERIES["end_steps"], {"account": account})
        return await self._sessions.begin(connection, tenant, account, caller)

    async def _need(self, connection: Connection, account: int, passed: frozenset[Proof]) -> tuple[Need | None, str]:
        row = await (await connection.execute(_QUERIES["account_of_id"], {"account": account})).fetchone()
        assert row is not None
        need = domain.needs(passed, has_second=bool(row[6]), policy=self._second_factor, password_age=row[5])
        return need, str(row[0])

    async def _tell(
        self, connection: Connection, reached: Session | Step, action: str, details: dict[str, str] | None = None
    ) -> None:
        if isinstance(reached, Session):
            who = reached.person.principal
            await self.audit.write(connection, who, action, f"account:{who.id}", dict(details or {}))
            return
        told = {**(details or {}), "next": reached.need}
        await self.audit.write(
            connection, ANONYMOUS, action, f"account:{reached.account_id}", told, tenant_id=reached.tenant_id
        )

    async def _refused_link(self, why: str, tenant: int | None = None, account: int | None = None) -> None:
        target = f"account:{account}" if account else "-"
        details = {"reason": f"link-{why}"}
        await self.audit.record(ANONYMOUS, "account.follow-link", target, details, outcome="denied", tenant_id=tenant)

    async def _default_tenant(self) -> int:
        async with self._database.connection() as connection:
            row = await (
                await connection.execute(_QUERIES["tenant_of_name"], {"name": domain.DEFAULT_TENANT})
            ).fetchone()
        assert row is not None
        return int(row[0])


async def tenant_name(database: Database, tenant: int) -> str:
    """The name by which people name a hospital when they sign in."""
    async with database.connection() as connection:
        row = await (await connection.execute(b"select name from tenant where tenant_id = %s", [tenant])).fetchone()
    assert row is not None
    return str(row[0])
