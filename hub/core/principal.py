"""Who does something at the hub: a person, a gateway, a nurses' station or the hub itself."""

from dataclasses import dataclass
from enum import StrEnum

from hub.core.errors import InvalidError


class PrincipalKind(StrEnum):
    """What kind of actor it is."""

    USER = "user"
    GATEWAY = "gateway"
    STATION = "station"
    SYSTEM = "system"
    ANONYMOUS = "anonymous"


class Role(StrEnum):
    """What a principal may be; `hub.core.policy` says what each role may do."""

    NURSE = "nurse"
    DOCTOR = "doctor"
    ENGINEER = "engineer"
    BUREAU = "bureau"  # the health bureau: assets of its hospitals, no patient and no waveform
    ADMINISTRATOR = "administrator"
    GATEWAY = "gateway"
    STATION = "station"
    OPERATOR = "operator"  # at the machine's own command line
    SYSTEM = "system"  # the hub's own tasks


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts. `id` is a key of its kind (account id, gateway name, task name), never a person's name.

    `tenant_id` is the tenant whose data may be touched; None only for anonymous callers and for system tasks over all tenants.
    """

    kind: PrincipalKind
    id: str
    tenant_id: int | None
    roles: frozenset[Role]
    session: str | None = None  # public id of the session, never its secret
    staff: str = ""  # number by which the hospital knows a person
    proved_ns: int = 0  # when a person showed who they are for the last time, by all factors that are set up

    def __str__(self) -> str:
        """`user:12`, as in audit and logs."""
        return f"{self.kind}:{self.id}"


ANONYMOUS = Principal(PrincipalKind.ANONYMOUS, "-", None, frozenset())


def system(task: str, tenant_id: int | None = None) -> Principal:
    """Make the principal of one of the hub's own tasks."""
    return Principal(PrincipalKind.SYSTEM, task, tenant_id, frozenset({Role.SYSTEM}))


def operator(command: str, tenant_id: int | None = None) -> Principal:
    """Make the principal of somebody who works at the command line of the hub's machine."""
    return Principal(PrincipalKind.SYSTEM, command, tenant_id, frozenset({Role.OPERATOR}))


def gateway(name: str, tenant_id: int) -> Principal:
    """Make the principal of a gateway whose certificate was checked."""
    return Principal(PrincipalKind.GATEWAY, name, tenant_id, frozenset({Role.GATEWAY}))


def tenant_of(principal: Principal) -> int:
    """The tenant that a principal acts in; InvalidError for one that was made without."""
    if principal.tenant_id is None:
        raise InvalidError("No hospital (tenant) was named.", "Name one with --tenant.", reason="tenant")
    return principal.tenant_id
