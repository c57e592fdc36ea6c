"""Who is signed in: sessions begin, are found by the secret of their cookie, and end. One person has one at a time."""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address, ip_network

from hub.accounts import domain
from hub.accounts.domain import Person, Session
from hub.core.audit import AuditLog
from hub.core.caller import Caller
from hub.core.db import Connection, Database
from hub.core.errors import NotFoundError
from hub.core.policy import policy
from hub.core.principal import Principal, tenant_of
from hub.core.sql import load_queries

_QUERIES = load_queries("hub.accounts")
# Every browser names those before it as well; the first of these in this order that it names is itself.
_PROGRAM = re.compile(r"(?:^|.* )(Firefox|Edg|OPR|(?:Headless)?Chrome|Version)/(\d+)(?!.*(?:Edg|OPR)/)")
_SYSTEM = re.compile(r"(Windows|Android|iPhone|iPad|Mac OS X|Linux(?!; Android))")
_NAMES = {"Edg": "Edge", "OPR": "Opera", "HeadlessChrome": "Chrome", "Version": "Safari", "Mac OS X": "macOS"}


class Inside:
    """The networks of the hospital. A session from elsewhere is bound to the address and the browser that began it."""

    def __init__(self, networks: Iterable[str]) -> None:
        """`networks`: as `10.0.0.0/8`; ValueError for one that is none."""
        self._networks = [ip_network(one) for one in networks]

    def holds(self, address: str) -> bool:
        """Whether an address is one of the hospital; what is no address is not."""
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)

    def is_moved(self, began: Caller, now: Caller) -> bool:
        """Whether a session goes on from where it may not."""
        is_bound = not (self.holds(began.address) and self.holds(now.address))
        return is_bound and began != now.kept


@dataclass(frozen=True, slots=True)
class Live:
    """A session that has not ended. `is_own`: that of whoever asks."""

    session_id: str
    begun_at: datetime
    seen_at: datetime
    address: str
    device: str
    is_own: bool

    @property
    def browser(self) -> str:
        """The browser and its system, as far as they say so: `Chrome 156 · Windows`."""
        program, system = _PROGRAM.search(self.device), _SYSTEM.search(self.device)
        named = [f"{_NAMES.get(program[1], program[1])} {program[2]}"] if program else []
        return " · ".join([*named, *([_NAMES.get(system[1], system[1])] if system else [])]) or self.device[:40]


class Sessions:
    """The sessions of all tenants."""

    def __init__(self, database: Database, audit: AuditLog, inside: Inside) -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit
        self._inside = inside

    async def begin(self, connection: Connection, tenant: int, account: int, caller: Caller) -> Session:
        """Open one in the caller's transaction, in place of any other of the account.

        Whoever opens it writes the audit, with the principal that it makes.
        """
        secret = secrets.token_urlsafe(32)
        await connection.execute(_QUERIES["end_sessions"], {"account": account, "why": "elsewhere"})
        values = {
            "hash": domain.secret_hash(secret),
            "tenant": tenant,
            "account": account,
            "life": domain.SESSION_LIFE,
            "address": caller.kept.address,
            "device": caller.kept.device,
        }
        opened = await (await connection.execute(_QUERIES["open_session"], values)).fetchone()
        row = await (await connection.execute(_QUERIES["account_of_id"], {"account": account})).fetchone()
        assert opened is not None
        assert row is not None
        return Session(
            secret, domain.person(tenant, account, str(row[1]), row[3], str(opened[0]), opened[1], str(row[2]))
        )

    async def who(self, secret: str, caller: Caller | None = None) -> Person | None:
        """Tell whose session this is; None when there is no such session, it has ended, or its account is not active.

        A session of elsewhere that comes from another address or browser than it began at ends. `caller`: None for a stream that has
        been open since it was looked at.
        """
        values = {
            "hash": domain.secret_hash(secret),
            "idle": domain.SESSION_IDLE,
            "touch": domain.SESSION_TOUCH,
        }
        async with self._database.connection() as connection:
            row = await (await connection.execute(_QUERIES["find_session"], values)).fetchone()
        if row is None:
            return None
        session_id, tenant, account, display_name, roles, proved_at, address, device, staff, stale = row
        person = domain.person(tenant, account, display_name, roles, session_id, proved_at, staff)
        if caller is not None and self._inside.is_moved(Caller(address, device), caller):
            await self._end_moved(person.principal)
            return None
        if stale:
            async with self._database.transaction(tenant) as connection:
                await connection.execute(_QUERIES["touch_session"], {"session": session_id})
        return person

    async def why_ended(self, secret: str) -> str:
        """Why the session of an old cookie ended: a word of `account_session.ended_why`, or "" when its time was over."""
        async with self._database.connection() as connection:
            row = await (
                await connection.execute(_QUERIES["why_ended"], {"hash": domain.secret_hash(secret)})
            ).fetchone()
        return str(row[0] or "") if row else ""

    async def _end_moved(self, principal: Principal) -> None:
        async with self._database.transaction(tenant_of(principal)) as connection:
            values = {"session": principal.session, "account": int(principal.id), "why": "moved"}
            await connection.execute(_QUERIES["end_session"], values)
            target, told = f"session:{principal.session}", {"reason": "moved"}
            await self.audit.write(connection, principal, "account.end-session", target, told, outcome="denied")

    @policy("account.own")
    async def live(self, principal: Principal) -> list[Live]:
        """The principal's own sessions, the newest first."""
        values = {"account": int(principal.id), "idle": domain.SESSION_IDLE}
        async with self._database.transaction(tenant_of(principal)) as connection:
            rows = await (await connection.execute(_QUERIES["live_sessions"], values)).fetchall()
        return [Live(*row, is_own=row[0] == principal.session) for row in rows]

    @policy("account.own")
    async def end(self, principal: Principal, session_id: str) -> None:
        """End one of the principal's own sessions; NotFoundError when it is not there or has ended."""
        async with self._database.transaction(tenant_of(principal)) as connection:
            values = {"session": session_id, "account": int(principal.id), "why": "ended"}
            ended = await connection.execute(_QUERIES["end_session"], values)
            if ended.rowcount != 1:
                raise NotFoundError("This session has ended already.", "Load the page again.", reason="session-ended")
            await self.audit.write(connection, principal, "account.end-session", f"session:{session_id}")

    @policy("session.end")
    async def sign_out(self, principal: Principal) -> None:
        """End the principal's session; its cookie is worth nothing from now on."""
        async with self._database.transaction(tenant_of(principal)) as connection:
            values = {"session": principal.session, "account": int(principal.id), "why": "signed-out"}
            await connection.execute(_QUERIES["end_session"], values)
            await self.audit.write(connection, principal, "account.sign-out", f"account:{principal.id}")
