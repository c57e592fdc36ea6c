"""The rules of accounts: names, tokens, how long a session lives, how guessing is held back, when a password is too old. Pure.

Tokens and session ids have 256 random bits, so a plain SHA-256 of them may be stored; passwords are argon2id (RFC 9106), hashed
in `passwords`, and what a password must be like is in `strength`. Numbers stand in one table here; NIST SP 800-63B is the source
where nothing else is said.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from hub.core.errors import InvalidError
from hub.core.principal import Principal, PrincipalKind, Role

PASSWORD_LIFE = timedelta(days=90)  # D.2.2 of the standard for access of AI, which is stricter than SP 800-63B
TYPED_MAX = 1024  # characters that are compared of what was typed as a password; more than any that is kept
REVIEW_EVERY = timedelta(days=182)  # half a year: 6.3.4 of the standard for ECG centres
PASSWORDS_REMEMBERED = 5  # that may not be chosen again
STEP_LIFE = timedelta(minutes=10)  # from the password to the end of the sign-in: long enough to find a telephone
INVITATION_LIFE = timedelta(hours=24)
# A shift with its handover. A page that watches patients must not sign itself out in the middle of one, so an open event
# stream counts as use (decision 0055).
SESSION_LIFE = timedelta(hours=13)
SESSION_IDLE = timedelta(hours=1)
SESSION_TOUCH = timedelta(minutes=1)  # seen_at is written at most this often

_LOCK_AFTER = 5  # and
_LOCK = timedelta(hours=1)  # 8.1 of the standard for consultation between hospitals
FAILURES_FORGOTTEN = timedelta(hours=1)

ROLES = (Role.NURSE, Role.DOCTOR, Role.ENGINEER, Role.BUREAU, Role.ADMINISTRATOR)
DEFAULT_TENANT = "default"

_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,62}$")
_STAFF_NUMBER = re.compile(r"^[A-Za-z0-9][A-Za-z0-9-]{0,31}$")


class Need(StrEnum):
    """What is still to be done before a sign-in ends."""

    SECOND = "second"  # show the second factor
    ENROL = "enrol"  # set one up
    RENEW = "renew"  # choose another password


class Proof(StrEnum):
    """What somebody has shown of themselves in a sign-in."""

    TYPED = "password"  # behind a name
    LINK = "link"
    SECOND = "second"


class SecondFactor(StrEnum):
    """Whether a second factor is asked of everybody, or only of those who have set one up."""

    REQUIRED = "required"
    OFFERED = "offered"


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
    staff_number: str | None = None
    is_second_factor_reset: bool = False
    valid_until: datetime | None = None  # by itself over from then on; None: until somebody ends it

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
        if self.staff_number is not None and not _STAFF_NUMBER.fullmatch(self.staff_number):
            raise InvalidError(
                f"Staff number {self.staff_number!r}: expected 1 to 32 of A-Z, a-z, 0-9, '-', beginning with a letter or digit.",
                "Give the number by which the hospital knows the person.",
                reason="staff-number",
            )
        if not self.display_name.strip():
            raise InvalidError(
                "The display name is empty.", "Give the name that others shall see.", reason="account-name"
            )


class AccountState(StrEnum):
    """What an administrator sees of the life of an account, the most urgent first."""

    CLOSED = "closed"  # for good; its name is not given again
    DISABLED = "disabled"
    OVER = "over"  # its time has ended
    LOCKED = "locked"  # after failures, for an hour
    INVITED = "invited"
    REVIEW = "review"  # its rights have not been looked at for half a year
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Account:
    """An account as an administrator sees it. `locked_until`: None when the name is not locked; `seen_at`: its last request."""

    account_id: int
    name: str
    display_name: str
    staff_number: str
    roles: tuple[str, ...]
    stored_state: str
    wards: tuple[str, ...]
    has_second: bool
    valid_until: datetime | None
    reviewed_at: datetime
    seen_at: datetime | None
    is_signed_in: bool
    locked_until: datetime | None = None

    def state(self, now: datetime) -> AccountState:
        """The state at a moment."""
        if self.stored_state in (AccountState.CLOSED, AccountState.DISABLED):
            return AccountState(self.stored_state)
        if self.valid_until is not None and self.valid_until <= now:
            return AccountState.OVER
        if self.locked_until is not None and self.locked_until > now:
            return AccountState.LOCKED
        if self.stored_state == AccountState.INVITED:
            return AccountState.INVITED
        return AccountState.REVIEW if now - self.reviewed_at >= REVIEW_EVERY else AccountState.ACTIVE


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


def person(
    tenant_id: int,
    account_id: int,
    display_name: str,
    roles: Iterable[str],
    session_id: str,
    proved_at: datetime,
    staff: str,
) -> Person:
    """Make the principal of somebody who is signed in."""
    granted, proved_ns = frozenset(Role(role) for role in roles), round(proved_at.timestamp() * 1e9)
    who = Principal(PrincipalKind.USER, str(account_id), tenant_id, granted, session_id, staff, proved_ns)
    return Person(who, display_name)


def secret_hash(secret: str) -> bytes:
    """What is stored of a token or session id."""
    return hashlib.sha256(secret.encode()).digest()


def form_token(secret: str) -> str:
    """The CSRF token that belongs to a cookie: only pages served to the holder of the cookie have it."""
    return hmac.new(secret.encode(), b"wardlink form", hashlib.sha256).hexdigest()


def end_of(day: datetime | None) -> datetime | None:
    """The end of an account whose last day this is: that day's midnight in the time zone of this machine."""
    return None if day is None else (day + timedelta(days=1)).astimezone()


def needs(passed: frozenset[Proof], *, has_second: bool, policy: SecondFactor, password_age: timedelta) -> Need | None:
    """What comes next in a sign-in; None: nothing, and the session may begin.

    A link sets a new password and does not stand for the second factor.
    """
    if has_second and Proof.SECOND not in passed:
        return Need.SECOND
    if not has_second and policy is SecondFactor.REQUIRED:
        return Need.ENROL
    if password_age >= PASSWORD_LIFE:
        return Need.RENEW
    return None


def held_back(failures: int) -> timedelta:
    """How long the next attempt has to wait after so many failures in a row: 1 s, 2 s, 4 s, and then a lock."""
    if failures >= _LOCK_AFTER:
        return _LOCK
    return timedelta(seconds=2 ** (failures - 2)) if failures > 1 else timedelta(0)
