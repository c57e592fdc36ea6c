"""What people do with their own account: change the password, set up the second factor anew, make new recovery codes, prove themselves again.

Each needs the password that is, and the second factor where there is one, whoever sits at the open page.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.accounts import domain
from hub.accounts.domain import SignInName
from hub.accounts.passkeys import wrong_passkey
from hub.accounts.proofs import PASSKEY, Attempts, Proofs
from hub.accounts.sign_in import SettingUp, tenant_name
from hub.core.audit import AuditLog
from hub.core.db import Connection, Database
from hub.core.errors import NotFoundError, UnauthenticatedError
from hub.core.policy import policy
from hub.core.principal import Principal, tenant_of
from hub.core.sql import load_queries

_QUERIES = load_queries("hub.accounts")
NAME_MAX = 60  # characters of what somebody calls a passkey


@dataclass(frozen=True, slots=True)
class Factor:
    """A second factor that is set up."""

    kind: str
    name: str
    created_at: datetime
    used_at: datetime | None
    factor_id: int


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """An account as its person sees it."""

    name: str
    display_name: str
    staff_number: str
    roles: tuple[str, ...]
    password_left: timedelta
    factors: tuple[Factor, ...]
    recovery_left: int
    can_have_passkeys: bool

    @property
    def passkeys(self) -> list[Factor]:
        """The passkeys among the factors."""
        return [one for one in self.factors if one.kind == PASSKEY]


@dataclass(frozen=True, slots=True)
class Shown:
    """What somebody typed to prove who they are; `code` may be empty where no second factor is set up."""

    password: str
    code: str = ""


class Own:
    """Each call touches the account of the principal."""

    def __init__(self, database: Database, audit: AuditLog, proofs: Proofs) -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit
        self._proofs = proofs
        self._attempts = Attempts(database, audit)

    @policy("account.own")
    async def account(self, principal: Principal) -> OwnAccount:
        """What is kept of it."""
        values = {"account": int(principal.id)}
        async with self._database.transaction(tenant_of(principal)) as connection:
            row = await (await connection.execute(_QUERIES["account_of_id"], values)).fetchone()
            factors = await (await connection.execute(_QUERIES["factors"], values)).fetchall()
            left = await (await connection.execute(_QUERIES["recovery_left"], values)).fetchone()
        assert row is not None
        assert left is not None
        return OwnAccount(
            str(row[0]), str(row[1]), str(row[2]), tuple(row[3]), domain.PASSWORD_LIFE - row[5],
            tuple(Factor(*one) for one in factors), int(left[0]), self._proofs.passkeys.are_offered,
        )  # fmt: skip

    @policy("account.own")
    async def change_password(self, principal: Principal, shown: Shown, password: str) -> None:
        """Set another password; other sessions end. UnauthenticatedError for what was shown, InvalidError `password-...`."""
        tenant, account = tenant_of(principal), int(principal.id)
        async with self._proved(principal, shown) as connection:
            await self._proofs.set_password(connection, tenant, account, password)
            values = {"account": account, "session": principal.session, "why": "password"}
            await connection.execute(_QUERIES["end_other_sessions"], values)
            await self.audit.write(connection, principal, "account.set-password", f"account:{account}")

    @policy("account.own")
    async def set_up(self, principal: Principal, secret: str = "") -> SettingUp:
        """A secret of codes, or the one that was given out before; nothing is kept of it until `confirm`."""
        secret = secret or self._proofs.codes.new_secret()
        name = (await self.account(principal)).name
        return SettingUp(secret, self._proofs.codes.address(secret, name))

    @policy("account.own")
    async def confirm(self, principal: Principal, shown: Shown, secret: str, typed: str) -> Sequence[str]:
        """Make it the second factor by a code of it, in place of the one before; returns fresh recovery codes, this once."""
        tenant, account = tenant_of(principal), int(principal.id)
        async with self._proved(principal, shown) as connection:
            await self._proofs.keep_totp(connection, tenant, account, secret, typed)
            recovery = await self._proofs.new_recovery_codes(connection, tenant, account)
            await self.audit.write(
                connection, principal, "account.set-second-factor", f"account:{account}", {"kind": "totp"}
            )
        return recovery

    @policy("account.own")
    async def passkey_asked(self, principal: Principal) -> str:
        """What the browser's authenticator is asked for a new passkey, as JSON, new each time."""
        account = int(principal.id)
        name = (await self.account(principal)).name
        async with self._database.transaction(tenant_of(principal)) as connection:
            known = await self._proofs.known_passkeys(connection, account)
            asked = self._proofs.passkeys.to_add(account, name, known)
            values = {"account": account, "session": principal.session, "challenge": asked.challenge}
            await connection.execute(_QUERIES["ask_session"], values)
        return asked.options

    @policy("account.own")
    async def add_passkey(self, principal: Principal, shown: Shown, name: str, answer: str) -> None:
        """Keep a new passkey beside the codes; UnauthenticatedError for what was shown, and `wrong-passkey`."""
        tenant, account = tenant_of(principal), int(principal.id)
        of = {"account": account, "session": principal.session}
        async with self._proved(principal, shown) as connection:
            row = await (await connection.execute(_QUERIES["asked_of_session"], of)).fetchone()
            if row is None or row[0] is None:
                raise wrong_passkey()
            made = self._proofs.passkeys.added(answer, bytes(row[0]))
            await connection.execute(_QUERIES["ask_session"], of | {"challenge": None})
            values = {
                "tenant": tenant, "account": account, "name": name.strip()[:NAME_MAX] or "?",
                "credential": made.credential, "public_key": made.public_key, "sign_count": made.sign_count,
            }  # fmt: skip
            if (await connection.execute(_QUERIES["add_passkey"], values)).rowcount != 1:
                raise wrong_passkey()
            await self.audit.write(
                connection, principal, "account.set-second-factor", f"account:{account}", {"kind": PASSKEY}
            )

    @policy("account.own")
    async def remove_passkey(self, principal: Principal, factor: int) -> None:
        """Forget a passkey; NotFoundError when it is not there. The codes stay."""
        tenant, account = tenant_of(principal), int(principal.id)
        async with self._database.transaction(tenant) as connection:
            values = {"account": account, "factor": factor}
            if (await connection.execute(_QUERIES["forget_passkey"], values)).rowcount != 1:
                raise NotFoundError("This passkey is not there any more.", "Load the page again.", reason="passkey")
            await self.audit.write(
                connection, principal, "account.remove-passkey", f"account:{account}", {"factor": factor}
            )

    @policy("account.own")
    async def new_recovery_codes(self, principal: Principal, shown: Shown) -> Sequence[str]:
        """Fresh recovery codes, told this once; earlier ones stop working."""
        tenant, account = tenant_of(principal), int(principal.id)
        async with self._proved(principal, shown) as connection:
            recovery = await self._proofs.new_recovery_codes(connection, tenant, account)
            await self.audit.write(connection, principal, "account.new-recovery-codes", f"account:{account}")
        return recovery

    @policy("account.own")
    async def prove(self, principal: Principal, shown: Shown) -> None:
        """Prove oneself again, for what needs it."""
        async with self._proved(principal, shown) as connection:
            await self.audit.write(connection, principal, "account.prove", f"account:{principal.id}")

    @asynccontextmanager
    async def _proved(self, principal: Principal, shown: Shown) -> AsyncGenerator[Connection]:
        """A transaction of the tenant behind the right password and code; UnauthenticatedError, HeldBackError."""
        tenant, account = tenant_of(principal), int(principal.id)
        async with self._database.transaction(tenant) as connection:
            row = await (await connection.execute(_QUERIES["account_of_id"], {"account": account})).fetchone()
        assert row is not None
        key = SignInName(str(row[0]), await tenant_name(self._database, tenant)).key
        async with self._attempts.one(principal, tenant, key, f"account:{account}") as attempt:
            if not await self._proofs.passwords.check(shown.password[: domain.TYPED_MAX], str(row[4])):
                raise UnauthenticatedError(
                    "The password is not right.", "Type the password that you sign in with.", reason="wrong-password"
                )
            async with self._database.transaction(tenant) as connection:
                if row[6]:
                    await self._proofs.check_code(connection, account, shown.code)
                await connection.execute(_QUERIES["prove"], {"account": account, "session": principal.session})
                await attempt.forgiven(connection)
                yield connection
