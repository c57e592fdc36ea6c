"""The rail of rooms at the left of every day page: which rooms there are, and which of them this person may enter."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub.core.policy import allowed
from hub.core.principal import Role

if TYPE_CHECKING:
    from hub.core.principal import Principal


@dataclass(frozen=True, slots=True)
class Room:
    """A room. `key` names its words (`rail.<key>`) and its glyph; `action` is what its page needs."""

    key: str
    href: str
    action: str


ROOMS = (
    Room("ward", "/ward", "ward.read"),
    Room("critical", "/critical-values", "critical.read"),
    Room("devices", "/devices", "device.list"),
    Room("quarantine", "/quarantine", "quarantine.read"),
    Room("gateways", "/gateways", "gateway.list"),
    Room("people", "/people", "account.list"),
    Room("operations", "/operations", "operations.read"),
)


def rooms_for(principal: "Principal | None") -> list[Room]:
    """The rooms whose pages the principal may see, in their order."""
    return [] if principal is None else [room for room in ROOMS if allowed(principal, room.action)]


def home_of(principal: "Principal") -> str:
    """Where somebody begins: those at the bedside in the ward, those who own or oversee devices in the ledger."""
    assets = not principal.roles.isdisjoint({Role.ENGINEER, Role.BUREAU})
    bedside = not principal.roles.isdisjoint({Role.NURSE, Role.DOCTOR})
    return "/devices" if assets and not bedside else "/ward"
