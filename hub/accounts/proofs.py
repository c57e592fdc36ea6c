"""What somebody shows of themselves: a password, a code; held against what is kept, counted when wrong. Within the transaction of who asks."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from hub.accounts import domain, second, strength
from hub.accounts.passkeys import Asked, Passkey, Passkeys, credential_of, wrong_passkey
from hub.accounts.passwords import Passwords
from hub.accounts.second import Codes
from hub.core.audit import AuditLog
from hub.core.db import Connection, Database
from hub.core.errors import InvalidError, UnauthenticatedError
from hub.core.principal import Principal
from hub.core.sql import load_queries

_QUERIES = load_queries("hub.accounts")
PASSWORD_FAULTS = {
    "short": "is too short",
    "long": "is too long",
    "classes": "has too few kinds of characters",
    "common": "is among those that attackers try first",
    "used": "was used before",
}
TOTP = "totp"
RECOVERY = "recovery"
PASSKEY = "passkey"


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


class Attempts:
    """Counts attempts under a name, each before it is looked at, so that many at once count as many."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    @asynccontextmanager
    async def one(self, who: Principal, tenant: int, key: bytes, target: str) -> AsyncGenerator["Attempt"]:
        """An attempt; it counts as a failure unless `passed` or `forgiven` is called. HeldBackError when it is too early."""
        async with self._database.transaction(tenant) as connection:
            values = {"key": key, "tenant": tenant, "forgotten": domain.FAILURES_FORGOTTEN}
            row = await (await connection.execute(_QUERIES["begin_attempt"], values)).fetchone()
            assert row is not None
            failures, blocked_s = int(row[0]), float(row[1])
            wait = timedelta(0) if blocked_s > 0 else domain.held_back(failures)
            if blocked_s <= 0:
                await connection.execute(_QUERIES["hold_back"], {"key": key, "wait": wait})
            else:
                told = {"reason": "held-back", "failures": failures}
                await self._audit.write(
                    connection, who, "account.sign-in", target, told, outcome="denied", tenant_id=tenant
                )
        if blocked_s > 0:
            raise HeldBackError(blocked_s)
        attempt = Attempt(key)
        try:
            yield attempt
        except UnauthenticatedError as error:
            told = {"reason": error.reason, "failures": failures, "wait_s": wait.total_seconds()}
            await self._audit.record(who, "account.sign-in", target, told, outcome="denied", tenant_id=tenant)
            raise
        except InvalidError:
            # What was shown was right; what was asked for behind it was not, and nothing of it was kept.
            async with self._database.transaction(tenant) as connection:
                await attempt.passed(connection)
            raise


class Attempt:
    """One attempt under a name."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    async def passed(self, connection: Connection) -> None:
        """It was right and does not end here: those before it still count, or codes could be tried without end."""
        await connection.execute(_QUERIES["take_back_attempt"], {"key": self._key})

    async def forgiven(self, connection: Connection) -> None:
        """All was right: nothing counts any more."""
        await connection.execute(_QUERIES["forgive"], {"key": self._key})


class Proofs:
    """Holds proofs against what is kept of an account."""

    def __init__(self, passwords: Passwords, codes: Codes, passkeys: Passkeys) -> None:
        self.passwords = passwords
        self.codes = codes
        self.passkeys = passkeys

    async def check_code(self, connection: Connection, account: int, typed: str) -> str:
        """Take a one-time code or a recovery code, once, and return which it was; UnauthenticatedError `wrong-code`."""
        if second.is_recovery_code(typed):
            values = {"account": account, "hash": self.codes.recovery_hash(typed, account)}
            if (await connection.execute(_QUERIES["use_recovery"], values)).rowcount == 1:
                return RECOVERY
            raise wrong_code()
        row = await (await connection.execute(_QUERIES["totp"], {"account": account})).fetchone()
        if row is None:
            raise wrong_code()
        secret = self.codes.open(bytes(row[1]), account)
        step = self.codes.step_of(secret, typed, time.time(), int(row[2]))
        if step is None:
            raise wrong_code()
        await connection.execute(_QUERIES["use_totp"], {"factor": row[0], "step": step})
        return TOTP

    async def ask_for_passkey(self, connection: Connection, account: int) -> Asked | None:
        """What the browser's authenticator is asked; None for an account without passkeys, and where they are not offered."""
        known = await self.known_passkeys(connection, account)
        return self.passkeys.to_show(known) if known and self.passkeys.are_offered else None

    async def known_passkeys(self, connection: Connection, account: int) -> list[bytes]:
        """By which names its authenticators know the passkeys of an account."""
        rows = await (await connection.execute(_QUERIES["passkeys"], {"account": account})).fetchall()
        return [bytes(row[0]) for row in rows]

    async def check_passkey(self, connection: Connection, account: int, answer: str, challenge: bytes | None) -> str:
        """Take the answer of an authenticator to a challenge, which is used up; UnauthenticatedError `wrong-passkey`."""
        credential = credential_of(answer)
        values = {"account": account, "credential": credential}
        row = await (await connection.execute(_QUERIES["passkey"], values)).fetchone()
        if row is None or challenge is None:
            raise wrong_passkey()
        kept = Passkey(credential, bytes(row[1]), int(row[2]))
        count = self.passkeys.shown(answer, challenge, kept)
        await connection.execute(_QUERIES["use_passkey"], {"factor": row[0], "sign_count": count})
        return PASSKEY

    async def set_password(self, connection: Connection, tenant: int, account: int, password: str) -> None:
        """Keep a new password; InvalidError `password-...` when it is short, long, of too few classes, common or an earlier one."""
        row = await (await connection.execute(_QUERIES["account_of_id"], {"account": account})).fetchone()
        assert row is not None
        fault = strength.password_fault(password, [str(part) for part in row[:3] if part])
        if fault is None:
            values = {"account": account, "n": domain.PASSWORDS_REMEMBERED}
            before = await (await connection.execute(_QUERIES["passwords_before"], values)).fetchall()
            if any([await self.passwords.check(password, str(one[0])) for one in before]):
                fault = "used"
        if fault is not None:
            raise refused_password(fault)
        values = {"account": account, "tenant": tenant, "password_hash": await self.passwords.make(password)}
        await connection.execute(_QUERIES["set_password"], values)
        await connection.execute(_QUERIES["remember_password"], values)
        await connection.execute(_QUERIES["forget_passwords"], {"account": account, "n": domain.PASSWORDS_REMEMBERED})

    async def keep_totp(self, connection: Connection, tenant: int, account: int, secret: str, typed: str) -> None:
        """Make this secret the account's, when the code is of it; UnauthenticatedError `wrong-code`. One that was there goes."""
        step = self.codes.step_of(secret, typed, time.time(), 0)
        if step is None:
            raise wrong_code()
        values = {"tenant": tenant, "account": account, "name": "TOTP", "step": step}
        await connection.execute(_QUERIES["forget_totp"], {"account": account})
        await connection.execute(_QUERIES["add_totp"], values | {"sealed": self.codes.seal(secret, account)})

    async def new_recovery_codes(self, connection: Connection, tenant: int, account: int) -> list[str]:
        """Fresh recovery codes; earlier ones stop working."""
        made = self.codes.recovery_codes()
        await connection.execute(_QUERIES["forget_recovery"], {"account": account})
        for code in made:
            values = {"account": account, "tenant": tenant, "hash": self.codes.recovery_hash(code, account)}
            await connection.execute(_QUERIES["add_recovery"], values)
        return made


def wrong_code() -> UnauthenticatedError:
    """What is raised for every code that is not taken, whatever the reason."""
    return UnauthenticatedError("This code is not right.", "Wait for the next one and type that.", reason="wrong-code")


def refused_password(fault: str) -> InvalidError:
    """What is raised for a password with this fault."""
    return InvalidError(
        f"This password {PASSWORD_FAULTS[fault]}.",
        f"Choose one of {strength.PASSWORD_MIN} to {strength.PASSWORD_MAX} characters with upper-case and lower-case letters, digits and "
        "others, which is on no list of common ones and was not used lately.",
        reason=f"password-{fault}",
    )
