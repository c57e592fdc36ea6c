"""Where the local page of a gateway is, from what it said and what an administrator allowed. Pure."""

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

LIFE_S = 8 * 3600  # a shift: while the hub is away nobody can get another


@dataclass(frozen=True, slots=True)
class LocalPage:
    """A gateway's page for somebody: `origin` as in an address (https://host:port), and their ticket to it."""

    gateway: str
    origin: str
    beds: tuple[str, ...]
    ticket: str
    not_after_s: int


def origin_of(said: str, addresses: Collection[str]) -> str | None:
    """The origin of the address that a gateway told, if its host is one that an administrator gave it; else None.

    Pages send tickets there, so a gateway cannot choose. Without TLS only on the hub's own machine, as in a demo.
    """
    try:
        parts = urlsplit(said)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if host not in {address.lower() for address in addresses} or parts.scheme not in ("https", "http"):
        return None
    if parts.scheme == "http" and not _is_loopback(host):
        return None
    return f"{parts.scheme}://{_shown(host)}" + (f":{port}" if port else "")


def any_port(address: str) -> list[str]:
    """The origins that a gateway at this address may yet tell, in the words of a Content-Security-Policy."""
    schemes = ("https", "http") if _is_loopback(address) else ("https",)
    return [f"{scheme}://{_shown(address.lower())}:*" for scheme in schemes]


def socket_origin(origin: str) -> str:
    """The same for WebSockets."""
    return "ws" + origin.removeprefix("http")


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
