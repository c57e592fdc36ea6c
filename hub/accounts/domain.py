"""The rules of accounts: names, passwords, tokens, how long a session lives, how guessing is held back. Pure.

Tokens and session ids have 256 random bits, so a plain SHA-256 of them may be stored; passwords are argon2id (RFC 9106), hashed
in `passwords`. Numbers stand in one table here; NIST SP 800-63B is the source where nothing else is said.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from hub.core.errors import InvalidError
from hub.core.principal import Principal, PrincipalKind, Role

PASSWORD_MIN = 12  # characters
PASSWORD_MAX = 256  # what argon2 is fed; a longer one is refused, never cut
INVITATION_LIFE = timedelta(hours=24)
# A shift with its handover. A page that watches patients must not sign itself out in the middle of one, so an open event
# stream counts as use (decision 0055).
SESSION_LIFE = timedelta(hours=13)
SESSION_IDLE = timedelta(hours=1)
SESSION_TOUCH = timedelta(minutes=1)  # seen_at is written at most this often

_FREE_FAILURES = 3
_LOCK_AFTER = 10
_LOCK = timedelta(minutes=15)
FAILURES_FORGOTTEN = timedelta(hours=1)

ROLES = (Role.NURSE, Role.ENGINEER, Role.BUREAU, Role.ADMINISTRATOR)
DEFAULT_TENANT = "default"

_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,62}$")
_COMMON = ("password", "passw0rd", "wardlink", "qwertyuiop", "1234567890", "administrator", "iloveyou", "letmein")
_SPREAD = 5  # different characters that a password has at least


@dataclass(frozen=True, slots=True)
class SignInName:
    """`zhang.wei` or, at a hub of several hospitals, `zhang.wei@hospital`."""

    name: str
    tenant: str

    @classmethod
    def parse(cls, text: str) -> "SignInName":
        """Take what was typed, whatever its case and surrounding space; never fails, a nonsense name is just unknown."""
        name, _, tenant = text.strip().lower().partition("@")
        return cls(name, tenant or DEFAULT_TENANT)

    @property
    def key(self) -> bytes:
        """What failures are counted under: tells nothing of the name, which may be a password typed in the wrong field."""
        return hashlib.sha256(f"{self.tenant}\n{self.name}".encode()).digest()


@dataclass(frozen=True, slots=True)
class Invitation:
    """Whom to invite. `wards` are slugs."""

    name: str
    display_name: str
    roles: frozenset[Role]
    wards: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what the tables would refuse, with words."""
        if not _NAME.fullmatch(self.name):
            raise InvalidError(
                f"Account name {self.name!r}: expected 1 to 63 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit.",
                "Choose another name; the display name may hold any characters.",
                reason="account-name",
            )
        if not self.roles or not self.roles <= frozenset(ROLES):
            raise InvalidError(
                f"Roles {sorted(self.roles)}: expected one or more of {', '.join(ROLES)}.",
                f"Give --role {' or --role '.join(ROLES)}.",
                reason="account-role",
            )
        if not self.display_name.strip():
            raise InvalidError(
                "The display name is empty.", "Give the name that others shall see.", reason="account-name"
            )


@dataclass(frozen=True, slots=True)
class Account:
    """An account as an administrator sees it."""

    account_id: int
    name: str
    display_name: str
    roles: tuple[str, ...]
    state: str
    wards: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in: the principal, and the name that pages greet with."""

    principal: Principal
    display_name: str


@dataclass(frozen=True, slots=True)
class Session:
    """A session that was just opened; `secret` goes into the cookie and is kept nowhere."""

    secret: str
    person: Person


def person(tenant_id: int, account_id: int, display_name: str, roles: Iterable[str], session_id: str) -> Person:
    """Make the principal of somebody who is signed in."""
    granted = frozenset(Role(role) for role in roles)
    return Person(Principal(PrincipalKind.USER, str(account_id), tenant_id, granted, session_id), display_name)


def secret_hash(secret: str) -> bytes:
    """What is stored of a token or session id."""
    return hashlib.sha256(secret.encode()).digest()


def form_token(secret: str) -> str:
    """The CSRF token that belongs to a cookie: only pages served to the holder of the cookie have it."""
    return hmac.new(secret.encode(), b"wardlink form", hashlib.sha256).hexdigest()


def password_fault(password: str, name: str) -> str | None:
    """Say why a password is refused: `short`, `long` or `common`; None when it is good.

    Length counts and rules on its make-up do not (SP 800-63B 3.1.1.2); what attackers try first is refused.
    """
    if len(password) < PASSWORD_MIN:
        return "short"
    if len(password) > PASSWORD_MAX:
        return "long"
    lowered = password.lower()
    rest = min((len(lowered.replace(word, "")) for word in (*_COMMON, name)), default=len(lowered))
    if len(set(lowered)) < _SPREAD or rest < _SPREAD:
        return "common"
    return None


def held_back(failures: int) -> timedelta:
    """How long the next attempt has to wait after so many failures in a row: 1 s, 2 s, 4 s ... and then a lock."""
    if failures < _FREE_FAILURES:
        return timedelta(0)
    if failures >= _LOCK_AFTER:
        return _LOCK
    return timedelta(seconds=2 ** (failures - _FREE_FAILURES))
